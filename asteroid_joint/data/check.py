"""Check a dataset before hours are spent on it."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from ..errors import DataError
from ..pitch import PitchGrid
from .base import JointDataset


def check_dataset(sides: Mapping[str, JointDataset], disjoint: bool = True) -> str:
    """Read every clip with its labels and compare the sides.

    Args:
        sides: Name of each side to its dataset.
        disjoint: Whether a singer or song on two sides is an error, not a remark.

    Returns:
        A table of the contents, and a line on overlapping sides.

    Raises:
        DataError: If a file is missing, has another rate or is not finite, or if sides overlap.
    """
    lines = [
        f"{'side':<6} {'clips':>6} {'songs':>6} {'singers':>8} {'minutes':>8} {'voiced':>7} "
        f"{'F0':>5} {'activity':>9}"
    ]
    for name, dataset in sides.items():
        lines.append(_count(name, dataset))
    for (a, first), (b, second) in combinations(sides.items(), 2):
        for kind in ("song", "singer"):
            both = _names(first, kind) & _names(second, kind)
            if not both:
                continue
            text = f"{len(both)} {kind}s are in both {a} and {b}, e.g. {min(both)}"
            if disjoint:
                raise DataError(f"{text}: move them to one side, as the split leaks.")
            lines.append(f"note: {text} (intended in this split)")
    if disjoint:
        lines.append("no singer and no song is on two sides")
    return "\n".join(lines)


def _names(dataset: JointDataset, kind: str) -> set[str]:
    """Known songs or singers of a side."""
    return {getattr(clip, kind) for clip in dataset.clips} - {""}


def _count(name: str, dataset: JointDataset) -> str:
    """Line of the table for one side; reads all of it."""
    grid = PitchGrid(dataset.sample_rate // 50, dataset.sample_rate)
    n_samples, f0, activity, voiced = 0, 0, 0, []
    for index, clip in enumerate(dataset.clips):
        example = dataset.example(index, grid)
        if example.mixture.shape != (dataset.n_channels, clip.n_samples):
            raise DataError(
                f"{clip.name} has shape {example.mixture.shape}, not "
                f"{(dataset.n_channels, clip.n_samples)}: download it again."
            )
        if not np.isfinite(example.mixture).all():
            raise DataError(f"{clip.name} contains NaN or infinite samples: download it again.")
        n_samples += clip.n_samples
        if example.f0_hz is not None:
            f0 += 1
            voiced.append(float(np.mean(example.f0_hz[~np.isnan(example.f0_hz)] > 0)))
        activity += example.activity is not None
    share = f"{100 * np.mean(voiced):.0f} %" if voiced else "-"
    return (
        f"{name:<6} {len(dataset):>6} {len(_names(dataset, 'song')):>6} "
        f"{len(_names(dataset, 'singer')):>8} {n_samples / dataset.sample_rate / 60:>8.1f} "
        f"{share:>7} {f0:>5} {activity:>9}"
    )

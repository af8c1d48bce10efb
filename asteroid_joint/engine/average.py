"""Interpolate two sets of weights of one architecture, with the share that validates best.

Further training on new data costs performance on the old; a point on the line between the weights
before and after keeps most of both.

``python -m asteroid_joint.engine.average exp/x --before djcm_mir1k --shares 0.5 1``
validates ``share * after + (1 - share) * before`` for each share, on the data of the experiment,
and writes the best over ``exp/x/best_model.pth`` (what was there is kept as ``last_model.pth``).
With ``--protect mir1k`` a share must not lose more than 0.1 dB of NSDR and 0.5 points of RPA and OA
on that part of a blend, compared with the weights before.

References:
    M. Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022,
    https://arxiv.org/abs/2109.01903.
"""

import argparse
import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ..data.blend import part_of
from ..data.drawing import WholeClips
from ..errors import ConfigError, UserError
from ..files import write_text
from ..inference.fast.fuse import optimize_for_inference
from ..metrics.melody import melody_metrics
from ..metrics.report import markdown_table
from ..metrics.separation import sdr
from ..models.base import JointModel
from ..models.model_file import read_model_file, write_model_file
from ..models.pretrained import load_model
from .training.build import build_dataset
from .training.config import Config, read_config
from .training.voicing import best_threshold

SHOWN = ("nsdr", "rpa", "oa")
MAX_LOSS = {"nsdr": 0.1, "rpa": 0.005, "oa": 0.005}  # dB, shares of frames


def between(before: JointModel, after: JointModel, share: float) -> JointModel:
    """A model with the weights ``share * after + (1 - share) * before``.

    Raises:
        ConfigError: If the two are not of one architecture.
    """
    if before.get_model_args() != after.get_model_args() or type(before) is not type(after):
        raise ConfigError("Only weights of one architecture can be averaged: give others.")
    first, second = before.state_dict(), after.state_dict()
    model = type(after)(**after.get_model_args())
    model.load_state_dict(
        {
            key: torch.lerp(first[key].float(), value.float(), share).to(value.dtype)
            if value.is_floating_point()
            else value
            for key, value in second.items()
        }
    )
    return model.eval()


@torch.inference_mode()
def validate(model: JointModel, dataset: Any) -> dict[str, dict[str, float]]:
    """Mean NSDR (dB), RPA and OA for every part of a blend, or for ``"all"`` of another dataset.

    The model's voicing threshold is set to the best one on the same clips.
    """
    run = optimize_for_inference(model)
    nsdr: dict[str, list[float]] = defaultdict(list)
    curves: dict[str, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = defaultdict(list)
    for example in tqdm(WholeClips(dataset, model.pitch_grid), unit="clip", disable=None):
        part = part_of(example.name) or "all"
        out = run.forward_joint(torch.from_numpy(example.mixture)[None])  # (1, C, T)
        if example.sources is not None and np.any(voice := example.sources[0]):
            gain = sdr(voice, out.stems()[0, 0].numpy()) - sdr(voice, example.mixture)
            nsdr[part].append(gain)
        if example.f0_hz is not None and out.pitch_logits is not None:
            hz, confidence, _ = (x.numpy() for x in model.decode_pitch(out.pitch_logits[0]))
            curves[part].append((example.f0_hz, hz, confidence))
    parts_of = [part for part, clips in curves.items() for _ in clips]
    threshold = best_threshold(chain.from_iterable(curves.values()), parts_of)
    if threshold is not None:
        model.voicing_threshold.fill_(threshold)
    parts: dict[str, dict[str, float]] = {
        part: {"nsdr": float(np.mean(v))} for part, v in nsdr.items()
    }
    for part, of in curves.items():
        scores = [melody_metrics(ref, hz, c > threshold) for ref, hz, c in of]
        parts.setdefault(part, {}).update(
            {name: float(np.mean([s[name] for s in scores])) for name in ("rpa", "oa")}
        )
    return parts


def score(parts: dict[str, dict[str, float]]) -> float:
    """Mean over parts of NSDR in dB plus RPA in percent, which also selects checkpoints."""
    return float(
        np.mean([part.get("nsdr", 0) + 100 * part.get("rpa", 0) for part in parts.values()])
    )


def allowed(parts: dict[str, dict[str, float]], of: dict[str, float], protect: str) -> bool:
    """Whether the part ``protect`` is as good as before (``of``), up to ``MAX_LOSS``."""
    now = parts[protect]
    return all(now[name] >= of[name] - loss for name, loss in MAX_LOSS.items() if name in of)


def average(
    exp_dir: Path, before: str, shares: Sequence[float], conf: Config, protect: str = ""
) -> str:
    """Validate each share and keep the best.

    Args:
        exp_dir: Finished experiment.
        before: Its initial weights: a shipped name or a file.
        shares: Shares of the experiment's weights, 0 to 1.
        conf: Its configuration.
        protect: Part of a blend that must not lose more than ``MAX_LOSS``; share 0 is then
            validated first.

    Returns:
        A Markdown table of the results.

    Raises:
        ConfigError: If a share is out of range, or there is no such part.
    """
    shares = sorted({0.0, *shares} if protect else set(shares))
    best, kept = exp_dir / "best_model.pth", exp_dir / "last_model.pth"
    if not kept.is_file():  # a second call averages the same weights
        shutil.copyfile(best, kept)
    dataset = build_dataset(conf, "valid")
    first, second = load_model(before), load_model(kept)
    results: list[dict[str, Any]] = []
    for share in shares:
        if not 0 <= share <= 1:
            raise ConfigError(f"--shares {share:g}: give shares from 0 to 1.")
        model = between(first, second, share)
        parts = validate(model, dataset)
        if protect and protect not in parts:
            raise ConfigError(f"There is no part {protect!r}: choose one of {', '.join(parts)}.")
        fits = not protect or not results or allowed(parts, results[0][protect], protect)
        results.append({"share": share, "score": score(parts), "allowed": fits, **parts})
        if fits and results[-1]["score"] == max(r["score"] for r in results if r["allowed"]):
            saved = read_model_file(str(kept))
            saved.update(state_dict=model.state_dict())
            saved["infos"]["averaged"] = {"before": Path(before).stem, "share_after": share}
            write_model_file(saved, best)
    write_text(exp_dir / "averages.json", json.dumps(results, indent=1) + "\n")
    return _table(results)


def _table(results: Sequence[dict[str, Any]]) -> str:
    parts = [key for key in results[0] if key not in ("share", "score", "allowed")]
    heads = [f"{part} {metric}" for part in parts for metric in SHOWN]
    rows = []
    for r in results:
        cells = [
            f"{r[part].get(m, np.nan) * (1 if m == 'nsdr' else 100):.2f}"
            for part in parts
            for m in SHOWN
        ]
        mark = "" if r["allowed"] else " (loses too much)"
        rows.append([f"{r['share']:g}{mark}", *cells, f"{r['score']:.2f}"])
    return markdown_table(["share", *heads, "score"], rows)


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("exp_dir", type=Path, help="finished experiment")
    add("--before", required=True, help="initial weights of the experiment")
    add("--shares", type=float, nargs="+", default=[0.5, 0.75, 1.0], help="of its final weights")
    add("--protect", default="", help="part of a blend that must not get worse")
    args = parser.parse_args(argv)
    try:
        conf = read_config(args.exp_dir / "conf.yml")
        print(average(args.exp_dir, args.before, args.shares, conf, args.protect))
    except UserError as err:
        sys.exit(f"average: {err}")


if __name__ == "__main__":
    main()

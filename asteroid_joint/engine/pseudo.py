"""Between two stages of training: a trained model labels what single-labelled sets lack.

``python -m asteroid_joint.engine.pseudo exp/one --recipe . --overlay stage2 --pseudo_dir labels``
takes ``exp/one/best_model.pth`` (what a run saves is the moving average of its weights) as the
teacher and the sets of that configuration of the recipe. F0 of clips with stems is heard from the
true voice, voices of clips with F0 are separated from the mixture; every label is checked against
the one that is known (:mod:`.pseudo_rules`) with thresholds from the validation side, and the
labels are audited (:mod:`.audit`): ``audit.json`` and ``audit.md`` beside them. Interrupted, it
goes on where it was. ``--rule precision=0.95`` changes a rule. The test side is never read.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ..compat import plain_types
from ..data.base import JointDataset
from ..data.pseudo_files import (
    HEADER_FILE,
    Header,
    Piece,
    cut,
    missing_label,
    piece_path,
    read_header,
    read_piece,
    sha256,
    write_bytes,
    write_piece,
)
from ..errors import ConfigError, DataError, UserError
from ..masknn.fuse import optimize_for_inference
from ..metrics.separation import sdr
from ..models.store import load_model
from ..pitch import decode_argmax
from .audit import audit_set, audit_table, audit_valid
from .build import build_dataset, check_fit
from .config import Config, parse_recipe_args
from .pseudo_rules import (
    HeardPitch,
    Rules,
    Thresholds,
    ValidPiece,
    choose_thresholds,
    frame_level_db,
    hear_voice,
    judge_pitch,
    judge_voice,
    leak_db,
    read_rules,
)
from .sets import further_sets

SECOND_CENTS = 300  # from the first pitch: nearer activations are the same one's
FIRST_SET = "data"  # name of the set that a configuration describes there


class Heard(NamedTuple):
    """One pass of a teacher: stems ``(S, C, T)``; F0, its activation, a second one, ``(N,)``."""

    stems: np.ndarray
    hz: np.ndarray
    confidence: np.ndarray
    second: np.ndarray


class Teacher:
    """A trained joint model that makes labels.

    Args:
        path: Its file.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises:
        CheckpointError: If it cannot be loaded.
        ConfigError: If it has no pitch output.
    """

    def __init__(self, path: Path, device: str = "auto") -> None:
        self.model = load_model(path)
        if not self.model.has_pitch:
            raise ConfigError(f"{path} estimates no pitch: a teacher needs both outputs.")
        self.checksum = sha256(path)
        self.grid = self.model.pitch_grid
        self.voicing_threshold = float(self.model.voicing_threshold)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = device
        fast = optimize_for_inference(self.model) if device == "cpu" else self.model
        self._run = fast.to(device).eval()

    @torch.inference_mode()
    def __call__(self, wav: np.ndarray) -> Heard:
        """Separate ``(C, T)`` and hear its voice."""
        out = self._run.forward_joint(torch.from_numpy(wav)[None].to(self.device))
        assert out.pitch_logits is not None
        active = out.pitch_logits[0].float().sigmoid().cpu()  # (N, P)
        f0 = decode_argmax(active, self.grid)
        stems = np.array(out.stems()[0].float().cpu())  # a copy: memory is used again
        return Heard(stems, f0.hz.numpy(), f0.confidence.numpy(), self._second(active))

    def hear_pitch(self, mixture: np.ndarray, sources: np.ndarray) -> HeardPitch:
        """What it hears in a true voice, the first of ``sources``, and in the one it separates."""
        true, own = self(sources[0]), self(mixture)
        level_db = frame_level_db(sources[0], self.grid)
        return HeardPitch(true.hz, true.confidence, true.second, own.hz, level_db)

    def _second(self, active: torch.Tensor) -> np.ndarray:
        """Greatest activation ``(N,)`` far from the strongest and no octave from it."""
        bins = torch.arange(active.shape[1])
        cents = (bins - active.argmax(1, keepdim=True)).abs() * self.grid.cents_per_bin  # (N, P)
        other = (cents > SECOND_CENTS) & ((cents - 1200).abs() > 100)
        return np.array(torch.where(other, active, torch.zeros_like(active)).amax(1))


def make_labels(
    teacher: Teacher, conf: Config, folder: Path, rules: Rules, relabel: bool = False
) -> str:
    """Label what the sets of a configuration lack, and audit the labels.

    Args:
        teacher: Makes them.
        conf: The sets; see :mod:`.sets`.
        folder: Where labels go.
        rules: How they are judged.
        relabel: Make labels of another teacher, or by other rules, again; else they are refused.

    Returns:
        What was done, and the table of the audit.

    Raises:
        DataError: If no set lacks a label of which it has the other, the validation side has not
            both, or other labels are in the folder.
    """
    conf = {**conf, "data": {**conf["data"], "pseudo_dir": ""}}
    sets = {FIRST_SET: conf, **further_sets(conf)}
    datasets = {name: build_dataset(one, "train") for name, one in sets.items()}
    for dataset in datasets.values():
        check_fit(teacher.model, dataset)
    work = {name: _lacking(dataset, rules, teacher) for name, dataset in datasets.items()}
    if not any(work.values()):
        raise DataError(
            "No set lacks one label and has the other: there is nothing to be labelled (see hide "
            "and more_data in the configuration)."
        )
    header, valid = prepare(teacher, conf, folder, rules, relabel)
    lines, rows = [f"thresholds: {_listed(header.thresholds)}"], []
    for name, pieces in work.items():
        if not pieces:
            continue
        dataset_name = sets[name]["data"]["dataset"]
        made = 0
        for piece, label in tqdm(pieces, desc=f"labels of {name}", unit="piece", disable=None):
            path = piece_path(folder, dataset_name, piece)
            if _stored(path, header, relabel):
                continue
            label_piece(teacher, datasets[name], piece, label, path, header, rules)
            made += 1
        lines.append(f"set {name}: {made} pieces labelled, {len(pieces) - made} were there")
        shown = {**sets[name], "data": {**sets[name]["data"], "hide": []}}
        truth = build_dataset(shown, "train")
        rows += audit_set(name, truth, pieces, folder, dataset_name, header)
    rows += audit_valid(valid, rules, teacher.voicing_threshold, float(teacher.grid.hop))
    table = audit_table(rows)
    write_bytes(folder / "audit.json", (json.dumps(rows, indent=1) + "\n").encode())
    write_bytes(folder / "audit.md", (table + "\n").encode())
    return "\n".join([*lines, "", table])


def prepare(
    teacher: Teacher, conf: Config, folder: Path, rules: Rules, relabel: bool = False
) -> tuple[Header, list[ValidPiece]]:
    """Thresholds from the validation side, written to ``folder``.

    Returns:
        The header of the labels and what the teacher hears in the validation side.

    Raises:
        DataError: If labels by another teacher, on another grid or by other rules are there.
    """
    grid, settings = teacher.grid.to_dict(), plain_types(asdict(rules))
    there = (folder / HEADER_FILE).exists()
    if there and not relabel:
        was = read_header(folder)
        for what, old, new in (
            ("by another teacher", was.teacher, teacher.checksum),
            ("on another pitch grid", was.grid, grid),
            ("by other rules", was.settings, settings),
        ):
            if old != new:
                raise DataError(
                    f"The pseudo labels in {folder} were made {what}: make them again "
                    "(--relabel), or give another folder."
                )
    valid = hear_valid(teacher, conf, rules)
    thresholds: Thresholds = choose_thresholds(valid, rules)
    header = Header(
        teacher.checksum, grid, settings, thresholds._asdict(), teacher.voicing_threshold
    )
    if there and not relabel:
        header = read_header(folder)  # another machine may round otherwise: keep what began
    folder.mkdir(parents=True, exist_ok=True)
    header.write(folder)
    return header, valid


def hear_valid(teacher: Teacher, conf: Config, rules: Rules) -> list[ValidPiece]:
    """What a teacher makes of the validation side's pieces that have both labels."""
    dataset = build_dataset(conf, "valid")
    check_fit(teacher.model, dataset)
    heard = []
    pieces = cut(dataset, rules.piece_sec, teacher.grid)
    for piece in tqdm(pieces, desc="thresholds, valid", unit="piece", disable=None):
        mixture, sources = dataset.read(piece.clip, piece.start, piece.n_samples)
        f0_hz = _f0(dataset, piece, teacher)
        if sources is None or f0_hz is None:
            continue
        own = teacher(mixture)
        true = teacher(sources[0])
        level_db = frame_level_db(sources[0], teacher.grid)
        sung = bool(np.any(sources[0]))
        heard.append(
            ValidPiece(
                dataset.clips[piece.clip].song,
                f0_hz,
                HeardPitch(true.hz, true.confidence, true.second, own.hz, level_db),
                hear_voice(own.hz, f0_hz, own.stems[0], rules, teacher.grid),
                sdr(sources[0], own.stems[0]) if sung else float("nan"),
                sdr(sources[0], mixture) if sung else float("nan"),
                leak_db(sources[0], f0_hz, rules, teacher.grid),
            )
        )
    return heard


def label_piece(
    teacher: Teacher,
    dataset: JointDataset,
    piece: Piece,
    label: str,
    path: Path,
    header: Header,
    rules: Rules,
) -> None:
    """Make and write the label that a piece lacks.

    Args:
        teacher: Makes it.
        dataset: With the label that is known.
        piece: Of a clip.
        label: ``"f0"`` or ``"sources"``.
        path: Of its files; see :func:`.data.pseudo_files.piece_path`.
        header: Of the folder.
        rules: How labels are judged.
    """
    thresholds = Thresholds(**header.thresholds)
    mixture, sources = dataset.read(piece.clip, piece.start, piece.n_samples)
    if label == "f0":
        assert sources is not None
        heard = teacher.hear_pitch(mixture, sources)
        judged = judge_pitch(heard, rules, thresholds, float(teacher.grid.hop))
        write_piece(path, header, None, label=label, **judged._asdict(), **heard._asdict())
        return
    f0_hz = _f0(dataset, piece, teacher)
    assert f0_hz is not None
    own = teacher(mixture)
    voice = hear_voice(own.hz, f0_hz, own.stems[0], rules, teacher.grid)
    quality, accepted = judge_voice(voice, thresholds)
    facts = {"quality": quality, "accepted": accepted, **voice._asdict()}
    write_piece(path, header, own.stems[:-1], label=label, **facts)


def _lacking(dataset: JointDataset, rules: Rules, teacher: Teacher) -> list[tuple[Piece, str]]:
    """Pieces of clips that lack one label, with that label."""
    missing = [missing_label(dataset, i) for i in range(len(dataset))]
    pieces = cut(dataset, rules.piece_sec, teacher.grid)
    return [(piece, label) for piece in pieces if (label := missing[piece.clip])]


def _f0(dataset: JointDataset, piece: Piece, teacher: Teacher) -> np.ndarray | None:
    """Known F0 at the teacher's frames."""
    times = teacher.grid.times(teacher.grid.n_frames(piece.n_samples))
    return dataset.f0_at(piece.clip, piece.start / dataset.sample_rate + times)


def _stored(path: Path, header: Header, relabel: bool) -> bool:
    """Whether a piece need not be made again."""
    try:
        return read_piece(path, header) is not None
    except DataError:
        if relabel:
            return False
        raise


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


def main(argv: list[str] | None = None) -> None:
    """Command line; other options are those of the recipe's ``train.py``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher", type=Path, help="experiment or model file")
    parser.add_argument("--recipe", type=Path, default=Path("."), help="folder of the recipe")
    parser.add_argument("--rule", action="append", default=[], help="name=number, any number")
    parser.add_argument("--relabel", action="store_true", help="make other labels again")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    args, rest = parser.parse_known_args(argv)
    try:
        rules: Rules = read_rules(args.rule)
        conf: dict[str, Any] = parse_recipe_args(args.recipe, rest)
        if not conf["data"].get("pseudo_dir"):
            raise ConfigError("Say where labels go: --pseudo_dir FOLDER.")
        path = args.teacher
        if path.is_dir() or not path.exists():
            path = path / "best_model.pth"
        if conf["training"]["threads"]:
            torch.set_num_threads(conf["training"]["threads"])
        folder = Path(conf["data"]["pseudo_dir"]).expanduser()
        print(make_labels(Teacher(path, args.device), conf, folder, rules, args.relabel))
    except UserError as err:
        sys.exit(f"pseudo: {err}")


if __name__ == "__main__":
    main()

"""Between two stages of training: a trained model labels what single-labelled sets lack.

``python -m asteroid_joint.engine.pseudo exp/one --recipe . --overlay stage2 --pseudo_dir labels``
takes ``exp/one/best_model.pth`` (what a run saves is the moving average of its weights) as the
teacher and the sets of that configuration of the recipe. F0 of clips with stems is heard from the
true voice (by a cascade's estimator alone), voices of clips with F0 are separated from the mixture.
Every label is checked against the one that is known (:mod:`.rules`), with thresholds from
the validation side, and the labels are audited (:mod:`.audit`): ``audit.json`` and ``audit.md``
beside them. Interrupted, it goes on where it was. ``--rule precision=0.95`` changes a rule. The
test side is never read.

``--engine ray`` shares the pieces out among the processes of a Ray cluster: one on this machine, or
``--address host:port`` (:mod:`asteroid_joint.jobs`), whose machines see the same folders. The
labels are the same bytes, as long as they are made on the same kind of device.
"""

import argparse
import json
import logging
import os
import platform
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from ...compat import plain_types
from ...data.base import JointDataset
from ...data.pseudo_files import (
    HEADER_FILE,
    Header,
    Piece,
    cut,
    missing_label,
    piece_path,
    read_header,
    read_piece,
    write_piece,
)
from ...errors import ConfigError, DataError, UserError
from ...files import write_text
from ...jobs import JobError, run_jobs
from ...metrics.separation import sdr
from ...registry import ENGINES, import_plugins
from ..training.build import build_dataset, check_fit
from ..training.config import Config, parse_recipe_args
from ..training.sets import further_sets
from .audit import audit_set, audit_table, audit_valid
from .rules import (
    Rules,
    Thresholds,
    ValidPiece,
    choose_thresholds,
    hear_voice,
    judge_pitch,
    judge_voice,
    leak_db,
    read_rules,
    refine_notes,
)
from .teacher import Teacher, compare_pitch

logger = logging.getLogger(__name__)

FIRST_SET = "data"  # name of the set that a configuration describes there


class Job(NamedTuple):
    """A piece to be labelled.

    Attributes:
        set_name: Of the set in the configuration.
        dataset: Its registered name.
        piece: Of a clip.
        label: The one it lacks, ``"f0"`` or ``"sources"``.
    """

    set_name: str
    dataset: str
    piece: Piece
    label: str


def make_labels(
    teacher: Teacher,
    conf: Config,
    folder: Path,
    rules: Rules,
    relabel: bool = False,
    engine: str = "local",
    address: str | None = None,
    n_workers: int | None = None,
) -> str:
    """Label what the sets of a configuration lack, and audit the labels.

    Args:
        teacher: Makes them.
        conf: The sets; see :mod:`..training.sets`.
        folder: Where labels go.
        rules: How they are judged.
        relabel: Make labels of another teacher, or by other rules, again; else they are refused.
        engine, address, n_workers: Who does it; see :func:`...jobs.run.run_jobs`.

    Returns:
        What was done, and the table of the audit.

    Raises:
        DataError: If no set lacks a label of which it has the other, the validation side has not
            both, other labels are in the folder, or some of them could not be made.
    """
    conf = {**conf, "data": {**conf["data"], "pseudo_dir": ""}}
    sets = _all_sets(conf)
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
    names = {name: one["data"]["dataset"] for name, one in sets.items()}
    jobs = [Job(name, names[name], *each) for name, pieces in work.items() for each in pieces]
    left = [job for job in jobs if not is_stored(folder, job, header, relabel)]
    asked = teacher.device_asked
    maker = LabelMaker(teacher.path, asked, conf, folder, header, rules, relabel, ready=teacher)
    results = run_jobs(maker, left, engine=engine, address=address, n_workers=n_workers)
    _wait(tqdm(results, desc="labels", total=len(left), unit="piece", disable=None))
    made = Counter(job.set_name for job in left)
    lines = [f"thresholds: {_listed(header.thresholds)}"]
    rows: list[dict[str, Any]] = []
    for name, pieces in work.items():
        if not pieces:
            continue
        there = len(pieces) - made[name]
        lines.append(f"set {name}: {made[name]} pieces labelled, {there} were there")
        shown = {**sets[name], "data": {**sets[name]["data"], "hide": []}}
        truth = build_dataset(shown, "train")
        rows += audit_set(name, truth, pieces, folder, names[name], header)
    rows += audit_valid(valid, rules, teacher.voicing_threshold, float(teacher.grid.hop))
    return "\n".join([*lines, "", _write_audit(folder, rows)])


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
        f0_hz = known_f0(dataset, piece, teacher)
        if sources is None or f0_hz is None:
            continue
        own = teacher(mixture)
        sung = bool(np.any(sources[0]))
        heard.append(
            ValidPiece(
                dataset.clips[piece.clip].song,
                f0_hz,
                compare_pitch(teacher.listen(sources[0]), own.melody, sources[0], teacher.grid),
                hear_voice(own.melody.hz, f0_hz, own.stems[0], rules, teacher.grid),
                sdr(sources[0], own.stems[0]) if sung else float("nan"),
                sdr(sources[0], mixture) if sung else float("nan"),
                leak_db(sources[0], f0_hz, rules, teacher.grid),
            )
        )
    return heard


def _write_audit(folder: Path, rows: list[dict[str, Any]]) -> str:
    """Write ``audit.json`` and ``audit.md``; returns the table."""
    table = audit_table(rows)
    write_text(folder / "audit.json", json.dumps(rows, indent=1) + "\n")
    write_text(folder / "audit.md", table + "\n")
    return table


def _all_sets(conf: Config) -> dict[str, Config]:
    return {FIRST_SET: conf, **further_sets(conf)}


def _lacking(dataset: JointDataset, rules: Rules, teacher: Teacher) -> list[tuple[Piece, str]]:
    """Pieces of clips that lack one label, with that label."""
    missing = [missing_label(dataset, i) for i in range(len(dataset))]
    pieces = cut(dataset, rules.piece_sec, teacher.grid)
    return [(piece, label) for piece in pieces if (label := missing[piece.clip])]


def _wait(results: Iterable[tuple[Job, JobError | None]]) -> None:
    """Go through all results, then refuse to go on where there is none."""
    failed = [(job, result) for job, result in results if isinstance(result, JobError)]
    if not failed:
        return
    job, error = failed[0]
    if error.details:
        logger.error("%s", error.details)
    raise DataError(
        f"{len(failed)} pieces could not be labelled (start again: it goes on where it was). "
        f"The first, {job.piece.name}: {error.reason}"
    )


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in values.items())


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
        path: Of its files; see :func:`...data.pseudo_files.piece_path`.
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
    f0_hz = known_f0(dataset, piece, teacher)
    assert f0_hz is not None
    own = teacher(mixture)
    voice = hear_voice(own.melody.hz, f0_hz, own.stems[0], rules, teacher.grid)
    quality, accepted = judge_voice(voice, thresholds)
    facts: dict[str, Any] = {"quality": quality, "accepted": accepted, **voice._asdict()}
    known = dataset.f0_quality_at(piece.clip, _seconds(dataset, piece, teacher))
    if known is not None:  # notes, say
        hz, confidence, _ = own.melody
        facts["f0_hz"], facts["f0_quality"] = refine_notes(
            f0_hz, known, hz, confidence, rules.note_cents, float(teacher.grid.hop)
        )
    write_piece(path, header, own.stems[:-1], label=label, **facts)


def known_f0(dataset: JointDataset, piece: Piece, teacher: Teacher) -> np.ndarray | None:
    """F0 of a piece at the teacher's frames, ``(N,)`` Hz, if it is known."""
    return dataset.f0_at(piece.clip, _seconds(dataset, piece, teacher))


def _seconds(dataset: JointDataset, piece: Piece, teacher: Teacher) -> np.ndarray:
    """Times of the teacher's frames of a piece in its clip, ``(N,)``."""
    times = teacher.grid.times(teacher.grid.n_frames(piece.n_samples))
    return piece.start / dataset.sample_rate + times


def is_stored(folder: Path, job: Job, header: Header, relabel: bool) -> bool:
    """Whether a piece need not be labelled again.

    Raises:
        DataError: If another teacher labelled it, but for ``relabel``.
    """
    try:
        return read_piece(piece_path(folder, job.dataset, job.piece), header) is not None
    except DataError:
        if relabel:
            return False
        raise


@dataclass(frozen=True)
class LabelMaker:
    """Makes a worker that labels pieces, here or, when it was sent there, on another machine.

    Args:
        teacher: Model file; with all other paths it has to be seen by that machine, too.
        device: See :class:`Teacher`.
        conf: The sets.
        folder: Where labels go; its header is there.
        header: That header.
        rules: How labels are judged.
        relabel: See :func:`make_labels`.
        workplace: Folder that relative paths start from.
        ready: The teacher itself, for a worker in this process; it is not sent.
    """

    teacher: Path
    device: str
    conf: Config
    folder: Path
    header: Header
    rules: Rules
    relabel: bool = False
    workplace: Path = field(default_factory=Path.cwd)
    ready: Teacher | None = None

    @property
    def n_gpus(self) -> int:
        """GPUs that a worker takes for itself on a cluster."""
        return int(self.device == "cuda")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "ready": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __call__(self) -> Callable[[Job], None]:
        """The worker.

        Raises:
            UserError: If this machine does not see the teacher, or another file in its place.
        """
        teacher = self.ready or self._load()
        datasets: dict[str, JointDataset] = {}
        sets = _all_sets(self.conf)

        def label(job: Job) -> None:
            if is_stored(self.folder, job, self.header, self.relabel):
                return  # by a worker that was killed before it could say so
            if job.set_name not in datasets:
                datasets[job.set_name] = build_dataset(sets[job.set_name], "train")
            path = piece_path(self.folder, job.dataset, job.piece)
            dataset = datasets[job.set_name]
            label_piece(teacher, dataset, job.piece, job.label, path, self.header, self.rules)

        return label

    def _load(self) -> Teacher:
        """The teacher, in a process that knows nothing yet."""
        try:
            os.chdir(self.workplace)
        except OSError as err:
            raise DataError(
                f"{platform.node()} has no folder {self.workplace}: all machines of the cluster "
                "have to see the same files."
            ) from err
        import_plugins(str(self.conf["data"].get("plugins") or ""))
        if self.conf["training"]["threads"]:
            torch.set_num_threads(self.conf["training"]["threads"])
        teacher = Teacher(self.teacher, self.device)
        if teacher.checksum != self.header.teacher:
            raise DataError(f"{self.teacher} is another file on {platform.node()}: copy it there.")
        return teacher


def main(argv: list[str] | None = None) -> None:
    """Command line; other options are those of the recipe's ``train.py``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher", type=Path, help="experiment or model file")
    parser.add_argument("--recipe", type=Path, default=Path("."), help="folder of the recipe")
    parser.add_argument("--rule", action="append", default=[], help="name=number, any number")
    parser.add_argument("--relabel", action="store_true", help="make other labels again")
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda"),
        help="with --engine ray, cuda gives every worker a GPU and auto gives it none",
    )
    parser.add_argument("--engine", default="local", help="local (one process) or ray")
    parser.add_argument("--address", help="of a running Ray cluster, host:port or auto")
    parser.add_argument("--workers", type=int, help="on the cluster; as many as fit by default")
    args, rest = parser.parse_known_args(argv)
    try:
        rules: Rules = read_rules(args.rule)
        conf: dict[str, Any] = parse_recipe_args(args.recipe, rest)
        if not conf["data"].get("pseudo_dir"):
            raise ConfigError("Say where labels go: --pseudo_dir FOLDER.")
        path = args.teacher
        if path.is_dir() or not path.exists():
            path = path / "best_model.pth"
        ENGINES[args.engine]  # now: an unknown one would come out after some minutes
        if conf["training"]["threads"]:
            torch.set_num_threads(conf["training"]["threads"])
        folder = Path(conf["data"]["pseudo_dir"]).expanduser()
        said = make_labels(
            Teacher(path, args.device),
            conf,
            folder,
            rules,
            args.relabel,
            engine=args.engine,
            address=args.address,
            n_workers=args.workers,
        )
        print(said)
    except UserError as err:
        sys.exit(f"pseudo: {err}")
    except KeyboardInterrupt:
        print("\npseudo: interrupted; the same command goes on where it was.", file=sys.stderr)
        sys.exit(130)

"""Between two stages of training: a trained model labels what sets with one kind of label lack.

``python -m asteroid_joint.engine.pseudo exp/one --recipe . --overlay stage2 --pseudo_dir labels``
uses ``exp/one/best_model.pth`` (a run saves the moving average of its weights) as the teacher and
the sets of that configuration of the recipe. F0 of clips with stems is estimated from the true
voice (by a cascade's estimator alone), voices of clips with F0 are separated from the mixture.
Every label is checked against the known one (:mod:`.rules`), with thresholds from the validation
side, and the labels are audited (:mod:`.audit`): ``audit.json`` and ``audit.md`` beside them. If
interrupted, the same command resumes. ``--rule precision=0.95`` changes a rule. The test side is
never read.

``--engine ray`` distributes the segments over the processes of a Ray cluster: one on this machine,
or ``--address host:port`` (:mod:`asteroid_joint.jobs`), whose machines see the same folders. Labels
made on the same kind of device are identical byte for byte.
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

FIRST_SET = "data"  # name of the set that this group of a configuration describes


class Job(NamedTuple):
    """A segment to label.

    Attributes:
        set_name: Name of the set in the configuration.
        dataset: Registered name of the dataset.
        piece: Segment of a clip.
        label: The missing label, ``"f0"`` or ``"sources"``.
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
        teacher: The teacher.
        conf: The sets; see :mod:`..training.sets`.
        folder: Folder for the labels.
        rules: Rules for accepting labels.
        relabel: Replace labels by another teacher or other rules, which are otherwise refused.
        engine, address, n_workers: See :func:`...jobs.run.run_jobs`.

    Returns:
        A summary, and the table of the audit.

    Raises:
        DataError: If no set lacks exactly one label, the folder contains other labels, or some
            segments could not be labelled.
    """
    conf = {**conf, "data": {**conf["data"], "pseudo_dir": ""}}
    sets = _all_sets(conf)
    datasets = {name: build_dataset(one, "train") for name, one in sets.items()}
    for dataset in datasets.values():
        check_fit(teacher.model, dataset)
    work = {name: _lacking(dataset, rules, teacher) for name, dataset in datasets.items()}
    if not any(work.values()):
        raise DataError(
            "No set lacks one label and has the other, so there is nothing to be labelled: change "
            "hide or more_data in the configuration."
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
    """Choose thresholds on the validation side and write them to ``folder``.

    Returns:
        The header of the labels, and the teacher's estimates on the validation side.

    Raises:
        DataError: If the folder contains labels by another teacher, on another grid or by other
            rules.
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
                    f"The pseudo labels in {folder} were made {what}: replace them "
                    "(--relabel), or give another folder."
                )
    valid = hear_valid(teacher, conf, rules)
    thresholds: Thresholds = choose_thresholds(valid, rules)
    header = Header(
        teacher.checksum, grid, settings, thresholds._asdict(), teacher.voicing_threshold
    )
    if there and not relabel:
        header = read_header(folder)  # another machine may round differently: keep the first one
    folder.mkdir(parents=True, exist_ok=True)
    header.write(folder)
    return header, valid


def hear_valid(teacher: Teacher, conf: Config, rules: Rules) -> list[ValidPiece]:
    """The teacher's estimates for segments of the validation side that have both labels."""
    dataset = build_dataset(conf, "valid")
    check_fit(teacher.model, dataset)
    estimates = []
    pieces = cut(dataset, rules.piece_sec, teacher.grid)
    for piece in tqdm(pieces, desc="thresholds, valid", unit="piece", disable=None):
        mixture, sources = dataset.read(piece.clip, piece.start, piece.n_samples)
        f0_hz = known_f0(dataset, piece, teacher)
        if sources is None or f0_hz is None:
            continue
        own = teacher(mixture)
        sung = bool(np.any(sources[0]))
        estimates.append(
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
    return estimates


def _write_audit(folder: Path, rows: list[dict[str, Any]]) -> str:
    """Write ``audit.json`` and ``audit.md``; returns the table."""
    table = audit_table(rows)
    write_text(folder / "audit.json", json.dumps(rows, indent=1) + "\n")
    write_text(folder / "audit.md", table + "\n")
    return table


def _all_sets(conf: Config) -> dict[str, Config]:
    return {FIRST_SET: conf, **further_sets(conf)}


def _lacking(dataset: JointDataset, rules: Rules, teacher: Teacher) -> list[tuple[Piece, str]]:
    """Segments of clips that lack one label, with that label."""
    missing = [missing_label(dataset, i) for i in range(len(dataset))]
    pieces = cut(dataset, rules.piece_sec, teacher.grid)
    return [(piece, label) for piece in pieces if (label := missing[piece.clip])]


def _wait(results: Iterable[tuple[Job, JobError | None]]) -> None:
    """Consume all results, then report segments that failed."""
    failed = [(job, result) for job, result in results if isinstance(result, JobError)]
    if not failed:
        return
    job, error = failed[0]
    if error.details:
        logger.error("%s", error.details)
    raise DataError(
        f"{len(failed)} pieces could not be labelled: run the same command again to resume. "
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
    """Make and write the missing label of a segment.

    Args:
        teacher: The teacher.
        dataset: Dataset with the known label.
        piece: Segment of a clip.
        label: ``"f0"`` or ``"sources"``.
        path: Path of its files; see :func:`...data.pseudo_files.piece_path`.
        header: Header of the folder.
        rules: Rules for accepting labels.
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
    """Known F0 of a segment at the teacher's frames, ``(N,)`` Hz, or ``None``."""
    return dataset.f0_at(piece.clip, _seconds(dataset, piece, teacher))


def _seconds(dataset: JointDataset, piece: Piece, teacher: Teacher) -> np.ndarray:
    """Times in the clip of the teacher's frames of a segment, ``(N,)``."""
    times = teacher.grid.times(teacher.grid.n_frames(piece.n_samples))
    return piece.start / dataset.sample_rate + times


def is_stored(folder: Path, job: Job, header: Header, relabel: bool) -> bool:
    """Whether a segment is already labelled.

    Raises:
        DataError: If another teacher labelled it, unless ``relabel``.
    """
    try:
        return read_piece(piece_path(folder, job.dataset, job.piece), header) is not None
    except DataError:
        if relabel:
            return False
        raise


@dataclass(frozen=True)
class LabelMaker:
    """Creates a worker that labels segments, in this process or on another machine.

    Args:
        teacher: Model file; other machines must see it, and all other paths, too.
        device: See :class:`Teacher`.
        conf: The sets.
        folder: Folder for the labels, which contains the header.
        header: That header.
        rules: Rules for accepting labels.
        relabel: See :func:`make_labels`.
        workplace: Folder that relative paths start from.
        ready: The loaded teacher, for a worker in this process; it is not pickled.
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
        """GPUs that a worker on a cluster uses exclusively."""
        return int(self.device == "cuda")

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "ready": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)

    def __call__(self) -> Callable[[Job], None]:
        """The worker.

        Raises:
            UserError: If this machine does not see the teacher's file, or sees another one.
        """
        teacher = self.ready or self._load()
        datasets: dict[str, JointDataset] = {}
        sets = _all_sets(self.conf)

        def label(job: Job) -> None:
            if is_stored(self.folder, job, self.header, self.relabel):
                return  # by a worker that was killed before it could report it
            if job.set_name not in datasets:
                datasets[job.set_name] = build_dataset(sets[job.set_name], "train")
            path = piece_path(self.folder, job.dataset, job.piece)
            dataset = datasets[job.set_name]
            label_piece(teacher, dataset, job.piece, job.label, path, self.header, self.rules)

        return label

    def _load(self) -> Teacher:
        """Load the teacher in a new process."""
        try:
            os.chdir(self.workplace)
        except OSError as err:
            raise DataError(
                f"{platform.node()} has no folder {self.workplace}: make the same files visible to "
                "all machines of the cluster."
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
    parser.add_argument("--rule", action="append", default=[], help="name=number; may be repeated")
    parser.add_argument("--relabel", action="store_true", help="replace labels made otherwise")
    parser.add_argument(
        "--device",
        default="auto",
        choices=("auto", "cpu", "cuda"),
        help="device to run on; with --engine ray, cuda gives every worker a GPU, auto gives none",
    )
    parser.add_argument("--engine", default="local", help="local (one process) or ray")
    parser.add_argument("--address", help="running Ray cluster, host:port or auto")
    parser.add_argument("--workers", type=int, help="workers on the cluster; default: all that fit")
    args, rest = parser.parse_known_args(argv)
    try:
        rules: Rules = read_rules(args.rule)
        conf: dict[str, Any] = parse_recipe_args(args.recipe, rest)
        if not conf["data"].get("pseudo_dir"):
            raise ConfigError("There is no folder for the labels: give --pseudo_dir FOLDER.")
        path = args.teacher
        if path.is_dir() or not path.exists():
            path = path / "best_model.pth"
        ENGINES[args.engine]  # now: an unknown one would otherwise fail after some minutes
        if conf["training"]["threads"]:
            torch.set_num_threads(conf["training"]["threads"])
        folder = Path(conf["data"]["pseudo_dir"]).expanduser()
        teacher = Teacher(path, args.device)
        cluster = (args.engine, args.address, args.workers)
        print(make_labels(teacher, conf, folder, rules, args.relabel, *cluster))
    except UserError as err:
        sys.exit(f"pseudo: {err}")
    except KeyboardInterrupt:
        print("\npseudo: interrupted; the same command resumes.", file=sys.stderr)
        sys.exit(130)

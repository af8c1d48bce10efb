"""A teacher at work: it hears pieces of clips, and writes the labels that they lack."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ...data.base import JointDataset
from ...data.pseudo_files import Header, Piece, piece_path, read_piece, write_piece
from ...errors import ConfigError, DataError
from ...files import sha256
from ...inference.fast.fuse import optimize_for_inference
from ...models.pretrained import load_model
from ...optional import pick_device
from ...pitch import PitchGrid, decode_argmax
from ...registry import import_plugins
from ..training.build import build_dataset
from ..training.config import Config
from ..training.sets import further_sets
from .notes import refine_notes
from .rules import (
    HeardPitch,
    Rules,
    Thresholds,
    frame_level_db,
    hear_voice,
    judge_pitch,
    judge_voice,
)

SECOND_CENTS = 300  # from the first pitch: nearer activations are the same one's
FIRST_SET = "data"  # name of the set that a configuration describes there


class Melody(NamedTuple):
    """F0 in Hz, its activation and that of a second pitch, ``(N,)`` each."""

    hz: np.ndarray
    confidence: np.ndarray
    second: np.ndarray


class Heard(NamedTuple):
    """One pass of a teacher: stems ``(S, C, T)`` and the melody of the first of them."""

    stems: np.ndarray
    melody: Melody


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
        self.path, self.device_asked = path, device
        self.model = load_model(path)
        if not self.model.has_pitch:
            raise ConfigError(f"{path} estimates no pitch: a teacher needs both outputs.")
        self.checksum = sha256(path)
        self.grid = self.model.pitch_grid
        self.voicing_threshold = float(self.model.voicing_threshold)
        self.device = pick_device(device)
        on_cpu = self.device.type == "cpu"
        fast = optimize_for_inference(self.model) if on_cpu else self.model
        self._run = fast.to(self.device).eval()

    @torch.inference_mode()
    def __call__(self, wav: np.ndarray) -> Heard:
        """Separate ``(C, T)`` and hear its voice."""
        out = self._run.forward_joint(self._tensor(wav))
        stems = np.array(out.stems()[0].float().cpu())  # a copy: memory is used again
        return Heard(stems, self._melody(out.pitch_logits))

    @torch.inference_mode()
    def listen(self, voice: np.ndarray) -> Melody:
        """Hear a voice ``(C, T)`` that nothing needs to be separated from.

        A cascade's estimator is given it as it is; other models have one way only.
        """
        if hasattr(self._run, "listen"):
            return self._melody(self._run.listen(self._tensor(voice)))
        return self(voice).melody

    def hear_pitch(self, mixture: np.ndarray, sources: np.ndarray) -> HeardPitch:
        """What it hears in a true voice, the first of ``sources``, and in the one it separates."""
        return compare_pitch(self.listen(sources[0]), self(mixture).melody, sources[0], self.grid)

    def _tensor(self, wav: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(wav)[None].to(self.device)  # (B=1, C, T)

    def _melody(self, logits: torch.Tensor | None) -> Melody:
        assert logits is not None
        active = logits[0].float().sigmoid().cpu()  # (N, P)
        f0 = decode_argmax(active, self.grid)
        return Melody(f0.hz.numpy(), f0.confidence.numpy(), self._second(active))

    def _second(self, active: torch.Tensor) -> np.ndarray:
        """Greatest activation ``(N,)`` far from the strongest and no octave from it."""
        bins = torch.arange(active.shape[1])
        cents = (bins - active.argmax(1, keepdim=True)).abs() * self.grid.cents_per_bin  # (N, P)
        other = (cents > SECOND_CENTS) & ((cents - 1200).abs() > 100)
        return np.array(torch.where(other, active, torch.zeros_like(active)).amax(1))


def compare_pitch(true: Melody, own: Melody, voice: np.ndarray, grid: PitchGrid) -> HeardPitch:
    """Melody of a true voice ``(C, T)`` beside that of the one that the teacher separated."""
    return HeardPitch(*true, own.hz, frame_level_db(voice, grid))


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
        relabel: See :func:`.make.make_labels`.
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
        sets = {FIRST_SET: self.conf, **further_sets(self.conf)}

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

"""One song at a time: what a worker of a collection does, in this process or in another."""

import hashlib
import json
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import OutputError, UserError
from ...version import DEFAULT_MODEL
from ..activity import SegmentRules
from ..options import BATCH, DECODER
from .inputs import Song

if TYPE_CHECKING:
    from ...models.base import JointModel


@dataclass(frozen=True)
class SeparateOptions:
    """What is to be done with every song; can be pickled.

    Attributes:
        out: Output folder.
        model: Shipped weights, or a model file.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        plugins: Modules that register further models, separated by commas.
        batch: Windows at a time.
        stems: Stems to write, ``None`` for all.
        audio_format: Of the stems.
        f0_formats: Of the F0 curve.
        notes: Whether to write notes.
        plot: Whether to draw a picture.
        activity: Whether to write segments in which somebody sings.
        decoder: How activations become pitch.
        two_pass_viterbi: Whether Viterbi over the whole song takes the decoder's place.
        show: Whether to show progress on a terminal.
        debug: Whether to print tracebacks.
    """

    out: Path
    model: str = DEFAULT_MODEL
    device: str = "auto"
    plugins: str = ""
    batch: int = BATCH
    stems: tuple[str, ...] | None = None
    audio_format: str = "wav"
    f0_formats: tuple[str, ...] = ("csv",)
    notes: bool = False
    plot: bool = False
    activity: bool = False
    decoder: str = DECODER
    two_pass_viterbi: bool = False
    show: bool = True
    debug: bool = False

    def for_separate_file(self) -> dict[str, Any]:
        """Arguments of :func:`~asteroid_joint.inference.separate.separate_file`."""
        return {
            **self._results(),
            "activity": SegmentRules() if self.activity else None,
            "batch_size": self.batch,
        }

    def settings(self, model: "JointModel") -> str:
        """Fingerprint of all that results depend on: these options and the weights."""
        digest = hashlib.sha256(json.dumps([self._results(), self.activity]).encode())
        digest.update(json.dumps(model.get_model_args(), default=str).encode())
        for name, values in model.state_dict().items():
            digest.update(name.encode())
            digest.update(values.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def _results(self) -> dict[str, Any]:
        names = ("stems", "audio_format", "f0_formats", "notes", "plot", "decoder")
        return {name: getattr(self, name) for name in (*names, "two_pass_viterbi")}


@dataclass(frozen=True)
class Job:
    """A song to be separated.

    Attributes:
        song: Which.
        overwrite: Whether results may be replaced.
        receipt: What is to appear beside the results.
        label: Of the progress bar.
    """

    song: Song
    overwrite: bool = False
    receipt: dict[str, Any] | None = None
    label: str = ""


@dataclass(frozen=True)
class Outcome:
    """What became of a song; can be pickled, and is what ``--json`` prints.

    Attributes:
        input: The file.
        folder: Of the results, with the output folder; ``None`` where there are none.
        status: ``"done"`` or ``"failed"``.
        skipped: Whether an earlier run found that out.
        reason: Why it failed, one sentence.
        retry: Whether the cause lies outside the file.
        warning: One sentence on what was done although something was missing.
        files: Names of the files in the folder.
        facts: ``seconds``, ``sample_rate``, ``channels``, ``voiced`` (share of F0 frames),
            ``notes`` (how many), ``elapsed`` (seconds of work).
    """

    input: str
    folder: str | None = None
    status: str = "done"
    skipped: bool = False
    reason: str | None = None
    retry: bool = False
    warning: str | None = None
    files: tuple[str, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """One line; what does not apply is left out."""
        fields = asdict(self)
        shown = {k: v for k, v in fields.items() if v not in (None, (), {}) and k != "facts"}
        if self.status == "done":
            del shown["retry"]
        return json.dumps({**shown, **{k: v for k, v in self.facts.items() if v is not None}})


@dataclass(frozen=True)
class MakeWorker:
    """Loads the model in a process of its own; see :func:`~asteroid_joint.jobs.run_jobs`."""

    options: SeparateOptions

    def __call__(self) -> Callable[[Job], Outcome]:
        options = replace(self.options, show=False)  # bars of several workers would mix
        return partial(separate_song, load(options), options)


def load(options: SeparateOptions) -> "JointModel":
    """The model, made ready for the device.

    Raises:
        UserError: If there is no such model, device or plugin.
    """
    from ...registry import import_plugins
    from ..load import ready_model

    import_plugins(options.plugins)
    return ready_model(options.model, options.device, options.batch)


def separate_song(model: "JointModel", options: SeparateOptions, job: Job) -> Outcome:
    """Separate one song; whatever goes wrong with it is in the outcome."""
    import torch

    from ..separate import separate_file

    path = job.song.path
    failed = Outcome(str(path), status="failed")
    start = time.monotonic()
    try:
        with _bar(job.label or path.name, options.show) as show:
            done = separate_file(
                *(model, path, options.out),
                name=job.song.name,
                overwrite=job.overwrite,
                receipt=job.receipt,
                progress=show,
                **options.for_separate_file(),
            )
    except OutputError as err:
        return replace(failed, reason=str(err), retry=True)
    except UserError as err:
        return replace(failed, reason=str(err))
    except (torch.OutOfMemoryError, MemoryError):
        reason = f"{path} needs more memory than there is: try --batch 1 or --device cpu."
        return replace(failed, reason=reason, retry=True)
    except Exception as err:
        if options.debug:
            traceback.print_exc()
        said = (str(err).strip().splitlines() or [""])[0]
        reason = f"{path} failed with {type(err).__name__}: {said} (--debug shows where)."
        return replace(failed, reason=reason, retry=True)
    return Outcome(
        str(path),
        str(done.folder),
        warning=done.warning,
        files=done.files,
        facts={
            "seconds": round(done.seconds, 6),
            "sample_rate": done.sample_rate,
            "channels": done.n_channels,
            "voiced": None if done.voiced is None else round(done.voiced, 4),
            "notes": done.n_notes,
            "elapsed": round(time.monotonic() - start, 3),
        },
    )


class _bar:
    """A progress bar on a terminal; nothing elsewhere."""

    def __init__(self, label: str, show: bool) -> None:
        from tqdm import tqdm

        form = "{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
        hidden = None if show else True
        self._bar = tqdm(desc=label, total=1.0, bar_format=form, disable=hidden, leave=False)

    def __enter__(self) -> Callable[[float, "float | None"], None]:
        return self._show

    def _show(self, done_sec: float, total_sec: float | None) -> None:
        self._bar.total = max(done_sec, total_sec or 0.0)
        self._bar.update(done_sec - self._bar.n)

    def __exit__(self, *_: object) -> None:
        self._bar.close()

"""Separate a collection of songs, or what is left of it, and report the outcomes.

Whatever goes wrong with one song is its outcome, and the others are separated.

Songs are separated one after the other in this process, or by workers of another engine. With a
manifest, results appear together with a receipt, a hidden file that identifies their input; it is
removed once the manifest has the line. A run killed between the two can thus still tell what is
done.
"""

import contextlib
import hashlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AudioError, OutputError, UserError
from ..destination import (
    RECEIPT,
    check_destination,
    make_folder,
    output_name,
    remove_leftovers,
)
from ..fast.choice import as_runner
from ..fast.runner import Runner
from ..load import ready_runner
from ..options import RunOptions, SeparateOptions
from ..stem_names import STEM, with_model
from .inputs import Song
from .manifest import Manifest

if TYPE_CHECKING:
    from ...models.base import JointModel

Say = Callable[[str], object]
EVERY_SEC = 30.0  # between two sentences on how far a song is
KEYS = ("input", "size", "mtime_ns", "settings")  # what must agree for results to be up to date


@dataclass(frozen=True)
class Job:
    """A song to separate.

    Attributes:
        song: The file and the folder of its results.
        overwrite: Whether results may be replaced.
        receipt: Facts to store beside the results, ``None`` for no receipt.
        label: Label of the progress bar.
    """

    song: Song
    overwrite: bool
    receipt: dict[str, Any] | None
    label: str


@dataclass(frozen=True)
class Outcome:
    """Outcome of a song; can be pickled, and is what ``--json`` prints.

    Attributes:
        input: The file.
        folder: Folder of the results, including the output folder; ``None`` without results.
        status: ``"done"`` or ``"failed"``.
        skipped: Whether the status is that of an earlier run.
        reason: Why it failed, one sentence.
        retry: Whether the cause lies outside the file.
        warning: One sentence on a partly damaged input, or clipped samples.
        files: Names of the files in the folder.
        facts: ``seconds``, ``sample_rate``, ``channels``, ``voiced`` (fraction of F0 frames),
            ``notes`` (their number), ``elapsed`` (processing time in seconds).
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
        """One line, without fields that do not apply."""
        fields = asdict(self)
        shown = {k: v for k, v in fields.items() if v not in (None, (), {}) and k != "facts"}
        if self.status == "done":
            del shown["retry"]
        return json.dumps({**shown, **{k: v for k, v in self.facts.items() if v is not None}})


def run_collection(
    songs: Sequence[Song],
    options: SeparateOptions,
    run: RunOptions,
    *,
    manifest: bool = False,
    say: Say | None = None,
) -> Iterator[Outcome]:
    """Separate songs.

    Args:
        songs: Songs to separate.
        options: What to produce from each song.
        run: How to process the collection.
        manifest: Whether to write ``manifest.jsonl`` into the output folder; ``run.resume`` always
            does.
        say: Prints a sentence for the user. If given, the progress of songs that are separated in
            this process is shown: by a bar on a terminal, else by a sentence now and then.

    Yields:
        The outcome of each song once it is known.

    Raises:
        UserError: If the call itself is wrong: no such model, stem, folder.
    """
    from ..song_files import check_options, file_names

    make_folder(run.out)
    with ExitStack() as stack:
        book = stack.enter_context(Manifest(run.out)) if manifest or run.resume else None
        if run.resume:
            remove_leftovers(run.out)
        model = load(options, run)
        if options.stem_name != STEM:
            name = with_model(options.stem_name, Path(run.model).stem)
            options = replace(options, stem_name=name)
        check_options(options, model)
        settings = "" if book is None else fingerprint(options, model)
        names = partial(file_names, options, model)
        plan = _Plan(run, names, settings, book)
        jobs: list[Job] = []
        for song in songs:
            known = plan.outcome_of(song)
            if known is not None:
                yield known
            else:
                count = "" if len(songs) == 1 else f"{len(jobs) + 1}/{len(songs)} "
                jobs.append(plan.job(song, count + song.path.name))
        for job, outcome in _outcomes(model, jobs, options, run, say):
            yield plan.record(job.song, outcome)


def load(options: SeparateOptions, run: RunOptions) -> Runner:
    """Import the plugins, load the model and optimise it for its device.

    Raises:
        UserError: If there is no such model, device or plugin.
    """
    from ...registry import import_plugins

    import_plugins(run.plugins)
    return ready_runner(run.model, run.device, options.batch_size, run.runtime, run.bf16)


def fingerprint(options: SeparateOptions, model: "Runner | JointModel") -> str:
    """Sixteen characters that identify the options, model and weights that results depend on."""
    digest = hashlib.sha256(json.dumps(options.results()).encode())
    for part in as_runner(model).identity():
        digest.update(part)
    return digest.hexdigest()[:16]


def _outcomes(
    model: "Runner | JointModel",
    jobs: Sequence[Job],
    options: SeparateOptions,
    run: RunOptions,
    say: Say | None,
) -> Iterator[tuple[Job, Outcome]]:
    """Jobs and their outcomes, processed here or by the engine."""
    if run.engine == "local":
        for job in jobs:
            yield job, separate_song(model, job, options, run, say)
        return
    from ...jobs import JobError, run_jobs

    for job, result in run_jobs(
        MakeWorker(options, run),
        jobs,
        engine=run.engine,
        address=run.address,
        n_workers=run.workers,
    ):
        if isinstance(result, JobError):
            path = str(job.song.path)
            result = Outcome(path, status="failed", reason=result.reason, retry=True)
        yield job, result


@dataclass(frozen=True)
class MakeWorker:
    """Loads the model in a worker process; see :func:`~asteroid_joint.jobs.run_jobs`."""

    options: SeparateOptions
    run: RunOptions

    def __call__(self) -> Callable[[Job], Outcome]:
        model = load(self.options, self.run)  # no progress bars: several workers' would mix
        return partial(separate_song, model, options=self.options, run=self.run)


def separate_song(
    model: "Runner | JointModel",
    job: Job,
    options: SeparateOptions,
    run: RunOptions,
    say: Say | None = None,
) -> Outcome:
    """Separate one song; any error becomes part of the outcome.

    Args:
        model: The model that separates.
        job: The song.
        options: What to produce from it.
        run: How to process it.
        say: See :func:`run_collection`; ``None`` shows no progress.
    """
    from ..separate import separate_file

    path = job.song.path
    failed = Outcome(str(path), status="failed")
    start = time.monotonic()
    try:
        with show_progress(job.label, say) as progress:
            done = separate_file(
                model,
                path,
                run.out,
                options,
                name=job.song.name,
                overwrite=job.overwrite,
                receipt=job.receipt,
                progress=progress,
            )
    except OutputError as err:
        return replace(failed, reason=str(err), retry=True)
    except UserError as err:
        return replace(failed, reason=str(err))
    except Exception as err:
        if isinstance(err, MemoryError) or type(err).__name__ == "OutOfMemoryError":  # torch's
            reason = f"{path} needs more memory than is available: try --batch 1 or --device cpu."
            return replace(failed, reason=reason, retry=True)
        if run.debug:
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


@contextlib.contextmanager
def show_progress(label: str, say: Say | None) -> Iterator[Callable[[float, float | None], None]]:
    """Show how far a song is on standard error: a bar on a terminal, or a sentence now and then.

    Args:
        label: What the bar, and every sentence, begins with.
        say: Prints a sentence if standard error is no terminal; ``None`` shows nothing anywhere.

    Yields:
        Function to call with the seconds done and the total seconds (``None``: not known).
    """
    from tqdm import tqdm

    form = "{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
    hidden = None if say and sys.stderr else True  # None: unless it is a terminal
    with tqdm(desc=label, total=1.0, bar_format=form, disable=hidden, leave=False) as bar:

        def update(done_sec: float, total_sec: float | None) -> None:
            bar.total = max(done_sec, total_sec or 0.0)
            bar.update(done_sec - bar.n)

        yield _say_now_and_then(label, say) if bar.disable and say else update


def _say_now_and_then(label: str, say: Say) -> Callable[[float, float | None], None]:
    """A sentence every ``EVERY_SEC``, so that a long song is known to be alive."""
    last = time.monotonic()

    def update(done_sec: float, total_sec: float | None) -> None:
        nonlocal last
        if time.monotonic() - last >= EVERY_SEC:
            last = time.monotonic()
            total = "" if total_sec is None else f" of {max(total_sec, done_sec):.0f}"
            say(f"{label}: {done_sec:.0f}{total} s are done.")

    return update


@dataclass
class _Plan:
    """What earlier runs have done, what is left to do, and the record of both."""

    run: RunOptions
    names: Callable[[str], list[str]]  # of a song's files, by its own name
    settings: str
    book: Manifest | None
    identities: dict[str, dict[str, Any]] = field(default_factory=dict)

    def outcome_of(self, song: Song) -> Outcome | None:
        """The outcome of a song that need not or cannot be separated, else ``None``."""
        failed = Outcome(str(song.path), status="failed")
        if song.refusal is not None:
            return replace(failed, reason=song.refusal)
        try:
            return self._known(song)
        except OutputError as err:
            return replace(failed, reason=str(err), retry=True)
        except OSError as err:
            reason = f"{err.filename or song.path} cannot be read: {err.strerror or err}."
            return replace(failed, reason=reason, retry=True)

    def _known(self, song: Song) -> Outcome | None:
        """See :meth:`outcome_of`; raises if files cannot be looked at."""
        folder = self.run.out / song.name
        expected = self.names(output_name(song.path))
        known = Outcome(str(song.path), str(folder), skipped=True)
        if self.run.resume and self.book is not None:
            now = self._identity(song)
            receipt = _read_receipt(folder)
            there = all(os.path.exists(folder / name) for name in expected)
            entry = self.book.entries.get(song.name, {})
            if _agree(receipt, now) and there:  # killed before the receipt was removed
                if not (_agree(entry, now) and entry.get("status") == "done"):
                    self.book.append({**now, "status": "done", "files": expected})
                _remove_receipt(folder)
                return replace(known, files=tuple(expected))
            if _agree(entry, now):
                files = entry.get("files", [])
                there = all(os.path.exists(folder / name) for name in files)
                if entry.get("status") == "done" and there:
                    return replace(known, files=tuple(files))
                if entry.get("status") == "failed" and not (self.run.retry or entry.get("retry")):
                    reason = entry.get("reason")
                    return replace(known, status="failed", reason=reason, folder=None)
        try:
            check_destination(folder, expected, self._may_replace(song), song.path)
        except AudioError as err:
            reason = str(err)
            if self.book is not None and not self.run.resume:
                reason = reason.replace("give --overwrite", "give --resume to go on, --overwrite")
            return Outcome(str(song.path), status="failed", reason=reason)
        return None

    def job(self, song: Song, label: str) -> Job:
        """The job that separates a song."""
        receipt = None if self.book is None else self._identity(song)
        return Job(song, self._may_replace(song), receipt, label)

    def record(self, song: Song, outcome: Outcome) -> Outcome:
        """Record an outcome in the manifest; returns it, with a warning if that fails."""
        if self.book is None:
            return outcome
        entry: dict[str, Any] = {**self._identity(song), "status": outcome.status}
        if outcome.status == "done":
            entry |= {"files": list(outcome.files), "seconds": outcome.facts["seconds"]}
            if outcome.warning:
                entry["warning"] = outcome.warning
        else:
            entry |= {"reason": outcome.reason, "retry": outcome.retry}
        try:
            self.book.append(entry)
        except OutputError as err:  # the receipt stays, for --resume to know what is done
            return replace(outcome, warning=" ".join(filter(None, (outcome.warning, str(err)))))
        _remove_receipt(self.run.out / song.name)
        return outcome

    def _may_replace(self, song: Song) -> bool:
        """Whether results may be replaced: on request, or outdated ones of the same input."""
        if self.run.overwrite or not self.run.resume or self.book is None:
            return self.run.overwrite
        receipt = _read_receipt(self.run.out / song.name)
        made_from = (self.book.made_from.get(song.name), receipt.get("input"))
        return self._identity(song)["input"] in made_from

    def _identity(self, song: Song) -> dict[str, Any]:
        """What the results of a song depend on, as of the first call."""
        if song.name not in self.identities:
            size = mtime_ns = None
            with contextlib.suppress(OSError):  # the worker reports what is wrong with it
                status = song.path.stat()
                size, mtime_ns = status.st_size, status.st_mtime_ns
            self.identities[song.name] = {
                "input": os.path.abspath(song.path),
                "folder": song.name,
                "size": size,
                "mtime_ns": mtime_ns,
                "settings": self.settings,
            }
        return self.identities[song.name]


def _agree(entry: dict[str, Any], now: dict[str, Any]) -> bool:
    return all(key in entry and entry[key] == now[key] for key in KEYS)


def _remove_receipt(folder: Path) -> None:
    with contextlib.suppress(OSError):  # of a song that failed, its place may be no folder
        (folder / RECEIPT).unlink(missing_ok=True)


def _read_receipt(folder: Path) -> dict[str, Any]:
    try:
        receipt = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return receipt if isinstance(receipt, dict) else {}

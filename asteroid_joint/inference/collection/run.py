"""A collection from its inputs to its outcomes: what is left to do is done, the rest is told.

With a manifest, results appear together with a receipt, a hidden file that says what they are of;
it is removed when the manifest has the line. So a run that is killed between the two still knows
what is done.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AudioError
from ...jobs import JobError, run_jobs
from ..destination import RECEIPT, check_destination, make_folder, remove_leftovers
from .inputs import Song
from .manifest import Manifest
from .worker import Job, MakeWorker, Outcome, SeparateOptions, load, separate_song

if TYPE_CHECKING:
    from ...models.base import JointModel

KEYS = ("input", "size", "mtime_ns", "settings")  # what must agree for results to be up to date


def run_collection(
    songs: Sequence[Song],
    options: SeparateOptions,
    *,
    manifest: bool = False,
    resume: bool = False,
    retry: bool = False,
    overwrite: bool = False,
    engine: str = "local",
    address: str | None = None,
    n_workers: int | None = None,
) -> Iterator[Outcome]:
    """Separate songs.

    Args:
        songs: What to separate.
        options: How.
        manifest: Whether to write ``manifest.jsonl`` into the output folder.
        resume: Leave out what the manifest says is done, and what failed through its own fault;
            do again what has changed since. Remove what killed runs have left.
        retry: With ``resume``, try again whatever failed.
        overwrite: Replace results.
        engine: Where jobs run: see :func:`~asteroid_joint.jobs.run_jobs`.
        address: Of a cluster.
        n_workers: How many workers.

    Yields:
        An outcome for every song, as they are finished.

    Raises:
        UserError: If the call itself is wrong: no such model, stem, folder.
    """
    make_folder(options.out)
    with ExitStack() as stack:
        book = stack.enter_context(Manifest(options.out)) if manifest or resume else None
        if resume:
            remove_leftovers(options.out)
        model = load(options)
        plan = _Plan(model, options, book, resume, retry, overwrite)
        jobs: list[Job] = []
        for song in songs:
            known = plan.outcome_of(song)
            if known is not None:
                yield known
            else:
                jobs.append(plan.job(song, f"{len(jobs) + 1}/{len(songs)} {song.path.name}"))
        if len(songs) == 1:
            jobs = [replace(job, label="") for job in jobs]
        worker = partial(separate_song, model, options)
        where: dict[str, Any] = {"engine": engine, "address": address, "n_workers": n_workers}
        make = (lambda: worker) if engine == "local" else MakeWorker(options)
        for job, result in run_jobs(make, jobs, **where):
            if isinstance(result, JobError):
                path = str(job.song.path)
                result = Outcome(path, status="failed", reason=result.reason, retry=True)
            plan.record(job.song, result)
            yield result


class _Plan:
    """What is known before the work, and what is noted after it."""

    def __init__(
        self,
        model: "JointModel",
        options: SeparateOptions,
        book: Manifest | None,
        resume: bool,
        retry: bool,
        overwrite: bool,
    ) -> None:
        from ...registry import DECODERS
        from ..song_files import Wanted

        arguments = options.for_separate_file()
        wanted = Wanted(**{name: arguments[name] for name in Wanted.__dataclass_fields__})
        wanted.check(model)
        if options.two_pass_viterbi:
            from ..two_pass_viterbi import check_pitch

            check_pitch(model)
        else:
            DECODERS[options.decoder]  # refused now if there is none of this name
        self._files = wanted.files(model)
        self._out = options.out
        self._book = book
        self._resume, self._retry, self._overwrite = resume, retry, overwrite
        self._settings = options.settings(model) if book is not None else ""
        self._identities: dict[str, dict[str, Any]] = {}

    def outcome_of(self, song: Song) -> Outcome | None:
        """The outcome of a song that is not to be done, else ``None``."""
        folder = self._out / song.name
        known = Outcome(str(song.path), str(folder), skipped=True)
        if self._resume and self._book is not None:
            now = self._identity(song)
            receipt = _read_receipt(folder)
            there = all((folder / name).exists() for name in self._files)
            entry = self._book.entries.get(song.name, {})
            if _agree(receipt, now) and there:  # killed before the receipt was removed
                if not (_agree(entry, now) and entry["status"] == "done"):
                    self._book.append({**now, "status": "done", "files": self._files})
                (folder / RECEIPT).unlink()
                return replace(known, files=tuple(self._files))
            if _agree(entry, now):
                files = entry.get("files", [])
                if entry["status"] == "done" and all((folder / name).exists() for name in files):
                    return replace(known, files=tuple(files))
                if entry["status"] == "failed" and not (self._retry or entry["retry"]):
                    failed = {"status": "failed", "reason": entry["reason"], "folder": None}
                    return replace(known, **failed)
        try:
            check_destination(folder, self._files, self._may_replace(song), song.path)
        except AudioError as err:
            reason = str(err)
            if self._book is not None and not self._resume:
                reason = reason.replace("give --overwrite", "give --resume to go on, --overwrite")
            return Outcome(str(song.path), status="failed", reason=reason)
        return None

    def job(self, song: Song, label: str) -> Job:
        """The job that does a song."""
        receipt = None if self._book is None else self._identity(song)
        return Job(song, self._may_replace(song), receipt, label)

    def record(self, song: Song, outcome: Outcome) -> None:
        """Note an outcome in the manifest."""
        if self._book is None:
            return
        entry: dict[str, Any] = {**self._identity(song), "status": outcome.status}
        if outcome.status == "done":
            entry |= {"files": list(outcome.files), "seconds": outcome.facts["seconds"]}
            if outcome.warning:
                entry["warning"] = outcome.warning
        else:
            entry |= {"reason": outcome.reason, "retry": outcome.retry}
        self._book.append(entry)
        (self._out / song.name / RECEIPT).unlink(missing_ok=True)

    def _may_replace(self, song: Song) -> bool:
        """Whether results may be replaced: asked for, or outdated ones of the same input."""
        if self._overwrite or not self._resume or self._book is None:
            return self._overwrite
        receipt = _read_receipt(self._out / song.name)
        made_from = (self._book.made_from.get(song.name), receipt.get("input"))
        return self._identity(song)["input"] in made_from

    def _identity(self, song: Song) -> dict[str, Any]:
        """What the results of a song depend on, as of the first time it is asked for."""
        if song.name not in self._identities:
            size = mtime_ns = None
            try:
                status = song.path.stat()
                size, mtime_ns = status.st_size, status.st_mtime_ns
            except OSError:
                pass  # the worker says what is wrong with it
            self._identities[song.name] = {
                "input": os.path.abspath(song.path),
                "folder": song.name,
                "size": size,
                "mtime_ns": mtime_ns,
                "settings": self._settings,
            }
        return self._identities[song.name]


def _agree(entry: dict[str, Any], now: dict[str, Any]) -> bool:
    return all(key in entry and entry[key] == now[key] for key in KEYS)


def _read_receipt(folder: Path) -> dict[str, Any]:
    try:
        receipt = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return receipt if isinstance(receipt, dict) else {}

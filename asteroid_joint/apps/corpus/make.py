"""Make a corpus: assign singers and styles to tracks and synthesize these in parallel.

A track depends on its specification only, and its folder appears once complete. Hence any number of
processes gives the same bytes, and an interrupted run can be resumed.
"""

import errno
import importlib.util
import json
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from ...errors import DataError, UserError
from ...files import write_text
from ...optional import optional
from .presets import BYTES_PER_SEC
from .singers import singers_of
from .styles import styles_of
from .track import TrackSpec, write_track

SIDES = ("train", "valid", "test")
VOICE_DB = (-5.0, 2.0)  # level of the voice over the band, spread evenly in each split
FACTS = "corpus.json"
LEAST_SEC = 4.0  # shortest track, which has room for a phrase
PACKAGES = ("numpy", "scipy", "pyworld-prebuilt", "pretty_midi", "midirenderer", "soxr")

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CorpusOptions:
    """Size and content of a corpus."""

    tracks: int  # in all splits; an eighth each for validation and test
    seconds: float  # length of every track
    seed: int = 0
    backing: float = 0.0  # probability that a track has a double or a harmony under its lead
    soundfont: str = ""  # .sf2 file that replaces the one of pretty_midi

    def check(self) -> None:
        """Refuse values out of range.

        Raises:
            UserError: The wrong option, in one sentence.
        """
        if self.tracks < 3:
            raise UserError(f"--tracks {self.tracks}: give 3 or more, one for each split.")
        if not LEAST_SEC <= self.seconds <= 3600:
            raise UserError(f"--seconds {self.seconds:g}: give {LEAST_SEC:g} to 3600.")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: give 0 or more.")
        if not 0 <= self.backing <= 1:
            raise UserError(f"--backing {self.backing:g}: give a probability, 0 to 1.")
        if self.soundfont:
            _check_soundfont(Path(self.soundfont))

    @property
    def settings(self) -> dict:
        """Settings that must be the same for resuming."""
        return {
            "tracks": self.tracks,
            "seconds": self.seconds,
            "seed": self.seed,
            "backing": self.backing,
            "soundfont": Path(self.soundfont).name,
        }


def plan_corpus(options: CorpusOptions) -> list[TrackSpec]:
    """Specify all tracks.

    Each split cycles through its own singers and styles, and the level of the voice is spread
    evenly over its tracks, in random order: splits are equally hard.
    """
    n_held_out = max(2 if options.tracks >= 6 else 1, options.tracks // 8)
    counts = (options.tracks - 2 * n_held_out, n_held_out, n_held_out)
    specs = []
    for number, (side, count) in enumerate(zip(SIDES, counts, strict=True)):
        rng = np.random.default_rng((options.seed, number))
        singers = rng.permutation([singer.name for singer in singers_of(side)])
        styles = rng.permutation([style.name for style in styles_of(side)])
        levels = (rng.permutation(count) + rng.random(count)) / count
        for i in range(count):
            # a singer sings another style in the next cycle
            style = styles[(i + i // len(singers)) % len(styles)]
            singer = singers[i % len(singers)]
            voice_db = VOICE_DB[0] + (VOICE_DB[1] - VOICE_DB[0]) * levels[i]
            specs.append(
                TrackSpec(
                    side=side,
                    name=f"{side}_{i:03d}_{style}_{singer}",
                    seed=(options.seed, number, i),
                    seconds=options.seconds,
                    style=str(style),
                    singer=str(singer),
                    voice_db=round(float(voice_db), 3),
                    backing=options.backing,
                    soundfont=options.soundfont,
                )
            )
    return specs


def make_corpus(
    dest: str | os.PathLike,
    options: CorpusOptions,
    *,
    jobs: int = 1,
    resume: bool = False,
    progress: Progress = lambda done, total: None,
) -> Path:
    """Make a corpus, or resume making it.

    Args:
        dest: Folder; without ``resume`` it must be empty or not exist.
        options: Size and content of the corpus.
        jobs: Number of processes, which does not affect the result.
        resume: Keep existing tracks.
        progress: Called with the number of tracks done and in total.

    Returns:
        The folder.

    Raises:
        UserError: In one sentence: wrong options, missing packages, a folder with other content, no
            space, no permission. Complete tracks are kept.
    """
    options.check()
    for module in ("pyworld", "pretty_midi", "midirenderer", "scipy"):
        optional(module, "corpus")
    if importlib.util.find_spec("pyopenjtalk") is None:  # used without being imported
        raise UserError("pyopenjtalk is not installed: pip install 'asteroid-joint[corpus]'.")
    dest = Path(dest)
    specs = plan_corpus(options)
    try:
        _accept(dest, options, resume)
        missing = [spec for spec in specs if not (dest / spec.side / spec.name).is_dir()]
        dest.mkdir(parents=True, exist_ok=True)
        _check_space(dest, missing)
        _prepare(dest, options)
        n_earlier = len(specs) - len(missing)
        progress(n_earlier, len(specs))
        for done, _ in enumerate(_write_all(dest, missing, jobs), n_earlier + 1):
            progress(done, len(specs))
    except OSError as err:
        raise UserError(_reason(err, dest)) from err
    except BrokenExecutor as err:
        raise UserError(
            "A process ended unexpectedly, perhaps for lack of memory: give fewer --jobs; --resume "
            "makes the missing tracks."
        ) from err
    return dest


def _check_soundfont(path: Path) -> None:
    if not path.is_file():
        raise UserError(f"There is no soundfont {path}: give an .sf2 file.")
    try:
        with path.open("rb") as file:
            start = file.read(12)
    except OSError as err:
        raise UserError(f"{path} cannot be read: {err.strerror}.") from err
    if start[:4] != b"RIFF" or start[8:] != b"sfbk":
        raise UserError(f"{path} is not a soundfont: give an .sf2 file.")


def _accept(dest: Path, options: CorpusOptions, resume: bool) -> None:
    """Accept an empty folder, or the corpus to resume."""
    facts = dest / FACTS
    if dest.exists() and not dest.is_dir():
        raise UserError(f"{dest} is a file: give a folder.")
    if dest.is_dir() and any(dest.iterdir()):
        if not facts.is_file():
            raise DataError(f"{dest} is not empty and contains no corpus: give another folder.")
        try:
            settings = json.loads(facts.read_text(encoding="utf-8"))["settings"]
        except (ValueError, KeyError, TypeError) as err:
            raise DataError(f"{facts} is damaged: give another folder.") from err
        if settings != options.settings:
            text = ", ".join(f"{k} {v}" for k, v in settings.items() if v != "")
            raise DataError(f"{dest} contains another corpus ({text}): give another folder.")
        if not resume:
            raise DataError(
                f"{dest} already contains this corpus: give --resume to make missing tracks."
            )


def _prepare(dest: Path, options: CorpusOptions) -> None:
    """Write ``corpus.json`` first, which resuming needs, and remove incomplete tracks."""
    facts = dest / FACTS
    if not facts.is_file():
        from ...version import __version__

        versions = {name: _version(name) for name in PACKAGES}
        content = {
            "settings": options.settings,
            "made_with": {"asteroid-joint": __version__, **versions},
            "licence": "voices: HTS voices NIT SONG070 F001 and Mei, CC BY 3.0, Nagoya Institute "
            "of Technology; instruments: the soundfont's own licence (TimGM6mb: GPL-2)",
        }
        write_text(facts, json.dumps(content, indent=1) + "\n")
    for side in SIDES:
        (dest / side).mkdir(exist_ok=True)
        for part in (dest / side).glob(".*.part"):  # left by a killed run
            shutil.rmtree(part, ignore_errors=True)


def _version(package: str) -> str:
    """Version of a package; ``pyworld`` may have been installed by another one."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown"


def _check_space(dest: Path, missing: Sequence[TrackSpec]) -> None:
    needed = sum(spec.seconds for spec in missing) * BYTES_PER_SEC * 1.01
    free = shutil.disk_usage(dest).free
    if needed > free:
        raise UserError(
            f"{dest} has {free / 1e9:.2f} GB left and the corpus needs {needed / 1e9:.2f} GB more: "
            "make room, or give fewer --tracks or --seconds."
        )


def _write_all(dest: Path, specs: Sequence[TrackSpec], jobs: int) -> Iterator[Path]:
    """Write tracks and yield their folders as they are finished."""
    if jobs == 1 or len(specs) < 2:
        yield from (write_track(spec, dest) for spec in specs)
        return
    # spawned: forking a process with threads may hang
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(specs)), context, initializer=_ignore_interrupts)
    try:
        waiting: set[Future] = {pool.submit(write_track, spec, dest) for spec in specs}
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in finished)
    finally:
        # finishes started tracks only
        pool.shutdown(cancel_futures=True)


def _ignore_interrupts() -> None:
    """Leave Ctrl-C, which reaches all processes of a terminal, to the parent process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _reason(err: OSError, dest: Path) -> str:
    """The error in one sentence."""
    if err.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space is left in {dest}: make room, then give --resume."
    return f"Cannot write to {dest}: {err.strerror or err}."

"""Synthetic data that look like the real sets, seeded; nothing is downloaded."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from filelock import FileLock
from miniatures import medleydb_dir, mir_st500_dir  # noqa: F401  # fixtures
from records_miniature import records_dir  # noqa: F401  # fixture
from warm_python import warm_python  # noqa: F401  # fixture

with contextlib.suppress(ImportError):  # on Windows, nobody waits for tests of speed
    import fcntl

os.environ.setdefault("MPLBACKEND", "Agg")
ROOT = Path(__file__).resolve().parent.parent
RATE = 16000
MULTITRACK_RATE = 44100
STEMS = ("vocals", "drums", "bass", "other")
TRACKS = {"train": ("one", "two", "three"), "test": ("four", "five")}
# the disjoint split goes by these singers: see data/mir1k.py
MIR1K_CLIPS = (
    *("amy_1_01", "amy_1_02", "amy_2_01", "fdps_1_01"),  # train
    *("bug_1_01", "bug_2_01", "jmzen_1_01"),  # valid
    *("abjones_1_01", "abjones_1_02", "ariel_2_01", "stool_1_01"),  # test
)


MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all test processes of this run have in common."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent  # that of a worker lies in that of the run
    root = root / "shared"
    root.mkdir(exist_ok=True)
    return root


@pytest.fixture(scope="session")
def made_once(shared) -> MakeOnce:
    """``made_once(name, make)``: what the first test process to ask makes, and all of them read.

    ``make`` gets the path of a file or folder that is not there yet.
    """

    def call(name: str, make: Callable[[Path], object]) -> Path:
        path, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(path, ignore_errors=True)  # of a process that failed
                make(path)
                done.touch()
        return path

    return call


@contextmanager
def taking_turns(shared: Path, alone: bool) -> Iterator[None]:
    """Be in the room with others, or ``alone``."""
    if "fcntl" not in globals():
        yield
        return
    with open(shared / "gate", "w") as gate, open(shared / "room", "w") as room:
        fcntl.flock(gate, fcntl.LOCK_EX)  # who waits for the room keeps others from entering it
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            yield
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # children may still have the file open


@pytest.fixture(autouse=True)
def turn(request, shared) -> Iterator[None]:
    """A test of speed, marked ``alone``, runs while the other process is between two tests."""
    with taking_turns(shared, request.node.get_closest_marker("alone") is not None):
        yield


def sing(rng: np.random.Generator, n_samples: int) -> tuple[np.ndarray, Callable]:
    """A 'voice': harmonics over a vibrating F0 in two notes with a rest between them.

    Returns:
        ``(time,)`` float64 and a function from seconds to true F0 in Hz, 0 in the rest.
    """
    low_hz = rng.uniform(160, 320)
    step, rate_hz, depth = rng.choice([3, 5, 7]), rng.uniform(4.5, 6.0), rng.uniform(0.2, 0.5)
    end = n_samples / RATE

    def f0_at(sec: np.ndarray) -> np.ndarray:
        note = np.where(sec < 0.55 * end, 0.0, step)
        hz = low_hz * 2 ** ((note + depth * np.sin(2 * np.pi * rate_hz * sec)) / 12)
        resting = (sec > 0.4 * end) & (sec < 0.55 * end)
        return np.where(resting | (sec < 0.1) | (sec > end - 0.1), 0.0, hz)

    sec = np.arange(n_samples) / RATE
    f0_hz = f0_at(sec)
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE
    level = np.convolve(f0_hz > 0, np.hanning(400) / np.hanning(400).sum(), "same")
    harmonics = sum(np.sin(k * phase) / k for k in range(1, 9))
    return 0.15 * level * (f0_hz > 0) * harmonics, f0_at


def play(rng: np.random.Generator, n_samples: int) -> np.ndarray:
    """An 'accompaniment': a chord of plucked tones and some noise, ``(time,)``."""
    sec = np.arange(n_samples) / RATE
    root_hz = rng.uniform(90, 140)
    decay = np.exp(-3 * (sec % 0.5))
    chord = sum(np.sin(2 * np.pi * root_hz * r * sec) for r in (1, 1.25, 1.5, 4))
    return 0.05 * decay * chord + 0.01 * rng.standard_normal(n_samples)


def make_mir1k(root: Path, seed: int = 0) -> Path:
    """A folder laid out like MIR-1K, eleven clips of about two seconds."""
    rng = np.random.default_rng(seed)
    for folder in ("Wavfile", "PitchLabel", "vocal-nonvocalLabel"):
        (root / folder).mkdir(parents=True)
    for name in MIR1K_CLIPS:
        n_samples = int(rng.integers(30000, 36000))
        voice, f0_at = sing(rng, n_samples)
        wav = np.stack([play(rng, n_samples), voice], 1)  # left accompaniment, right voice
        sf.write(root / "Wavfile" / f"{name}.wav", wav, RATE, subtype="PCM_16")
        f0_hz = f0_at(0.02 * np.arange(1, n_samples // 320))
        semitone = np.where(f0_hz > 0, 69 + 12 * np.log2(np.maximum(f0_hz, 1.0) / 440), 0.0)
        np.savetxt(root / "PitchLabel" / f"{name}.pv", semitone, fmt="%.5f")
        np.savetxt(root / "vocal-nonvocalLabel" / f"{name}.vocal", f0_hz > 0, fmt="%d")
    return root


@pytest.fixture(scope="session")
def mir1k_dir(made_once) -> Path:
    """See :func:`make_mir1k`; to be read only."""
    return made_once("MIR-1K", make_mir1k)


def f0_at(sec: np.ndarray, base_hz: float = 220.0) -> np.ndarray:
    """A voice that rises an octave in two seconds and rests from 1.0 to 1.3 s."""
    return np.where((sec >= 1.0) & (sec < 1.3), 0.0, base_hz * 2 ** (sec / 2))


def write_track(folder: Path, seed: int, labels: bool = True, rate: int = MULTITRACK_RATE) -> None:
    """Four stems that add up, with labels every 5 ms."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    sec = np.arange(int((2.0 + 0.1 * seed) * rate) + 7 * seed) / rate
    f0_hz = f0_at(sec)
    voice = 0.1 * (f0_hz > 0) * np.sin(2 * np.pi * np.cumsum(f0_hz) / rate)
    stems = {name: 0.02 * rng.standard_normal((len(sec), 2)) for name in STEMS[1:]}
    stems["vocals"] = voice[:, None] * (1.0, 0.5)
    for name, wav in {**stems, "mixture": sum(stems.values())}.items():
        sf.write(folder / f"{name}.wav", wav, rate, subtype="FLOAT")
    if labels:
        times = 0.005 * np.arange(int(sec[-1] / 0.005) + 1)
        rows = np.stack([times, f0_at(times)], 1)
        save = {"fmt": "%.4f", "delimiter": ",", "comments": ""}
        np.savetxt(folder / "vocals_f0.csv", rows, header="time_sec,f0_hz", **save)
        (folder / "vocals_activity.csv").write_text("start_sec,end_sec\n0,1.0\n1.3,2.0\n")
        (folder / "meta.json").write_text(
            json.dumps({"song": f"song {folder.name}", "singer": f"singer {folder.name}"})
        )


@pytest.fixture(scope="session")
def tracks(made_once) -> Path:
    """Five tracks; "two" has no labels; to be read only."""

    def make(root: Path) -> None:
        for side, names in TRACKS.items():
            for name in names:
                seed = "one two three four five".split().index(name)
                write_track(root / side / name, seed, labels=name != "two")

    return made_once("multitrack", make)


@pytest.fixture(scope="session")
def voices(tmp_path_factory) -> Path:
    """Two singers, mono at 22.05 kHz, a file each; one label file by either name."""
    root = tmp_path_factory.mktemp("solo")
    sec = np.arange(30001) / 22050
    for singer, suffix in (("ann", ".csv"), ("bob", ".f0.csv")):
        (root / "train" / singer).mkdir(parents=True)
        wav = 0.3 * np.sin(2 * np.pi * np.cumsum(f0_at(sec)) / 22050)
        sf.write(root / "train" / singer / "take.wav", wav, 22050, subtype="FLOAT")
        times = 0.01 * np.arange(137)
        f0_hz = np.where(f0_at(times) > 0, f0_at(times), -220.0)
        rows = np.stack([times, f0_hz], 1)
        np.savetxt(root / "train" / singer / f"take{suffix}", rows, fmt="%.5f", delimiter="\t")
    return root


@pytest.fixture(scope="session")
def jamendo_dir(made_once) -> Path:
    """A folder laid out like Jamendo, two songs on every side; to be read only."""
    return made_once("jamendo", make_jamendo)


def make_jamendo(root: Path) -> None:
    """See :func:`jamendo_dir`."""
    (root / "jamendo_lab").mkdir(parents=True)
    edges, words = (0, 0.1, 1.0, 1.375, 2.4, 2.5), ("nosing", "sing", "nosing", "sing", "nosing")
    lines = [f"{a} {b} {w}\n" for a, b, w in zip(edges, edges[1:], words, strict=False)]
    for seed, (side, kind) in enumerate(product(("train", "valid", "test"), ("wav", "ogg"))):
        rng = np.random.default_rng(seed)
        name = f"0{seed} - {side} vs. song"  # with a dot, as some have
        wav = sing(rng, 40000)[0] + play(rng, 40000)
        (root / side).mkdir(exist_ok=True)
        sf.write(root / side / f"{name}.{kind}", np.stack([wav, wav], 1), RATE)
        (root / "jamendo_lab" / f"{name}.lab").write_text("".join(lines))


@pytest.fixture(scope="session")
def corpus_dir(made_once) -> Path:
    """A corpus as ``make-corpus`` makes it, two tracks on every side; to be read only."""
    from asteroid_joint.apps.corpus.make import CorpusOptions, make_corpus

    return made_once("corpus", lambda root: make_corpus(root, CorpusOptions(6, 6.0)))


def recipe_on(dataset: str, data_args: dict, data_dir: Path) -> dict:
    """The configuration of the MIR-1K recipe with other data."""
    from asteroid_joint.engine.training.config import recipe_config

    conf = recipe_config(ROOT / "recipes/mir1k/DJCM")
    conf["data"].update(dataset=dataset, data_dir=str(data_dir))
    conf["data_args"] = data_args
    return conf


def run_command(*command: object, **options: object) -> subprocess.CompletedProcess:
    """Run a command with one thread; ``env`` adds variables, ``cwd`` is where."""
    env = {**child_env(), **options.pop("env", {})}  # type: ignore[dict-item]
    return subprocess.run(
        [str(part) for part in command],
        env=env,
        capture_output=True,
        text=True,
        timeout=900,
        **options,  # type: ignore[call-overload]
    )


@pytest.fixture
def run() -> Callable[..., subprocess.CompletedProcess]:
    """See :func:`run_command`."""
    return run_command


def child_env() -> dict[str, str]:
    """Environment of a process that a test starts."""
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": python_path,
        "PYTHONWARNINGS": "ignore",
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A model file: DJCM ``tiny`` with random weights."""
    import torch

    from asteroid_joint import DJCM

    path = tmp_path_factory.mktemp("weights") / "tiny.pth"
    torch.manual_seed(0)
    torch.save(DJCM.from_preset("tiny").serialize(), path)
    return path

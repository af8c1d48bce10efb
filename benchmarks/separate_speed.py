"""Speed and memory of ``asteroid-joint separate`` as a user meets it: start and files included.

``python benchmarks/separate_speed.py [SONG] [--minutes 1 30] [--cores 2] [-- OPTION ...]``,
with ``--command pitch`` of ``asteroid-joint pitch``, whose voice is the song.

The command runs as a process of its own on a song of each length: SONG repeated, or a made-up one
(a gliding harmonic tone over chords and noise, 44.1 kHz stereo). Options after ``--`` go to it.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile as sf

from asteroid_joint.audio import open_audio
from asteroid_joint.engine.training.run_facts import commit, hardware

RATE = 44100  # Hz


def made_up(seconds: float) -> np.ndarray:
    """``(time, 2)``, loud enough everywhere that nothing is skipped as silence."""
    time_sec = np.arange(int(seconds * RATE)) / RATE
    rng = np.random.default_rng(0)
    f0_hz = 220 * 2 ** (np.sin(2 * np.pi * 0.3 * time_sec) / 2)
    phase = 2 * np.pi * np.cumsum(f0_hz) / RATE
    voice = sum(np.sin(k * phase) / k for k in range(1, 9))
    chord = sum(np.sin(2 * np.pi * f * time_sec) for f in (110.0, 164.8, 277.2))
    noise = rng.standard_normal((len(time_sec), 2))
    return (0.1 * voice + 0.05 * chord)[:, None] + 0.02 * noise


def write_song(path: Path, song: Path | None, minutes: float) -> None:
    """Write ``minutes`` of the song, repeated as often as needed."""
    clip, rate = made_up(10.0), RATE
    if song is not None:
        with open_audio(song) as reader:
            clip, rate = np.concatenate(list(reader.blocks()), 1).T, reader.sample_rate
    missing = round(minutes * 60 * rate)
    with sf.SoundFile(path, "w", rate, clip.shape[1], "PCM_16") as file:
        while missing > 0:
            file.write(clip[:missing])
            missing -= len(clip[:missing])


def run(command: list[str], cores: list[int] | None) -> tuple[float, float, float]:
    """Run to the end.

    Returns:
        Wall seconds, CPU seconds, peak resident memory in MB.
    """

    def pin() -> None:
        if cores is not None:
            os.sched_setaffinity(0, cores)

    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=pin) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall_sec = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"separate_speed: the command ended with code {process.returncode}.")
    unit = 1024 if sys.platform != "darwin" else 1024**2  # ru_maxrss: KiB, bytes on macOS
    return wall_sec, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit / 1024 / 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("song", nargs="?", type=Path)
    parser.add_argument("--minutes", nargs="+", type=float, default=[1.0, 30.0])
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--command", choices=["separate", "pitch"], default="separate")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:split])
    cores = None
    if hasattr(os, "sched_getaffinity"):
        cores = sorted(os.sched_getaffinity(0))[: args.cores]
    print(
        f"asteroid-joint {args.command}; {hardware('cpu')}, {args.cores} core(s); commit {commit()}"
    )
    print(f"{'minutes':>8}{'wall s':>9}{'x real time':>13}{'CPU s':>9}{'peak MB':>9}")
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for minutes in args.minutes:
            song = Path(folder) / "song.wav"
            write_song(song, args.song, minutes)
            out = Path(folder) / "out"
            command = [sys.executable, "-W", "ignore", "-m", "asteroid_joint.cli", args.command]
            command += [str(song), "-o", str(out), *sys.argv[split + 1 :]]
            results = []
            for _ in range(args.rounds):
                results.append(run(command, cores))
                shutil.rmtree(out)
            wall_sec, cpu_sec, peak_mb = sorted(results)[len(results) // 2]
            peaks.append(peak_mb)
            print(
                f"{minutes:8g}{wall_sec:9.1f}{60 * minutes / wall_sec:13.1f}"
                f"{cpu_sec:9.1f}{peak_mb:9.0f}",
                flush=True,
            )
    if len(peaks) > 1:
        print(f"peak memory, last over first: {peaks[-1] / peaks[0]:.3f}")


if __name__ == "__main__":
    main()

"""A collection that is killed and resumed: how many songs are right, named, half, twice.

``python benchmarks/collection.py [--files 1000] [--broken 50] [--kills 2] [-- OPTION ...]``

Makes short songs in folders, some of them broken in different ways, and runs ``asteroid-joint
separate FOLDER --resume`` on them. The first runs are ended by SIGKILL, at a random moment after an
even share of the songs; the last one goes to its end. Then every file is looked at. Options after
``--`` go to the command.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import soundfile as sf

from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.inference.collection import MANIFEST

RATES = (16000, 22050, 44100)  # Hz


def write_song(path: Path, rng: np.random.Generator) -> None:
    """A gliding tone over noise, 0.5 to 2 seconds, as 16-bit WAV or FLAC."""
    rate = int(rng.choice(RATES))
    sec = np.arange(int(rng.uniform(0.5, 2.0) * rate)) / rate
    f0_hz = rng.uniform(150, 400) * 2 ** (np.sin(3 * sec) / 4)
    voice = sum(np.sin(k * 2 * np.pi * np.cumsum(f0_hz) / rate) / k for k in range(1, 6))
    noise = rng.standard_normal((len(sec), int(rng.integers(1, 3))))
    sf.write(path, 0.1 * voice[:, None] + 0.02 * noise, rate, subtype="PCM_16")


def break_song(path: Path, kind: int) -> None:
    """Make a file that cannot be separated, in one of five ways."""
    if kind == 0:
        path.write_bytes(b"")
    elif kind == 1:
        path.write_text("no sound\n" * 50)
    elif kind == 2:
        path.write_bytes(path.read_bytes()[:20])
    elif kind == 3:
        path.write_bytes(np.random.default_rng(kind).bytes(5000))
    else:
        path.unlink()
        path.symlink_to(path.with_name("nowhere.wav"))


def make_collection(folder: Path, n_files: int, n_broken: int, seed: int) -> tuple[set, set]:
    """Write songs; returns the relative paths of the good and of the broken ones."""
    rng = np.random.default_rng(seed)
    broken = set(rng.choice(n_files, n_broken, replace=False).tolist())
    good_paths, broken_paths = set(), set()
    for n in range(n_files):
        place = Path(f"artist{n % 7}", f"album{n % 3}", f"song{n:04d}.{('wav', 'flac')[n % 2]}")
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        write_song(folder / place, rng)
        if n in broken:
            break_song(folder / place, n % 5)
        (broken_paths if n in broken else good_paths).add(place)
    return good_paths, broken_paths


def manifest(out: Path) -> list[dict]:
    """Lines of the manifest that are complete."""
    lines = []
    if (out / MANIFEST).exists():
        for line in (out / MANIFEST).read_bytes().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue  # cut off by a kill
    return lines


def run_until(command: list[str], out: Path, n_lines: int, rng: np.random.Generator) -> None:
    """Run the command and kill it some moments after the manifest has ``n_lines``."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while len(manifest(out)) < n_lines:
            if process.poll() is not None:
                sys.exit("collection: the run ended before it could be killed; give more files.")
            time.sleep(0.02)
        time.sleep(rng.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)


def is_right(song: Path, folder: Path) -> bool:
    """Whether the stems are as long as the song and add up to it, bit for bit, with an F0 curve."""
    try:
        mixture = sf.read(song, dtype="int32")[0]
        stems = [
            sf.read(folder / f"{s}.wav", dtype="int32")[0] for s in ("vocals", "accompaniment")
        ]
        rows = (folder / "f0.csv").read_text().splitlines()
    except (OSError, sf.LibsndfileError):
        return False
    same = all(stem.shape == mixture.shape for stem in stems)
    return same and np.array_equal(sum(stems), mixture) and len(rows) > 1 and "," in rows[-1]


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--broken", type=int, default=50)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args = parser.parse_args(sys.argv[1:split])
    print(f"{hardware('cpu')}; commit {commit()}; seed {args.seed}\n", flush=True)
    rng = np.random.default_rng(args.seed)
    with tempfile.TemporaryDirectory() as temporary:
        music, out = Path(temporary, "music"), Path(temporary, "out")
        good, broken = make_collection(music, args.files, args.broken, args.seed)
        command = [sys.executable, "-W", "ignore", "-m", "asteroid_joint.cli", "separate"]
        command += [str(music), "-o", str(out), "--resume", *sys.argv[split + 1 :]]
        start = time.monotonic()
        for kill in range(1, args.kills + 1):
            run_until(command, out, round(args.files * kill / (args.kills + 1)), rng)
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        wall_sec = time.monotonic() - start
        lines = manifest(out)
        told = Counter(line["folder"] for line in lines)
        named = {Path(line["input"]).relative_to(music) for line in lines if line.get("reason")}
        n_right = sum(is_right(music / song, out / song.with_suffix("")) for song in good)
        folders = {path.parent.relative_to(out) for path in out.rglob("*.*") if path.parent != out}
        print("| what | expected | seen |\n|---|---|---|")
        print(f"| right | {len(good)} | {n_right} |")
        print(f"| broken ones named with a reason | {len(broken)} | {len(named & broken)} |")
        print(f"| others named as failed | 0 | {len(named - broken)} |")
        print(f"| half: folders that are not right | 0 | {len(folders) - n_right} |")
        print(f"| left over by killed runs | 0 | {len(list(out.rglob('.*')))} |")
        print(f"| twice in the manifest | 0 | {sum(n > 1 for n in told.values())} |")
        print(f"| exit code of the last run | 1 | {done.returncode} |")
        print(f"\n{args.kills} kills, {args.kills + 1} starts, {wall_sec:.0f} s in all.")


if __name__ == "__main__":
    main()

"""A shipped graph in onnxruntime beside its model in PyTorch: what differs, what it costs.

``python benchmarks/runtimes.py SONG ... [--model djcm_pop] [--seconds 30]`` goes the path of
``asteroid-joint separate`` with either. A SONG is a file, or a folder of stems, which are added.
Differences of stems are of full scale; frames differ if one is voiced and the other is not, or by
over 5 cents. Times are of the process, after a first run that is not counted.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from asteroid_joint.audio import open_audio
from asteroid_joint.inference.fast.runner import Runner
from asteroid_joint.inference.load import ready_runner
from asteroid_joint.inference.separate import separate_array

CENTS = 5.0
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".mp4", ".m4a"}


def read(path: Path, seconds: float) -> tuple[np.ndarray, int]:
    """The beginning of a file, or of the sum of a folder's, ``(C, T)``, and its rate in Hz."""
    files = [path] if path.is_file() else sorted(p for p in path.iterdir() if p.suffix in SUFFIXES)
    waves, rate = [], 0
    for file in files:
        with open_audio(file) as reader:
            rate = reader.sample_rate
            waves.append(np.concatenate(list(reader.blocks()), 1)[:, : int(seconds * rate)])
    length = min(wav.shape[1] for wav in waves)
    return np.sum([wav[:, :length] for wav in waves], 0, dtype=np.float32), rate


def run(runner: Runner, wav: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Stems ``(S, C, T)``, F0 rows ``(N, 4)`` and seconds of processor time."""
    start = time.process_time()
    found = separate_array(runner, wav, rate)
    return found.stems, found.f0, time.process_time() - start


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("songs", nargs="+", type=Path)
    parser.add_argument("--model", default="djcm_pop")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each song, from its start")
    args = parser.parse_args()
    runners = [ready_runner(args.model, "cpu", runtime=name) for name in ("onnx", "torch")]
    worst, n_other, n_frames, spent, heard_sec = 0.0, 0, 0, np.zeros(2), 0.0
    for song in args.songs:
        wav, rate = read(song, args.seconds)
        if not n_frames:
            for runner in runners:
                run(runner, wav, rate)
        graph, plain = (run(runner, wav, rate) for runner in runners)
        away = float(np.abs(graph[0] - plain[0]).max())
        with np.errstate(divide="ignore", invalid="ignore"):
            cents = 1200 * np.abs(np.log2(graph[1][:, 1] / plain[1][:, 1]))
        voiced = graph[1][:, 3] > 0
        other = (voiced != (plain[1][:, 3] > 0)) | (voiced & ~(cents <= CENTS))
        worst, n_other, n_frames = max(worst, away), n_other + other.sum(), n_frames + len(other)
        spent += [graph[2], plain[2]]
        heard_sec += wav.shape[1] / rate
        print(f"{song.name}: stems {away:.1e}, frames {other.sum()} of {len(other)}", flush=True)
    print(
        f"{len(args.songs)} songs, {heard_sec:.0f} s: stems within {worst:.1e} of full scale, "
        f"{100 * n_other / n_frames:.3f} % of {n_frames} frames differ; processor time: onnx "
        f"{spent[0]:.1f} s, torch {spent[1]:.1f} s, ratio {spent[0] / spent[1]:.2f}."
    )


if __name__ == "__main__":
    main()

"""Separator and then pitch tracker, against one pass that does both: X-UMX on the same audio.

``python benchmarks/pipeline.py [SONG] [--seconds 20] [--rounds 3] [--preset paper]``

X-UMX alone, then torchcrepe on its vocals, in turn with ``JointXUMX`` in one pass, all in one
process on one thread. Weights are random: they do not change the time that anything takes. Every
round gives a ratio; the clock is CPU time, which other programs on the machine disturb least.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchcrepe
from forward import pin
from separate_speed import RATE, made_up

from asteroid_joint import JointXUMX
from asteroid_joint.audio import open_audio
from asteroid_joint.engine.facts import commit, hardware

CREPE_HOP = 160  # samples at 16 kHz: 10 ms, its default


def recording(song: Path | None, seconds: float) -> torch.Tensor:
    """``(1, 2, T)`` at 44.1 kHz."""
    if song is None:
        return torch.from_numpy(made_up(seconds).T.astype(np.float32))[None]
    with open_audio(song) as reader:
        if (reader.sample_rate, reader.n_channels) != (RATE, 2):
            raise SystemExit("pipeline: give a recording of 44.1 kHz in stereo.")
        clip = np.concatenate(list(reader.blocks()), 1)
    repeats = int(np.ceil(seconds * RATE / clip.shape[1]))
    return torch.from_numpy(np.tile(clip, repeats)[None, :, : round(seconds * RATE)])


def track(vocals: torch.Tensor, size: str, hop_samples: int) -> torch.Tensor:
    """The tracker on ``(1, 2, T)`` at 44.1 kHz, with its own resampling, framing and decoder."""
    hop = max(1, round(hop_samples * RATE / 16000))  # it wants samples of the audio's rate
    wav = vocals.mean(1)  # (1, T)
    return torchcrepe.predict(wav, RATE, hop, model=size, batch_size=256, device="cpu")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("song", nargs="?", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--preset", default="paper")
    args = parser.parse_args()
    pin(1)
    torch.manual_seed(0)
    wav = recording(args.song, args.seconds)
    stereo = {"sample_rate": RATE, "in_channels": 2} if args.preset != "paper" else {}
    alone = JointXUMX.from_preset(args.preset, pitch=False, **stereo).eval()
    joint = JointXUMX.from_preset(args.preset, **stereo).eval()
    same_hop = round(joint.pitch_grid.hop_length * 16000 / RATE)

    def pipeline(size: str, hop: int) -> Callable[[], object]:
        return lambda: track(alone.forward_joint(wav).sources[:, 0], size, hop)

    systems: dict[str, Callable[[], object]] = {
        "JointXUMX, one pass": lambda: joint.decode_pitch(joint.forward_joint(wav).pitch_logits),
        "X-UMX alone": lambda: alone.forward_joint(wav),
        "X-UMX, torchcrepe full, 10 ms": pipeline("full", CREPE_HOP),
        f"X-UMX, torchcrepe full, {same_hop / 16:.0f} ms": pipeline("full", same_hop),
        "X-UMX, torchcrepe tiny, 10 ms": pipeline("tiny", CREPE_HOP),
    }
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    with torch.inference_mode():
        for system in list(systems.values())[:2]:
            system()  # to warm up
        for _ in range(args.rounds):
            for name, system in systems.items():
                start = time.process_time()
                system()
                seconds[name].append(time.process_time() - start)

    print(f"{args.preset}, {args.seconds:g} s of 44.1 kHz stereo, 4 stems; {hardware('cpu')}")
    print(f"commit {commit()}, {args.rounds} rounds, CPU time of one thread")
    print(f"{'':34}{'seconds':>9}{'x real time':>13}{'ratio':>8}{'(min, max)':>16}")
    first = seconds["JointXUMX, one pass"]
    for name, times in seconds.items():
        ratios = [t / j for t, j in zip(times, first, strict=True)]
        median = statistics.median(times)
        spread = f"({min(ratios):.2f}, {max(ratios):.2f})"
        print(
            f"{name:34}{median:9.2f}{args.seconds / median:13.2f}"
            f"{statistics.median(ratios):8.2f}{spread:>16}",
            flush=True,
        )


if __name__ == "__main__":
    main()

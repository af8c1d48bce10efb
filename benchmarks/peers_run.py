"""One peer on one song, as its user would run it: file in, two stems and an F0 curve out.

``python benchmarks/peers_run.py SYSTEM SONG OUT [--threads 1]``, in the environment of the peers.
Separator and tracker share a process, so that torch starts once: two commands, one after the
other, would take longer. Prints a line of JSON: seconds of processor time of each step.
"""

import argparse
import csv
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

RATE = 44100  # Hz, of the songs and of all the separators
HOP_SEC = 0.01  # of the trackers: torchcrepe's default, and FCPE's and SwiftF0's are 10 and 16 ms
FOUR_STEMS = ["bass", "drums", "other", "vocals"]
Separator = Callable[[np.ndarray], np.ndarray]  # (T, 2) to the vocals, (T, 2)
Tracker = Callable[[np.ndarray], np.ndarray]  # (T, C) to F0 in Hz, (N,)
SYSTEMS = {  # separator and tracker
    "xumx_crepe_full": ("x_umx", "crepe_full"),
    "xumx_crepe_tiny": ("x_umx", "crepe_tiny"),
    "umx_fcpe": ("open_unmix", "fcpe"),
    "htdemucs_fcpe": ("htdemucs", "fcpe"),
    "fcpe": (None, "fcpe"),
    "swift_f0": (None, "swift_f0"),
}


def x_umx(threads: int) -> Separator:
    """Asteroid's X-UMX of the paper's size, random weights.

    Asteroid 0.7 renamed it, as its inverse transform dies on torch >= 2.0: that one is mended.
    """
    import torch
    from asteroid.models.x_umx import BrokenXUMX

    class InverseSTFT(torch.nn.Module):
        """What ``_ISTFT`` was: magnitudes ``(S, B, C, F, N)`` and phases to waveforms."""

        def forward(self, magnitude: torch.Tensor, phase: torch.Tensor) -> torch.Tensor:
            spectrum = torch.polar(magnitude, phase.expand_as(magnitude)).flatten(0, 2)  # (SBC F N)
            wav = torch.istft(spectrum, 4096, 1024, window=torch.hann_window(4096))
            return wav.view(*magnitude.shape[:3], -1)  # (S, B, C, T)

    model = BrokenXUMX(FOUR_STEMS, max_bin=1487, return_time_signals=True).eval()
    model.decoder = InverseSTFT()

    def separate(wav: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            stems = model(torch.from_numpy(wav.T)[None])[1]
        return stems[FOUR_STEMS.index("vocals"), 0].numpy().T

    return separate


def open_unmix(threads: int) -> Separator:
    """UMX-L, vocals and the rest (``umx --targets vocals --residual``), random weights."""
    import openunmix
    import torch
    from openunmix.predict import separate as predict

    model = openunmix.umxl(targets=["vocals"], residual=True, pretrained=False).eval()

    def separate(wav: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            stems = predict(torch.from_numpy(wav.T)[None], rate=RATE, separator=model)
        return stems["vocals"][0].numpy().T

    return separate


def htdemucs(threads: int) -> Separator:
    """HTDemucs of the published size with the command's defaults, random weights."""
    import torch
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs

    model = HTDemucs(FOUR_STEMS, bottom_channels=512, segment=7.8).eval()  # 41.5 M parameters

    def separate(wav: np.ndarray) -> np.ndarray:
        mixture = torch.from_numpy(wav.T)[None]  # (1, C, T)
        mean, std = mixture.mean(), mixture.std() + 1e-8
        stems = apply_model(model, (mixture - mean) / std, shifts=1, split=True, overlap=0.25)
        return (stems[0, FOUR_STEMS.index("vocals")] * std + mean).numpy().T

    return separate


def crepe(size: str) -> Tracker:
    """CREPE by torchcrepe: its resampling, framing, Viterbi decoder and, for once, weights."""
    import torch
    import torchcrepe

    hop = round(RATE * HOP_SEC)

    def track(wav: np.ndarray) -> np.ndarray:
        mono = torch.from_numpy(wav.mean(1))[None]  # (1, T)
        return torchcrepe.predict(mono, RATE, hop, model=size, batch_size=256, device="cpu")[0]

    return track


def crepe_full(threads: int) -> Tracker:
    """See :func:`crepe`."""
    return crepe("full")


def crepe_tiny(threads: int) -> Tracker:
    """See :func:`crepe`."""
    return crepe("tiny")


def fcpe(threads: int) -> Tracker:
    """FCPE with the weights of its wheel."""
    import torch
    from torchfcpe import spawn_bundled_infer_model

    model = spawn_bundled_infer_model("cpu")

    def track(wav: np.ndarray) -> np.ndarray:
        mono = torch.from_numpy(wav.mean(1))[None, :, None]  # (1, T, 1)
        return model.infer(mono, sr=RATE)[0, :, 0].numpy()

    return track


def swift_f0(threads: int) -> Tracker:
    """SwiftF0 with the weights of its wheel."""
    from swift_f0 import SwiftF0

    detector = SwiftF0(threads=threads)
    return lambda wav: detector.detect(wav, RATE).pitch_hz


def main() -> None:
    """Run and report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("song", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    parts: list[Any] = [globals()[name](args.threads) for name in SYSTEMS[args.system] if name]
    *separator, track = parts
    marks = [time.process_time()]
    wav, rate = sf.read(args.song, dtype="float32", always_2d=True)  # (T, 2)
    assert rate == RATE and wav.shape[1] == 2, "the benchmark writes 44.1 kHz in stereo"
    args.out.mkdir(parents=True, exist_ok=True)
    if separator:
        vocals = separator[0](wav)
        vocals = np.pad(vocals[: len(wav)], ((0, max(0, len(wav) - len(vocals))), (0, 0)))
        sf.write(args.out / "vocals.wav", vocals, rate)
        sf.write(args.out / "accompaniment.wav", wav - vocals, rate)
        wav = vocals
    marks.append(time.process_time())
    f0_hz = track(wav)
    with (args.out / "f0.csv").open("w", newline="") as file:
        csv.writer(file).writerows([index, f"{hz:.3f}"] for index, hz in enumerate(f0_hz))
    marks.append(time.process_time())
    steps = {"start": marks[0], "separate": marks[1] - marks[0], "track": marks[2] - marks[1]}
    print(json.dumps({**steps, "n_frames": len(f0_hz)}))


if __name__ == "__main__":
    main()

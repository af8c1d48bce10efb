"""The demo: a real recording in, stems, F0 curve and a picture out.

``python docs/demo.py [SONG]``; without a song, six seconds of The Easton Ellises' "Falcon 69"
(CC BY-NC-SA 3.0), which the ``stempeg`` package carries.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from asteroid_joint import load_model
from asteroid_joint.audio import open_audio
from asteroid_joint.cli import main as asteroid_joint
from asteroid_joint.data import JointExample
from asteroid_joint.engine.evaluation.pictures import draw_clip
from asteroid_joint.engine.evaluation.systems import Estimate
from asteroid_joint.inference.destination import output_name

OUT = Path("demo_out")


def example_song() -> Path:
    """The song in stempeg's package; found without importing it, which would demand ffmpeg."""
    spec = importlib.util.find_spec("stempeg")
    for root in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(root).rglob("*.stem.mp4")):
            return path
    sys.exit("demo: stempeg is not installed: pip install -e '.[demo]', or give a song of yours.")


def mono(wav: np.ndarray, rate: int, model_rate: int) -> np.ndarray:
    """``(time, n_channels)`` to ``(1, time)`` at the model's rate."""
    return soxr.resample(wav.mean(1), rate, model_rate).astype(np.float32)[None]


def main() -> int:
    """Separate, draw, say what is where."""
    song = Path(sys.argv[1]) if len(sys.argv) > 1 else example_song()
    code = asteroid_joint(["separate", str(song), "-o", str(OUT), "--overwrite"])
    if code:
        return code
    folder = OUT / output_name(song)
    model = load_model()
    with open_audio(song) as reader:
        mixture, rate = np.concatenate(list(reader.blocks()), 1).T, reader.sample_rate
    vocals, _ = sf.read(folder / "vocals.wav", dtype="float32", always_2d=True)
    time_sec, f0_hz, confidence, voiced = np.loadtxt(
        folder / "f0.csv", delimiter=",", skiprows=1, unpack=True, ndmin=2
    )
    example = JointExample(mono(mixture, rate, model.sample_rate), name=song.stem)
    estimate = Estimate(mono(vocals, rate, model.sample_rate)[None], f0_hz, confidence)
    draw_clip(
        folder / "picture.png", example, estimate, model.pitch_grid, float(model.voicing_threshold)
    )
    share = f"{100 * voiced.mean():.0f} % of its frames are voiced"
    print(f"\n{song.name}: {time_sec[-1]:.1f} s, {share}.")
    for path in sorted(folder.iterdir()):
        print(f"  {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

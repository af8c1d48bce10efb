"""How often F0 on which two trackers agree is right: the true voices of MIR-1K.

``OMP_NUM_THREADS=1 python benchmarks/agreed_f0.py MIR1K [--n_clips 40] [--swift_f0 0.75]``

Clips are evenly spread over the training side of the disjoint split. Labels are made as in recipes
and compared with those of the dataset. Needs ``pip install 'asteroid-joint[labels]'``.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import soundfile as sf
from tqdm import tqdm

from asteroid_joint.data.agreed import GRID, AgreedSettings, agreed_f0, make_trackers
from asteroid_joint.data.drawing import WholeClips
from asteroid_joint.data.files import audio_file
from asteroid_joint.data.mir1k import MIR1K
from asteroid_joint.engine.training.run_facts import commit
from asteroid_joint.metrics.melody import TOLERANCE


def main() -> None:
    """Label and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path, help="folder of MIR-1K")
    parser.add_argument("--n_clips", type=int, default=40, help="evenly spread; 0 is all")
    parser.add_argument("--swift_f0", type=float, default=AgreedSettings.swift_f0)
    parser.add_argument("--within_cents", type=float, default=AgreedSettings.within_cents)
    args = parser.parse_args()
    settings = AgreedSettings(args.within_cents, swift_f0=args.swift_f0)
    trackers = make_trackers(settings)
    clips = WholeClips(MIR1K(str(args.data_dir), "train"), GRID, args.n_clips or None)
    true, found = [], []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "voice.wav"
        for example in tqdm(clips, total=len(clips)):
            sf.write(path, example.sources[0, 0], GRID.sample_rate, subtype="FLOAT")
            found.append(agreed_f0(audio_file(path), trackers, settings))
            true.append(example.f0_hz[: len(found[-1])])
    print(f"MIR-1K, disjoint train, {len(clips)} clips, commit {commit()}; {settings}")
    for name, value in figures(np.concatenate(true), np.concatenate(found)).items():
        print(f"{name}: {100 * value:.2f} %")


def figures(true_hz: np.ndarray, found_hz: np.ndarray) -> dict[str, float]:
    """Shares of frames, by what they are called; frames without a true label are left out."""
    known = ~np.isnan(true_hz)
    true_hz, found_hz = true_hz[known], found_hz[known]
    sung, voiced = true_hz > 0, found_hz > 0
    both = sung & voiced
    cents = 1200 * np.abs(np.log2(found_hz[both] / true_hz[both]))
    return {
        f"right to {TOLERANCE} cents, of voiced labels where it is sung": np.mean(
            cents < TOLERANCE
        ),
        "false alarms: voiced labels, of frames that are not sung": np.mean(voiced[~sung]),
        "sung after all, of unvoiced labels": np.mean(sung[found_hz == 0]),
        "voiced labels, of sung frames": np.mean(voiced[sung]),
        "unknown, of all frames": np.mean(np.isnan(found_hz)),
    }


if __name__ == "__main__":
    main()

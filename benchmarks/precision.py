"""What bfloat16 costs in accuracy and saves in time, with trained weights on MIR-1K.

``OMP_NUM_THREADS=1 python benchmarks/precision.py MIR1K [--model NAME] [--side valid]``

Both copies are optimised for inference and hear the same clips in turn. NSDR, RPA and OA are those
of the recipe's evaluation; time is the process's CPU time on one thread.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from forward import pin

from asteroid_joint import load_model
from asteroid_joint.data.drawing import WholeClips
from asteroid_joint.data.mir1k import MIR1K, SIDES
from asteroid_joint.engine.evaluation.clip_metrics import clip_row
from asteroid_joint.engine.evaluation.systems import ModelEstimator
from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.inference.fast.fuse import optimize_for_inference

METRICS = {"nsdr": ("NSDR dB", 1.0, 3), "rpa": ("RPA %", 100.0, 2), "oa": ("OA %", 100.0, 2)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path, help="folder of MIR-1K")
    parser.add_argument("--model", default="joint_dttnet_mir1k", help="shipped weights, or a file")
    parser.add_argument("--side", choices=SIDES, default="valid")
    parser.add_argument("--n_clips", type=int, default=0, help="so many, evenly spread; 0 is all")
    args = parser.parse_args()
    pin(1)
    model, cpu = load_model(args.model), torch.device("cpu")
    estimators = {
        "float32": ModelEstimator(optimize_for_inference(model), cpu),
        "bfloat16": ModelEstimator(optimize_for_inference(model, torch.bfloat16), cpu),
    }
    clips = WholeClips(MIR1K(str(args.data_dir), args.side), model.pitch_grid, args.n_clips or None)
    threshold = float(model.voicing_threshold)
    rows: dict[str, list] = {name: [] for name in estimators}
    seconds: dict[str, list[float]] = {name: [] for name in estimators}
    for example in clips:
        for name, estimator in estimators.items():
            start = time.process_time()
            estimate = estimator(example)
            seconds[name].append(time.process_time() - start)
            rows[name].append(clip_row(example, estimate, threshold, model.pitch_grid))
    print(f"`{args.model}`, MIR-1K, disjoint {args.side}, {len(clips)} clips; {hardware(cpu)}")
    print(f"commit {commit()}; the voicing threshold is that of the weights")
    titles = " | ".join(title for title, _, _ in METRICS.values())
    print(f"| | {titles} | speed |\n|---|---|---|---|---|")
    for name, found in rows.items():
        ratio = statistics.median(
            a / b for a, b in zip(seconds["float32"][1:], seconds[name][1:], strict=True)
        )  # the first clip packs weights
        cells = [
            f"{scale * np.nanmean([row.get(key, np.nan) for row in found]):.{digits}f}"
            for key, (_, scale, digits) in METRICS.items()
        ]
        print(f"| {name} | {' | '.join(cells)} | {ratio:.2f} |")


if __name__ == "__main__":
    main()

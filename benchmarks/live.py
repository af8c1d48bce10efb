"""What hearing only a little of the future costs: ``asteroid-joint stream`` against whole clips.

``python benchmarks/live.py MIR1K [--model djcm_mir1k] [--lookahead 0 0.1 0.2 0.3 1]`` takes the
clips of the disjoint test side as a stream and gives NSDR, RPA and OA as the recipe's evaluation
does, with their loss against the model on whole clips (95 % interval of a bootstrap over songs),
the longest wait by the windows, computing time per block and the real-time factor. Every
combination of ``--block``, ``--lookahead`` and ``--context`` is a row of the Markdown table.
Settings are to be chosen on ``--side valid``.

The first seconds of a clip have less than ``--context`` of past, as a stream that has just begun.
"""

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from asteroid_joint.apps.live.meter import Meter
from asteroid_joint.apps.live.plan import BLOCK_SEC, CONTEXT_SEC, LivePlan
from asteroid_joint.apps.live.separator import LiveSeparator
from asteroid_joint.apps.live.session import PUSH_SEC
from asteroid_joint.data.batch import JointExample
from asteroid_joint.data.drawing import WholeClips
from asteroid_joint.data.mir1k import MIR1K, SIDES
from asteroid_joint.engine.evaluation.clip_metrics import clip_row
from asteroid_joint.engine.evaluation.systems import Estimate, ModelEstimator
from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.inference.load import ready_model
from asteroid_joint.metrics.report import Row
from asteroid_joint.metrics.significance import paired_bootstrap
from asteroid_joint.models.base import JointModel

METRICS = {"nsdr": ("NSDR dB", 1.0, 2), "rpa": ("RPA %", 100.0, 1), "oa": ("OA %", 100.0, 1)}
SEED = 0  # of the bootstrap; nothing else is drawn


class LiveEstimator:
    """A joint model that hears clips as they come.

    Args:
        model: Loaded, with its voicing threshold.
        plan: Windows.
    """

    def __init__(self, model: JointModel, plan: LivePlan) -> None:
        self.model, self.plan = model, plan
        self.meter = Meter(plan.block / plan.sample_rate)
        self.cpu_sec = 0.0

    def __call__(self, example: JointExample) -> Estimate:
        """See :class:`asteroid_joint.engine.evaluation.systems.Estimator`."""
        wav, rate = example.mixture, self.plan.sample_rate
        stream = LiveSeparator(self.model, rate, len(wav), self.plan)
        step = round(PUSH_SEC * rate)
        began_sec, chunks = self.meter.received_sec, []
        for at in range(0, wav.shape[1], step):
            samples = wav[:, at : at + step]
            self.meter.receive(samples.shape[1] / rate)
            before = stream.n_blocks
            started, cpu = time.perf_counter(), time.process_time()
            chunks.append(stream.push(samples))
            if stream.n_blocks > before:
                self.meter.count(time.perf_counter() - started, stream.n_blocks - before)
                self.meter.give_f0(began_sec + chunks[-1].f0[0, 0])
            self.cpu_sec += time.process_time() - cpu
        chunks.append(stream.finish())
        stems = np.concatenate([c.stems for c in chunks], -1)
        f0 = np.concatenate([c.f0 for c in chunks])
        activity = np.concatenate([c.activity for c in chunks])
        return Estimate(stems, f0[:, 1], f0[:, 2], activity[:, 1])


def measure(estimator: LiveEstimator | ModelEstimator, clips: WholeClips, name: str) -> list[Row]:
    """Metrics of all clips."""
    model = estimator.model
    threshold, rows = float(model.voicing_threshold), []
    for example in tqdm(clips, total=len(clips), desc=name, unit="clip", disable=None, leave=False):
        rows.append(clip_row(example, estimator(example), threshold, model.pitch_grid))
    return rows


def accuracy(rows: list[Row], whole: list[Row]) -> list[str]:
    """A cell per metric: mean over clips, and the difference to whole clips."""
    cells = []
    for metric, (_, factor, digits) in METRICS.items():
        ours, theirs = (np.array([r.get(metric, np.nan) for r in x]) for x in (rows, whole))
        cell = f"{factor * np.nanmean(ours):.{digits}f}"
        if rows is not whole:
            loss = paired_bootstrap(ours, theirs, [r["song"] for r in rows], seed=SEED)
            mean, low, high = (factor * x for x in (loss.mean, loss.low, loss.high))
            cell += f" ({mean:+.{digits}f}; {low:+.{digits}f} to {high:+.{digits}f})"
        cells.append(cell)
    return cells


def speed(estimator: LiveEstimator) -> list[str]:
    """Cells of latency and speed."""
    meter = estimator.meter
    times = meter.computing
    return [
        f"{meter.f0_wait_sec:.2f}",
        f"{times.quantile(0.5):.3f} / {times.quantile(0.95):.3f} / {times.most:.3f}",
        f"{meter.real_time_factor:.2f}",
        f"{estimator.cpu_sec / meter.received_sec:.2f}",
    ]


def main() -> None:
    """Parse arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data_dir", type=Path, help="folder of MIR-1K")
    parser.add_argument("--model", default="djcm_mir1k", help="name of shipped weights, or a file")
    parser.add_argument("--side", choices=SIDES, default="test")
    parser.add_argument("--n_clips", type=int, default=0, help="so many, evenly spread; 0 is all")
    parser.add_argument("--block", nargs="+", type=float, default=[BLOCK_SEC])
    parser.add_argument("--lookahead", nargs="+", type=float, default=[0.0, 0.1, 0.2, 0.3, 1.0])
    parser.add_argument("--context", nargs="+", type=float, default=[CONTEXT_SEC])
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    args = parser.parse_args()
    model = ready_model(args.model, args.device, 1)
    if not model.has_pitch:
        parser.error(f"{args.model} does not estimate pitch.")
    device = next(model.parameters()).device
    dataset = MIR1K(str(args.data_dir), args.side)
    clips = WholeClips(dataset, model.pitch_grid, args.n_clips or None)
    whole = measure(ModelEstimator(model, torch.device(device)), clips, "whole clips")
    songs = len({row["song"] for row in whole})
    print(
        f"`{args.model}`, MIR-1K, disjoint {args.side}, {len(whole)} clips, {songs} songs, 16 kHz "
        f"mono; {hardware(device)}; commit {commit()}; seed {SEED} (of the intervals)\n"
    )
    names = [name for name, _, _ in METRICS.values()]
    head = ["block s", "lookahead s", "context s", *names, "wait by windows s"]
    head += ["computing s: median / 95 % / most", "real-time factor", "CPU s per s"]
    print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
    print(f"| whole clips | | | {' | '.join(accuracy(whole, whole))} | | | | |", flush=True)
    for block, lookahead, context in itertools.product(args.block, args.lookahead, args.context):
        plan = LivePlan.of(model, block, lookahead, context)
        estimator = LiveEstimator(model, plan)
        LiveSeparator(model, plan.sample_rate, int(model.in_channels), plan).warm_up()
        rows = measure(estimator, clips, f"{block} + {lookahead}, {context}")
        sizes = [f"{n / plan.sample_rate:.2f}" for n in (plan.block, plan.lookahead, plan.context)]
        print(f"| {' | '.join([*sizes, *accuracy(rows, whole), *speed(estimator)])} |", flush=True)


if __name__ == "__main__":
    main()

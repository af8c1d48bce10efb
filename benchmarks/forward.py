"""How much faster ``optimize_for_inference`` makes a model's forward pass on a CPU.

``python benchmarks/forward.py [--model DJCM] [--preset paper] [--seconds 2.56] [--threads 1]``

Plain and optimised models run in turn in one process; each round gives one ratio, and the median
of the ratios is what counts. Time is the process's CPU time with one thread (other programs on the
machine then disturb it least) and wall time with more.
"""

import argparse
import os
import statistics
import time

import torch

from asteroid_joint import MODELS
from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.inference.fast.fuse import optimize_for_inference


def pin(n_threads: int) -> None:
    """Stay on the first processors this process may use, where the system has such a thing."""
    torch.set_num_threads(n_threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="DJCM", help="registered name")
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--seconds", type=float, default=2.56)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    pin(args.threads)
    torch.manual_seed(0)
    clock = time.process_time if args.threads == 1 else time.perf_counter

    plain = MODELS[args.model].from_preset(args.preset).eval()
    models = {
        "plain float32": plain,
        "optimised float32": optimize_for_inference(plain),
        "optimised bfloat16": optimize_for_inference(plain, torch.bfloat16),
    }
    wav = 0.1 * torch.randn(args.batch, round(args.seconds * plain.sample_rate))
    seconds: dict[str, list[float]] = {name: [] for name in models}
    outputs = {}
    with torch.inference_mode():
        for _ in range(args.rounds + 1):
            for name, model in models.items():
                start = clock()
                outputs[name] = model.forward_joint(wav).sources
                seconds[name].append(clock() - start)

    print(f"{args.model} {args.preset}, {args.batch} x {args.seconds} s; {hardware('cpu')}")
    print(f"commit {commit()}, {args.rounds} rounds after one to warm up")
    print(f"{'':20}{'seconds':>9}{'x real time':>13}{'ratio':>8}{'(min, max)':>16}{'error':>10}")
    reference = outputs["plain float32"]
    for name, times in seconds.items():
        times = times[1:]  # the first round packs weights
        ratios = [p / t for p, t in zip(seconds["plain float32"][1:], times, strict=True)]
        median = statistics.median(times)
        error = (outputs[name] - reference).abs().max() / reference.abs().max()
        spread = f"({min(ratios):.2f}, {max(ratios):.2f})"
        print(
            f"{name:20}{median:9.3f}{args.batch * args.seconds / median:13.1f}"
            f"{statistics.median(ratios):8.2f}{spread:>16}{float(error):10.1e}"
        )


if __name__ == "__main__":
    main()

"""What models cost at inference, beside one another: CPU seconds per second of audio.

``OMP_NUM_THREADS=1 python benchmarks/cost.py DJCM:small JointXUMX:small JointDTTNet:small``

A model is ``Class:preset``, shipped weights or a file. Each is optimised for inference as
``asteroid-joint separate`` does it, and all run in turn in one process on one thread; each round
gives one ratio to the first model, and the median of the ratios is what counts. Time is the
process's CPU time, which other programs on the machine disturb least.
"""

import argparse
import statistics
import time

import torch
from forward import pin

from asteroid_joint import MODELS, load_model
from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.inference.fast.fuse import optimize_for_inference
from asteroid_joint.models.base import JointModel


def find(name: str) -> JointModel:
    """The model of a command-line argument."""
    kind, _, preset = name.partition(":")
    model = MODELS[kind].from_preset(preset or "paper") if kind in MODELS else load_model(name)
    return model.eval()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", metavar="CLASS:PRESET|WEIGHTS")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    pin(1)
    torch.manual_seed(0)
    plain = {name: find(name) for name in args.models}
    models = {name: optimize_for_inference(model) for name, model in plain.items()}
    noise = {}
    for name, model in models.items():
        n_samples = round(args.seconds * model.sample_rate)
        shape = (args.batch, n_samples)
        if model.in_channels > 1:
            shape = (args.batch, model.in_channels, n_samples)
        noise[name] = 0.1 * torch.randn(shape)
    seconds: dict[str, list[float]] = {name: [] for name in models}
    with torch.inference_mode():
        for _ in range(args.rounds + 1):
            for name, model in models.items():
                start = time.process_time()
                model.forward_joint(noise[name])
                seconds[name].append(time.process_time() - start)

    print(f"{args.batch} x {args.seconds:g} s of audio, one thread; {hardware('cpu')}")
    print(f"commit {commit()}, {args.rounds} rounds after one to warm up")
    print(f"| {'model':28} | parameters | CPU s per s | x real time | cost over the first |")
    print("|---|---|---|---|---|")
    first = seconds[args.models[0]][1:]
    audio_sec = args.batch * args.seconds
    for name in models:
        times = seconds[name][1:]  # the first round packs weights
        ratios = [t / f for t, f in zip(times, first, strict=True)]
        cost = statistics.median(times) / audio_sec
        n_params = sum(parameter.numel() for parameter in plain[name].parameters())
        print(
            f"| {name:28} | {n_params:,} | {cost:.4f} | {1 / cost:.1f} | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )


if __name__ == "__main__":
    main()

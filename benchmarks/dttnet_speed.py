"""What makes DTTNet affordable: each step's speed over the plain module, and the cost of pitch.

``OMP_NUM_THREADS=1 python benchmarks/dttnet_speed.py [--preset paper] [--seconds 5.92]``

All variants run in turn in one process, pinned to as many processors as threads; each round gives
one ratio per variant, and the median of the ratios is what counts. Time is the process's CPU time
with one thread (other programs on the machine then disturb it least) and wall time with more.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from forward import pin
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from asteroid_joint import JointDTTNet
from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.inference.fast import tfc_tdf as fused_tfc_tdf
from asteroid_joint.inference.fast.fuse import optimize_for_inference

NEVER = 1 << 60


def calibrate(model: JointDTTNet, wav: torch.Tensor) -> None:
    """Give BatchNorm the statistics of ``wav``, as training would: else maps vanish with depth."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        model.train()(wav)
    model.eval()


def copy_of(model: JointDTTNet) -> JointDTTNet:
    """Same weights, other memory."""
    again = JointDTTNet(**model.get_model_args())
    again.load_state_dict(model.state_dict())
    return again


def without_pitch(model: JointDTTNet) -> JointDTTNet:
    """The separator alone."""
    again = copy_of(model)
    again.pitch_head = None
    return again


def folded(model: JointDTTNet) -> JointDTTNet:
    """BatchNorm folded into convolutions, nothing else."""
    again = copy_of(model)
    for unit in list(again.net.modules()):
        if not isinstance(unit, nn.Sequential) or not len(unit):
            continue
        if isinstance(unit[0], nn.Conv2d):
            unit[0], unit[1] = fuse_conv_bn_eval(unit[0], unit[1]), nn.Identity()
        elif isinstance(unit[0], nn.ConvTranspose2d):
            unit[0], unit[1] = fuse_conv_bn_eval(unit[0], unit[1], transpose=True), nn.Identity()
    return again


def optimised(
    model: JointDTTNet, stream: int, tiled_from: int, dtype: torch.dtype | None = None
) -> JointDTTNet:
    """``optimize_for_inference`` with some of its steps left out."""
    kept = fused_tfc_tdf.TILED_FROM
    fused_tfc_tdf.TILED_FROM = tiled_from
    try:
        fast = optimize_for_inference(model, dtype)
    finally:
        fused_tfc_tdf.TILED_FROM = kept
    for block in blocks_of(fast):
        block.stream_bytes = stream
    return fast


def blocks_of(model: JointDTTNet) -> list[fused_tfc_tdf.FusedTFCTDF]:
    """All blocks of an optimised network."""
    net = model.net
    assert isinstance(net, fused_tfc_tdf.FusedTFCTDFNet)
    return [*net.encoder, net.bottom, *net.decoder]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--seconds", type=float, default=261_120 / 44_100, help="one chunk")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="torch.compile, too: minutes")
    parser.add_argument("--only", nargs="+", help="beginnings of variants' names; plain always")
    args = parser.parse_args()
    pin(args.threads)
    torch.manual_seed(0)
    clock = time.process_time if args.threads == 1 else time.perf_counter

    plain = JointDTTNet.from_preset(args.preset).eval()
    wav = 0.1 * torch.randn(1, plain.in_channels, round(args.seconds * plain.sample_rate))
    calibrate(plain, wav)
    stream, tiled = fused_tfc_tdf.STREAM_BYTES, fused_tfc_tdf.TILED_FROM
    variants: dict[str, Callable[[], nn.Module]] = {
        "plain, no pitch": lambda: without_pitch(plain),
        "channels-last": lambda: copy_of(plain).to(memory_format=torch.channels_last),
        "BatchNorm folded": lambda: folded(plain),
        "packed, ReLU fused": lambda: optimised(plain, NEVER, NEVER),
        "+ stream of frames": lambda: optimised(plain, stream, NEVER),
        "+ 4/9 of the products": lambda: optimised(plain, stream, tiled),
        "the same, no pitch": lambda: optimised(without_pitch(plain), stream, tiled),
        "bfloat16": lambda: optimised(plain, stream, tiled, torch.bfloat16),
    }
    if args.compile:
        variants["torch.compile"] = lambda: torch.compile(copy_of(plain))  # type: ignore
    models: dict[str, nn.Module] = {"plain": plain}
    for name, build in variants.items():
        if not args.only or name.startswith(tuple(args.only)):
            models[name] = build().eval()
    seconds: dict[str, list[float]] = {name: [] for name in models}
    voices = {}
    with torch.inference_mode():
        for _ in range(args.rounds + 1):
            for name, model in models.items():
                start = clock()
                voices[name] = model(wav)[:, 0]
                seconds[name].append(clock() - start)

    print(f"JointDTTNet {args.preset}, 1 x {args.seconds:.2f} s; {hardware('cpu')}")
    print(f"commit {commit()}, {args.rounds} rounds after one to warm up")
    head = f"{'':24}{'seconds':>9}{'x real time':>13}{'ratio':>8}{'(min, max)':>16}"
    print(f"{head}{'error':>10}{'SNR dB':>8}")
    for name, times in seconds.items():
        times = times[1:]  # the first round packs weights
        ratios = [p / t for p, t in zip(seconds["plain"][1:], times, strict=True)]
        median = statistics.median(times)
        reference, deviation = voices["plain"], voices[name] - voices["plain"]
        error = deviation.abs().max() / reference.abs().max()
        snr_db = 10 * torch.log10(reference.square().sum() / deviation.square().sum())
        spread = f"({min(ratios):.2f}, {max(ratios):.2f})"
        print(
            f"{name:24}{median:9.3f}{args.seconds / median:13.2f}"
            f"{statistics.median(ratios):8.2f}{spread:>16}{float(error):10.1e}{float(snr_db):8.1f}"
        )


if __name__ == "__main__":
    main()

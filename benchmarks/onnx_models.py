"""Which models can be exported to ONNX, and how near onnxruntime comes: one row per model.

``python benchmarks/onnx_models.py [NAME ...]``: registered models (their tiny preset, random
weights) and shipped weights by name; by default all of both. The difference is the greatest of all
outputs but the F0, activations in place of logits; times are of one window, one thread.
"""

import argparse
import re
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from asteroid_joint import MODELS, JointModel, available_weights, load_model
from asteroid_joint.errors import UserError
from asteroid_joint.inference.stream import plan_windows
from asteroid_joint.share.onnx import export_onnx


def by_name(name: str) -> JointModel:
    """Shipped weights, or a registered model's tiny preset."""
    torch.manual_seed(0)
    return load_model(name) if name in available_weights() else MODELS[name].from_preset("tiny")


def expected(model: JointModel, wav: torch.Tensor) -> dict[str, torch.Tensor]:
    """What PyTorch gives, by the names of the graph's outputs."""
    out = model.forward_joint(wav)
    named = {"sources": out.stems() / model.mixture_scale, "activity": model.sung_probability(out)}
    if out.pitch_logits is not None:
        named["pitch_logits"] = out.pitch_logits.sigmoid()
    return {key: value for key, value in named.items() if value is not None}


def row(name: str, window_sec: float) -> str:
    """Export, run, compare."""
    model = by_name(name).eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        start = time.process_time()
        try:
            export_onnx(model, path, window_sec=window_sec)
        except UserError as err:
            reason = re.search(r"aten\.\w+", str(err.__cause__))
            return f"| {name} | no: {reason[0] if reason else 'not traceable'} | | | | |"
        exported = time.process_time() - start
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 3, 1
        session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
        shape = 1, int(model.in_channels), plan_windows(model, window_sec).length
        wav = 0.1 * np.random.default_rng(0).standard_normal(shape).astype(np.float32)
        names = [output.name for output in session.get_outputs()]
        session.run(None, {"wav": wav})
        start = time.process_time()
        found = dict(zip(names, session.run(None, {"wav": wav}), strict=True))
        ours = time.process_time() - start
        size = path.stat().st_size / 1e6
    if "pitch_logits" in found:
        found["pitch_logits"] = 1 / (1 + np.exp(-found["pitch_logits"].astype(float)))
    with torch.inference_mode():
        wanted = expected(model, torch.from_numpy(wav))
        start = time.process_time()
        model.forward_joint(torch.from_numpy(wav))
        theirs = time.process_time() - start
    worst = max(float(np.abs(found[key] - value.numpy()).max()) for key, value in wanted.items())
    return (
        f"| {name} | {worst:.1e} | {exported:.1f} s | {size:.1f} MB "
        f"| {1000 * ours:.0f} ms | {1000 * theirs:.0f} ms |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="default: all")
    parser.add_argument("--seconds", type=float, default=0.5, help="of the window")
    args = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    print("| model | greatest difference | export | file | onnxruntime | PyTorch |")
    print("|---|---|---|---|---|---|")
    for name in args.names or [*sorted(MODELS), *available_weights()]:
        print(row(name, args.seconds), flush=True)


if __name__ == "__main__":
    main()

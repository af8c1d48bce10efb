"""What making training examples costs: recordings in memory beside the loader of files.

``python benchmarks/resident.py recipes/mir1k/DJCM --data_dir DATA [--device cuda] [-- OPTIONS]``

Takes a recipe's configuration with everything after ``--`` laid over it, and measures in one
process, in turn, a batch from files, a batch from memory (plain: what the loader does, and with all
effects on) and a step of training. On a CPU the clock is processor time on one thread, which other
programs on the machine disturb least; on a GPU it is the wall, with the device idle at both ends.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from forward import pin

from asteroid_joint.engine.training.build import build_model, build_optimizer
from asteroid_joint.engine.training.config import parse_recipe_args
from asteroid_joint.engine.training.loaders import build_loaders
from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.engine.training.train import choose_precision
from asteroid_joint.losses import build_loss

EFFECTS = {  # those of recipes/records
    "speed_semitones": 4.0,
    "rest_speed_semitones": 3.0,
    "double": 0.18,
    "eq_db": 3.0,
    "reverb": 0.45,
    "saturation": 0.15,
    "narrow_band": 0.15,
    "no_rest": 0.03,
    "two_rests": 0.15,
    "equal_loudness": True,
    "mixture_db_min": -26.0,
    "mixture_db_max": -14.0,
    "remix": 1.0,
}


def clock(device: torch.device) -> float:
    """Seconds: of the process on a CPU, of the wall on an idle GPU."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def taken(device: torch.device, call: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    begin = clock(device)
    call()
    return clock(device) - begin


def a_step(conf: Any, model: Any, device: torch.device) -> Callable[[Any], None]:
    """One step of training on a batch."""
    optimizer, _ = build_optimizer(conf, model, 1000)
    loss = build_loss(conf["loss"], conf["loss_args"])
    accelerator = "cpu" if device.type == "cpu" else "gpu"
    half = choose_precision(conf["training"]["precision"], accelerator) == "bf16-mixed"

    def step(batch: Any) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            output = model.forward_joint(batch["mixture"])
        loss(output, batch, model)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), conf["training"]["gradient_clip"])
        optimizer.step()
        optimizer.zero_grad()

    return step


def endless(loader: Any) -> Any:
    """Batches without end."""
    while True:
        yield from loader


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    args, rest = parser.parse_known_args()
    device = torch.device(args.device)
    if device.type == "cpu":
        pin(1)
    conf = parse_recipe_args(args.recipe, [option for option in rest if option != "--"])
    model = build_model(conf).to(device).train()
    if conf["training"]["channels_last"]:
        model = model.to(memory_format=torch.channels_last)

    def batches(resident: bool, effects: bool) -> Any:
        data = {**conf["data"], **(EFFECTS if effects else dict.fromkeys(EFFECTS, 0))}
        data = {**conf["data"], **data} if effects else {**data, "speed_semitones": 3.0}
        training = {**conf["training"], "resident": resident}
        made = {**conf, "data": data, "training": training}
        return endless(build_loaders(made, model, device=device).train)

    kinds = {
        "from files": batches(False, False),
        "from memory": batches(True, False),
        "from memory, all effects": batches(True, True),
    }
    step = a_step(conf, model, device)
    times: dict[str, list[float]] = {kind: [] for kind in (*kinds, "step")}
    for _ in range(args.rounds + 1):  # the first warms up
        for kind, loader in kinds.items():
            times[kind].append(taken(device, lambda loader=loader: next(loader)))
        batch = next(kinds["from memory, all effects"])
        times["step"].append(taken(device, lambda batch=batch: step(batch)))
    audio_sec = conf["training"]["batch_size"] * conf["data"]["segment_sec"]
    median = {kind: statistics.median(values[1:]) for kind, values in times.items()}
    print(
        f"{conf['main_args']['recipe']}, batches of {conf['training']['batch_size']} x "
        f"{conf['data']['segment_sec']} s on {hardware(device)}, commit {commit()}, medians of "
        f"{args.rounds} rounds; a step alone: {median['step']:.3f} s"
    )
    print("| examples | s per batch | share of a step with it | audio s per s, without the step |")
    print("|---|---|---|---|")
    for kind in kinds:
        share = median[kind] / (median[kind] + median["step"])
        speed = audio_sec / median[kind]
        print(f"| {kind} | {median[kind]:.3f} | {share:.1%} | {speed:.0f} |")


if __name__ == "__main__":
    main()

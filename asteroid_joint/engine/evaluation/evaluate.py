"""The evaluation shared by all recipes: from an experiment to per-clip metrics and a table.

A system processes whole clips of one side. ``all_metrics.csv`` has a row per clip,
``final_metrics.json`` mean and standard deviation over clips with the facts of the run,
``results_row.md`` a line for a README, ``pictures/`` five clips spread over the side. With museval,
``museval_row.md`` has medians over tracks, as in the literature, and means. With activity labels,
there are ``activity_scores.npz`` with the scores of all frames and ``detection_row.md``.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ...compat import plain_types
from ...data.drawing import WholeClips
from ...files import write_text
from ...metrics.frame_scores import FrameScores
from ...metrics.log_magnitude import Transform
from ...metrics.report import (
    Row,
    detection_table,
    museval_table,
    rows_to_csv,
    summarise,
    table_head,
    table_row,
)
from ...metrics.windowed_bss import COUNTS
from ...models.base import JointModel
from ...models.pretrained import load_model
from ...optional import pick_device
from ...pitch import PitchGrid
from ..training.build import build_dataset, check_fit
from ..training.config import Config
from ..training.run_facts import describe_run
from ..training.voicing import best_threshold
from .clip_metrics import clip_row
from .pictures import draw_clip
from .systems import CONTROLS, Estimator, ModelEstimator, NativeEstimator

N_PICTURES = 5


@dataclass(frozen=True)
class EvalOptions:
    """What to evaluate and how.

    Args:
        exp_dir: Experiment folder; results are written here or below.
        side: Side of the split. Selection is done on ``"valid"``, results come from ``"test"``.
        data_set: Name of the further set that the configuration describes; empty for the first.
        model: Model file or name; the experiment's ``best_model.pth`` by default.
        model_args: Constructor arguments that override the stored ones.
        control: Name in ``CONTROLS`` to evaluate instead of the model.
        crepe_model: ``"tiny"`` or ``"full"``.
        threshold: Voicing threshold instead of the chosen one.
        museval: Also compute BSS Eval v4, which takes some seconds per clip.
        bss: Also compute BSS Eval v3 in windows of 30 s, which takes about a second per window.
        native: Process recordings at their sample rate and channels on disk, as ``separate`` does;
            otherwise the model receives whole clips as its dataset presents them.
        n_clips: Number of clips, spread over the side; 0 is all.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
    """

    exp_dir: Path
    side: str = "test"
    data_set: str = ""
    model: str = ""
    model_args: dict[str, Any] = field(default_factory=dict)
    control: str = ""
    crepe_model: str = "tiny"
    threshold: float | None = None
    museval: bool = False
    bss: bool = False
    native: bool = False
    n_clips: int = 0
    device: str = "auto"

    @property
    def system(self) -> str:
        """Name of the evaluated system, for tables and folders."""
        crepe = f"_{self.crepe_model}" if self.control.startswith("torchcrepe") else ""
        return f"{self.control}{crepe}" if self.control else "model"

    @property
    def out_dir(self) -> Path:
        """The experiment folder for the model on the whole test side, else a subfolder."""
        changes = {"n": self.n_clips or None, "threshold": self.threshold, **self.model_args}
        model = Path(self.model)
        own = self.exp_dir / "best_model.pth"
        kept = "" if not self.model or model.resolve() == own.resolve() else f"_{model.stem}"
        suffix = kept + (f"_{self.data_set}" if self.data_set else "")
        suffix += "".join(f"_{k}{v}" for k, v in changes.items() if v is not None)
        suffix += "_native" * self.native
        if self.control or self.side != "test" or suffix:
            return self.exp_dir / f"eval_{self.system}_{self.side}{suffix}"
        return self.exp_dir


def evaluate(conf: Config, options: EvalOptions) -> str:
    """Evaluate one system on one side and write its results.

    Args:
        conf: Configuration of the experiment: where the data are and how they are split.
        options: What to evaluate.

    Returns:
        The Markdown tables that are also written.

    Raises:
        DataError: If the side has no clips, or the model has another sample rate.
        CheckpointError: If there is no model to load.
    """
    started = time.monotonic()
    device = pick_device(options.device)
    dataset = build_dataset(conf, options.side, options.native)
    estimator, model = build_estimator(conf, options, dataset, device)
    threshold = options.threshold if options.threshold is not None else estimator.threshold
    if threshold is None:
        valid = build_dataset(conf, "valid", options.native)
        threshold = threshold_from_valid(estimator, valid, options.n_clips)
    clips = WholeClips(dataset, estimator.grid, options.n_clips or None)
    drawn = set(np.linspace(0, len(clips) - 1, min(N_PICTURES, len(clips))).round().astype(int))
    transform = Transform.of(model, dataset.sample_rate)
    rows: list[Row] = []
    frames = FrameScores()
    for index in tqdm(
        range(len(clips)), desc=f"{options.system}, {options.side}", unit="clip", disable=None
    ):
        example = clips[index]
        estimate = estimator(example)
        row = clip_row(
            example,
            estimate,
            threshold,
            estimator.grid,
            museval=dataset.sources if options.museval else (),
            sources=dataset.sources,
            bss=options.bss,
            transform=transform,
        )
        rows.append(row)
        frames.add(example.name, example.activity, estimate.activity)
        if index in drawn:
            picture = options.out_dir / "pictures" / f"{example.name}.png"
            stem = next(iter(dataset.sources), "vocals")  # a set of recordings has no stems
            draw_clip(picture, example, estimate, estimator.grid, threshold, stem)
    facts = {
        **run_facts(conf, options, rows, model, device),
        "native": options.native,
        "sources": list(dataset.sources),
        "sample_rate": dataset.sample_rate,
        "n_channels": dataset.n_channels,
        "voicing_threshold": threshold,
        "log_mse_transform": transform._asdict(),
        **frames.facts(),
        "evaluation_sec": round(time.monotonic() - started, 1),
    }
    frames.save(options.out_dir)
    return write_results(options, rows, facts)


def build_estimator(
    conf: Config, options: EvalOptions, dataset: Any, device: torch.device
) -> tuple[Estimator, JointModel | None]:
    """The system to evaluate, and its model if it has one."""
    loaded: list[JointModel] = []

    def model_estimator() -> Estimator:
        default = options.exp_dir / "best_model.pth"
        model = load_model(options.model or default, **options.model_args)
        check_fit(model, dataset, options.native)
        loaded.append(model)
        if options.native:
            return NativeEstimator(model, device, dataset.sample_rate)
        return ModelEstimator(model, device)

    if not options.control:
        return model_estimator(), loaded[0]
    estimator = CONTROLS[options.control](
        grid=PitchGrid(dataset.sample_rate // 50, dataset.sample_rate),  # frames of 20 ms
        dataset=dataset,
        crepe_model=options.crepe_model,
        device=device,
        model=model_estimator,
    )
    return estimator, loaded[0] if loaded else None


def threshold_from_valid(estimator: Estimator, dataset: Any, n_clips: int) -> float | None:
    """Voicing threshold of a control, chosen like ours: best mean overall accuracy on valid."""
    curves = []
    for example in tqdm(
        WholeClips(dataset, estimator.grid, n_clips or None),
        desc="threshold, valid",
        unit="clip",
        disable=None,
    ):
        if example.f0_hz is None:
            continue
        estimate = estimator(example)
        if estimate.f0_hz is None or estimate.confidence is None:
            continue
        curves.append((example.f0_hz, estimate.f0_hz, estimate.confidence))
    return best_threshold(curves)


def run_facts(
    conf: Config,
    options: EvalOptions,
    rows: list[Row],
    model: JointModel | None,
    device: torch.device,
) -> dict[str, Any]:
    """Facts of an evaluation, to report with its figures."""
    data = conf["data"]
    facts: dict[str, Any] = {
        "system": options.system,
        "dataset": data["dataset"],
        "split": data.get("split"),
        "mixing": data.get("mixing"),
        "side": options.side,
        "n_clips": len(rows),
        "n_songs": len({row["song"] for row in rows}),
        "audio_sec": round(sum(row["duration_sec"] for row in rows), 1),
        **describe_run(conf["training"]["seed"], device),
    }
    if model is not None:
        facts["model_name"] = type(model).__name__
        facts["n_parameters"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
        facts["model_file"] = Path(options.model or "best_model.pth").name
        run = options.exp_dir / "run_facts.json"
        if not options.model and run.is_file():
            facts["run"] = json.loads(run.read_text(encoding="utf-8"))
    return facts


def write_results(options: EvalOptions, rows: list[Row], facts: dict[str, Any]) -> str:
    """Write the files of an evaluation; return its Markdown tables."""
    out_dir = options.out_dir
    out_dir.mkdir(parents=True, exist_ok=True)
    summary = summarise(rows)
    summary.pop("duration_sec", None)
    for count in COUNTS:  # of windows: their sum is informative, the mean over clips is not
        if summary.pop(count, None):
            facts = {**facts, count: int(sum(row.get(count, 0) for row in rows))}
    weighted = [(r["nsdr"], r["duration_sec"]) for r in rows if "nsdr" in r]
    if weighted:  # published GNSDR is the plain mean of NSDR; by its name it is this
        values, seconds = np.array(weighted).T
        facts = {**facts, "nsdr_weighted_by_duration": float(np.average(values, weights=seconds))}
    name = facts.get("model_name", options.system) if not options.control else options.system
    shown = {**facts, "split": ", ".join(filter(None, (facts["split"], facts["side"])))}
    shown.update({k: v for k, v in facts.get("run", {}).items() if k in ("seed", "commit")})
    title = f"{name} ({options.exp_dir.name})"
    row = table_row(title, summary, shown)
    write_text(out_dir / "all_metrics.csv", rows_to_csv(rows))
    report = plain_types({"metrics": summary, **facts})
    write_text(out_dir / "final_metrics.json", json.dumps(report, indent=1))
    write_text(out_dir / "results_row.md", row + "\n")
    museval = museval_table(title, summary, facts["sources"])
    if museval:
        write_text(out_dir / "museval_row.md", museval + "\n")
    detection = detection_table(title, summary, facts, facts["sources"])
    if detection:
        write_text(out_dir / "detection_row.md", detection + "\n")
    return "\n\n".join(filter(None, [f"{table_head()}\n{row}", museval, detection]))

"""Tables of the paper's claims: ``python local/claims_table.py [EXP_FOLDER]``, after ``claims.sh``.

Detection is judged of the model that ``joint`` keeps by AU-ROC, separation of the one by the error
of normalised magnitudes. A clip's value is the mean over seeds; tests are over songs, DeLong's over
all frames of each seed by itself.
"""

import json
import sys
from pathlib import Path

from asteroid_joint.metrics.frame_scores import FrameScores
from asteroid_joint.metrics.report import markdown_table
from asteroid_joint.metrics.seeds import (
    COMPARED,
    Column,
    Setting,
    compare_text,
    means,
    read_setting,
)

PREFIX = "train_vocaldetectionunet_"
SECOND = "eval_model_test_best_val_log_magnitude"
RESULTS = {  # row -> folder of the results in an experiment, and the runs' name
    "SVD alone": ("svd", "."),
    "joint, kept by AU-ROC": ("joint", "."),
    "SVS alone": ("svs", "."),
    "SVS alone, a voice in ten left out": ("silence", "."),
    "SVS alone, extra non-vocal sections": ("extra", "."),
    "joint, kept by MSE": ("joint", SECOND),
    "SVD alone, 3 x the steps": ("svd3", "."),
    "joint, 3 x, kept by AU-ROC": ("joint3", "."),
    "SVS alone, 3 x the steps": ("svs3", "."),
    "joint, 3 x, kept by MSE": ("joint3", SECOND),
}
METRICS = {
    "auc": Column("AU-ROC of clips", 4),
    "log_mse": Column("MSE", 5),
    "silent_rms_db": Column("silence dB", 1),
    "nsdr": Column("NSDR dB", 2),
}
CLAIMS = (
    ("joint, kept by AU-ROC", "SVD alone", "auc"),
    ("joint, kept by MSE", "SVS alone", "log_mse"),
    ("joint, kept by MSE", "SVS alone", "silent_rms_db"),
    ("joint, kept by MSE", "SVS alone", "nsdr"),
    ("joint, 3 x, kept by AU-ROC", "SVD alone, 3 x the steps", "auc"),
    ("joint, 3 x, kept by MSE", "SVS alone, 3 x the steps", "log_mse"),
    ("joint, 3 x, kept by MSE", "SVS alone, 3 x the steps", "silent_rms_db"),
    ("SVS alone, extra non-vocal sections", "SVS alone, a voice in ten left out", "log_mse"),
    ("SVS alone, extra non-vocal sections", "SVS alone, a voice in ten left out", "silent_rms_db"),
)


def folders(exp: Path, row: str) -> dict[str, Path]:
    """Seed to the results of a row."""
    name, below = RESULTS[row]
    runs = {path.name.rsplit("_", 1)[1]: path for path in sorted(exp.glob(f"{PREFIX}{name}_*"))}
    found = {seed: path / below for seed, path in runs.items()}
    return {seed: path for seed, path in found.items() if (path / "all_metrics.csv").is_file()}


def pooled_areas(exp: Path, row: str) -> str:
    """AU-ROC over all frames, of each seed."""
    files = [path / "final_metrics.json" for path in folders(exp, row).values()]
    areas = [json.loads(path.read_text())["auc_pooled"] for path in files]
    return ", ".join("undefined" if area is None else f"{area:.4f}" for area in areas)


def delong(exp: Path, first: str, second: str) -> str:
    """Difference and p value of DeLong's test, of each seed."""
    texts, others = [], folders(exp, second)
    for seed, folder in folders(exp, first).items():
        if seed not in others:
            continue
        area = FrameScores.load(folder).compare(FrameScores.load(others[seed]))
        if area is not None:
            texts.append(f"{area.difference:+.4f} (p {area.p_value:.1g})")
    return ", ".join(texts)


def main(exp: Path) -> None:
    """Print both tables."""
    settings: dict[str, Setting] = {
        row: read_setting({seed: p / "all_metrics.csv" for seed, p in found.items()})
        for row in RESULTS
        if (found := folders(exp, row))
    }
    if not settings:
        sys.exit(f"claims_table: no results in {exp}: start ./claims.sh first.")
    heads = ["system", "seeds", "AU-ROC of all frames", *(c.title for c in METRICS.values())]
    rows = [
        [row, str(len(setting.runs)), pooled_areas(exp, row), *means(setting, METRICS)]
        for row, setting in settings.items()
    ]
    print(markdown_table(heads, rows), end="\n\n")
    heads = ["first", "second", *COMPARED, "each seed over all frames (DeLong)"]
    rows = []
    for first, second, metric in CLAIMS:
        if first in settings and second in settings:
            cells = compare_text(settings[first], settings[second], metric, METRICS[metric])
            frames = delong(exp, first, second) if metric == "auc" else ""
            rows.append([first, second, *cells, frames])
    print(markdown_table(heads, rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "exp")

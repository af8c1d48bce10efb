"""Prepare a trained model for shipping: matrices in half precision, and a model card.

``python -m asteroid_joint.share.publish exp/x djcm_mir1k`` writes
``asteroid_joint/weights/djcm_mir1k.pth``; from then on ``load_model("djcm_mir1k")``,
``djcm("mir1k")`` in torch.hub and the command line find it. After
``eval.py --exp_dir exp/x --model djcm_mir1k``, a second call writes the card ``djcm_mir1k.md``
with the figures of that file. For evaluations on several datasets, name the
``final_metrics.json`` of each with ``--report``.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError, UserError
from ..files import write_text
from ..inference.load import GRAPH_SUFFIX, PITCH_SUFFIX
from ..models.model_file import read_model_file, write_model_file
from ..models.pretrained import WEIGHTS
from .facts import describe_weights
from .model_card import weights_card

logger = logging.getLogger(__name__)
EVALUATION_FACTS = ("split", "sample_rate", "n_channels", "n_songs", "commit")


def publish(
    exp_dir: Path, name: str, weights_dir: Path = WEIGHTS, reports: Sequence[Path] = ()
) -> Path:
    """Write the model file to ship and, if it has been evaluated, its card.

    Args:
        exp_dir: Folder of a finished run.
        name: ``<hub entry>_<name>``, e.g. ``djcm_mir1k``.
        weights_dir: Folder to write to.
        reports: ``final_metrics.json`` of the file's evaluations; by default that of the test side
            which ``eval.py --model NAME`` wrote in the experiment.

    Returns:
        Path of the weights.

    Raises:
        DataError: If the run is not finished.
    """
    if not (exp_dir / "best_model.pth").is_file():
        raise DataError(f"{exp_dir} contains no best_model.pth: train first.")
    conf = read_model_file(str(exp_dir / "best_model.pth"))
    conf["state_dict"] = {
        key: value.half() if value.ndim > 1 and value.is_floating_point() else value
        for key, value in conf["state_dict"].items()
    }
    weights_dir.mkdir(parents=True, exist_ok=True)
    path = weights_dir / f"{name}.pth"
    shorten_folders(conf)
    write_model_file(conf, path)
    finals = [
        json.loads(p.read_text(encoding="utf-8"))
        for p in reports or [exp_dir / f"eval_model_test_{name}" / "final_metrics.json"]
        if p.is_file()
    ]
    finals = [final for final in finals if final.get("model_file") in (name, path.name)]
    if finals and len(finals) == max(len(reports), 1):
        store_figures(path, finals)
        write_text(path.with_suffix(".md"), weights_card(describe_weights(path)))
    else:
        logger.warning(
            "No card was written: run eval.py --exp_dir %s --model %s, then publish again.",
            exp_dir,
            name,
        )
    refresh_graphs(path)
    return path


def refresh_graphs(weights: Path) -> None:
    """Export again what lies beside weights that have changed.

    Raises:
        UserError: If onnx or onnxscript is not installed.
    """
    for suffix in (GRAPH_SUFFIX, PITCH_SUFFIX):
        graph = weights.with_suffix(suffix)
        if graph.is_file():
            from .onnx import export_named

            export_named(str(weights), graph, pitch_only=suffix == PITCH_SUFFIX, overwrite=True)


def store_figures(path: Path, finals: Sequence[dict[str, Any]]) -> None:
    """Store the figures of evaluations in a model file, under ``infos.evaluations``.

    ``asteroid-joint info`` and the card on the hub read them there; the weights do not change.

    Args:
        path: Model file.
        finals: Contents of ``final_metrics.json``, one per evaluation.
    """
    conf = read_model_file(str(path))
    shorten_folders(conf)
    conf["infos"]["evaluations"] = [
        {
            "dataset": final.get("dataset") or "data",
            "side": final.get("side") or "test",
            **{key: final[key] for key in EVALUATION_FACTS if final.get(key) is not None},
            "n_clips": max(int(v["n"]) for v in final["metrics"].values()),
            "metrics": final["metrics"],
        }
        for final in finals
    ]
    write_model_file(conf, path)


def shorten_folders(conf: dict[str, Any]) -> None:
    """Keep only the last part of absolute paths: the rest would reveal somebody's folders."""
    for group in conf["infos"].get("training_config", {}).values():
        for key, value in group.items():
            if isinstance(value, str) and Path(value).is_absolute():
                group[key] = Path(value).name


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("exp_dir", type=Path, help="folder of a finished run")
    add("name", help="name of the weights, <hub entry>_<name>, e.g. djcm_mir1k")
    add("--report", type=Path, nargs="+", default=[], help="final_metrics.json of each evaluation")
    add("--weights_dir", type=Path, default=WEIGHTS, help="folder to write to")
    args = parser.parse_args(argv)
    try:
        print(publish(args.exp_dir, args.name, args.weights_dir, args.report))
    except UserError as err:
        sys.exit(f"publish: {err}")


if __name__ == "__main__":
    main()

"""Make a trained model shippable: matrices in half precision, a model card beside it.

``python -m asteroid_joint.engine.release.publish exp/x djcm_mir1k`` writes
``asteroid_joint/weights/djcm_mir1k.pth``; from then on ``load_model("djcm_mir1k")``,
``djcm("mir1k")`` in torch.hub and the command line find it. Evaluated with
``eval.py --exp_dir exp/x --model djcm_mir1k``, a second call writes the card ``djcm_mir1k.md``
with the figures of that very file. Evaluated on other data as well, ``--report`` names the
``final_metrics.json`` of each.
"""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import DataError, UserError
from ...files import write_text
from ...models.base import JointModel
from ...models.model_file import read_model_file, write_model_file
from ...models.pretrained import WEIGHTS

logger = logging.getLogger(__name__)
EVALUATION_FACTS = ("split", "sample_rate", "n_channels", "n_songs", "commit")

CARD = """# {name}

{model} (`{preset}` preset, {parameters:,} parameters) that separates the singing voice from a
mixture{also}, {sample_rate} Hz, {channels}. File: {size:.1f} MB, matrices in half
precision; the figures below are those of this file.

## Data and licence

Trained on {dataset}, train side only{split}; weights were selected on the validation side by
`{monitor}`{threshold}.
{licence}

## Training

Recipe `{recipe}` with the configuration that is stored in the file under `infos.training_config`:
{begun}seed {seed}, {epochs} epochs of {draws} drawn examples of {segment} s
({audio_hours:.0f} hours of drawn audio), batch {batch}, {precision}, {hours}
{averaged}Hardware: {hardware}. Commit: {commit}.

## Figures

{figures}

Not measured: anything but these data.
"""


def publish(
    exp_dir: Path, name: str, weights_dir: Path = WEIGHTS, reports: Sequence[Path] = ()
) -> Path:
    """Write the shippable file and, where it has been evaluated, its card.

    Args:
        exp_dir: Folder of a finished run.
        name: ``<hub entry>_<name>``, e.g. ``djcm_mir1k``.
        weights_dir: Where to.
        reports: ``final_metrics.json`` of the file's evaluations; by default that on test
            which ``eval.py --model NAME`` left in the experiment.

    Returns:
        Path of the weights.

    Raises:
        DataError: If the run is not finished.
    """
    if not (exp_dir / "best_model.pth").is_file():
        raise DataError(f"{exp_dir} holds no best_model.pth: train first.")
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
        json.loads(p.read_text())
        for p in reports or [exp_dir / f"eval_model_test_{name}" / "final_metrics.json"]
        if p.is_file()
    ]
    finals = [final for final in finals if final.get("model_file") in (name, path.name)]
    if finals and len(finals) == max(len(reports), 1):
        store_figures(path, finals)
        write_text(path.with_suffix(".md"), model_card(path, finals))
    else:
        logger.warning("No card yet: eval.py --exp_dir %s --model %s, then again.", exp_dir, name)
    return path


def store_figures(path: Path, finals: Sequence[dict[str, Any]]) -> None:
    """Put the figures of a model file's evaluations into the file, under ``infos.evaluations``.

    What reads a model file, such as ``asteroid-joint info`` and the card on the hub, finds them
    there; the weights stay as they are.

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
    """Keep only the last part of absolute paths: the rest says where somebody works."""
    data = conf["infos"].get("training_config", {}).get("data", {})
    for key, value in data.items():
        if isinstance(value, str) and Path(value).is_absolute():
            data[key] = Path(value).name


def model_card(path: Path, finals: Sequence[dict[str, Any]]) -> str:
    """Text of the card from what training and evaluations left."""
    model = JointModel.from_pretrained(path)
    conf = read_model_file(str(path))
    run = conf["infos"]["training_config"]
    facts = conf["infos"]["run_facts"]
    training, data = run["training"], run["data"]
    licences = "; ".join(
        f"{x['title']}: {x['license']}" + (f" ({x['title_link']})" if x["title_link"] else "")
        for x in conf.get("licenses", [])
    )
    averaged, threshold = conf["infos"].get("averaged"), float(model.voicing_threshold)
    hours = facts.get("hours")
    return CARD.format(
        name=path.stem,
        model=type(model).__name__,
        preset=run["model"]["preset"],
        parameters=sum(p.numel() for p in model.parameters()),
        sample_rate=model.sample_rate,
        channels={1: "mono", 2: "stereo"}[model.in_channels],
        recipe=conf["infos"].get("recipe") or f"recipes/{run['main_args'].get('recipe', '')}",
        begun=f"going on from `{start}`, " if (start := run["model"].get("init_from")) else "",
        size=path.stat().st_size / 1e6,
        dataset=conf.get("dataset", data["dataset"]),
        split=f", `{data['split']}` split" if data.get("split") else "",
        monitor=training["monitor"],
        also=" and estimates its pitch" if model.has_pitch else "",
        threshold=f", the voicing threshold ({threshold:.2f}) was chosen there, too"
        if model.has_pitch
        else "",
        licence=f"Licence of the data: {licences}. The weights are for research use accordingly.",
        seed=training["seed"],
        epochs=training["epochs"],
        draws=training["draws_per_epoch"],
        segment=data["segment_sec"],
        audio_hours=training["epochs"] * training["draws_per_epoch"] * data["segment_sec"] / 3600,
        batch=training["batch_size"],
        precision=training["precision"],
        hours=f"{hours:.1f} hours." if hours else "duration not recorded.",
        averaged=f"Then averaged: {averaged['share_after']:g} of these weights, the rest of "
        f"`{averaged['before']}`; the share was chosen on validation.\n"
        if averaged
        else "",
        hardware=facts.get("hardware", "not recorded"),
        commit=facts.get("commit", "not recorded"),
        figures="\n\n".join(map(_figures, finals)),
    )


def _figures(final: dict[str, Any]) -> str:
    """One evaluation: what it was on, and a table."""
    metrics = final["metrics"]
    split = f" of the `{final['split']}` split" if final.get("split") else ""
    form = {1: "mono", 2: "stereo"}.get(final.get("n_channels", 1), "multichannel")
    rate = final.get("sample_rate")
    rows = [f"| `{k}` | {v['mean']:.4f} | {v['std']:.4f} |" for k, v in metrics.items()]
    return "\n".join(
        [
            f"`{final.get('dataset', 'data')}`, side `{final.get('side', 'test')}`{split}"
            f"{f', {rate / 1000:g} kHz {form}' if rate else ''}: "
            f"{max(int(v['n']) for v in metrics.values())} clips, mean and standard deviation.",
            "",
            "| metric | mean | standard deviation |",
            "|---|---|---|",
            *rows,
        ]
    )


def main(argv: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("exp_dir", type=Path)
    parser.add_argument("name")
    parser.add_argument("--report", type=Path, nargs="+", default=[], help="final_metrics.json")
    parser.add_argument("--weights_dir", type=Path, default=WEIGHTS)
    args = parser.parse_args(argv)
    try:
        print(publish(args.exp_dir, args.name, args.weights_dir, args.report))
    except UserError as err:
        sys.exit(f"publish: {err}")


if __name__ == "__main__":
    main()

"""Entry points of the recipes' ``train.py``, ``eval.py`` and ``local/prepare.py``.

A user error prints one sentence and gives exit code 1.
"""

import argparse
import math
import sys
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from ..errors import ConfigError, DataError, UserError
from ..registry import import_plugins
from .training.config import Config, parse_recipe_args, read_config, recipe_config

# beginnings of warnings that libraries give one another, and of cases that are handled here
NOT_FOR_USERS = (
    "pkg_resources is deprecated",
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",
    "Checkpoint directory .* exists and is not empty",
    "(Estimated|Reference) melody has no voiced frames",
)
COMPARED = "nsdr,rpa,oa,auc,log_mse,silent_rms_db"  # as far as both evaluations have them


def train_main(script: str, argv: list[str] | None = None) -> None:
    """Train with the configuration beside ``script``; see :func:`.training.train.train`."""

    def run() -> str:
        from .training.train import train

        return str(train(parse_recipe_args(recipe_dir(script), argv)))

    _report(script, run)


def prepare_main(script: str, argv: list[str] | None = None) -> None:
    """Check the data that the configuration names; see :func:`..data.check.check_dataset`.

    If ``data`` has a ``labels_dir`` and the first stem is vocals, a teacher labels them first; see
    :func:`label_first`. With ``label_voices``, voices without F0 get it from two trackers; see
    :func:`label_voices`.
    """

    def run() -> str:
        from ..data.check import check_dataset
        from .training.build import build_dataset
        from .training.sets import further_sets

        conf = parse_recipe_args(recipe_dir(script), argv)
        first, *_ = conf["data_args"].get("sources") or ("vocals",)
        if conf["data"].get("labels_dir") and first == "vocals":
            print(label_first(conf), flush=True)
        if conf["data"].get("label_voices"):
            print(label_voices(conf), flush=True)
        tables = []
        for name, one in {"": conf, **further_sets(conf)}.items():
            sides = {side: build_dataset(one, side) for side in ("train", "valid", "test")}
            disjoint = one["data"].get("split", "disjoint") == "disjoint"
            tables.append((f"set {name}:\n" if name else "") + check_dataset(sides, disjoint))
        return "\n\n".join(tables)

    _report(script, run)


def label_first(conf: Config) -> str:
    """Pitch labels by a teacher, with the settings ``data.teacher_*``.

    Args:
        conf: ``data`` has ``data_dir``, ``labels_dir`` and ``relabel``.

    Returns:
        See :func:`..data.teacher.label_vocals`.
    """
    from ..data.teacher import TeacherSettings, label_vocals

    data = conf["data"]
    settings = {k[8:]: v for k, v in data.items() if k.startswith("teacher_")}
    unknown = settings.keys() - TeacherSettings.__dataclass_fields__.keys()
    if unknown:
        raise ConfigError(
            f"The teacher has no setting {min(unknown)!r}: correct teacher_* in data."
        )
    return label_vocals(
        data["data_dir"],
        data["labels_dir"],
        TeacherSettings(**settings),
        device="cpu" if conf["training"]["accelerator"] == "cpu" else "auto",
        relabel=bool(data.get("relabel")),
    )


def label_voices(conf: Config) -> str:
    """F0 beside the voices of the first set that have none, where two trackers agree.

    Args:
        conf: Configuration of a recipe.

    Returns:
        See :func:`..data.agreed.label_agreed`.
    """
    from ..data.agreed import label_agreed, unlabelled_voices
    from .training.build import build_dataset

    sides = (build_dataset(conf, side) for side in ("train", "valid", "test"))
    return label_agreed([voice for dataset in sides for voice in unlabelled_voices(dataset)])


def eval_main(script: str, argv: list[str] | None = None) -> None:
    """Evaluate an experiment, or compare two evaluations; see ``evaluation.evaluate``."""
    args = _eval_parser().parse_args(argv)

    def run() -> str:
        if args.compare:
            return _compare(args.compare, args.metrics.split(","), args.seed)
        from .evaluation.evaluate import EvalOptions, evaluate

        conf = experiment_config(args.exp_dir, recipe_dir(script))
        if args.data_dir:
            conf["data"]["data_dir"] = args.data_dir
        if args.data_set:
            conf = _further_set(conf, args.data_set)
        args.model_args = model_args(args.model_args)
        options = {field.name: getattr(args, field.name) for field in fields(EvalOptions)}
        return evaluate(conf, EvalOptions(**options))

    _report(script, run)


def model_args(text: str) -> dict[str, Any]:
    """``"a=1,b=true"`` to ``{"a": 1, "b": True}``; values as in YAML.

    Raises:
        ConfigError: If the text has another form.
    """
    arguments = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if not equals or not name.isidentifier():
            raise ConfigError(
                f"--model_args takes name=value pairs, separated by commas; received {part!r}."
            )
        arguments[name] = yaml.safe_load(value)
    return arguments


def _further_set(conf: Config, name: str) -> Config:
    """The configuration in which the set ``name`` of ``more_data`` is the only one."""
    from .training.sets import further_sets

    sets = further_sets(conf)
    if name not in sets:
        raise ConfigError(
            f"The experiment has no further set {name!r}: choose one of {', '.join(sorted(sets))}."
        )
    return sets[name]


def recipe_dir(script: str) -> Path:
    """Folder of the recipe that a script, in it or in its ``local/``, belongs to."""
    folder = Path(script).resolve().parent
    return folder if (folder / "local" / "conf.yml").is_file() else folder.parent


def experiment_config(exp_dir: Path, recipe: Path) -> Config:
    """The configuration of an experiment's training, or the recipe's if the experiment has none."""
    path = exp_dir / "conf.yml"
    conf = read_config(path) if path.is_file() else recipe_config(recipe)
    import_plugins(str(conf.get("data", {}).get("plugins") or ""))
    return conf


def _eval_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Evaluate an experiment on whole clips.")
    add = parser.add_argument
    add("--exp_dir", type=Path, default=Path("exp/tmp"), help="experiment; also gets the results")
    add("--data_dir", default="", help="folder of the dataset, if it has moved since training")
    add("--side", default="test", choices=("train", "valid", "test"), help="side of the split")
    add("--set", dest="data_set", default="", help="name of a further set in more_data")
    add("--model", default="", help="model file instead of the experiment's best_model.pth")
    add("--model_args", default="", help="override arguments: wiener_iterations=1,...")
    add("--museval", action="store_true", help="add BSS Eval v4: some seconds per clip")
    add("--bss", action="store_true", help="add BSS Eval v3 in windows of 30 s: a second each")
    add("--native", action="store_true", help="evaluate at the rate and channels on disk")
    add(
        "--control", default="", help="evaluate a control instead: mixture, torchcrepe_mixture, ..."
    )
    add("--crepe_model", default="tiny", choices=("tiny", "full"), help="size of torchcrepe")
    add("--threshold", type=float, help="voicing threshold instead of the one chosen on valid")
    add("--n_clips", type=int, default=0, help="number of clips, evenly spread; 0 = all")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add(
        "--compare", nargs=2, metavar="CSV", help="compare two all_metrics.csv by statistical tests"
    )
    add("--metrics", default=COMPARED, help="metrics to compare, separated by commas")
    add("--seed", type=int, default=0, help="seed of the bootstrap")
    return parser


def _compare(paths: list[str], metrics: list[str], seed: int) -> str:
    """Markdown tables of the differences between two evaluations."""
    from ..metrics.report import comparison_table, read_rows
    from ..metrics.significance import compare_rows

    first, second = paths
    rows = read_rows(first), read_rows(second)
    differences = compare_rows(*rows, metrics, seed)
    both = set.intersection(*({key for row in one for key in row} for one in rows))
    undefined = [m for m in metrics if m in both and m not in differences]
    if not differences and not undefined:
        raise DataError(
            f"The two files have none of the metrics {', '.join(metrics)} in common: give other "
            "--metrics."
        )
    parts = [f"first: {first}\nsecond: {second}"]
    if differences:
        parts.append(comparison_table(differences))
    if undefined:
        parts.append(f"Not compared, as no clip has both values: {', '.join(undefined)}.")
    return "\n\n".join(filter(None, [*parts, _compare_frames(Path(first), Path(second))]))


def _compare_frames(first: Path, second: Path) -> str:
    """DeLong's test over all frames, if both evaluations stored them beside their metrics."""
    from ..metrics.frame_scores import SCORES_FILE, FrameScores
    from ..metrics.report import area_comparison_table

    folders = first.parent, second.parent
    if not all((folder / SCORES_FILE).is_file() for folder in folders):
        return ""
    one, other = map(FrameScores.load, folders)
    difference = one.compare(other)
    if difference is None:
        return "No test of AU-ROC over all frames: the two have different frames or labels."
    if math.isnan(difference.difference):
        return "No test of AU-ROC over all frames: fewer than two are vocal, or non-vocal."
    return area_comparison_table(difference)


def _report(script: str, run: Callable[[], str]) -> None:
    """Print what ``run`` returns, or its error in one sentence; no warning that helps nobody."""
    for message in NOT_FOR_USERS:
        warnings.filterwarnings("ignore", message)
    try:
        print(run())
    except UserError as err:
        sys.exit(f"{Path(script).name}: {err}")

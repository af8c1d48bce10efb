"""The commands ``list`` and ``info``."""

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import Any

DONE = 0
SHORT = (("sdr", "SDR {:.2f} dB", 1), ("rpa", "RPA {:.1f} %", 100), ("oa", "OA {:.1f} %", 100))
ONLY_DETECTION = (("auc", "AU-ROC {:.3f}", 1),)


def add_catalogue_commands(commands: Any) -> None:
    """Add both commands to a parser's subparsers."""
    everything = commands.add_parser(
        "list",
        help="models, papers, parameters, and the weights at hand with licence and figures",
        description="Say what there is: every model with its paper, size, rate and pitch grid, and "
        "the weights that come with the package, with the licence of their data and figures on "
        "songs they have not heard.",
    )
    everything.set_defaults(run=_list)
    info = commands.add_parser(
        "info",
        help="everything about one model or one file of weights",
        description="Say everything that is known about a model (presets, sizes, arguments) or a "
        "model file (figures, data, split, licence, training, commit, arguments).",
    )
    info.add_argument(
        "model",
        metavar="MODEL",
        help="a model's name (DJCM), weights by name (djcm_pop, pop), a model file, or a hub id",
    )
    info.set_defaults(run=_info)
    for command in (everything, info):
        command.add_argument("--json", action="store_true", help="for programs: one JSON object")
        command.add_argument(
            "--plugins", default="", metavar="MODULE,...", help="modules that register more models"
        )


def _list(args: argparse.Namespace) -> int:
    from ...models.pretrained import DEFAULT_MODEL, available_weights
    from ...registry import DECODERS, MODELS, import_plugins
    from ...share.model_facts import describe_model
    from ...share.weight_facts import describe_weights
    from ...version import __version__

    import_plugins(args.plugins)
    models = [describe_model(name, stored=True) for name in sorted(MODELS)]
    weights = [describe_weights(name) for name in available_weights()]
    if args.json:
        found = {"version": __version__, "models": models, "weights": weights}
        print(json.dumps({**found, "decoders": sorted(DECODERS)}, indent=1))
        return DONE
    print(f"asteroid-joint {__version__}\n\nmodels (info MODEL says more)\n")
    rows = [["model", "parameters", "input", "pitch", "paper"]]
    print(_table(rows + [_model_row(model) for model in models]))
    print("\nweights at hand (--model NAME)\n")
    rows = [["name", "model", "parameters", "input", "figures on songs not heard in training"]]
    print(_table(rows + [_weights_row(facts, DEFAULT_MODEL) for facts in weights]))
    if not weights:
        print("  none")
    print("\nlicences of what the weights were trained on\n")
    seen = {(x["title"], x["licence"]): w["name"] for w in weights for x in w["licences"]}
    for title, licence in seen:
        print(f"  {title}: {licence}")
    print(f"\npitch decoders (--decoder NAME)\n\n  {', '.join(sorted(DECODERS))}")
    return DONE


def _info(args: argparse.Namespace) -> int:
    from ...registry import MODELS, import_plugins
    from ...share.model_facts import describe_model, registered_name
    from ...share.weight_facts import describe_weights

    import_plugins(args.plugins)
    if registered_name(args.model) in MODELS:
        facts = describe_model(args.model)
        text = _model_text(facts)
    else:
        facts = describe_weights(args.model)
        text = _weights_text(facts)
    print(json.dumps(facts, indent=1) if args.json else text)
    return DONE


def _model_row(model: Mapping[str, Any]) -> list[str]:
    presets, paper = model["presets"], model["paper"]
    names = [name for name in ("paper", "small") if name in presets] or list(presets)[:1]
    sizes = [f"{_millions(presets[name]['parameters'])} {name}" for name in names]
    if not names:  # a plugin need not have any
        return [model["name"], "-", "-", "-", paper["url"] or "-"]
    shown = presets[names[0]]
    return [model["name"], ", ".join(sizes), _input(shown), _grid(shown), paper["url"] or "-"]


def _weights_row(facts: Mapping[str, Any], default: str) -> list[str]:
    name = facts["name"] + (" (default)" if facts["name"] == default else "")
    model = f"{facts['model']} {facts['preset']}".strip()
    return [name, model, _millions(facts["parameters"]), _input(facts), _figures(facts)]


def _figures(facts: Mapping[str, Any]) -> str:
    """The usual figures of the first evaluation."""
    if not facts["evaluations"]:
        return "none stored"
    first = facts["evaluations"][0]
    metrics = first["metrics"]
    columns = SHORT if "rpa" in metrics else SHORT + ONLY_DETECTION
    said = [form.format(scale * metrics[m]["mean"]) for m, form, scale in columns if m in metrics]
    return f"{', '.join(said)} ({first['dataset']}, {first['n_clips']} clips)"


def _model_text(model: Mapping[str, Any]) -> str:
    paper = model["paper"]
    lines = [f"{model['name']}: {model['summary']}", ""]
    if paper["url"]:
        lines += [f"paper      {paper['title']}", f"           {paper['venue']}".rstrip()]
        lines += [f"           {paper['url']}"]
    lines += [""] * bool(paper["url"])
    rows = [["preset", "parameters", "input", "pitch", "stems"]]
    for name, preset in model["presets"].items():
        stems = ", ".join(preset["sources"])
        rows.append([name, f"{preset['parameters']:,}", _input(preset), _grid(preset), stems])
    lines += [_table(rows), ""]
    for name, preset in model["presets"].items():
        lines += [f"arguments of {name}", *_tree(preset["arguments"]), ""]
    return "\n".join(lines).rstrip()


def _weights_text(facts: Mapping[str, Any]) -> str:
    size = "" if facts["megabytes"] is None else f", {facts['megabytes']:.1f} MB"
    rows = [
        ["file", f"{facts['file']}{size}"],
        ["model", f"{facts['model']} {facts['preset']}, {facts['parameters']:,} parameters"],
        ["input", _input(facts)],
        ["stems", ", ".join(facts["sources"])],
        ["pitch", _grid(facts)],
        ["threshold", _said(facts["voicing_threshold"]) if facts["has_pitch"] else "-"],
        ["trained on", _said(facts["dataset"])],
        ["split", _said(facts["split"])],
        ["recipe", _said(facts["recipe"])],
        ["commit", _said(facts["run"].get("commit"))],
    ]
    lines = [facts["name"], "", _table(rows), "", "licences of the data", ""]
    for x in facts["licences"]:
        link = f" ({x['link']})" if x["link"] else ""
        lines.append(f"  {x['title']}: {x['licence']}{link}")
    lines += [] if facts["licences"] else ["  not stored"]
    for evaluation in facts["evaluations"]:
        lines += ["", _evaluation_title(evaluation), "", _metric_table(evaluation["metrics"])]
    if not facts["evaluations"]:
        lines += ["", "figures", "", "  not stored"]
    for title, key in (
        ("run", "run"),
        ("versions", "versions"),
        ("arguments", "arguments"),
        ("configuration of the training", "training_config"),
    ):
        lines += ["", title, *(_tree(facts[key]) or ["  not stored"])]
    return "\n".join(lines)


def _evaluation_title(evaluation: Mapping[str, Any]) -> str:
    split = f", {evaluation['split']} split" if evaluation.get("split") else ""
    rate = f", {evaluation['sample_rate'] / 1000:g} kHz" if evaluation.get("sample_rate") else ""
    return (
        f"figures on {evaluation['dataset']}, side {evaluation['side']}{split}{rate}, "
        f"{evaluation['n_clips']} clips"
    )


def _metric_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    rows = [["metric", "mean", "standard deviation"]]
    rows += [[name, f"{v['mean']:.4f}", f"{v['std']:.4f}"] for name, v in metrics.items()]
    return _table(rows)


def _tree(values: Mapping[str, Any], depth: int = 1) -> list[str]:
    """Nested values, a line each."""
    lines: list[str] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{'  ' * depth}{key}", *_tree(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key}: {_said(value)}")
    return lines


def _said(value: Any) -> str:
    if isinstance(value, tuple | list):
        nested = (f"({_said(x)})" if isinstance(x, tuple | list) else _said(x) for x in value)
        return ", ".join(nested) or "-"
    return "-" if value is None or value == "" or value == {} else str(value)


def _input(facts: Mapping[str, Any]) -> str:
    form = {1: "mono", 2: "stereo"}.get(facts["n_channels"], f"{facts['n_channels']} channels")
    return f"{facts['sample_rate'] / 1000:g} kHz {form}"


def _grid(facts: Mapping[str, Any]) -> str:
    hop = f"every {1000 * facts['hop_sec']:.3g} ms"
    return f"{hop}, {facts['n_bins']} bins" if facts["has_pitch"] else "none"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )

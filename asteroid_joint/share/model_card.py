"""Facts about models as text: Markdown cards, and what ``asteroid-joint info`` and ``list`` print.

All facts come from :mod:`.facts`.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..audio.writing import channels_text
from ..metrics.report import markdown_table

Facts = Mapping[str, Any]

TAGS = ("asteroid", "audio", "music", "audio-source-separation", "singing-voice-separation")
PITCH_TAGS = ("pitch-estimation", "melody-extraction")
RUN_FACTS = ("commit", "seed", "epochs", "hours", "hardware")
METRIC_HEADS = ("metric", "mean", "standard deviation")
SHORT = (("sdr", "SDR {:.2f} dB", 1), ("rpa", "RPA {:.1f} %", 100), ("oa", "OA {:.1f} %", 100))
ONLY_DETECTION = (("auc", "AU-ROC {:.3f}", 1),)

CARD = """# {name}

{model} ({parameters:,} parameters) separates {sources} {also}. \
Input: {sample_rate} Hz, {channels}{rest}

## Data and licence

{data}

## Training

{training}

## Figures

{figures}

No figures are available for other data.
"""
FILE = """.
Preset: `{preset}`. File: {megabytes:.1f} MB, matrices in half precision; the figures below are
those of this file. The weights are for research use, as the licences of their data require."""
USE = """;
the code below accepts any.

```python
import asteroid_joint  # pip install asteroid-joint

model = asteroid_joint.load("{repo}")
song = model.transcribe("song.mp3")
song.stems["{first}"]  # (n_channels, n_samples), at the song's rate
{pitch}song.save("out")
```

With Asteroid alone, once `asteroid_joint` is imported:

```python
import asteroid_joint
from asteroid.models import BaseModel

model = BaseModel.from_pretrained("{repo}")
```"""


def weights_card(facts: Facts) -> str:
    """Markdown card of shipped weights, with more on their training than the card on the hub.

    Args:
        facts: See :func:`.facts.describe_weights`.
    """
    rest = FILE.format(preset=facts["preset"], megabytes=facts["megabytes"])
    return _card(facts, facts["name"], rest, detailed=True)


def hub_card(facts: Facts, repo: str) -> str:
    """Markdown card of a model on the hub, with its metadata in YAML at the top.

    Args:
        facts: See :func:`.facts.describe_content`.
        repo: ``user/name`` on the hub.
    """
    rest = USE.format(
        repo=repo,
        first=facts["sources"][0],
        pitch="song.f0.times, song.f0.hz, song.notes\n" if facts["has_pitch"] else "",
    )
    metadata = _metadata(facts, repo).to_yaml()
    return f"---\n{metadata}\n---\n\n{_card(facts, repo.rpartition('/')[2], rest)}"


def _card(facts: Facts, name: str, rest: str, detailed: bool = False) -> str:
    *others, last = facts["sources"]
    return CARD.format(
        name=name,
        model=facts["model"],
        parameters=facts["parameters"],
        sources=f"{', '.join(others)} and {last}" if others else last,
        also="and estimates the pitch of the voice" if facts["has_pitch"] else "of a song",
        sample_rate=facts["sample_rate"],
        channels=channels_text(facts["n_channels"]),
        rest=rest,
        data=_data(facts),
        training=_training(facts, _schedule(facts) if detailed else {}),
        figures="\n\n".join(_figures(evaluation, detailed) for evaluation in facts["evaluations"])
        or "The file contains none.",
    )


def _data(facts: Facts) -> str:
    lines = [f"Trained on {facts['dataset'] or 'data that the file does not name'}."]
    lines += [f"* {line}" for line in _licence_lines(facts)]
    if not facts["licences"]:
        lines.append("The file does not state the licence of the data: ask its author.")
    return "\n".join(lines)


def _training(facts: Facts, more: Mapping[str, Any]) -> str:
    """A line for each known fact; ``more`` adds facts or replaces them."""
    run = facts["run"]
    known = {
        "Recipe": facts["recipe"],
        **{key.capitalize(): run.get(key) for key in RUN_FACTS},
        **more,
    }
    lines = [f"* {key}: {value}" for key, value in known.items() if value not in (None, "")]
    if facts["averaged"]:
        share = facts["averaged"]["share_after"]
        lines.append(
            f"* Averaged: {share:g} times trained plus {1 - share:g} times initial weights"
        )
    if facts["has_pitch"]:
        lines.append(f"* Voicing threshold: {facts['voicing_threshold']:.2f}")
    lines.append("* The whole configuration is in the file, under `infos`")
    return "\n".join(lines)


def _schedule(facts: Facts) -> dict[str, Any]:
    """Facts from the configuration of a training with a recipe of this repository."""
    config, averaged = facts["training_config"], facts["averaged"]
    training, data = config["training"], config["data"]
    n_examples, segment_sec = training["draws_per_epoch"], data["segment_sec"]
    epochs = facts["run"].get("epochs", training["epochs"])
    sampled = f"{n_examples} of {segment_sec} s per epoch"
    if training.get("max_minutes"):  # ended by the clock, perhaps within an epoch
        steps = facts["run"].get("steps", 0)
        n_all = steps * training["batch_size"] * facts["run"].get("processes", 1)
        sampled = f"{n_all} of {segment_sec} s in {steps} steps"
    else:
        n_all = epochs * n_examples
    hours = n_all * segment_sec / 3600
    begun = config["model"].get("init_from")
    also = ", as was the voicing threshold" if facts["has_pitch"] else ""
    split = f", `{facts['split']}` split" if facts["split"] else ""
    return {
        "Epochs": "" if training.get("max_minutes") else epochs,
        "Recipe": f"recipes/{facts['recipe'].removeprefix('recipes/')}",
        "Songs": f"training side only{split}",
        "Initial weights": f"`{begun}`" if begun else "",
        "Sampled examples": f"{sampled} ({hours:.0f} hours of audio in total)",
        "Batch size": training["batch_size"],
        "Precision": facts["run"].get("precision", training["precision"]),
        "Selected": f"by `{training['monitor']}` on the validation side{also}",
        "Averaged with": f"`{averaged['before']}`; the weighting was chosen on the validation side"
        if averaged
        else "",
    }


def _figures(evaluation: Facts, detailed: bool) -> str:
    rows = [(f"`{metric}`", *values) for metric, *values in _metric_rows(evaluation)]
    side, n_clips = evaluation["side"], evaluation["n_clips"]
    title = f"{_where(evaluation, detailed)}, side `{side}`, {n_clips} clips:"
    return f"{title}\n\n{markdown_table(METRIC_HEADS, rows)}"


def _where(evaluation: Facts, with_channels: bool = False) -> str:
    """Data of an evaluation, such as ``mir1k (disjoint split), 16 kHz``."""
    split = f" ({evaluation['split']} split)" if evaluation.get("split") else ""
    form = ""
    if with_channels and evaluation.get("n_channels"):
        form = f" {channels_text(evaluation['n_channels'])}"
    return f"{evaluation['dataset']}{split}{_rate(evaluation)}{form}"


def _metadata(facts: Facts, name: str) -> Any:
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="audio-to-audio",
            task_name="singing voice separation and pitch estimation",
            dataset_type=evaluation["dataset"],
            dataset_name=_where(evaluation),
            dataset_split=evaluation["side"],
            metric_type=metric,
            metric_name=f"{metric}, mean over {value['n']} clips",
            metric_value=round(value["mean"], 4),
        )
        for evaluation in facts["evaluations"]
        for metric, value in evaluation["metrics"].items()
    ]
    # names of datasets on the hub have no spaces
    datasets = [x["title"] for x in facts["licences"] if re.fullmatch(r"[\w.-]+", x["title"])]
    licence: dict[str, Any] = {"license": "unknown"}
    if facts["licences"]:
        links = [x["link"] for x in facts["licences"] if x["link"]]
        licence = {"license": "other", "license_name": "that-of-the-training-data"}
        licence.update({"license_link": links[0]} if links else {})
    return ModelCardData(
        library_name="asteroid",
        pipeline_tag="audio-to-audio",
        tags=[*TAGS, *(PITCH_TAGS if facts["has_pitch"] else ()), facts["model"]],
        datasets=datasets or None,
        metrics=sorted({result.metric_type for result in results}) or None,
        model_name=name,
        eval_results=results or None,
        **licence,
    )


def weights_text(facts: Facts) -> str:
    """All facts about a model file, for ``asteroid-joint info``.

    Args:
        facts: See :func:`.facts.describe_weights`.
    """
    size = "" if facts["megabytes"] is None else f", {facts['megabytes']:.1f} MB"
    rows = [
        ["file", f"{facts['file']}{size}"],
        ["model", f"{facts['model']} {facts['preset']}, {facts['parameters']:,} parameters"],
        ["input", _input(facts)],
        ["stems", ", ".join(facts["sources"])],
        ["pitch", _grid(facts)],
        ["threshold", _value(facts["voicing_threshold"]) if facts["has_pitch"] else "-"],
        ["trained on", _value(facts["dataset"])],
        ["split", _value(facts["split"])],
        ["recipe", _value(facts["recipe"])],
        ["commit", _value(facts["run"].get("commit"))],
    ]
    lines = [facts["name"], "", _columns(rows), "", "licences of the data", ""]
    lines += [f"  {line}" for line in _licence_lines(facts)] or ["  not stored"]
    for evaluation in facts["evaluations"]:
        split = f", {evaluation['split']} split" if evaluation.get("split") else ""
        lines += [
            "",
            f"figures on {evaluation['dataset']}, side {evaluation['side']}{split}"
            f"{_rate(evaluation)}, {evaluation['n_clips']} clips",
            "",
            _columns([METRIC_HEADS, *_metric_rows(evaluation)]),
        ]
    if not facts["evaluations"]:
        lines += ["", "figures", "", "  not stored"]
    for key in ("run", "versions", "arguments", "training_config"):
        title = "training configuration" if key == "training_config" else key
        lines += ["", title, *(_tree(facts[key]) or ["  not stored"])]
    return "\n".join(lines)


def model_text(model: Facts) -> str:
    """All facts about a registered model, for ``asteroid-joint info``.

    Args:
        model: See :func:`.facts.describe_model`.
    """
    paper = model["paper"]
    lines = [f"{model['name']}: {model['summary']}", ""]
    if paper["url"]:
        lines += [
            f"paper      {paper['title']}",
            f"           {paper['venue']}".rstrip(),
            f"           {paper['url']}",
            "",
        ]
    rows = [["preset", "parameters", "input", "pitch", "stems"]]
    for name, preset in model["presets"].items():
        stems = ", ".join(preset["sources"])
        rows.append([name, f"{preset['parameters']:,}", _input(preset), _grid(preset), stems])
    lines += [_columns(rows), ""]
    for name, preset in model["presets"].items():
        lines += [f"arguments of {name}", *_tree(preset["arguments"]), ""]
    return "\n".join(lines).rstrip()


def list_text(
    models: Sequence[Facts], weights: Sequence[Facts], decoders: Sequence[str], default: str
) -> str:
    """Available models, weights and decoders, for ``asteroid-joint list``.

    Args:
        models: See :func:`.facts.describe_model`.
        weights: See :func:`.facts.describe_weights`.
        decoders: Names of the decoders.
        default: Name of the default weights.
    """
    model_heads = ["model", "parameters", "input", "pitch", "paper"]
    heads = ["name", "model", "parameters", "input", "figures on songs not used in training"]
    licences = dict.fromkeys((x["title"], x["licence"]) for w in weights for x in w["licences"])
    lines = [
        "models (info MODEL shows details)",
        "",
        _columns([model_heads, *map(_model_row, models)]),
        "",
        "available weights (--model NAME)",
        "",
        _columns([heads, *(_weights_row(facts, default) for facts in weights)]),
        *([] if weights else ["  none"]),
        "",
        "licences of the training data",
        "",
        *(f"  {title}: {licence}" for title, licence in licences),
        "",
        "pitch decoders (--decoder NAME)",
        "",
        f"  {', '.join(decoders)}",
    ]
    return "\n".join(lines)


def _model_row(model: Facts) -> list[str]:
    presets, paper = model["presets"], model["paper"]
    names = [name for name in ("paper", "small") if name in presets] or list(presets)[:1]
    sizes = [f"{_millions(presets[name]['parameters'])} {name}" for name in names]
    if not names:  # a plugin need not have any
        return [model["name"], "-", "-", "-", paper["url"] or "-"]
    shown = presets[names[0]]
    return [model["name"], ", ".join(sizes), _input(shown), _grid(shown), paper["url"] or "-"]


def _weights_row(facts: Facts, default: str) -> list[str]:
    name = facts["name"] + (" (default)" if facts["name"] == default else "")
    model = f"{facts['model']} {facts['preset']}".strip()
    return [name, model, _millions(facts["parameters"]), _input(facts), _usual_figures(facts)]


def _usual_figures(facts: Facts) -> str:
    """The usual figures of the first evaluation."""
    if not facts["evaluations"]:
        return "none stored"
    first = facts["evaluations"][0]
    metrics = first["metrics"]
    columns = SHORT if "rpa" in metrics else SHORT + ONLY_DETECTION
    shown = [form.format(scale * metrics[m]["mean"]) for m, form, scale in columns if m in metrics]
    return f"{', '.join(shown)} ({first['dataset']}, {first['n_clips']} clips)"


def _licence_lines(facts: Facts) -> list[str]:
    return [
        f"{x['title']}: {x['licence']}" + (f" ({x['link']})" if x["link"] else "")
        for x in facts["licences"]
    ]


def _metric_rows(evaluation: Facts) -> list[tuple[str, str, str]]:
    return [
        (metric, f"{value['mean']:.4f}", f"{value['std']:.4f}")
        for metric, value in evaluation["metrics"].items()
    ]


def _rate(evaluation: Facts) -> str:
    rate = evaluation.get("sample_rate")
    return f", {rate / 1000:g} kHz" if rate else ""


def _input(facts: Facts) -> str:
    return f"{facts['sample_rate'] / 1000:g} kHz {channels_text(facts['n_channels'])}"


def _grid(facts: Facts) -> str:
    hop = f"every {1000 * facts['hop_sec']:.3g} ms"
    return f"{hop}, {facts['n_bins']} bins" if facts["has_pitch"] else "none"


def _millions(count: int) -> str:
    return f"{count / 1e6:.1f} M"


def _value(value: Any) -> str:
    if isinstance(value, tuple | list):
        nested = (f"({_value(x)})" if isinstance(x, tuple | list) else _value(x) for x in value)
        return ", ".join(nested) or "-"
    return "-" if value is None or value == "" or value == {} else str(value)


def _tree(values: Mapping[str, Any], depth: int = 1) -> list[str]:
    """Nested values, one per line."""
    lines: list[str] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            lines += [f"{'  ' * depth}{key}", *_tree(value, depth + 1)]
        else:
            lines.append(f"{'  ' * depth}{key}: {_value(value)}")
    return lines


def _columns(rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )

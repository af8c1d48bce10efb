"""The page of a model on the hub, from what its file says: nothing else is claimed."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

TAGS = ("asteroid", "audio", "music", "audio-source-separation", "singing-voice-separation")
PITCH_TAGS = ("pitch-estimation", "melody-extraction")

TEXT = """
# {name}

{model} ({parameters:,} parameters) separates {sources} {also}. Input: {sample_rate} Hz, {channels};
the code below takes any.

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
```

## Data and licence

{data}

## Training

{training}

## Figures

{figures}

Not measured: anything but these data.
"""


def hub_card(conf: Mapping[str, Any], name: str) -> str:
    """Text of the card, with the metadata that the hub reads.

    Args:
        conf: Content of a model file.
        name: Of the model, ``user/name`` on the hub.

    Returns:
        Markdown that begins with YAML.
    """
    from .weight_facts import describe

    facts = describe(conf)
    channels = {1: "mono", 2: "stereo"}.get(facts["n_channels"], f"{facts['n_channels']} channels")
    sources = list(facts["sources"])
    listed = ", ".join(sources[:-1]) + f" and {sources[-1]}" if len(sources) > 1 else sources[0]
    text = TEXT.format(
        name=name.rpartition("/")[2],
        repo=name,
        model=facts["model"],
        parameters=facts["parameters"],
        sources=listed,
        also="and estimates the pitch of the voice" if facts["has_pitch"] else "of a song",
        sample_rate=facts["sample_rate"],
        channels=channels,
        first=sources[0],
        pitch="song.f0.times, song.f0.hz, song.notes\n" if facts["has_pitch"] else "",
        data=_data(facts),
        training=_training(facts),
        figures="\n\n".join(map(_table, facts["evaluations"])) or "None are stored in the file.",
    )
    return f"---\n{_metadata(facts, name).to_yaml()}\n---\n{text}"


def _metadata(facts: Mapping[str, Any], name: str) -> Any:
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
    # the hub knows data by names without spaces
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


def _data(facts: Mapping[str, Any]) -> str:
    lines = [f"Trained on {facts['dataset'] or 'data that the file does not name'}."]
    for x in facts["licences"]:
        link = f" ({x['link']})" if x["link"] else ""
        lines.append(f"* {x['title']}: {x['licence']}{link}")
    if not facts["licences"]:
        lines.append("The file says nothing about the licence of the data: ask its author.")
    return "\n".join(lines)


def _training(facts: Mapping[str, Any]) -> str:
    run = facts["run"]
    said = {
        "Recipe": facts["recipe"],
        "Commit": run.get("commit"),
        "Seed": run.get("seed"),
        "Epochs": run.get("epochs"),
        "Hours": run.get("hours"),
        "Hardware": run.get("hardware"),
    }
    lines = [f"* {key}: {value}" for key, value in said.items() if value not in (None, "")]
    if facts["averaged"]:
        share = facts["averaged"]["share_after"]
        lines.append(f"* Averaged: {share:g} of these weights, the rest of what they began from")
    if facts["has_pitch"]:
        lines.append(f"* Voicing threshold: {facts['voicing_threshold']:.2f}")
    lines.append("* The whole configuration is in the file, under `infos`")
    return "\n".join(lines)


def _table(evaluation: Mapping[str, Any]) -> str:
    rows: Sequence[str] = [
        f"| `{metric}` | {value['mean']:.4f} | {value['std']:.4f} |"
        for metric, value in evaluation["metrics"].items()
    ]
    return "\n".join(
        [
            f"{_where(evaluation)}, side `{evaluation['side']}`, {evaluation['n_clips']} clips:",
            "",
            "| metric | mean | standard deviation |",
            "|---|---|---|",
            *rows,
        ]
    )


def _where(evaluation: Mapping[str, Any]) -> str:
    split = f" ({evaluation['split']} split)" if evaluation.get("split") else ""
    rate = evaluation.get("sample_rate")
    form = f", {rate / 1000:g} kHz" if rate else ""
    return f"{evaluation['dataset']}{split}{form}"

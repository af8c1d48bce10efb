"""``asteroid-joint list`` and ``info``, and the figures that model files carry."""

import json
from pathlib import Path

import pytest
import torch

from asteroid_joint import DJCM, MODELS, available_weights
from asteroid_joint.cli import main
from asteroid_joint.errors import ConfigError
from asteroid_joint.models.model_file import read_model_file
from asteroid_joint.share.facts import SIZES, describe_model, describe_weights, registered_name
from asteroid_joint.share.model_card import hub_card, weights_card, weights_text
from asteroid_joint.share.publish import main as publish_main
from asteroid_joint.share.publish import publish, store_figures

OURS = [name for name in MODELS if MODELS[name].__module__.startswith("asteroid_joint.")]
FINAL = {
    "dataset": "mir1k",
    "side": "test",
    "split": "disjoint",
    "sample_rate": 16000,
    "commit": "abc1234",
    "evaluation_sec": 3.0,
    "metrics": {
        "sdr": {"mean": 8.12345, "std": 1.5, "median": 8.0, "n": 128},
        "rpa": {"mean": 0.9, "std": 0.05, "median": 0.91, "n": 127},
    },
}


def said(capsys, *call: str) -> str:
    assert main(list(call)) == 0
    out = capsys.readouterr()
    assert out.err == ""
    return out.out


# ------------------------------------------------------------------ models


@pytest.mark.parametrize("name", OURS)
def test_every_model_has_a_paper_and_true_sizes(name):
    facts = describe_model(name)
    assert facts["paper"]["url"].startswith("https://arxiv.org/abs/")
    assert set(facts["presets"]) == set(MODELS[name].presets)
    model = MODELS[name].from_preset("tiny")
    tiny = facts["presets"]["tiny"]
    stored = describe_model(name, stored=True)  # what list says
    for preset in facts["presets"].values():
        assert preset.pop("arguments")["sample_rate"] == preset["sample_rate"]
    assert stored == facts, "python -m asteroid_joint.share.facts renews the file"
    assert tiny["parameters"] == sum(p.numel() for p in model.parameters())
    assert tiny["hop_sec"] == model.pitch_grid.hop_length / model.sample_rate
    assert tiny["sources"] == list(model.sources)


def test_sizes_are_stored_of_every_model():
    stored = json.loads(SIZES.read_text())
    assert set(stored) == set(OURS), "python -m asteroid_joint.share.facts renews the file"


def test_the_paper_of_a_model():
    paper = describe_model("joint_xumx")["paper"]
    assert paper["title"].startswith("All for One and One for All: Improving Music Separation")
    assert paper["venue"] == "ICASSP 2021" and paper["url"].endswith("2010.04228")
    assert describe_model("mmoe")["paper"]["url"] == "https://arxiv.org/abs/2401.03856"


@pytest.mark.parametrize("name", ["JointXConvTasNet", "joint_xconv_tasnet", "JOINTXCONVTASNET"])
def test_spellings(name):
    assert registered_name(name) == "JointXConvTasNet"


def test_an_unknown_model():
    with pytest.raises(ConfigError, match="Unknown model 'nonsense': choose one of.*DJCM"):
        describe_model("nonsense")


# ------------------------------------------------------------------ weights


@pytest.mark.parametrize("name", available_weights())
def test_shipped_weights_say_what_their_cards_say(name):
    facts = describe_weights(name)
    card = Path(facts["file"]).with_suffix(".md").read_text()
    assert f"{facts['parameters']:,} parameters" in card
    assert facts["licences"] and facts["evaluations"]
    for licence in facts["licences"]:
        assert licence["licence"] in card
    for evaluation in facts["evaluations"]:
        for metric, value in evaluation["metrics"].items():
            assert f"| `{metric}` | {value['mean']:.4f} | {value['std']:.4f} |" in card
    assert str(facts["run"]["commit"]) in card
    data_dir = facts["training_config"]["data"]["data_dir"]
    assert not Path(data_dir).is_absolute()
    json.dumps(facts)


@pytest.mark.parametrize("name", available_weights())
def test_cards_of_shipped_weights_are_what_their_files_say(name):
    facts = describe_weights(name)
    card = Path(facts["file"]).with_suffix(".md").read_text()
    assert card == weights_card(facts), "weights_card(describe_weights(name)) renews the card"


@pytest.mark.parametrize("n_channels, said", [(1, "mono"), (2, "stereo"), (6, "6 channels")])
def test_any_number_of_channels_is_said_the_same_everywhere(n_channels, said):
    facts = {**describe_weights("djcm_pop"), "n_channels": n_channels}
    facts["evaluations"] = [{**FINAL, "n_clips": 128, "n_channels": n_channels}]
    card = weights_card(facts)
    assert f"Input: 16000 Hz, {said}.\n" in card
    assert f"mir1k (disjoint split), 16 kHz {said}, side `test`, 128 clips:" in card
    assert f"Input: 16000 Hz, {said};\n" in hub_card(facts, "me/mine")
    assert f"  input       16 kHz {said}\n" in weights_text(facts)


def test_figures_are_stored_beside_the_weights(weights, tmp_path):
    path = tmp_path / "model.pth"
    path.write_bytes(weights.read_bytes())
    before = read_model_file(str(path))
    before["infos"]["training_config"] = {"data": {"data_dir": "/home/me/MIR-1K"}}
    torch.save(before, path)
    store_figures(path, [FINAL])
    after = read_model_file(str(path))
    for key, value in before["state_dict"].items():
        assert torch.equal(value, after["state_dict"][key])
    (evaluation,) = describe_weights(path)["evaluations"]
    assert evaluation["n_clips"] == 128 and evaluation["metrics"] == FINAL["metrics"]
    assert "evaluation_sec" not in evaluation
    assert after["infos"]["training_config"]["data"]["data_dir"] == "MIR-1K"
    assert type(DJCM.from_pretrained(path)) is DJCM


@pytest.fixture
def finished(weights, tmp_path):
    """Folder of a run that was trained."""
    conf = {
        "main_args": {"recipe": "mir1k/DJCM"},
        "data": {"dataset": "mir1k", "data_dir": "/home/me/MIR-1K", "segment_sec": 2.5},
        "model": {"preset": "tiny", "init_from": "djcm_pop"},
        "training": {
            "epochs": 4,
            "draws_per_epoch": 720,
            "batch_size": 8,
            "precision": "32-true",
            "monitor": "val_score",
        },
    }
    infos = {"training_config": conf, "averaged": {"before": "djcm_pop", "share_after": 0.5}}
    content = read_model_file(str(weights))
    exp = tmp_path / "exp"
    exp.mkdir()
    torch.save({**content, "infos": {**content["infos"], **infos}}, exp / "best_model.pth")
    return exp


def test_publish(finished, tmp_path, caplog):
    path = publish(finished, "djcm_mine", tmp_path / "weights")
    matrices = [x for x in read_model_file(str(path))["state_dict"].values() if x.ndim > 1]
    assert matrices and all(x.dtype == torch.float16 for x in matrices if x.is_floating_point())
    assert "No card was written" in caplog.text and not path.with_suffix(".md").exists()

    folder = finished / "eval_model_test_djcm_mine"
    folder.mkdir()
    final = {**FINAL, "model_file": "djcm_mine"}
    (folder / "final_metrics.json").write_text(json.dumps(final))
    assert publish(finished, "djcm_mine", tmp_path / "weights") == path
    card = path.with_suffix(".md").read_text()
    assert card == weights_card(describe_weights(path))
    for part in (
        "# djcm_mine\n",
        "* Recipe: recipes/mir1k/DJCM\n",
        "* Initial weights: `djcm_pop`\n",
        "* Sampled examples: 720 of 2.5 s per epoch (2 hours of audio in total)\n",
        "* Selected: by `val_score` on the validation side, as was the voicing threshold\n",
        "* Averaged with: `djcm_pop`; the weighting was chosen on the validation side\n",
        "| `sdr` | 8.1235 | 1.5000 |\n",
    ):
        assert part in card
    assert "/home" not in card


def test_nothing_to_publish(tmp_path, capsys):
    with pytest.raises(SystemExit, match="contains no best_model.pth: train first."):
        publish_main([str(tmp_path), "djcm_mine"])


# ------------------------------------------------------------------ commands


def test_list(capsys):
    text = said(capsys, "list")
    for name in [*OURS, *available_weights(), "46.7 M paper", "research use", "viterbi"]:
        assert name in text
    assert "djcm_pop (default)" in text and "RPA" in text and "arxiv.org" in text
    assert max(map(len, text.splitlines())) < 180


def test_list_for_programs(capsys):
    found = json.loads(said(capsys, "list", "--json"))
    assert {x["name"] for x in found["models"]} >= set(OURS)
    assert [x["name"] for x in found["weights"]] == available_weights()
    assert found["decoders"] == ["argmax", "viterbi"]


def test_list_without_weights(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("asteroid_joint.models.pretrained.WEIGHTS", tmp_path)
    assert "  none\n" in said(capsys, "list")


def test_info_of_weights(capsys):
    text = said(capsys, "info", "pop")
    for part in ("djcm_pop", "4,126,325 parameters", "threshold   0.72", "RPA".lower(), "c777b4b"):
        assert part in text
    assert "research use" in text and "seed: 2" in text and "pools: (1, 2), (2, 2)" in text
    facts = json.loads(said(capsys, "info", "pop", "--json"))
    assert facts["voicing_threshold"] == 0.72 and facts["model"] == "DJCM"


def test_info_of_a_model_and_of_a_file(capsys, weights):
    assert "46,733,003" in said(capsys, "info", "djcm")
    assert json.loads(said(capsys, "info", "MMoE", "--json"))["name"] == "MMoE"
    text = said(capsys, "info", str(weights))
    assert "not stored" in text and "DJCM" in text


def change(path: Path, to: Path, **changes: object) -> Path:
    torch.save({**torch.load(path, weights_only=True), **changes}, to)
    return to


def test_info_of_what_cannot_be_used(capsys, weights, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "text.pth").write_text("no model")
    unknown = change(weights, tmp_path / "unknown.pth", model_name="Mine")
    wrong = change(weights, tmp_path / "wrong.pth", model_args={"colour": "red"})
    for name, message in {
        "nonsense": "There is no model 'nonsense'",
        str(tmp_path / "none.pth"): "There is no model file",
        str(tmp_path / "text.pth"): "plain model file",
        str(unknown): "There is no joint model called 'Mine'",
        str(wrong): "The stored arguments do not fit DJCM",
    }.items():
        assert main(["info", name]) == 2
        out = capsys.readouterr()
        assert message in out.err and out.err.count("\n") == 1 and out.out == ""
    assert main(["list", "--plugins", "no_such_module"]) == 2
    assert "no plugin module no_such_module" in capsys.readouterr().err


def test_plugins_are_listed(capsys):
    assert "  StrangerNet  " in said(capsys, "list", "--plugins", "stranger_model")

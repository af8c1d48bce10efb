"""Several sets in one model: a batch of each per step, each feeding only its losses."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT

from asteroid_joint import VocalDetectionUNet
from asteroid_joint.data import ExtraNonVocal, Hidden
from asteroid_joint.engine.recipe import eval_main, prepare_main
from asteroid_joint.engine.training.build import build_dataset, build_model
from asteroid_joint.engine.training.config import overlay, parse_recipe_args
from asteroid_joint.engine.training.loaders import build_loaders
from asteroid_joint.engine.training.sets import further_sets
from asteroid_joint.engine.training.system import JointSystem
from asteroid_joint.engine.training.train import train
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.losses import build_loss
from asteroid_joint.metrics.detection import auc

RECIPE = ROOT / "recipes/mir1k/VocalDetectionUNet"
BOTH = ROOT / "recipes/musdb18_jamendo/VocalDetectionUNet"
EPOCHS = ["--epochs", "1", "--warmup_steps", "1"]


@pytest.fixture(autouse=True)
def same_number_of_threads():
    """Training sets torch's number of threads; the tests after it are not to notice."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def config(data_dir: Path, *options: object, overlays: str = "debug", recipe: Path = RECIPE):
    given = ["--overlay", overlays, "--data_dir", data_dir, *options]
    return parse_recipe_args(recipe, [str(option) for option in given])


def first_batch(conf: dict, model) -> list:
    batch, _, _ = next(iter(build_loaders(conf, model).train))
    return batch


def system_on(conf: dict, model=None) -> JointSystem:
    """A system that logs nowhere."""
    model = model or build_model(conf)
    loss = build_loss(conf["loss"], conf["loss_args"], conf["training"]["weighting"])
    system = JointSystem(model, torch.optim.SGD(model.parameters(), 0.1), loss, None)
    system.logged = {}
    system.log_dict = lambda parts, **_: system.logged.update(parts)
    return system


# ------------------------------------------------------------------ batches and gradients


def test_a_step_takes_a_batch_of_each_set(mir1k_dir):
    conf = config(mir1k_dir)
    conf["more_data"]["detection"]["batch_size"] = 3
    model = build_model(conf)
    stems, activity = first_batch(conf, model)
    assert stems["mixture"].shape[0] == 4 and activity["mixture"].shape[0] == 3
    assert stems["has_sources"].all() and not stems["has_activity"].any()
    assert activity["has_activity"].all() and not activity["has_sources"].any()
    assert not (stems["has_f0_hz"].any() or activity["has_f0_hz"].any())
    assert {name.split("_")[0] for name in stems["name"]} == {"amy"}
    assert {name.split("_")[0] for name in activity["name"]} == {"fdps"}


def test_a_batch_feeds_its_own_losses_only(mir1k_dir):
    conf = config(mir1k_dir)
    torch.manual_seed(0)
    model = build_model(conf).train()
    batches = first_batch(conf, model)
    heads = {"stems": model.mask_head.weight, "activity": model.activity_head.weight}
    system, gradients = system_on(conf, model), {}
    for name, given in (("stems", batches[:1]), ("activity", batches[1:]), ("both", batches)):
        model.zero_grad()
        system.training_step(given, 0).backward()
        gradients[name] = {key: head.grad.clone() for key, head in heads.items()}
        gradients[name]["trunk"] = next(model.network.parameters()).grad.clone()
        gradients[name]["loss"] = {k: v.item() for k, v in system.logged.items()}
    for name, other in (("stems", "activity"), ("activity", "stems")):
        assert not gradients[name][other].any()  # exactly
        assert gradients[name][name].any() and gradients[name]["trunk"].any()
        torch.testing.assert_close(gradients["both"][name], gradients[name][name])
    torch.testing.assert_close(
        gradients["both"]["trunk"], gradients["stems"]["trunk"] + gradients["activity"]["trunk"]
    )
    stems, activity, both = (gradients[k]["loss"] for k in ("stems", "activity", "both"))
    assert stems["activity"] == 0 == activity["log_magnitude"]
    assert both["log_magnitude"] == pytest.approx(stems["log_magnitude"])
    assert both["activity"] == pytest.approx(activity["activity"])
    total = 0.9 * both["log_magnitude"] + 0.1 * both["activity"]
    assert both["loss"] == pytest.approx(total) and total > 0


def test_terms_of_several_batches_are_summed_and_strategies_see_all(mir1k_dir):
    conf = config(mir1k_dir)
    conf["more_data"]["detection"]["hide"] = ["f0"]  # now it has stems, too
    model = build_model(conf).train()
    batches = first_batch(conf, model)
    system = system_on(conf, model)
    values = []
    for given in (batches[:1], batches[1:], batches):
        system.training_step(given, 0)
        values.append(float(system.logged["log_magnitude"]))
    assert values[2] == pytest.approx(values[0] + values[1])
    seen = {}
    system.loss_func.weighting = lambda terms: seen.update(terms) or dict.fromkeys(terms, 2.0)
    doubled = system.training_step(batches, 0)
    assert float(doubled) == pytest.approx(
        2 * (0.9 * values[2] + 0.1 * float(system.logged["activity"]))
    )
    n_frames = batches[0]["activity"].shape[1]
    assert seen["activity"].values.shape == (8 * n_frames,)
    assert float(seen["activity"].weights[: 4 * n_frames].sum()) == 0


def test_a_loss_that_is_not_finite_names_the_clips_of_all_sets(mir1k_dir):
    conf = config(mir1k_dir)
    model = build_model(conf).train()
    batches = first_batch(conf, model)
    with torch.no_grad():
        model.activity_head.bias.fill_(torch.nan)
    system = system_on(conf, model)
    with pytest.raises(RuntimeError, match="loss is nan .*amy.*fdps.*lower the learning rate"):
        system.training_step(batches, 0)


# ------------------------------------------------------------------ draws


def drawn(conf: dict, world_size: int = 1, rank: int = 0, epoch: int = 0) -> list[list]:
    """Draw numbers and examples of every set, one epoch of one process."""
    loaders = build_loaders(conf, build_model(conf), rank, world_size)
    sets = loaders.train.flattened
    for loader in sets:
        loader.sampler.set_epoch(epoch)
    return [[list(loader.sampler), loader.dataset] for loader in sets]


def test_draws_are_a_function_of_seed_set_and_number(mir1k_dir):
    conf = config(mir1k_dir)
    (_, first), (_, other) = drawn(conf)
    (_, first_again), (_, other_again) = drawn(conf)
    for number in (0, 5, 31):
        for a, b in ((first, first_again), (other, other_again)):
            np.testing.assert_array_equal(a[number].mixture, b[number].mixture)
    alone = config(mir1k_dir, overlays="svs,debug")
    same = build_loaders(alone, build_model(alone)).train.dataset
    np.testing.assert_array_equal(first[3].mixture, same[3].mixture)  # whatever stands beside it
    conf["more_data"] = {"another": {}, **conf["more_data"]}
    conf["more_data"]["namesake"] = dict(conf["more_data"]["detection"])
    _, _, (_, third), (_, namesake) = drawn(conf)
    np.testing.assert_array_equal(third[3].mixture, other[3].mixture)
    seeds = {
        third.seed,
        namesake.seed,
        first.seed,
        drawn(config(mir1k_dir, "--seed", 1))[1][1].seed,
    }
    assert len(seeds) == 4


def test_all_sets_last_equally_long_in_every_process(mir1k_dir):
    conf = config(mir1k_dir, "--draws_per_epoch", 26)
    conf["more_data"]["detection"]["batch_size"] = 3
    loaders = build_loaders(conf, build_model(conf), 0, 2)
    assert loaders.steps == 3 == len(list(loaders.train))
    for epoch in (0, 1):
        (a, _), (b, _) = drawn(conf, 2, 0, epoch)
        (c, _), (d, _) = drawn(conf, 2, 1, epoch)
        assert sorted(a + c) == list(range(26 * epoch, 26 * epoch + 26))
        assert sorted(b + d) == list(range(18 * epoch, 18 * epoch + 18))


# ------------------------------------------------------------------ configuration


def test_a_further_set_is_described_by_what_differs(corpus_dir, jamendo_dir):
    conf = config(corpus_dir, "--jamendo_dir", jamendo_dir, recipe=BOTH)
    (name, other), *rest = further_sets(conf).items()
    assert name == "detection" and not rest and "more_data" not in other
    assert other["data"]["data_dir"] == str(jamendo_dir)
    assert other["data"]["segment_sec"] == conf["data"]["segment_sec"]
    assert other["data"]["hide"] == [] and other["data_args"] == {}
    assert other["training"]["batch_size"] == 4
    dataset = build_dataset(other, "train")
    assert type(dataset).__name__ == "Jamendo" and dataset.sample_rate == 16000
    first = build_dataset(conf, "train")
    assert isinstance(first, Hidden) and not isinstance(build_dataset(conf, "valid"), Hidden)


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ({"bach_size": 3}, "The set x has no key 'bach_size'"),
        ({"data_dir": "$nowhere"}, "the set x: there is no key 'nowhere' in data"),
        ({"batch_size": 0}, "The set x needs a batch_size"),
        ("mir1k", "describe it by keys"),
        ({"dataset": "nothing"}, "Unknown dataset"),
        ({"hide": ["stems"]}, "Expected hide to list some of"),
    ],
)
def test_sets_that_make_no_sense_are_refused(mir1k_dir, described, message):
    conf = config(mir1k_dir)
    conf["more_data"] = {"x": described}
    with pytest.raises(ConfigError, match=message):
        build_loaders(conf, build_model(conf))


def test_sets_that_do_not_fit_the_model_are_refused(mir1k_dir, jamendo_dir):
    conf = config(mir1k_dir)
    conf["more_data"] = {
        "x": {"dataset": "jamendo", "data_args": {"data_dir": str(jamendo_dir), "n_channels": 2}}
    }
    with pytest.raises(DataError, match="Jamendo and VocalDetectionUNet do not fit: the number of"):
        build_loaders(conf, build_model(conf))


def test_overlays_add_and_remove_sets():
    base = {"data": {"a": 1}, "more_data": {"one": {"a": 2}}}
    merged = overlay(base, {"more_data": {"one": None, "two": {"a": 3}}})
    assert merged["more_data"] == {"two": {"a": 3}}


def test_the_papers_controls_see_one_kind_of_label(mir1k_dir):
    joint = config(mir1k_dir)
    for name, terms in (("svs", {"log_magnitude"}), ("svd", {"activity"})):
        conf = config(mir1k_dir, overlays=f"{name},debug")
        assert not conf["more_data"] and set(conf["loss"]) == terms
        loaders = build_loaders(conf, build_model(conf))
        batch = next(iter(loaders.train))
        assert batch["has_sources"].all() == (name == "svs")
        assert batch["has_activity"].all() == (name == "svd")
        for key in ("epochs", "draws_per_epoch", "batch_size", "seed", "valid_clips"):
            assert conf["training"][key] == joint["training"][key]  # the same budget
        assert conf["optim"] == joint["optim"] and conf["model"] == joint["model"]


def test_extra_sections_are_an_overlay(mir1k_dir):
    conf = config(mir1k_dir, overlays="svs,extra_nonvocal,debug")
    conf["data"]["extra_nonvocal"]["min_sec"] = 0.1
    draws = build_loaders(conf, build_model(conf)).train.dataset
    assert isinstance(draws, ExtraNonVocal) and draws.probability == 3 / 4  # of three clips and one
    names = [draws[number].name.split("_")[0] for number in range(60)]
    assert {"amy", "fdps"} == set(names) and names.count("fdps") < 30
    assert all(draws[number].activity is None for number in range(60))  # hidden, and stays so


# ------------------------------------------------------------------ training


def logged(exp_dir: Path) -> dict[str, list[float]]:
    """Columns of all CSV logs."""
    columns: dict[str, list[float]] = {}
    for path in sorted(exp_dir.glob("csv_log/version_*/metrics.csv")):
        with open(path, newline="") as file:
            for row in csv.DictReader(file):
                for key, value in row.items():
                    columns.setdefault(key, []).extend([float(value)] if value else [])
    return columns


def weights(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)["state_dict"]


def test_two_models_are_kept_and_a_resumed_run_ends_alike(mir1k_dir, tmp_path):
    for name, parts in (("whole", (3,)), ("cut", (1, 3))):
        for epochs in parts:
            options = ["--epochs", epochs, "--exp_dir", tmp_path / name, "--schedule", "step"]
            train(config(mir1k_dir, *options))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for kind in ("best_model.pth", "best_val_log_magnitude.pth", "checkpoints/last.ckpt"):
        for key, value in weights(whole / kind).items():
            torch.testing.assert_close(weights(cut / kind)[key], value, rtol=1e-6, atol=1e-7)
    columns = logged(whole)
    aucs, errors = columns["val_auc"], columns["val_log_magnitude"]
    assert len(aucs) == len(errors) == 3 and columns["val_nsdr"]
    for file, best in (
        ("best_model", np.argmax(aucs)),
        ("best_val_log_magnitude", np.argmin(errors)),
    ):
        infos = torch.load(whole / f"{file}.pth", weights_only=True)["infos"]
        assert infos["run_facts"]["best"].startswith(f"epoch={best:03d}")
    scores = json.loads((whole / "best_k_models.json").read_text())
    assert sorted(scores.values()) == pytest.approx(sorted(aucs))
    conf = config(mir1k_dir, "--exp_dir", cut, "--epochs", 4)
    conf["more_data"]["detection"]["hide"] = ["f0"]
    with pytest.raises(DataError, match="was started with another more_data"):
        train(conf)


def test_val_auc_is_of_all_frames_together(mir1k_dir, tmp_path):
    path = train(config(mir1k_dir, *EPOCHS, "--exp_dir", tmp_path, "--ema", 0, "--valid_clips", 0))
    model = VocalDetectionUNet.from_pretrained(path)
    dataset = build_dataset(config(mir1k_dir), "valid")
    frames = []
    for index in range(len(dataset)):
        example = dataset.example(index, model.pitch_grid)
        with torch.inference_mode():
            out = model.forward_joint(torch.from_numpy(example.mixture)[None])
        frames.append((example.activity, out.activity_logits[0].numpy()))
    labels, scores = (np.concatenate(x) for x in zip(*frames, strict=True))
    assert logged(tmp_path)["val_auc"][-1] == pytest.approx(auc(labels, scores), abs=1e-5)


def test_one_class_in_validation_is_one_sentence(mir1k_dir, tmp_path):
    root = tmp_path / "data"
    (root / "vocal-nonvocalLabel").mkdir(parents=True)
    for name in ("Wavfile", "PitchLabel"):
        (root / name).symlink_to(mir1k_dir / name)
    for path in (mir1k_dir / "vocal-nonvocalLabel").iterdir():
        rows = np.loadtxt(path)
        np.savetxt(root / "vocal-nonvocalLabel" / path.name, np.ones_like(rows), fmt="%d")
    with pytest.raises(
        DataError, match="Validation gave no val_auc, .* another --monitor .*val_loss"
    ):
        train(config(root, *EPOCHS, "--exp_dir", tmp_path / "exp"))


def test_every_validated_set_counts_for_the_terms_it_has_labels_for(
    corpus_dir, jamendo_dir, tmp_path
):
    options = [*EPOCHS, "--ema", 0, "--jamendo_dir", jamendo_dir, "--exp_dir", tmp_path]
    conf = config(corpus_dir, *options, recipe=BOTH)
    loaders = build_loaders(conf, build_model(conf))
    batches = list(loaders.valid)
    assert [bool(batch["has_sources"][0]) for batch in batches] == [True, True, False, False]
    path = train(conf)
    model = VocalDetectionUNet.from_pretrained(path)
    terms = system_on(conf, model)
    errors = [
        float(terms.loss_func.reduce([terms.common_step(batch, 0)[0]])["log_magnitude"])
        for batch in batches[:2]
    ]
    # Jamendo's songs, which have no stems, do not count as perfectly separated
    assert logged(tmp_path)["val_log_magnitude"][-1] == pytest.approx(np.mean(errors), rel=1e-4)
    argv = ["--exp_dir", str(tmp_path), "--device", "cpu", "--set", "detection"]
    eval_main(str(BOTH / "eval.py"), argv)
    results = json.loads((tmp_path / "eval_model_test_detection/final_metrics.json").read_text())
    assert results["dataset"] == "jamendo" and results["n_clips"] == 2
    assert results["metrics"]["auc"]["n"] == 2 and "sdr" not in results["metrics"]
    assert not (tmp_path / "final_metrics.json").exists()
    second = tmp_path / "best_val_log_magnitude.pth"
    eval_main(str(BOTH / "eval.py"), [*argv, "--side", "valid", "--model", str(second)])
    assert (
        tmp_path / "eval_model_valid_best_val_log_magnitude_detection/all_metrics.csv"
    ).is_file()
    with pytest.raises(SystemExit, match="no further set 'other'"):
        eval_main(str(BOTH / "eval.py"), [*argv[:-1], "other"])
    stored = yaml.safe_load((tmp_path / "conf.yml").read_text())
    assert stored["more_data"]["detection"]["data_dir"] == "$jamendo_dir"


def test_all_sets_are_checked_before_hours_are_spent(corpus_dir, jamendo_dir, tmp_path, capsys):
    argv = ["--overlay", "debug", "--data_dir", str(corpus_dir), "--jamendo_dir", str(jamendo_dir)]
    prepare_main(str(BOTH / "local/prepare.py"), argv)
    first, second = capsys.readouterr().out.split("set detection:")
    assert [line.split()[-1] for line in first.splitlines()[1:4]] == ["0", "2", "2"]  # hidden
    assert [line.split()[-1] for line in second.splitlines()[2:5]] == ["2", "2", "2"]
    broken = tmp_path / "jamendo"
    broken.mkdir()
    for path in jamendo_dir.iterdir():
        (broken / path.name).symlink_to(path)
    (broken / "jamendo_lab").unlink()
    (broken / "labels").mkdir()
    for path in (jamendo_dir / "jamendo_lab").iterdir():
        (broken / "labels" / path.name).write_text("2 1 sing\n")
    with pytest.raises(SystemExit, match="song.lab, line 1: .* ends before it starts"):
        prepare_main(str(BOTH / "local/prepare.py"), [*argv[:-1], str(broken)])

"""The recipe on records: sets by name, each of which may be left out, and their shares."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, run_command

from asteroid_joint.data import agreed
from asteroid_joint.data.resident import Store
from asteroid_joint.engine.recipe import prepare_main
from asteroid_joint.engine.training.build import build_dataset
from asteroid_joint.engine.training.config import parse_recipe_args, recipe_config
from asteroid_joint.pitch import PitchGrid

RECIPES = ROOT / "recipes/records"
SHARES = {  # of voices and accompaniments
    "mir1k": (0.34, 0.12),
    "corpus": (0.12, 0.1),
    "musdb7": (0.17, 0.2),
    "eir": (0.08, 0.08),
    "mt5": (0.08, 0.1),
    "csd": (0.07, 0.0),
    "ssvd": (0.14, 0.0),
    "music": (0.0, 0.4),
}


def shares(recipe: str, *options: str) -> dict[str, tuple[float, float]]:
    """Sums of the weights of the clips that a recipe trains on, by set."""
    conf = parse_recipe_args(RECIPES / recipe, list(options))
    dataset = build_dataset(conf, "train")
    store = Store(dataset, PitchGrid(320, 16000), torch.device("cpu"))
    found: dict[str, tuple[float, float]] = {}
    weights = zip(dataset.voice_weights, dataset.rest_weights, strict=True)
    for clip, kept, (voice, rest) in zip(dataset.clips, store.recordings, weights, strict=True):
        assert ((0, 0) in kept.numbers) == (voice > 0)
        assert ((1, 0) in kept.numbers) == (rest > 0)
        voices, rests = found.get(name := clip.name.partition("/")[0], (0.0, 0.0))
        found[name] = voices + voice, rests + rest
    return found


def test_every_set_has_its_share(records_dir):
    found = shares("DJCM", "--data_dir", str(records_dir))
    assert found == {name: pytest.approx(share) for name, share in SHARES.items()}


def test_sets_are_left_out_by_an_empty_folder_or_found_elsewhere(records_dir, tmp_path):
    elsewhere = shutil.copytree(records_dir / "csd", tmp_path / "choir")
    left_out = [f"--{name}_dir=" for name in ("mt5", "ssvd", "musdb7", "music")]
    options = ["--data_dir", str(records_dir), "--csd_dir", str(elsewhere), *left_out]
    assert set(shares("JointDTTNet", *options)) == {"mir1k", "corpus", "eir", "csd"}


def test_both_recipes_train_on_the_same(tmp_path):
    djcm, dttnet = (recipe_config(RECIPES / name) for name in ("DJCM", "JointDTTNet"))
    for group in ("data", "data_args", "loss", "loss_args", "training"):
        assert djcm[group] == dttnet[group]
    assert (djcm["optim"]["lr"], dttnet["optim"]["lr"]) == (8e-4, 1.2e-3)  # the recipe's own
    assert djcm["data"]["pitch_tempo"] == 0.0  # from the base of all recipes
    shutil.copytree(RECIPES / "DJCM", tmp_path / "a/b")  # on its own
    assert set(recipe_config(tmp_path / "a/b")) == {"model"}


def test_licences_of_all_sets_stand_in_the_weights(records_dir):
    conf = parse_recipe_args(RECIPES / "DJCM", ["--data_dir", str(records_dir)])
    infos = build_dataset(conf, "train").infos
    licences = {licence["title"]: licence["license"] for licence in infos["licenses"]}
    assert len(licences) == len(SHARES)
    assert licences["Everything is remixed"] == "CC0"
    assert licences["Choral Singing Dataset"] == "CC BY 4.0"


def test_missing_sets_are_one_sentence(records_dir, tmp_path):
    for name in ("_common", "records"):  # a copy, as a run leaves folders behind
        shutil.copytree(ROOT / "recipes" / name, tmp_path / name)
    script = tmp_path / "records/DJCM/run.sh"
    data = ["--data_dir", records_dir, "--stop_stage", 0]
    done = run_command("bash", script, *data, "--ssvd_dir", "nowhere", "--mt5_dir", "/none")
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert f"there is no /none {records_dir}/nowhere: recipes/records/README.md" in done.stderr
    assert "leaves a set out, as in --ssvd_dir ''" in done.stderr
    done = run_command("bash", script, *data, "--ssvd_dir", "")
    assert done.returncode == 0, done.stderr
    prepare = str(RECIPES / "DJCM/local/prepare.py")
    with pytest.raises(
        SystemExit, match="prepare.py: There is no folder .*nowhere for the part ss"
    ):
        prepare_main(prepare, ["--data_dir", str(records_dir), "--ssvd_dir", "nowhere"])


def test_voices_are_labelled_first_where_that_is_wanted(records_dir, tmp_path, capsys, monkeypatch):
    data = Path(shutil.copytree(records_dir, tmp_path / "data", symlinks=True))
    (data / "csd/vocals_f0.csv").unlink()
    (data / "eir/song/vocals_f0.csv").unlink()
    heard = []
    monkeypatch.setattr(agreed, "make_trackers", lambda settings: (None, None))
    monkeypatch.setattr(
        agreed, "agreed_f0", lambda audio, *_: heard.append(audio.path.name) or np.full(50, 220.0)
    )
    left_out = [f"--{name}_dir=" for name in ("corpus", "music", "mt5")]
    options = ["--data_dir", str(data), *left_out, "--label_voices", "true"]
    prepare_main(str(RECIPES / "DJCM/local/prepare.py"), options)
    said = capsys.readouterr().out
    assert said.startswith("agreed F0 of 2 voices: 100 % of frames voiced, 0 % unknown\n")
    assert sorted(heard) == ["vocals.ogg", "vocals.wav"]
    assert "no singer and no song is on two sides" in said
    assert (data / "csd/vocals_f0.csv").is_file() and (data / "eir/song/vocals_f0.csv").is_file()

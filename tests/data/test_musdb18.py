"""What is special to MUSDB18: its validation tracks, its recipes, a real song in its layout."""

import importlib.util
import json
import shutil
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import ROOT, STEMS

from asteroid_joint.data import Multitrack
from asteroid_joint.data.multitrack import musdb18_valid_tracks
from asteroid_joint.data.teacher import TeacherSettings, label_vocals
from asteroid_joint.engine.recipe import eval_main, prepare_main, train_main
from asteroid_joint.engine.training.build import build_model, build_optimizer
from asteroid_joint.engine.training.config import parse_recipe_args
from asteroid_joint.errors import ConfigError, DataError, UserError
from asteroid_joint.inference.separate import separate_array
from asteroid_joint.losses import build_loss
from asteroid_joint.metrics.separation import sdr
from asteroid_joint.models.pretrained import load_model

TINY = TeacherSettings("tiny")


def test_the_published_validation_tracks_are_read_without_importing_musdb(tracks, monkeypatch):
    imported = "musdb" in sys.modules
    names = musdb18_valid_tracks()
    assert ("musdb" in sys.modules) == imported  # an import would demand ffmpeg
    assert len(names) == 14 and "Actions - One Minute Smile" in names
    with pytest.raises(DataError, match="has no track ANiMAL - Rockshow: correct valid_tracks"):
        Multitrack(str(tracks), "train", valid_tracks="musdb18")
    with pytest.raises(ConfigError, match="must be a list of names or musdb18"):
        Multitrack(str(tracks), "train", valid_tracks="musdb")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="musdb is not installed"):
        musdb18_valid_tracks()


def test_a_folder_of_its_own_comes_before_the_published_tracks(corpus_dir):
    for side in ("train", "valid"):
        dataset = Multitrack(str(corpus_dir), side, valid_tracks="musdb18")
        names = {path.name for path in (corpus_dir / side).iterdir()}
        assert {clip.name for clip in dataset.clips} == names


def test_a_real_song_from_stempeg_loads(tmp_path):
    """The stems of the song in stempeg's wheel, decoded without ffmpeg's programs."""
    spec = importlib.util.find_spec("stempeg")
    song = min(Path(spec.submodule_search_locations[0]).rglob("*.stem.mp4"))
    folder = tmp_path / "train" / song.name.removesuffix(".stem.mp4")
    folder.mkdir(parents=True)
    wavs = {}
    for index, name in enumerate(("mixture", "drums", "bass", "other", "vocals")):
        with av.open(str(song)) as container:
            stream = container.streams.audio[index]
            frames = [frame.to_ndarray() for frame in container.decode(stream)]
            wavs[name] = np.concatenate(frames, 1).T
            rate = stream.rate
    for name, wav in wavs.items():
        sf.write(folder / f"{name}.wav", wav, rate, subtype="FLOAT")
    dataset = Multitrack(str(tmp_path), "train", sources=STEMS)
    mixture, sources = dataset.read(0, 0, rate)
    assert (dataset.sample_rate, dataset.n_channels) == (44100, 2) and mixture.shape == (2, rate)
    error = sources.sum(0) - mixture  # a lossy codec: nearly
    assert np.sum(error**2) < 0.05 * np.sum(mixture**2)
    # one second and a half of it, labelled
    short = {name: wav[: 3 * rate // 2] for name, wav in wavs.items()}
    for name, wav in short.items():
        sf.write(folder / f"{name}.wav", wav, rate, subtype="FLOAT")
    label_vocals(tmp_path, tmp_path / "labels", TINY, "cpu", progress=False)
    taught = Multitrack(str(tmp_path), "train", labels_dir=str(tmp_path / "labels"))
    assert taught.f0_at(0, np.arange(0, 1.5, 0.02)).shape == (75,)


def test_musdb18_is_asked_for_where_it_is_not(tmp_path, run):
    script = ROOT / "recipes/musdb18/JointXUMX/run.sh"
    done = run("bash", script, "--data_dir", tmp_path)
    assert done.returncode == 1 and "zenodo.3338373" in done.stderr
    assert f"no MUSDB18-HQ in {tmp_path} (no train/<track>/vocals.wav)" in done.stderr


def test_musdb18_recipes_are_the_published_configurations():
    confs = {
        name: parse_recipe_args(ROOT / "recipes/musdb18" / name, [])
        for name in ("JointXUMX", "JointXD3Net", "JointXConvTasNet")
    }
    for conf in confs.values():
        data, loss_args = conf["data"], conf["loss_args"]
        assert conf["model"]["preset"] == "paper" and loss_args["multi_domain_combination"]
        assert data["remix_stems"] and data["remix"] == 1 and data["swap_channels"] == 0.5
        assert not any(data[k] for k in ("gain_db", "level_db", "speed_semitones", "silence"))
        assert conf["data_args"]["sources"] == ["vocals", "drums", "bass", "other"]
        assert conf["training"]["draws_per_epoch"] == 64 * (100 - 14)
        assert conf["optim"]["optimizer"] == "adam" and conf["optim"]["lr"] == 1e-3
        build_loss(conf["loss"], loss_args)
    umx, d3, tasnet = confs.values()
    assert (umx["data"]["stem_gain_min"], d3["data"]["stem_gain_min"]) == (0.25, 0.75)
    optim = umx["optim"]
    assert (optim["schedule"], optim["decay"], optim["weight_decay"]) == ("plateau", 0.3, 1e-5)
    assert (optim["plateau_patience"], optim["plateau_cooldown"]) == (80, 10)
    training, optim = d3["training"], d3["optim"]
    steps_per_epoch = training["draws_per_epoch"] // training["batch_size"]
    assert (training["epochs"], training["batch_size"]) == (50, 6)
    assert optim["decay_steps"] == 40 * steps_per_epoch and optim["decay"] == 0.1
    assert round(44100 * tasnet["data"]["segment_sec"]) == 80000
    assert tasnet["training"]["epochs"] == 180


def test_dttnet_is_the_published_configuration_of_every_stem():
    recipe = ROOT / "recipes/musdb18/JointDTTNet"
    sizes = {"separator": 4_958_468, "drums": 4_958_468, "bass": 4_184_388, "other": 4_958_468}
    for overlay, n_parameters in sizes.items():
        conf = parse_recipe_args(recipe, ["--overlay", overlay])
        with torch.device("meta"):
            model = build_model(conf)
        assert sum(p.numel() for p in model.parameters()) == n_parameters and not model.has_pitch
        first = "vocals" if overlay == "separator" else overlay
        assert list(model.sources) == conf["data_args"]["sources"] == [first, "accompaniment"]
        assert {first, *conf["data_args"]["accompaniment"]} == set(STEMS)
        assert build_loss(conf["loss"], conf["loss_args"]).weights == {"waveform": 1.0}
        small = build_model(parse_recipe_args(recipe, ["--overlay", f"small,{overlay},small"]))
        assert small.sources == model.sources and not small.has_pitch and small.fold.fold == 16
    conf = parse_recipe_args(recipe, [])
    data = conf["data"]
    assert round(44100 * data["segment_sec"]) == 1024 * 255
    assert data["remix_stems"] and data["remix"] == 1 and data["pitch_tempo"] == 24 / 25
    assert (data["pitch_semitones"], data["tempo_percent"]) == (2.0, 20.0)
    assert not any(data[k] for k in ("gain_db", "level_db", "speed_semitones", "silence"))
    (group,) = build_optimizer(conf, small, 10)[0].param_groups
    assert type(build_optimizer(conf, small, 10)[0]) is torch.optim.AdamW
    assert (group["lr"], group["weight_decay"], group["betas"]) == (2e-4, 0.01, (0.9, 0.999))
    optimizer, schedule = build_optimizer(conf, small, 10)
    for _ in range(3):
        optimizer.step()
        schedule["scheduler"].step()
    assert optimizer.param_groups[0]["lr"] == 2e-4


def test_another_stem_is_trained_and_evaluated_without_labels(tracks, tmp_path, capsys):
    """All stages for the drums; no teacher is asked, and every metric is that of the drums."""
    recipe = ROOT / "recipes/musdb18/JointDTTNet"
    data = tmp_path / "data"
    for side in ("train", "test"):
        shutil.copytree(tracks / side, data / side)
    shutil.copytree(tracks / "test/four", data / "valid/six")
    (data / "valid/six/meta.json").unlink()
    options = ["--overlay", "debug,drums", "--preset", "tiny", "--data_dir", str(data)]
    options += ["--epochs", "1", "--draws_per_epoch", "4", "--exp_dir", str(tmp_path / "exp")]
    options += ["--labels_dir", str(tmp_path / "labels")]
    prepare_main(str(recipe / "local/prepare.py"), options)
    assert "labels of" not in capsys.readouterr().out and not (tmp_path / "labels").exists()
    train_main(str(recipe / "train.py"), options)
    argv = ["--exp_dir", str(tmp_path / "exp"), "--native", "--device", "cpu", "--museval"]
    eval_main(str(recipe / "eval.py"), argv)
    (results,) = (tmp_path / "exp").glob("eval_model_test_native")
    final = json.loads((results / "final_metrics.json").read_text())
    assert final["sources"] == ["drums", "accompaniment"] and "rpa" not in final["metrics"]
    model = load_model(tmp_path / "exp/best_model.pth")
    expected = []
    for track in ("four", "five"):
        mixture, drums = (
            sf.read(tracks / "test" / track / f"{name}.wav", dtype="float32")[0].T
            for name in ("mixture", "drums")
        )
        expected.append(sdr(drums, separate_array(model, mixture, 44100).stems[0]))
    assert final["metrics"]["sdr"]["mean"] == pytest.approx(np.mean(expected), abs=1e-3)
    lines = (results / "museval_row.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| drums", "| accompaniment"]
    assert "museval_sdr_drums" in final["metrics"] and len(list(results.rglob("*.png"))) == 2

"""What is special to MUSDB18: its validation tracks, its recipes, a real song in its layout."""

import importlib.util
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from conftest import ROOT, STEMS

from asteroid_joint.data import Multitrack
from asteroid_joint.data.multitrack import musdb18_valid_tracks
from asteroid_joint.data.teacher import TeacherSettings, label_vocals
from asteroid_joint.engine.config import parse_recipe_args
from asteroid_joint.errors import ConfigError, DataError, UserError
from asteroid_joint.losses import build_loss

TINY = TeacherSettings("tiny")


def test_the_published_validation_tracks_are_read_without_importing_musdb(tracks, monkeypatch):
    imported = "musdb" in sys.modules
    names = musdb18_valid_tracks()
    assert ("musdb" in sys.modules) == imported  # an import would demand ffmpeg
    assert len(names) == 14 and "Actions - One Minute Smile" in names
    with pytest.raises(DataError, match="has no track ANiMAL - Rockshow: correct valid_tracks"):
        Multitrack(str(tracks), "train", valid_tracks="musdb18")
    with pytest.raises(ConfigError, match="give a list of names, or musdb18"):
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

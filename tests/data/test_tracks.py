"""Everything there is to draw from, clip by clip: voices, accompaniments, labels, weights."""

import itertools

import numpy as np
import pytest

from asteroid_joint.data import MIR1K, Blend, Clip, JointDataset, Multitrack, SoloVoice
from asteroid_joint.pitch import PitchGrid

GRID = PitchGrid(320, 16000)


def test_a_track_is_its_clip(mir1k_dir):
    dataset = MIR1K(str(mir1k_dir), "train")
    tracks = list(dataset.tracks(GRID))
    assert [(t.name, t.song, t.singer) for t in tracks] == [c[:3] for c in dataset.clips]
    for index, track in enumerate(tracks):
        example = dataset.example(index, GRID)
        np.testing.assert_array_equal(track.voice, example.sources[0])
        np.testing.assert_array_equal(track.accompaniment, example.sources[1])
        np.testing.assert_array_equal(track.f0_hz, example.f0_hz)
        np.testing.assert_array_equal(track.activity, example.activity)
        assert (track.sources_quality, track.f0_quality) == (1.0, None)
        assert track.voice_weight == track.rest_weight == dataset.clips[index].n_samples


def test_the_accompaniment_is_the_sum_of_all_stems_but_the_voice(tracks):
    stems = ("vocals", "drums", "bass", "other")
    dataset = Multitrack(str(tracks), "train", sources=stems)
    track = next(dataset.tracks(PitchGrid(882, 44100)))
    _, sources = dataset.read(0)
    np.testing.assert_array_equal(track.voice, sources[0])
    np.testing.assert_array_equal(track.accompaniment, sources[1:].sum(0))


def test_what_a_set_lacks_is_none_and_is_not_read(voices, monkeypatch):
    dataset = SoloVoice(str(voices), "train")
    monkeypatch.setattr(SoloVoice, "rest_weights", property(lambda self: np.ones(len(self))))
    monkeypatch.setattr(SoloVoice, "voice_weights", property(lambda self: np.zeros(len(self))))
    for track in dataset.tracks(PitchGrid(441, 22050)):
        assert track.voice is None and track.voice_weight == 0.0
        assert not track.accompaniment.any() and track.rest_weight == 1.0
    monkeypatch.setattr(SoloVoice, "rest_weights", property(lambda self: np.zeros(len(self))))
    monkeypatch.setattr(SoloVoice, "read", None)  # nothing is wanted: nothing may be read
    assert list(dataset.tracks(GRID)) == []


def test_a_blend_gives_its_shares_and_levels(mir1k_dir, tracks, voices):
    form = {"sample_rate": 16000, "n_channels": 1}
    parts = [
        {"dataset": "mir1k", "data_dir": str(mir1k_dir), "voice": 0.34, "rest": 0.12},
        {"dataset": "multitrack", "data_dir": str(tracks), "voice": 0.0, "rest": 0.4, **form},
        {"dataset": "solo", "data_dir": str(voices), "voice": 0.14, "dub": True, **form},
    ]
    found: dict[str, list] = {}
    for track in Blend("train", parts).tracks(GRID):
        found.setdefault(track.name.partition("/")[0], []).append(track)
    sums = {
        name: (sum(t.voice_weight for t in them), sum(t.rest_weight for t in them))
        for name, them in found.items()
    }
    assert sums == {
        "mir1k": pytest.approx((0.34, 0.12)),
        "multitrack": pytest.approx((0.0, 0.4)),
        "solo": pytest.approx((0.14, 0.0)),
    }
    assert all(t.voice is None for t in found["multitrack"])
    for track in found["solo"]:
        assert track.accompaniment is None
        assert np.sqrt(np.mean(track.voice**2)) == pytest.approx(0.1, rel=1e-4)  # -20 dB
        assert len(track.f0_hz) == GRID.n_frames(track.voice.shape[-1])


def test_pieces_of_a_clip_share_its_weight_and_add_up(mir1k_dir):
    dataset = MIR1K(str(mir1k_dir), "train")
    whole = list(dataset.tracks(GRID))
    pieces = list(dataset.tracks(GRID, piece_sec=0.8))
    assert len(pieces) == 3 * len(whole)
    assert all(piece.voice.shape[-1] <= 0.82 * 16000 for piece in pieces)
    by_clip = itertools.groupby(pieces, lambda piece: piece.name)
    for one, (name, parts) in zip(whole, by_clip, strict=True):
        them = list(parts)
        assert name == one.name
        np.testing.assert_array_equal(np.concatenate([t.voice for t in them], -1), one.voice)
        np.testing.assert_array_equal(np.concatenate([t.f0_hz for t in them]), one.f0_hz)
        assert sum(t.voice_weight for t in them) == pytest.approx(one.voice_weight)


def test_tracks_are_read_one_at_a_time(mir1k_dir, monkeypatch):
    dataset, read = MIR1K(str(mir1k_dir), "train"), []
    plain = MIR1K.read
    monkeypatch.setattr(MIR1K, "read", lambda self, *args: read.append(args) or plain(self, *args))
    tracks = dataset.tracks(GRID)
    assert not read
    next(tracks)
    assert len(read) == 1


def test_clips_without_stems_are_left_out():
    class Mixtures(JointDataset):
        clips = [Clip("a", "a", "", 8)]

        def read(self, index, start=0, n_samples=None):
            return np.zeros((1, 8), np.float32), None

    assert list(Mixtures().tracks(GRID)) == []

"""What resident training keeps of a dataset: voices, accompaniments, labels, by their weights."""

import itertools

import numpy as np
import pytest
import torch

from asteroid_joint.data import MIR1K, Blend, Multitrack, SoloVoice, WholeClips
from asteroid_joint.data.plans import Plan
from asteroid_joint.data.resident import ResidentExamples, Store
from asteroid_joint.errors import DataError
from asteroid_joint.pitch import PitchGrid

GRID = PitchGrid(320, 16000)
CPU = torch.device("cpu")


def kept(store: Store, index: int) -> dict[int, tuple[np.ndarray, float]]:
    """Stems ``(C, T)`` of a clip in a store, and how far 16 bits may be from what was read."""
    stems = {}
    for (source, _), number in store.recordings[index].numbers.items():
        first, scale = int(store.first[number]), float(store.scale[number])
        wav = store.wav[:, first : first + int(store.length[number])].numpy() * scale
        stems[source] = wav, 0.51 * scale
    return stems


def test_a_store_has_every_clip_with_its_labels(mir1k_dir):
    dataset = MIR1K(str(mir1k_dir), "train")
    store = Store(dataset, GRID, CPU)
    assert len(store.recordings) == len(dataset.clips)
    for index, clip in enumerate(dataset.clips):
        example = dataset.example(index, GRID)
        assert (example.name, example.song) == clip[:2]
        stems = kept(store, index)
        assert sorted(stems) == [0, 1]
        for source, (wav, atol) in stems.items():
            read = dataset.read_source(index, source)
            np.testing.assert_array_equal(read, example.sources[source])
            np.testing.assert_allclose(wav, read, rtol=0, atol=atol)
        plan = Plan(index, 0, 1.0, clip.name, clip.song, 1.0)
        labels = store.labels([plan], len(example.f0_hz))
        np.testing.assert_array_equal(labels.f0_hz[0], np.float32(example.f0_hz))
        np.testing.assert_array_equal(labels.activity[0], np.float32(example.activity))
        assert dataset.sources_quality(index) == 1.0 and bool((labels.f0_quality == 1).all())
        assert dataset.voice_weights[index] == dataset.rest_weights[index] == clip.n_samples


def test_the_accompaniment_is_the_sum_of_all_stems_but_the_voice(tracks):
    stems = ("vocals", "drums", "bass", "other")
    dataset = Multitrack(str(tracks), "train", sources=stems)
    (voice, error), *rest = kept(Store(dataset, PitchGrid(882, 44100), CPU), 0).values()
    _, sources = dataset.read(0)
    np.testing.assert_allclose(voice, sources[0], rtol=0, atol=error)
    found, errors = (sum(values) for values in zip(*rest, strict=True))
    np.testing.assert_allclose(found, sources[1:].sum(0), rtol=0, atol=errors)


def weigh(monkeypatch, voice: float, rest: float) -> None:
    """Give all solo voices these weights."""
    for name, weight in (("voice_weights", voice), ("rest_weights", rest)):
        constant = property(lambda self, weight=weight: np.full(len(self), weight))
        monkeypatch.setattr(SoloVoice, name, constant)


def test_what_a_set_lacks_is_not_kept_and_not_read(voices, monkeypatch):
    dataset = SoloVoice(str(voices), "train")
    grid = PitchGrid(441, 22050)
    weigh(monkeypatch, 0.0, 1.0)
    store = Store(dataset, grid, CPU)
    for index in range(len(dataset)):
        stems = kept(store, index)
        assert list(stems) == [1] and not stems[1][0].any()
    weigh(monkeypatch, 0.0, 0.0)
    monkeypatch.setattr(SoloVoice, "read", None)  # nothing is wanted: nothing may be read
    with pytest.raises(DataError, match="^No clip provides a voice"):
        ResidentExamples(dataset, grid, 4410, 0, CPU)


def test_a_blend_gives_its_shares_and_levels(mir1k_dir, tracks, voices):
    form = {"sample_rate": 16000, "n_channels": 1}
    parts = [
        {"dataset": "mir1k", "data_dir": str(mir1k_dir), "voice": 0.34, "rest": 0.12},
        {"dataset": "multitrack", "data_dir": str(tracks), "voice": 0.0, "rest": 0.4, **form},
        {"dataset": "solo", "data_dir": str(voices), "voice": 0.14, "dub": True, **form},
    ]
    blend = Blend("train", parts)
    store = Store(blend, GRID, CPU)
    sums: dict[str, np.ndarray] = {}
    weights = np.stack([blend.voice_weights, blend.rest_weights], 1)
    for index, clip in enumerate(blend.clips):
        kind = clip.name.partition("/")[0]
        sums[kind] = sums.get(kind, np.zeros(2)) + weights[index]
        stems = kept(store, index)
        assert list(stems) == {"mir1k": [0, 1], "multitrack": [1], "solo": [0]}[kind]
        if kind == "solo":
            wav, _ = stems[0]
            assert np.sqrt(np.mean(wav**2)) == pytest.approx(0.1, rel=1e-4)  # -20 dB
            n_frames = GRID.n_frames(wav.shape[-1])
            assert len(blend.f0_at(index, GRID.times(n_frames))) == n_frames
    assert {kind: tuple(found) for kind, found in sums.items()} == {
        "mir1k": pytest.approx((0.34, 0.12)),
        "multitrack": pytest.approx((0.0, 0.4)),
        "solo": pytest.approx((0.14, 0.0)),
    }


def test_pieces_of_a_clip_add_up(mir1k_dir):
    dataset = MIR1K(str(mir1k_dir), "train")
    pieces = list(WholeClips(dataset, GRID, piece_sec=0.8))
    assert len(pieces) == 3 * len(dataset)
    assert all(piece.mixture.shape[-1] <= 0.82 * 16000 for piece in pieces)
    by_clip = itertools.groupby(pieces, lambda piece: piece.name)
    for one, (name, parts) in zip(WholeClips(dataset, GRID), by_clip, strict=True):
        them = list(parts)
        assert name == one.name
        for stem in (0, 1):
            joined = np.concatenate([piece.sources[stem] for piece in them], -1)
            np.testing.assert_array_equal(joined, one.sources[stem])
        np.testing.assert_array_equal(np.concatenate([p.f0_hz for p in them]), one.f0_hz)


def test_clips_are_read_one_at_a_time(mir1k_dir, monkeypatch):
    dataset, read = MIR1K(str(mir1k_dir), "train"), []
    plain = MIR1K.read
    monkeypatch.setattr(MIR1K, "read", lambda self, *args: read.append(args) or plain(self, *args))
    clips = iter(WholeClips(dataset, GRID, piece_sec=0.8))
    assert not read
    next(clips)
    assert len(read) == 1

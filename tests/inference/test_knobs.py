"""Knobs of pitch and notes: where each acts, in both runtimes, whole or in parts."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import soundfile as sf
import torch
from fake_models import FourStems

from asteroid_joint import JointModel, JointOutput, PitchGrid
from asteroid_joint.errors import ConfigError
from asteroid_joint.inference.curve import RowSampler, sample_rows
from asteroid_joint.inference.fast.choice import as_runner
from asteroid_joint.inference.fast.runner import Runner, RunnerOutput
from asteroid_joint.inference.knobs import (
    NOTE_SPLITS,
    PitchKnobs,
    check_knobs,
    knobbed_rows,
    note_rules,
    shift_notes,
    tuned_runner,
)
from asteroid_joint.inference.notes import NoteRules, track_notes
from asteroid_joint.inference.pitch_files import PITCH_FORMATS
from asteroid_joint.inference.separate import separate_array, separate_file
from asteroid_joint.inference.stream import StreamSeparator
from asteroid_joint.inference.track import track_file
from asteroid_joint.inference.voice_pitch import pitch_part
from asteroid_joint.inference.voice_stream import track_voice
from asteroid_joint.registry import DECODERS

RATE = 16000
GRID = PitchGrid(320, RATE)
ACTIVATIONS = {110.0: 0.9, 220.0: 0.8, 440.0: 0.4}  # of octaves of a sung A3


def bin_of(hz: float) -> int:
    return round(GRID.hz_to_bin(hz))


class Octaves(JointModel):
    """The voice is half of the input; A3 is sung, and A2 seems likelier. Silent where it is."""

    def __init__(self) -> None:
        super().__init__(RATE, GRID)

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])
        logits = torch.full((len(wav), n_frames, 360), -9.0)
        for hz, activation in ACTIVATIONS.items():
            logits[..., bin_of(hz)] = np.log(activation / (1 - activation))
        return JointOutput(torch.stack([wav / 2, wav / 2], 1)[:, :, 0], logits)  # (B, S, T)


class InNumpy(Runner):
    """The same without torch in the chain, as a graph runs."""

    library = np

    def __init__(self) -> None:
        inner = as_runner(Octaves().eval())
        self._inner = inner
        vars(self).update({k: v for k, v in vars(inner).items() if k != "model"})

    def run(self, wav: np.ndarray) -> RunnerOutput:
        return self._inner.run(wav)

    def decode_pitch(self, pitch_logits, decoder):
        f0 = DECODERS[decoder](self.activations(pitch_logits), self.pitch_grid)
        return f0.hz, f0.confidence, f0.confidence > self.voicing_threshold

    def activations(self, pitch_logits):
        return 1 / (1 + np.exp(-pitch_logits))


RUNNERS = {"torch": lambda: as_runner(Octaves().eval()), "numpy": InNumpy}


@pytest.fixture(params=RUNNERS)
def model(request) -> Runner:
    return RUNNERS[request.param]()


def music(seconds: float = 2.0) -> np.ndarray:
    """A loud A3 with harmonics, ``(1, T)``."""
    sec = np.arange(int(seconds * RATE)) / RATE
    return 0.1 * sum(np.sin(2 * np.pi * 220 * k * sec) for k in range(1, 6))[None].astype("f4")


def table(path) -> np.ndarray:
    return np.loadtxt(path, delimiter=",", skiprows=1)


@pytest.mark.parametrize("decoder", ["argmax", "viterbi"])
def test_the_best_pitch_in_range_is_found_instead_of_the_best(model, decoder):
    """Not a clipped result: the octave error is gone, and the sung pitch is there."""
    wav = music()
    for knobs, hz in (
        ({}, 110),
        ({"fmin_hz": 150.0}, 220),
        ({"fmin_hz": 150.0, "fmax_hz": 300.0}, 220),
        ({"fmax_hz": 150.0}, 110),
        ({"fmin_hz": 300.0}, 440),
        ({"fmin_hz": 219.0, "fmax_hz": 221.0}, 220),  # one bin
    ):
        rows = separate_array(model, wav, RATE, decoder=decoder, gate=False, **knobs).f0
        np.testing.assert_allclose(rows[:, 1], hz, rtol=0.01)
        confidence = next(a for f, a in ACTIVATIONS.items() if f == hz)
        np.testing.assert_allclose(rows[:, 2], confidence, rtol=1e-4)
        assert (rows[:, 3] == (confidence > 0.5)).all()


def test_no_pitch_lies_outside_the_range(model):
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 3, (400, 360)).astype("f4")
    tuned = tuned_runner(model, PitchKnobs(fmin_hz=97.0, fmax_hz=411.0))
    kept = slice(bin_of(97) - 3, bin_of(411) + 4)
    out = model.run(music(1.0)[None])
    for decoder in ("argmax", "viterbi"):
        hz = tuned.decode_pitch(
            logits[:, kept][:, 3 : 3 + tuned.pitch_grid.n_bins].copy(), decoder
        )[0]
        assert hz.min() >= 97 and hz.max() <= 411
    assert tuned.run(music(1.0)[None]).pitch_logits.shape[-1] == tuned.pitch_grid.n_bins
    np.testing.assert_array_equal(tuned.run(music(1.0)[None]).activity, out.activity)


def test_no_knob_changes_a_stem(model):
    wav = music()
    wav[:, RATE:] *= 1e-4
    plain = separate_array(model, wav, RATE)
    changed = separate_array(
        model, wav, RATE, fmin_hz=300.0, octave=1, voicing_threshold=0.99, hop_ms=5.0
    )
    np.testing.assert_array_equal(changed.stems, plain.stems)
    np.testing.assert_array_equal(changed.activity, plain.activity)
    assert plain.f0[:, 3].any() and not changed.f0[:, 3].any()


def test_the_threshold_decides_what_is_voiced_and_sung(model):
    wav = music()
    for threshold, sung in ((None, True), (0.85, True), (0.95, False)):
        song = model.transcribe(wav, RATE, voicing_threshold=threshold, gate=False)
        assert song.f0.voiced.all() if sung else not song.f0.voiced.any()
    curve = song.f0.rows()
    curve[:, 2:] = 0.45, 1
    n_notes = [len(track_notes(curve, threshold=threshold)) for threshold in (0.1, 0.9)]
    assert n_notes == [1, 0]


@pytest.mark.parametrize("octave", [-1, 1])
def test_an_octave_shifts_pitch_and_notes_when_they_are_found(model, octave, tmp_path):
    wav = music()
    plain, shifted = (model.transcribe(wav, RATE, octave=by) for by in (0, octave))
    np.testing.assert_allclose(shifted.f0.hz, plain.f0.hz * 2.0**octave)
    assert len(plain.notes) == len(shifted.notes) == 1
    (note,), (other,) = plain.notes, shifted.notes
    assert replace(other, pitch_midi=note.pitch_midi) == note
    assert other.pitch_midi == note.pitch_midi + 12 * octave
    np.testing.assert_allclose(other.curve, note.curve + (0, 12 * octave))
    assert shift_notes([note], 0) == [note]


@pytest.mark.parametrize("hop_ms", [5.0, 10.0, 20.0, 1000 * 512 / 44100, 33.3])
def test_a_hop_in_parts_is_the_hop_of_the_whole(hop_ms):
    """Whatever a chunk ends with."""
    rng = np.random.default_rng(1)
    n = 300
    voiced = np.repeat(rng.random(n // 5) < 0.6, 5)
    hz = 220 * 2 ** np.cumsum(rng.normal(0, 0.03, n))
    rows = np.stack([0.02 * np.arange(n), hz, rng.random(n), voiced], 1)
    knobs = PitchKnobs(hop_ms=hop_ms, octave=1)
    whole = knobbed_rows(rows, knobs, 0.02 * n)
    times = np.arange(len(whole)) * hop_ms / 1000
    np.testing.assert_allclose(whole[:, 0], times)
    assert times[-1] < 0.02 * n <= times[-1] + hop_ms / 1000 + 1e-9
    expected = sample_rows(rows * (1, 2, 1, 1), times)
    np.testing.assert_allclose(whole, expected, rtol=1e-9)
    assert (whole[:, 1] > 0).all()
    if hop_ms == 20:
        np.testing.assert_allclose(whole, rows * (1, 2, 1, 1), rtol=1e-9)
    for step in (1, 2, 7):
        sampler = RowSampler(hop_ms / 1000)
        parts = [sampler.push(rows[k : k + step] * (1, 2, 1, 1)) for k in range(0, n, step)]
        found = np.concatenate([*parts, sampler.finish(len(whole))])
        np.testing.assert_allclose(found, whole, rtol=1e-9, atol=1e-12)


KNOBS = {"fmin_hz": 150.0, "octave": 1, "voicing_threshold": 0.6, "hop_ms": 10.0}


def test_a_file_has_what_transcribe_has(model, tmp_path):
    wav = music()
    sf.write(tmp_path / "song.wav", wav.T, RATE, subtype="FLOAT")
    formats = list(PITCH_FORMATS)
    done = separate_file(
        model, tmp_path / "song.wav", tmp_path, notes=True, f0_formats=formats, **KNOBS
    )
    song = model.transcribe(wav, RATE, **KNOBS)
    found = table(done.folder / "f0.csv")
    assert len(found) == 200 == len(song.f0)
    np.testing.assert_allclose(found, song.f0.rows(), atol=1e-3)
    np.testing.assert_allclose(found[:, 1], 440, rtol=0.01)
    assert len(np.load(done.folder / "f0.npy")) == 200
    assert (done.folder / "f0.svl").read_text().count("<point ") == 200
    assert len((done.folder / "f0.txt").read_text().splitlines()) == 200
    assert '"f0_timestep": "0.01"' in (done.folder / "f0.ds").read_text()
    rvc = np.load(done.folder / "f0_fine.npy")  # every 10 ms, from the model's own frames
    np.testing.assert_allclose(rvc[:-1], 440, rtol=0.01)
    with open(done.folder / "notes.csv", newline="") as file:
        names = [row["note_name"] for row in csv.DictReader(file)]
    assert names == ["A4"] == ["A4"] * len(song.notes)
    saved = song.save(tmp_path / "saved", ["f0", "notes"])
    np.testing.assert_allclose(table(saved / "f0.csv"), found, atol=1e-3)
    assert (saved / "notes.csv").read_text() == (done.folder / "notes.csv").read_text()


def test_a_given_voice_has_them_too(tmp_path):
    part = pitch_part(Octaves())
    sf.write(tmp_path / "voice.wav", music().T, RATE, subtype="FLOAT")
    done = track_file(part, tmp_path / "voice.wav", tmp_path, **KNOBS)
    curve = track_voice(part, music(), RATE, **KNOBS)
    np.testing.assert_allclose(table(done.folder / "f0.csv"), curve.rows(), atol=1e-3)
    np.testing.assert_allclose(curve.hz, 440, rtol=0.01)
    assert len(curve) == 200


def test_two_passes_look_in_range_only(model, tmp_path):
    sf.write(tmp_path / "song.wav", music().T, RATE)
    done = separate_file(
        model, tmp_path / "song.wav", tmp_path, two_pass_viterbi=True, gate=False, **KNOBS
    )
    rows = table(done.folder / "f0.csv")
    np.testing.assert_allclose(rows[:, 1], 440, rtol=0.01)
    assert rows[:, 3].all() and len(rows) == 200


def test_blocks_do_not_show(model):
    """In whatever blocks a song arrives: the chain of a file is the chain of a whole."""
    wav = music(12.3)
    knobs = PitchKnobs(**KNOBS)
    whole = separate_array(model, wav, RATE, window_sec=4, **KNOBS).f0
    for size in (997, 50_000):
        stream = StreamSeparator(tuned_runner(model, knobs), RATE, 1, window_sec=4)
        chunks = [stream.push(wav[:, at : at + size]) for at in range(0, wav.shape[1], size)]
        rows = np.concatenate([c.f0 for c in [*chunks, stream.finish()]])
        np.testing.assert_allclose(knobbed_rows(rows, knobs, 12.3), whole, rtol=1e-6)


def test_splitting_more_and_shorter_notes():
    """Two semitones for 0.12 s and 2.2 for 0.16 s are notes of their own, or not."""
    usual = NoteRules(price=0.14, cap=2.2)
    turns = [(30, 60.0), (6, 62.0), (30, 60.0), (8, 62.2), (30, 60.0)]
    midi = np.concatenate([np.full(n, pitch) for n, pitch in turns])
    hz = 440 * 2 ** ((midi - 69) / 12)
    rows = np.stack([0.02 * np.arange(len(hz)), hz, np.ones(len(hz)), np.ones(len(hz))], 1)

    def n_notes(**knobs) -> int:
        return len(track_notes(rows, rules=note_rules(usual, PitchKnobs(**knobs))))

    counts = [n_notes(note_split=name) for name in NOTE_SPLITS]
    assert counts == [1, 3, 5]
    assert [n_notes(note_split="more", note_least_ms=ms) for ms in (40, 200)] == [5, 3]
    assert note_rules(usual, PitchKnobs()) == usual


WRONG = [
    ({"fmin_hz": 0.0}, "A limit of the pitch is 0 Hz: give a frequency above 0."),
    ({"fmax_hz": float("nan")}, "A limit of the pitch is nan Hz: give a frequency above 0."),
    (
        {"fmin_hz": 500.0, "fmax_hz": 80.0},
        "The range of pitch is 500 to 80 Hz: give the lower limit first.",
    ),
    ({"octave": 2}, "The shift is 2 octaves: give -1 or +1."),
    ({"voicing_threshold": 1.5}, "The voicing threshold is 1.5: give a number between 0 and 1."),
    ({"hop_ms": 0.0}, "The hop is 0 ms: give 1 to 1000 ms."),
    ({"note_least_ms": 1.0}, "The shortest note is 1 ms: give 10 to 2000 ms."),
    ({"note_split": "often"}, "Notes are split 'often': choose one of less, usual, more."),
]


@pytest.mark.parametrize(("knobs", "sentence"), WRONG)
def test_values_out_of_range_are_one_sentence(model, tmp_path, knobs, sentence):
    with pytest.raises(ConfigError) as error:
        check_knobs(PitchKnobs(**knobs))
    assert str(error.value) == sentence
    with pytest.raises(ConfigError, match=r"^[^\n]+\.$"):
        model.transcribe(music(0.1), RATE, **knobs)
    sf.write(tmp_path / "song.wav", music(0.1).T, RATE)
    with pytest.raises(ConfigError):
        separate_file(model, tmp_path / "song.wav", tmp_path / "out", **knobs)
    assert not (tmp_path / "out").exists()


def test_a_model_that_cannot(model, tmp_path):
    with pytest.raises(ConfigError, match="finds no pitch at 3000 Hz and above: it knows 32 to 20"):
        model.transcribe(music(0.1), RATE, fmin_hz=3000.0)
    with pytest.raises(ConfigError, match="^This FourStems estimates no pitch to change"):
        FourStems().transcribe(np.zeros((2, 4410)), 44100, octave=1)
    assert tuned_runner(model, PitchKnobs()) is model

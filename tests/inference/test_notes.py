"""Notes: curves whose notes are known, the least cost by exhaustion, streams, files."""

import itertools
import tracemalloc

import mido
import numpy as np
import pytest
import torch
from mir_eval import transcription

from asteroid_joint.errors import CheckpointError, UserError
from asteroid_joint.inference.notes import (
    Note,
    NoteRules,
    NotesCsv,
    NotesMidi,
    NoteTracker,
    note_name,
    track_notes,
)
from asteroid_joint.inference.notes import cues as sound
from asteroid_joint.inference.notes.cues import MelFrames, VoiceCues
from asteroid_joint.inference.notes.files import BEND_SEMITONES
from asteroid_joint.inference.notes.network import (
    REACH,
    WEIGHTS,
    CueNet,
    load_cue_net,
    save_cue_net,
)
from asteroid_joint.inference.notes.segment import segment_phrase

RATE = 16000
MELODY = [  # onset, offset, MIDI: steps, leaps, a repeated note, a rest
    *[(0.50, 1.00, 60.0), (1.00, 1.30, 62.0), (1.30, 1.70, 67.0), (1.78, 2.30, 67.0)],
    *[(2.30, 2.60, 57.0), (3.40, 4.40, 64.4), (4.40, 4.65, 63.0)],
]


def to_rows(midi: np.ndarray, hop: float = 0.02, confidence: float = 0.95) -> np.ndarray:
    """Rows of F0 from semitones, NaN = unvoiced."""
    sung = ~np.isnan(midi)
    hz = np.where(sung, 440 * 2 ** ((np.nan_to_num(midi) - 69) / 12), 101.0)
    sure = np.where(sung, confidence, 0.02)
    return np.stack([hop * np.arange(len(midi)), hz, sure, sung], 1)


def sung(melody=MELODY, hop: float = 0.02, end: float = 5.0) -> np.ndarray:
    """Semitones of each frame, NaN where nothing is sung."""
    time = hop * np.arange(round(end / hop))
    midi = np.full(len(time), np.nan)
    for onset, offset, pitch in melody:
        midi[(time >= onset - 1e-9) & (time < offset - 1e-9)] = pitch
    return midi


def vibrato(midi, hop, semitones=0.7):
    time = hop * np.arange(len(midi))
    return midi + semitones * np.sin(2 * np.pi * 5.5 * time)


def glides(midi, hop):
    """Portamento: 100 ms about each step, within what is sung."""
    out, half = midi.copy(), round(0.05 / hop)
    for t in np.flatnonzero(np.abs(np.diff(midi)) > 0.5) + 1:
        out[t - half : t + half] = np.linspace(midi[t - 1], midi[t], 2 * half)
    return out


def scoops(midi, hop):
    """Entries from below, over 100 ms."""
    out = midi.copy()
    for t in np.flatnonzero(np.isnan(midi[:-1]) & ~np.isnan(midi[1:])) + 1:
        n = round(0.1 / hop)
        out[t : t + n] -= np.linspace(2.0, 0.0, n)
    return out


def flicker(midi, hop):
    """One frame in nine an octave off, up or down."""
    out = midi.copy()
    out[::9] += 12
    out[4::18] -= 12
    return out


def dropouts(midi, hop):
    """A frame of 20 ms in every 300 ms without pitch."""
    out = midi.copy()
    out[(np.arange(len(midi)) * hop % 0.3 > 0.1) & (np.arange(len(midi)) * hop % 0.3 < 0.119)] = (
        np.nan
    )
    return out


def drift(midi, hop):
    return midi + 0.2 * np.sin(2 * np.pi * 0.6 * hop * np.arange(len(midi)))


def errors(found: list[Note], melody) -> tuple[int, int]:
    """Notes missed and notes too many; onset within 50 ms, pitch within 50 cents."""
    spans = np.array([[n.onset_sec, n.offset_sec] for n in found]).reshape(-1, 2)
    ref = np.array(melody)
    hz = [440 * 2 ** ((np.array(m) - 69) / 12) for m in (ref[:, 2], [n.pitch_midi for n in found])]
    hits = transcription.match_notes(ref[:, :2], hz[0], spans, hz[1], offset_ratio=None)
    return len(ref) - len(hits), len(found) - len(hits)


# Two excerpts of "El Niño Dios" as people sang it, semitones every 20 ms, 0 = unvoiced: F0 of
# tenor 1 and alto 1 of the Choral Singing Dataset (H. Cuesta et al., 2018, CC BY 4.0).
TENOR = """
0 0 0 57.4 57.7 57.4 57.2 57.0 56.7 56.5 56.6 56.8 57.0 57.0 57.0 56.9 56.7 56.5 56.3 56.4 56.7
56.9 56.9 56.9 56.7 56.7 56.6 56.7 56.7 56.6 56.5 56.5 56.6 56.7 56.7 0 0 56.9 56.9 56.3 0 0 0 0
0 0 0 0 0 0 0 0 0 0 0 0 0 0 52.4 52.3 52.5 52.7 52.6 52.9 53.1 53.0 52.9 52.7 52.6 52.6 52.6
52.8 52.9 52.6 52.3 54.2 54.6 54.9 55.0 54.6 54.3 54.1 53.9 54.0 54.2 54.4 54.5 54.6 54.6 54.6
54.5 54.2 53.9 53.7 53.9 54.2 54.5 54.7 54.8 54.6 54.4 54.1 53.8 53.6 54.0 54.5 54.9 54.9 54.8
54.6 54.2 53.7 53.8 54.0 54.4 54.7 54.8 54.8 54.7 54.7 54.8 55.0 55.2 54.9 54.9 55.1 0 57.3 57.0
56.9 56.9 57.0 57.0 56.9 56.9 56.9 56.9 56.9 56.9 57.0 57.0 57.1 57.1 56.9 56.9 56.8 56.9 57.1
57.2 57.2 57.4
"""
ALTO = """
58.8 58.8 58.9 59.5 0 61.5 61.6 61.5 61.5 61.4 60.9 59.6 0 0 0 0 65.5 65.8 65.8 65.6 65.0 65.0
65.1 65.2 65.2 65.2 65.2 65.0 65.0 64.9 64.4 63.6 64.1 0 65.7 65.8 65.6 65.4 65.3 65.4 65.4 65.4
65.4 65.3 65.4 65.6 65.5 0 0 59.1 59.2 0 0 63.1 63.5 63.4 63.0 62.8 62.6 62.6 62.7 62.9 63.0
63.1 63.3 63.4 63.5 63.5 63.3 0 0 59.1 60.0 61.1 61.9 62.3 62.5 62.5 62.4 62.2 61.9 61.8 61.7
61.7 61.7 61.8 61.9 61.9 62.0 61.9 61.7 61.5 61.3 61.4 61.6 61.8 62.2 62.4 62.5 62.4 62.0 61.8
61.6 61.3 0 0 0 61.1 62.0 62.3 62.5 62.4 62.2 62.2 62.2 62.2 62.0 61.9 61.9 61.9 61.8 61.9 62.1
62.1 62.2 62.2 61.9 61.6 61.6 61.9 62.2 62.4 62.3 62.0 61.7 61.7 0 0 0 0 0 0 0 0 0
"""


def read_off(text: str) -> np.ndarray:
    midi = np.array(text.split(), float)
    return np.where(midi > 0, midi, np.nan)


# Curves


@pytest.mark.parametrize("hop", [0.01, 0.02])
@pytest.mark.parametrize(
    "how",
    [
        *[(), (vibrato,), (glides,), (scoops,), (flicker,), (dropouts,), (drift,)],
        (glides, scoops, vibrato, drift, flicker),
    ],
)
def test_notes_of_curves_that_are_known(how, hop):
    midi = sung(hop=hop)
    for change in how:
        midi = change(midi, hop)
    found = track_notes(to_rows(midi, hop))
    assert errors(found, MELODY) == (0, 0)
    assert all(n.offset_sec <= m.onset_sec + 1e-9 for n, m in itertools.pairwise(found))
    if not how:
        for note, (onset, offset, pitch) in zip(found, MELODY, strict=True):
            assert note.onset_sec == pytest.approx(onset, abs=hop)
            assert note.offset_sec == pytest.approx(offset, abs=hop)
            assert note.pitch_midi == pytest.approx(pitch, abs=0.01)
            assert note.confidence == pytest.approx(0.95) and note.level_db is None


@pytest.mark.parametrize("seed", range(3))
def test_notes_of_a_noisy_curve(seed):
    rng = np.random.default_rng(seed)
    midi = vibrato(glides(sung(), 0.02), 0.02, 0.4) + 0.15 * rng.standard_normal(250)
    slips = rng.random(250) < 0.06
    midi[slips] += rng.choice([-12.0, 12.0, 7.0, -19.0], slips.sum())
    rows = to_rows(midi)
    rows[:, 2] = np.where(np.isnan(midi), rng.uniform(0, 0.3, 250), rng.uniform(0.7, 1, 250))
    assert errors(track_notes(rows, threshold=0.75), MELODY) == (0, 0)


def test_real_legato_vibrato_and_a_breath():
    """A breath before the second note; the third follows legato, with 0.7 semitones of vibrato.

    The other three tenors, who sing the same in time, sing the same notes.
    """
    found = track_notes(to_rows(read_off(TENOR)))
    assert [round(n.pitch_midi) for n in found] == [57, 53, 54, 57]
    first, low, vibrating, last = found
    assert low.onset_sec - first.offset_sec > 0.3  # the breath
    assert 0 <= vibrating.onset_sec - low.offset_sec < 0.02  # legato
    assert vibrating.offset_sec - vibrating.onset_sec > 0.9
    assert np.ptp(vibrating.curve[5:-5, 1]) > 1.0
    assert last.offset_sec > 2.9


def test_real_slides_and_a_repeated_note():
    """Slides into notes and over steps are parts of notes; two notes of one pitch are two."""
    found = track_notes(to_rows(read_off(ALTO)))
    midi = [n.pitch_midi for n in found]
    np.testing.assert_allclose(midi, [61.5, 65.3, 63.0, 62.0, 62.0], atol=0.3)
    third, fourth, fifth = found[2:]
    assert fourth.onset_sec - third.offset_sec < 0.15 and fifth.onset_sec > fourth.offset_sec
    assert np.ptp(np.concatenate([n.curve[:, 1] - n.pitch_midi for n in found])) > 1.0  # slides


def test_a_gap_parts_a_repeated_note_and_a_lost_frame_does_not():
    midi = np.full(100, 60.0)
    midi[50] = np.nan
    assert len(track_notes(to_rows(midi))) == 1
    midi[48:53] = np.nan  # a consonant
    found = track_notes(to_rows(midi))
    assert [round(n.onset_sec, 2) for n in found] == [0.0, 1.05]


def test_an_octave_is_a_note_when_it_lasts():
    midi = np.repeat([60.0, 72.0, 60.0, 60.0], 25)
    assert [round(n.pitch_midi) for n in track_notes(to_rows(midi))] == [60, 72, 60]
    midi[30:] = 60.0  # 0.1 s of it are a slip
    (note,) = track_notes(to_rows(midi))
    np.testing.assert_allclose(note.curve[:, 1], 60.0, atol=1e-9)


def test_short_notes_are_merged_or_dropped_by_choice():
    """60 ms of another pitch within a note, where a note may cost little."""
    midi = np.repeat([60.0, 64.0, 60.0], [25, 3, 25])
    merged, dropped = (
        track_notes(to_rows(midi), rules=NoteRules(price=0.06, shortest_sec=0.1, drop_short=drop))
        for drop in (False, True)
    )
    assert [round(n.pitch_midi) for n in merged] == [60]
    spans = [(round(n.onset_sec, 2), round(n.offset_sec, 2)) for n in dropped]
    assert spans == [(0.0, 0.49), (0.55, 1.05)]
    kept = track_notes(to_rows(midi), rules=NoteRules(price=0.06, shortest_sec=0.06))
    assert [round(n.pitch_midi) for n in kept] == [60, 64, 60]


def test_the_threshold_moves_what_is_voiced():
    rows = to_rows(sung(), confidence=0.6)
    assert len(track_notes(rows, threshold=0.6)) == len(MELODY)
    assert track_notes(rows, threshold=0.99) == []
    assert track_notes(to_rows(np.full(50, np.nan))) == []
    rows[:, 1] = 0.0  # no pitch at all
    assert track_notes(rows) == []


def test_a_note_that_the_model_calls_unvoiced_is_none():
    rows = to_rows(np.full(100, 60.0), confidence=0.45)
    assert track_notes(rows) == []
    rows[::3, 2] = 0.6  # a third of it is voiced
    assert len(track_notes(rows)) == 1


def test_activity_of_its_own_silences():
    rows = to_rows(sung())
    activity = np.stack([rows[:, 0], np.where(rows[:, 0] < 3, 0.01, 0.99)], 1)
    late = track_notes(rows, activity=activity)
    assert [round(n.onset_sec, 1) for n in late] == [3.4, 4.4]
    activity[:, 1] = 0.99
    assert track_notes(rows, activity=activity) == track_notes(rows)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="at least two frames"):
        track_notes(np.zeros((1, 4)))
    with pytest.raises(ValueError, match="sample rate"):
        track_notes(to_rows(sung()), voice=np.zeros((1, 100)))


# The sum of costs


def cost(bounds, midi, weight, evidence, onset, hop, rules) -> float:
    """Of a segmentation: ``bounds`` holds (start, stop, is a note)."""
    grid = np.arange(np.floor(midi.min()), np.ceil(midi.max()) + 0.25, 0.25)
    total = 0.0
    for start, stop, is_note in bounds:
        frames = slice(start, stop)
        if not is_note:
            total += hop * rules.voiced_cost * np.maximum(evidence[frames], 0).sum()
            continue
        off = np.abs(midi[frames, None] - grid)
        off = np.minimum(np.minimum(off, rules.octave_cost + np.abs(off - 12)), rules.cap)
        unvoiced = rules.unvoiced_cost * np.maximum(-evidence[frames], 0).sum()
        pitch = (off * weight[frames, None]).sum(0).min()
        total += rules.price - onset[start] + hop * (pitch + unvoiced)
    return total


@pytest.mark.parametrize("seed", range(6))
def test_no_segmentation_costs_less(seed):
    rng = np.random.default_rng(seed)
    n, hop = 10, 0.02
    rules = NoteRules(price=0.06, shortest_sec=0.04)
    midi = 60 + rng.choice([0.0, 0.1, 3.0, 12.0], n).cumsum() % 13
    weight, evidence = rng.uniform(0.3, 1, n), rng.normal(1, 2, n)
    onset = rng.uniform(0, 0.03, n)
    args = (midi, weight, evidence, onset, hop)
    least = np.inf
    for cuts in itertools.product([False, True], repeat=n - 1):
        edges = [0, *(np.flatnonzero(cuts) + 1).tolist(), n]
        spans = list(itertools.pairwise(edges))
        for kinds in itertools.product([False, True], repeat=len(spans)):
            if any(k and b - a < 2 for k, (a, b) in zip(kinds, spans, strict=True)):
                continue
            bounds = [(a, b, k) for k, (a, b) in zip(kinds, spans, strict=True)]
            least = min(least, cost(bounds, *args, rules))
    found = segment_phrase(*args, rules)
    bounds, at = [], 0
    for segment in found:
        bounds += [(at, segment.start, False), (segment.start, segment.stop, True)]
        at = segment.stop
    bounds.append((at, n, False))
    assert cost(bounds, *args, rules) == pytest.approx(least, abs=1e-12)


# The voice


def voice_of(midi: np.ndarray, hop: float = 0.02, rate: int = RATE) -> np.ndarray:
    """Harmonics over the curve, silent where it is, ``(1, T)``."""
    frames = np.arange(round(len(midi) * hop * rate)) / (hop * rate)
    curve = np.interp(frames, np.arange(len(midi)), np.nan_to_num(midi, nan=60.0))
    phase = 2 * np.pi * np.cumsum(440 * 2 ** ((curve - 69) / 12)) / rate
    gate = ~np.isnan(midi[np.minimum(frames.astype(int), len(midi) - 1)])
    smooth = np.hanning(320) / np.hanning(320).sum()
    level = np.convolve(gate, smooth, "same")
    return 0.1 * (level * sum(np.sin(k * phase) / k for k in range(1, 12)))[None]


def test_a_consonant_that_only_the_voice_shows_parts_a_repeated_note():
    gated = np.full(150, 62.0)
    gated[[*range(50, 54), *range(97, 101)]] = np.nan  # what the curve does not show
    voice = voice_of(gated)
    voice[:, int(1.0 * RATE) : int(1.08 * RATE)] += 0.01 * np.random.default_rng(0).standard_normal(
        int(1.08 * RATE) - RATE
    )  # the hiss of the first one
    rows = to_rows(np.full(150, 62.0))
    assert len(track_notes(rows)) == 1
    found = track_notes(rows, voice=voice, sample_rate=RATE)
    assert [round(n.onset_sec, 1) for n in found] == [0.0, 1.1, 2.0]
    assert all(-30 < n.level_db < -10 for n in found)
    steady = voice_of(np.full(150, 62.0))
    assert len(track_notes(rows, voice=steady, sample_rate=RATE)) == 1


def test_quiet_bleeding_of_the_band_is_no_note():
    """Unsure frames: with a loud voice they are sung, 40 dB below it they are not."""
    midi = np.concatenate([sung(), np.full(100, 64.0)])
    rows = to_rows(midi)
    rows[250:, 2] = 0.4
    rows[250::2, 2] = 0.55
    voice = voice_of(midi)
    loud = track_notes(rows, voice=voice, sample_rate=RATE)
    voice[:, 5 * RATE :] *= 0.01
    quiet = track_notes(rows, voice=voice, sample_rate=RATE)
    assert loud[-1].onset_sec > 4.9 > quiet[-1].onset_sec
    assert errors(quiet, MELODY) == (0, 0)


def band_of(midi: np.ndarray, seed: int = 0) -> np.ndarray:
    """Chords and noise as loud as :func:`voice_of`, ``(1, T)``."""
    rng = np.random.default_rng(seed)
    sec = np.arange(round(len(midi) * 0.02 * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * hz * sec) for hz in (110.0, 164.8, 220.0, 277.2))
    return (0.05 * chord + 0.01 * rng.standard_normal(len(sec)))[None]


@pytest.mark.parametrize("rate", [8000, 44100])
def test_frames_know_level_and_time_at_any_rate(rate):
    sec = np.arange(2 * rate) / rate
    tone = 0.5 * np.sin(2 * np.pi * 700 * sec) * (sec >= 1)
    mels = MelFrames(rate)
    rows = np.concatenate([mels.push(tone), mels.finish()])
    assert rows.shape == (100, sound.N_MELS + 2)
    bands, level, peak = rows[:, :-2], rows[:, -2], rows[:, -1]
    np.testing.assert_allclose(level[55:95], 10 * np.log10(0.5**2 / 2), atol=0.1)
    assert (level[:48] <= -119).all() and level[50] > -20  # a frame reaches 23 ms ahead
    assert len(set(bands[55:95].argmax(1))) == 1
    np.testing.assert_allclose(peak[55:95], np.maximum.accumulate(level)[55:95], atol=1.0)
    assert peak[40] == -120 and (np.diff(peak[60:95]) >= -sound.FALL_DB - 1e-9).all()


def heard(pitch, voice, mixture=None, hop=0.02, rate=RATE) -> np.ndarray:
    """All that the cues say."""
    cues = VoiceCues(rate, hop)
    return np.concatenate([cues.push(pitch, voice, mixture), cues.finish()])


def pitch_rows(midi: np.ndarray) -> np.ndarray:
    return np.stack([np.nan_to_num(midi, nan=50.0), np.where(np.isnan(midi), -4.0, 3.0)], 1)


@pytest.mark.parametrize("with_mixture", [False, True])
def test_cues_do_not_depend_on_gain_and_pieces(with_mixture):
    midi = np.concatenate([sung()] * 2)
    voice, pitch = voice_of(midi), pitch_rows(midi)
    mixture = voice + band_of(midi) if with_mixture else None
    rows = heard(pitch, voice, mixture)
    np.testing.assert_allclose(rows[:, 0], 0.02 * np.arange(len(midi)))
    louder = heard(pitch, 4 * voice, 4 * mixture if with_mixture else None)
    known = slice(sound.CONTEXT, None)  # before, digital silence is as quiet as it was
    np.testing.assert_allclose(louder[known, 2:], rows[known, 2:], atol=1e-3)
    loud = rows[:, 1] > -100
    np.testing.assert_allclose((louder - rows)[loud, 1], 20 * np.log10(4), atol=1e-6)
    rng, pieces, cues, at, row = np.random.default_rng(0), [], VoiceCues(RATE, 0.02), 0, 0
    while at < voice.shape[1] or row < len(pitch):
        n, m = int(rng.integers(0, 9000)), int(rng.integers(0, 30))
        part = slice(at, at + n)
        mixed = mixture[:, part] if with_mixture else None
        pieces.append(cues.push(pitch[row : row + m], voice[:, part], mixed))
        at, row = at + n, row + m
    early = np.concatenate(pieces)
    assert len(rows) - len(early) <= sound.BLOCK + sound.CONTEXT + 3  # so late, and no later
    np.testing.assert_array_equal(np.concatenate([early, cues.finish()]), rows)


def test_cues_take_the_pitch_of_their_time():
    """Rows every 10 ms, of which every other one is on a frame: the others do not matter."""
    midi = sung()
    voice, pitch = voice_of(midi), pitch_rows(midi)
    double = np.repeat(pitch, 2, 0)
    double[1::2] = [90.0, -4.0]
    np.testing.assert_array_equal(heard(double, voice, hop=0.01), heard(pitch, voice))
    assert not np.allclose(heard(double[1::2], voice), heard(pitch, voice))
    short = heard(pitch[:100], voice)  # the last pitch stays
    assert len(short) == len(midi)
    assert len(VoiceCues(RATE, 0.02).finish()) == 0


def test_pitch_where_nobody_sings_is_no_cue():
    """What is decoded there depends on the decoder."""
    midi = sung()
    pitch = pitch_rows(midi)
    other = pitch.copy()
    other[np.isnan(midi), 0] = 61.0
    np.testing.assert_array_equal(heard(other, voice_of(midi)), heard(pitch, voice_of(midi)))


def test_cues_hold_some_seconds_however_long_the_song():
    cues, noise = VoiceCues(8000, 0.02), np.random.default_rng(0).standard_normal((1, 8000))
    held = []
    for _ in range(40):
        cues.push(np.zeros((50, 2)), noise, noise)
        parts = [*vars(cues).values(), *vars(cues._voice).values(), *vars(cues._mixture).values()]
        held.append(sum(part.nbytes for part in parts if isinstance(part, np.ndarray)))
    assert max(held[20:]) <= 1.1 * max(held[:20]) < 500_000


def test_cues_say_where_singing_begins():
    midi = np.full(300, np.nan)
    midi[100:150], midi[150:200] = 60.0, 64.0
    rows = heard(pitch_rows(midi), voice_of(midi), voice_of(midi) + 0.3 * band_of(midi))
    onset, being_sung = rows[:, 2], rows[:, 3]
    loudest = np.sort(np.argsort([onset[k : k + 10].max() for k in range(0, 300, 10)])[-4:]) * 10
    assert {100, 150} & set(loudest.tolist()) or {90, 140} & set(loudest.tolist())
    assert being_sung[105:195].min() > being_sung[:85].max()
    assert being_sung[105:195].min() > being_sung[220:].max()


def test_the_network_reaches_as_far_as_it_says():
    torch.manual_seed(0)
    network = CueNet(5).double().eval()
    read = torch.randn(1, 5, 2 * REACH + 40, dtype=torch.float64, requires_grad=True)
    network(read)[0, :, 20].sum().backward()
    moved = np.flatnonzero(read.grad[0].abs().sum(0).numpy())
    assert (moved[0], moved[-1]) == (20, 20 + 2 * REACH)


def test_weights_are_small_and_come_back(tmp_path):
    assert WEIGHTS.stat().st_size < 400_000
    network = load_cue_net()
    assert network is load_cue_net() and not network.training
    assert network.n_features == sound.N_FEATURES
    save_cue_net(network, tmp_path / "again.pth", "a copy")
    again = load_cue_net(tmp_path / "again.pth")
    read = torch.randn(1, sound.N_FEATURES, 2 * REACH + 3)
    torch.testing.assert_close(again(read), network(read), rtol=0, atol=0)
    assert [path.name for path in tmp_path.iterdir()] == ["again.pth"]


def test_weights_that_are_none(tmp_path):
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    torch.save({"state_dict": {}, "n_features": 3}, tmp_path / "empty.pth")
    for name in ("broken.pth", "empty.pth", "missing.pth"):
        with pytest.raises(CheckpointError, match=f"{name}.*install the package again"):
            load_cue_net(tmp_path / name)


def test_the_mixture_comes_always_or_never():
    voice = voice_of(sung())
    rows = to_rows(sung())
    with pytest.raises(ValueError, match="received 80000 samples of voice and 10 of mixture"):
        track_notes(rows, voice=voice, sample_rate=RATE, mixture=voice[:, :10])
    tracker = NoteTracker(0.02, 0.5, RATE)
    tracker.push(rows[:10])  # no sound yet
    tracker.push(rows[10:20], voice[:, :999], mixture=voice[:, :999])
    with pytest.raises(ValueError, match="with all of the voice or with none of it"):
        tracker.push(rows[20:], voice[:, 999:])


# Streams


@pytest.mark.parametrize("with_mixture", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_chunks_do_not_show(seed, with_mixture):
    midi = np.concatenate([vibrato(sung(), 0.02)] * 3)
    rows, voice = to_rows(midi), voice_of(midi)
    mixture = voice + 0.3 * band_of(midi) if with_mixture else None
    activity = np.stack([rows[:, 0], np.full(len(rows), 0.9)], 1)
    whole = track_notes(rows, voice=voice, sample_rate=RATE, activity=activity, mixture=mixture)
    assert len(whole) >= 3 * len(MELODY) - 1
    rng, tracker, found = np.random.default_rng(seed), NoteTracker(0.02, 0.5, RATE), []
    frame, sample, early = 0, 0, 0
    while frame < len(rows) or sample < voice.shape[1]:
        n, m = int(rng.integers(0, 60)), int(rng.integers(0, 20000))
        part, heard_now = slice(frame, frame + n), slice(sample, sample + m)
        mixed = mixture[:, heard_now] if with_mixture else None
        found += tracker.push(rows[part], voice[:, heard_now], activity[part], mixed)
        frame, sample = frame + n, sample + m
        early = early or len(found)
    assert [*found, *tracker.finish()] == whole and 0 < early < len(whole)
    assert [*NoteTracker(0.02).push(rows[:0]), *NoteTracker(0.02).finish()] == []


def test_memory_and_a_phrase_without_end():
    """Four minutes without a rest: memory is that of half a minute, and no note is lost or cut."""
    tracker, found = NoteTracker(0.02), []
    midi = np.tile(np.repeat([60.0, 62.0, 64.0, 65.0], 25), 15)  # half a minute
    tracemalloc.start()
    for k in range(8):
        rows = to_rows(midi)
        rows[:, 0] += 30.0 * k
        found += tracker.push(rows)
        if k == 2:
            before, _ = tracemalloc.get_traced_memory()
            n_before = len(found)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    held = sum(n.curve.nbytes + 700 for n in found[n_before:])  # what the caller keeps
    assert after - before < held + 100_000
    found += tracker.finish()
    assert len(found) == 8 * 60
    onsets = np.array([n.onset_sec for n in found])
    np.testing.assert_allclose(onsets, 0.5 * np.arange(480), atol=0.011)


# Files


def played(path) -> list[tuple[float, float, list[float], int]]:
    """Notes as a synthesizer plays them: onset, offset, pitches in MIDI semitones, velocity."""
    controls: dict[int, int] = {}
    semitones, bend, now, notes = 2.0, 0, 0.0, []
    for message in mido.MidiFile(path):
        now += message.time
        if message.type == "control_change":
            controls[message.control] = message.value
            if (controls.get(101), controls.get(100)) == (0, 0):
                semitones = controls.get(6, 2) + controls.get(38, 0) / 100
        sounding = notes[-1] if notes and notes[-1][1] is None else None
        if message.type == "pitchwheel":
            bend = message.pitch
            if sounding:
                sounding[2].append((now, sounding[4] + semitones * bend / 8192))
        if message.type == "note_on":
            start = [(now, message.note + semitones * bend / 8192)]
            notes.append([now, None, start, message.velocity, message.note])
        if message.type == "note_off":
            assert sounding and sounding[4] == message.note
            sounding[1] = now
    return notes


def test_midi_is_in_tune_to_a_cent(tmp_path):
    midi = vibrato(scoops(glides(sung(), 0.02), 0.02), 0.02)
    notes = track_notes(to_rows(midi), voice=voice_of(midi), sample_rate=RATE)
    with NotesMidi(tmp_path / "notes.mid") as writer:
        writer.write(notes[:3])
        writer.write([])
        writer.write(notes[3:])
    heard = played(tmp_path / "notes.mid")
    assert len(heard) == len(notes)
    for note, (onset, offset, bends, velocity, _) in zip(notes, heard, strict=True):
        assert onset == pytest.approx(note.onset_sec, abs=0.0006)
        assert offset == pytest.approx(note.offset_sec, abs=0.0006)
        assert 1 <= velocity <= 127 and velocity != 90
        times, pitches = map(np.array, zip(*bends, strict=True))
        at = np.searchsorted(times, note.curve[:, 0] + 0.001, side="right") - 1
        np.testing.assert_allclose(pitches[at], note.curve[:, 1], atol=0.01)


def test_midi_of_bare_notes_and_of_none(tmp_path):
    with NotesMidi(tmp_path / "bare.mid") as writer:
        writer.write([Note(0.1, 0.5, 60.37, 0.9), Note(0.5, 0.9, 59.9, 0.9)])
    first, second = played(tmp_path / "bare.mid")
    assert first[2][0][1] == pytest.approx(60.37, abs=0.005) and first[3] == 90
    assert second[2][-1][1] == pytest.approx(59.9, abs=0.005)
    far = Note(0.0, 1.0, 60.0, 1.0, curve=np.array([[0.0, 60.0], [0.5, 90.0]]))
    with NotesMidi(tmp_path / "far.mid") as writer:
        writer.write([far])
    assert played(tmp_path / "far.mid")[0][2][-1][1] == pytest.approx(60 + BEND_SEMITONES, abs=0.01)
    NotesMidi(tmp_path / "none.mid").close()
    assert played(tmp_path / "none.mid") == []
    with pytest.raises(ZeroDivisionError), NotesMidi(tmp_path / "broken.mid"):
        raise ZeroDivisionError
    assert not (tmp_path / "broken.mid").exists()


def test_midi_leaves_its_channel_in_tune(tmp_path):
    """The bend is a state of the channel, which a player may use for another file."""
    with NotesMidi(tmp_path / "bent.mid") as writer:
        writer.write([Note(0.1, 0.5, 60.37, 0.9)])
    messages = list(mido.MidiFile(tmp_path / "bent.mid").tracks[0])
    bends = [message.pitch for message in messages if message.type == "pitchwheel"]
    assert bends[0] != 0 and bends[-1] == 0
    kinds = [message.type for message in messages]
    last = len(kinds) - 1 - kinds[::-1].index("pitchwheel")
    assert kinds[last - 1] == "note_off" and kinds[last + 1 :] == ["end_of_track"]
    assert 0.4 < messages[last].time / 1920 < 0.6  # the note has died away


def test_midi_without_its_library(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "mido", None)
    with pytest.raises(UserError, match=r"mido is not installed: pip install .*\[notes\]"):
        NotesMidi(tmp_path / "x.mid")


def test_the_table_and_the_names_of_tones(tmp_path):
    with NotesCsv(tmp_path / "notes.csv") as writer:
        writer.write([Note(0.1, 0.5, 60.4, 0.9)])
        writer.write([Note(1.0, 1.25, 68.51, 1.0, -20.0)])
    assert (tmp_path / "notes.csv").read_text().splitlines() == [
        "onset,offset,pitch_midi,note_name,confidence",
        "0.100000,0.500000,60.400,C4,0.900000",
        "1.000000,1.250000,68.510,A4,1.000000",
    ]
    assert [note_name(k) for k in (0, 61, 59.4, 127)] == ["C-1", "C#4", "B3", "G9"]

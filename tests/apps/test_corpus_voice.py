"""The corpus's singer: what is sung, when each sound comes, and that the label is the pitch."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import pytest

from asteroid_joint.apps.corpus.hts import (
    SILENT,
    SPOKEN,
    SUNG,
    UNVOICED,
    VOWELS,
    HTSVoice,
    Phone,
)
from asteroid_joint.apps.corpus.melody import (
    BREATHING_SEC,
    SHORTEST_SEC,
    Note,
    harmony,
    phrases_of,
    write_melody,
)
from asteroid_joint.apps.corpus.singers import SINGERS
from asteroid_joint.apps.corpus.song import MAJOR, plan_song
from asteroid_joint.apps.corpus.styles import STYLES
from asteroid_joint.apps.corpus.voice import (
    N_FFT,
    RATE,
    Sung,
    envelope_basis,
    phones_of,
    pitch_curve,
    sing,
)
from asteroid_joint.errors import UserError

FRAME_SEC = 0.005
VOICES = (SUNG, SPOKEN)
# two phrases: "sa" "ma" (slurred up) "ka", a rest of two seconds, "shi"
NOTES = (
    Note(0.6, 1.2, 62, "s", "a", 0),
    Note(1.2, 1.7, 64, "m", "a", 0),
    Note(1.7, 2.1, 66, "", "a", 0, slurred=True),
    Note(2.1, 2.6, 62, "k", "a", 0),
    Note(4.6, 5.4, 65, "sh", "i", 1),
)


@pytest.fixture(scope="module")
def voices() -> dict[str, HTSVoice]:
    return {name: HTSVoice(name) for name in VOICES}


@pytest.fixture(scope="module", params=["alto", "mei_man"])
def sung(request, voices) -> Sung:
    """``NOTES`` by a singer of either voice."""
    singer = SINGERS[request.param]
    notes = [replace(n, midi=n.midi - 7) for n in NOTES] if singer.low_midi < 50 else NOTES
    return sing(np.random.default_rng(3), voices[singer.voice], singer, notes, 6 * RATE)


def rms_db(wav: np.ndarray) -> float:
    return 10 * float(np.log10(np.mean(np.square(wav)) + 1e-20))


def repetition(wav: np.ndarray, f0_hz: float) -> float:
    """Correlation of a piece with itself a period later, without what is below the voice."""
    wav = np.diff(wav)
    lags = range(int(0.94 * RATE / f0_hz), int(1.06 * RATE / f0_hz))
    return max(float(np.corrcoef(wav[:-lag], wav[lag:])[0, 1]) for lag in lags)


def frames(start_sec: float, end_sec: float) -> slice:
    return slice(round(start_sec / FRAME_SEC), round(end_sec / FRAME_SEC))


def samples(start_sec: float, end_sec: float) -> slice:
    return slice(round(start_sec * RATE), round(end_sec * RATE))


# ------------------------------------------------------------------ timbre


def band_db(log_amplitude: np.ndarray, low_hz: float, high_hz: float) -> float:
    hz = np.fft.rfftfreq(N_FFT, 1 / RATE)
    return rms_db(np.exp(log_amplitude[(hz >= low_hz) & (hz < high_hz)]))


@pytest.mark.parametrize("name", VOICES)
def test_vowels_have_their_formants(voices, name):
    brightness = {}
    for vowel in "ai":
        phones = [Phone("sil", 0, 0.3), Phone(vowel, 0.3, 0.9), Phone("sil", 0.9, 1.2)]
        cepstrum, own_f0_hz = voices[name](phones)
        assert cepstrum.shape == (240, 35) and 80 < own_f0_hz < 600
        middle = (cepstrum[100:140] @ envelope_basis(1.0, own_f0_hz)).mean(0)
        assert rms_db(np.exp(middle)) > rms_db(np.exp(cepstrum[5:30] @ envelope_basis(1.0, 200)))
        brightness[vowel] = band_db(middle, 2500, 3500) - band_db(middle, 700, 1500)
    # the second formant of "a" is near 1.2 kHz, those of "i" are above 2.2 kHz
    assert brightness["i"] > brightness["a"] + 10


def test_formants_move_with_the_singer():
    cepstrum = np.zeros(35)
    cepstrum[1:6] = 1.0, -0.5, 0.4, -0.3, 0.2
    hz = np.fft.rfftfreq(N_FFT, 1 / RATE)
    plain, moved = (cepstrum @ envelope_basis(factor, 300.0) for factor in (1.0, 1.25))
    expected = np.interp(hz / 1.25, hz, plain)
    inside = (hz > 600) & (hz < 15000)
    np.testing.assert_allclose(moved[inside], expected[inside], atol=0.01)


def test_every_sound_is_sung_by_both_voices(voices):
    """All syllables at once: consonants shape the envelope before their vowel."""
    names = ["k", "s", "t", "n", "h", "m", "r", "y", "w", "g", "d", "b", "z", "p", "sh"]
    notes = [
        Note(0.5 + 0.3 * i, 0.8 + 0.3 * i, 60, c, v, 0)
        for i, (c, v) in enumerate(zip(names, itertools.cycle("aeo"), strict=False))
    ]
    phones = phones_of(np.random.default_rng(0), notes)
    assert {phone.name for phone in phones} >= set(names)
    for voice in voices.values():
        cepstrum, _ = voice(phones)
        assert len(cepstrum) == pytest.approx(phones[-1].end_sec / FRAME_SEC, abs=2)
        assert np.isfinite(cepstrum).all()


@pytest.mark.parametrize("name", VOICES)
def test_a_missing_engine_is_one_sentence(monkeypatch, name):
    monkeypatch.setitem(sys.modules, "pyopenjtalk", None)
    with pytest.raises(UserError, match=r"pip install 'asteroid-joint\[corpus\]'"):
        HTSVoice(name)


# ------------------------------------------------------------------ sound and label


def test_the_label_is_the_pitch(sung):
    """By another method than the one that made it: the strongest lag of the signal."""
    errors, wav = [], sung.wav
    for index in np.flatnonzero(sung.f0_hz)[::4]:
        f0_hz, at = sung.f0_hz[index], round(index * FRAME_SEC * RATE)
        around = sung.f0_hz[index - 4 : index + 5]
        if (around == 0).any() or around.max() / around.min() > 1.03:
            continue  # at borders and in glides one frame is not one pitch
        period = RATE / f0_hz
        piece = wav[at - round(1.5 * period) : at + round(1.5 * period)]
        lags = np.arange(int(0.8 * period), int(1.25 * period) + 2)
        n = len(piece) - lags[-1]
        score = [
            np.dot(piece[:n], piece[lag : lag + n])
            / np.sqrt(
                np.dot(piece[:n], piece[:n]) * np.dot(piece[lag : lag + n], piece[lag : lag + n])
                + 1e-20
            )
            for lag in lags
        ]
        best = int(np.clip(np.argmax(score), 1, len(score) - 2))
        low, mid, high = score[best - 1 : best + 2]
        lag = lags[best] + 0.5 * (low - high) / (low - 2 * mid + high)
        errors.append(1200 * np.log2(RATE / lag / f0_hz))
    errors = np.array(errors)
    assert len(errors) > 50
    assert np.median(np.abs(errors)) < 10 and abs(np.median(errors)) < 5
    assert np.mean(np.abs(errors) < 50) > 0.97


def test_the_label_is_what_an_f0_estimator_hears(sung):
    pyworld, soxr = pytest.importorskip("pyworld"), pytest.importorskip("soxr")
    wav = soxr.resample(sung.wav, RATE, 16000)
    rough, times = pyworld.dio(wav, 16000, f0_floor=70, f0_ceil=900)
    heard = pyworld.stonemask(wav, rough, times, 16000)
    n = min(len(heard), len(sung.f0_hz))
    both = (heard[:n] > 0) & (sung.f0_hz[:n] > 0)
    assert both.sum() > 0.8 * (sung.f0_hz > 0).sum()
    cents = 1200 * np.log2(heard[:n][both] / sung.f0_hz[:n][both])
    assert np.median(np.abs(cents)) < 10


def test_consonants_without_voice_are_unvoiced_in_label_and_sound(sung):
    starts = [start for start, _ in sung.active]
    assert len(sung.f0_hz) == 1200 and len(sung.wav) == 6 * RATE
    for onset, start in ((NOTES[0].onset_sec, starts[0]), (NOTES[4].onset_sec, starts[1])):
        assert 0.05 < onset - start < 0.12  # the consonant comes before the beat
        assert not sung.f0_hz[frames(start, onset)].any()
        assert sung.f0_hz[frames(onset + 0.02, onset + 0.2)].all()
        # noise does not repeat itself after the period of the note
        periodic = [
            repetition(sung.wav[samples(*span)], sung.f0_hz[round((onset + 0.15) / FRAME_SEC)])
            for span in ((start + 0.01, onset - 0.02), (onset + 0.1, onset + 0.2))
        ]
        assert periodic[0] < 0.7 < 0.9 < periodic[1]
    assert not sung.f0_hz[frames(2.06, 2.095)].any()  # the k
    assert sung.f0_hz[frames(0.7, 1.85)].all()  # the m and the slur


def test_it_is_silent_between_phrases(sung):
    (_, end), (start, _) = sung.active
    assert end == pytest.approx(2.6, abs=0.01)
    loud_db = rms_db(sung.wav[samples(0.7, 1.6)])
    assert loud_db == pytest.approx(-20, abs=3)
    assert rms_db(sung.wav[samples(end + 0.1, start - 0.4)]) < loud_db - 60
    assert rms_db(sung.wav[samples(0, 0.2)]) < loud_db - 60
    assert not sung.f0_hz[frames(end, start)].any()


def test_no_sound_bursts_out(sung):
    """Neither the m nor any other sound is much louder than the vowels around it."""
    voiced = np.flatnonzero(sung.f0_hz)
    level_db = np.array([rms_db(sung.wav[(at := round(i * 220.5)) : at + 882]) for i in voiced])
    assert level_db.max() - np.median(level_db) < 12
    assert np.abs(sung.wav).max() < 1


def test_the_same_seed_sings_the_same(voices):
    def take(seed: int) -> Sung:
        notes = NOTES[:3]
        return sing(np.random.default_rng(seed), voices[SUNG], SINGERS["jazz"], notes, 3 * RATE)

    first, other, again = take(1), take(2), take(1)  # the engine keeps nothing from before
    np.testing.assert_array_equal(first.wav, again.wav)
    np.testing.assert_array_equal(first.f0_hz, again.f0_hz)
    assert first.active == again.active
    assert np.abs(first.wav - other.wav).max() > 0.01


# ------------------------------------------------------------------ phones


def test_syllables_become_sounds():
    phones = phones_of(np.random.default_rng(0), NOTES[:4])
    assert [phone.name for phone in phones] == ["sil", "s", "a", "m", "a", "k", "a", "sil"]
    slurred = phones[4]
    assert (slurred.start_sec, slurred.midi) == (1.2, 64)
    assert slurred.end_sec == phones[5].start_sec
    gap = [NOTES[0], replace(NOTES[3], consonant="")]  # a rest within the phrase
    names = [phone.name for phone in phones_of(np.random.default_rng(0), gap)]
    assert names == ["sil", "s", "a", "pau", "a", "sil"]


def melodies(n: int):
    """Songs of all styles and lengths, and what is sung in them, by singers of all ranges."""
    styles, singers = list(STYLES.values()), list(SINGERS.values())
    for seed in range(n):
        rng = np.random.default_rng(seed)
        singer = singers[seed % len(singers)]
        song = plan_song(rng, styles[seed % len(styles)], (4.0, 6.0, 13.0, 45.0)[seed // 7 % 4])
        yield song, singer, write_melody(rng, song, singer.low_midi, singer.high_midi)


def test_sounds_follow_one_another_and_none_is_too_short():
    for _, _, notes in melodies(100):
        for phrase in phrases_of(notes):
            start = phrase[0].onset_sec - 0.36
            local = [
                replace(n, onset_sec=n.onset_sec - start, offset_sec=n.offset_sec - start)
                for n in phrase
            ]
            phones = phones_of(np.random.default_rng(0), local)
            assert phones[0].name == phones[-1].name == "sil" and phones[0].start_sec == 0
            for before, after in itertools.pairwise(phones):
                assert before.end_sec == pytest.approx(after.start_sec, abs=1e-9)
            # five states of a frame each
            assert min(phone.end_sec - phone.start_sec for phone in phones) >= 0.025
            vowels = [phone for phone in phones if phone.name in VOWELS]
            syllables = [note for note in local if not note.slurred]
            assert [v.start_sec for v in vowels] == [note.onset_sec for note in syllables]
            onsets = {note.onset_sec for note in syllables}
            for phone in phones:
                if phone.name not in VOWELS | SILENT:
                    assert phone.end_sec in onsets
                    assert phone.voiced == (phone.name not in UNVOICED)


# ------------------------------------------------------------------ pitch


def curve(singer, notes, seed: int = 0, length_sec: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    sec = np.arange(round(length_sec / FRAME_SEC)) * FRAME_SEC
    return sec, pitch_curve(np.random.default_rng(seed), singer, notes, sec)


def test_pitch_settles_on_the_note():
    notes = [Note(0.5, 1.4, 60, "", "a", 0), Note(1.4, 2.4, 67, "", "a", 0, slurred=True)]
    reached = []
    for seed in range(20):
        sec, midi = curve(SINGERS["straight"], notes, seed)
        reached.append([midi[(sec > a) & (sec < a + 0.05)].mean() for a in (1.32, 2.2)])
        rising = (sec > 1.37) & (sec < 1.5)
        assert midi[rising].max() < 67.7 and np.abs(np.diff(midi[rising])).max() < 2
    errors = np.array(reached) - (60, 67)
    assert np.abs(errors).max() < 0.25 and np.abs(errors.mean(0)).max() < 0.05
    assert np.median(np.abs(errors)) < 0.15


def test_vibrato_comes_late_and_on_long_notes_only():
    singer = replace(SINGERS["soprano"], drift_cents=0.0, scoop_cents=0.0)
    notes = [Note(0.5, 0.8, 60, "n", "a", 0), Note(0.8, 3.3, 60, "n", "a", 0)]
    for seed in range(8):
        sec, midi = curve(singer, notes, seed)
        cents = 100 * (midi - 60)
        assert np.abs(cents[sec < 0.94]).max() < 10
        long = cents[(sec > 1.5) & (sec < 3.1)]
        assert 0.5 * singer.vibrato_cents < np.abs(long).max() < 1.3 * singer.vibrato_cents
        assert abs(long.mean()) < 10
        turns = np.flatnonzero(np.diff(np.sign(long)) != 0)
        assert len(turns) / 2 / 1.6 == pytest.approx(singer.vibrato_hz, rel=0.15)


def test_phrases_are_scooped_into():
    singer = replace(SINGERS["jazz"], drift_cents=0.0, vibrato_cents=0.0)
    starts = []
    for seed in range(20):
        sec, midi = curve(singer, [Note(0.5, 1.5, 60, "", "a", 0)], seed)
        starts.append(100 * (60 - midi[round(0.5 / FRAME_SEC)]))
        assert np.abs(midi[(sec > 0.9) & (sec < 1.3)] - 60).max() < 0.1
    assert 0.35 * singer.scoop_cents < np.mean(starts) < 1.25 * singer.scoop_cents


# ------------------------------------------------------------------ melodies


def test_melodies_can_be_sung():
    n_phrases = 0
    for song, singer, notes in melodies(200):
        assert notes
        phrases = phrases_of(notes)
        n_phrases += len(phrases)
        for note in notes:
            assert singer.low_midi <= note.midi <= singer.high_midi
            assert note.midi % 12 in {*song.scale, *(t for c in song.chords for t in c.tones)}
            assert note.offset_sec - note.onset_sec >= SHORTEST_SEC - 0.08
            assert note.vowel in VOWELS and (not note.slurred or not note.consonant)
        for phrase in phrases:
            assert not phrase[0].slurred
            for before, after in itertools.pairwise(phrase):
                assert before.offset_sec <= after.onset_sec + 1e-9
                if after.slurred:
                    assert after.vowel == before.vowel and after.midi != before.midi
                    assert after.onset_sec == pytest.approx(before.offset_sec)
        for before, after in itertools.pairwise(phrases):
            assert after[0].onset_sec - before[-1].offset_sec >= BREATHING_SEC
        assert notes[0].onset_sec >= 0.36  # room for a consonant and a breath
        assert notes[-1].offset_sec < song.duration_sec - 0.25
    assert n_phrases > 400


def test_melodies_repeat_themselves_and_move():
    """Songs are made of figures that come back, mostly in small steps."""
    steps, repeats = [], 0
    for _, _, notes in melodies(60):
        steps += [abs(b.midi - a.midi) for a, b in itertools.pairwise(notes)]
        rhythms = [
            tuple(round(b.onset_sec - a.onset_sec, 3) for a, b in itertools.pairwise(phrase))
            for phrase in phrases_of(notes)
        ]
        repeats += len(rhythms) - len({r[:3] for r in rhythms})
    assert np.mean(np.array(steps) <= 4) > 0.7 and np.mean(np.array(steps) == 0) < 0.4
    assert repeats > 20


def test_harmony_moves_by_steps_of_the_scale():
    notes = [Note(0, 1, midi, "", "a", 0) for midi in (60, 62, 64, 71)]
    assert [n.midi for n in harmony(notes, MAJOR, 2)] == [64, 65, 67, 74]
    assert [n.midi for n in harmony(notes, MAJOR, -2)] == [57, 59, 60, 67]
    assert harmony(notes, MAJOR, 0) == tuple(notes)
    for _, _, written in melodies(20):
        song_scale = {note.midi % 12 for note in written}
        moved = harmony(written, sorted(song_scale), 1) if len(song_scale) > 3 else ()
        assert all(note.midi % 12 in song_scale for note in moved)

"""The accompaniment of the synthetic corpus: styles, songs and the band."""

import itertools

import numpy as np
import pytest

from asteroid_joint.apps.corpus.band import (
    BAND_RATE,
    DRUMS,
    STROKES,
    Band,
    Note,
    Part,
    arrange,
)
from asteroid_joint.apps.corpus.song import (
    SCALES,
    STEPS_PER_BAR,
    Chord,
    parse_chord,
    plan_sections,
    plan_song,
    strokes,
    voiced,
)
from asteroid_joint.apps.corpus.styles import STYLES, styles_of

SUNG = [(0.5, 2.0)]


@pytest.fixture(scope="module")
def band():
    return Band()


def song_of(name="pop", seed=0, duration_sec=3.0):
    return plan_song(np.random.default_rng(seed), STYLES[name], duration_sec)


def test_sides_share_neither_styles_nor_chord_loops_nor_grooves():
    sides = {side: styles_of(side) for side in ("train", "valid", "test")}
    assert len(sides["train"]) >= 5 and len(sides["valid"]) >= 2 and len(sides["test"]) >= 2
    assert sum(map(len, sides.values())) == len(STYLES)
    for a, b in itertools.combinations(sides.values(), 2):
        for field in ("loops", "grooves", "fills"):
            assert not _members(a, field) & _members(b, field), field


def _members(styles, field):
    members = {m for style in styles for m in getattr(style, field)}
    if field == "loops":
        members = {(m, loop.strip()) for m, loops in members for loop in loops.split("|")}
    return members


@pytest.mark.parametrize("style", STYLES.values(), ids=STYLES)
def test_tables_can_be_read(style):
    for mode, loops in style.loops:
        assert mode in SCALES
        assert all(len(parse_chord(s, 0).tones) >= 3 for s in loops.replace("|", " ").split())
    rhythms = [(p, "R358a") for p in style.bass] + [(p, "01234") for p in style.arpeggio]
    for chords in (style.comp, style.second):
        rhythms += [(pattern, "xXu") for pattern in chords.patterns]
    for groove in style.grooves + style.fills:
        for drum, pattern in (line.split(" ", 1) for line in groove):
            assert drum in DRUMS
            rhythms.append((pattern, "xXo"))
    assert set("xXou") == set(STROKES)
    for pattern, symbols in rhythms:
        steps = pattern.replace(" ", "")
        assert len(steps) % STEPS_PER_BAR == 0, pattern
        assert set(steps) <= set(symbols + "-."), pattern
        assert strokes(pattern, 0), pattern


@pytest.mark.parametrize("name", STYLES)
def test_every_style_sounds(band, name):
    stems = band.render(np.random.default_rng(1), song_of(name, duration_sec=2.0), SUNG)
    assert list(stems) == ["drums", "bass", "other"]
    for stem in stems.values():
        assert stem.shape == (2, 2 * BAND_RATE)
        assert np.isfinite(stem).all()
        assert 0.02 < np.sqrt(np.mean(stem**2)) < np.abs(stem).max() <= 0.901


def test_same_seed_same_sound(band):
    song = song_of()
    first = band.render(np.random.default_rng(5), song, SUNG)
    again = Band().render(np.random.default_rng(5), song, SUNG)
    other = band.render(np.random.default_rng(6), song, SUNG)
    for name, stem in first.items():
        np.testing.assert_array_equal(stem, again[name])
        assert np.abs(stem - other[name]).max() > 0.01


@pytest.mark.parametrize("pitch, f0_hz", [(57, 220.0), (69, 440.0), (76, 659.26)])
def test_a_note_has_its_pitch_and_time(band, pitch, f0_hz):
    vibraphone = Part(11, [Note(1.0, 2.0, pitch, 100)])
    mono = band.play([vibraphone], 3 * BAND_RATE).mean(0)
    spectrum = np.abs(np.fft.rfft(mono[BAND_RATE : 2 * BAND_RATE] * np.hanning(BAND_RATE)))
    assert np.argmax(spectrum) == pytest.approx(f0_hz, rel=0.01)  # a bin is 1 Hz
    onset_sec = np.argmax(np.abs(mono) > 0.05 * np.abs(mono).max()) / BAND_RATE
    assert onset_sec == pytest.approx(1.0, abs=0.01)


def test_bends_are_in_semitones(band):
    bent = Part(80, [Note(0.0, 1.0, 69, 100)], bends=[(0.0, 2.0)])
    spectrum = np.abs(np.fft.rfft(band.play([bent], BAND_RATE).mean(0) * np.hanning(BAND_RATE)))
    assert np.argmax(spectrum[:700]) == pytest.approx(440 * 2 ** (2 / 12), rel=0.01)


@pytest.mark.parametrize("pan, louder", [(-0.8, 0), (0.8, 1)])
def test_pan(band, pan, louder):
    left, right = rms = [
        float(np.sqrt(np.mean(channel**2)))
        for channel in band.play([Part(11, [Note(0.0, 0.5, 60, 100)], pan=pan)], BAND_RATE // 2)
    ]
    assert np.argmax(rms) == louder
    centre = band.play([Part(11, [Note(0.0, 0.5, 60, 100)])], BAND_RATE // 2)
    assert left**2 + right**2 == pytest.approx(2 * np.mean(centre**2), rel=0.05)


def test_sounds_are_brought_to_the_level_asked_for(band):
    def rms(program, level_db):
        part = Part(program, [Note(0.0, 0.5, 60, 100)], level_db=level_db)
        return np.sqrt(np.mean(band.play([part], BAND_RATE // 2) ** 2))

    loud, quiet = 85, 27  # 15 dB apart in the font
    assert 20 * np.log10(rms(loud, 0) / rms(quiet, 0)) == pytest.approx(0, abs=1.5)
    assert 20 * np.log10(rms(loud, -6) / rms(loud, 0)) == pytest.approx(-6, abs=0.5)


def test_song_covers_its_duration():
    song = song_of(duration_sec=20.0)
    assert song.n_samples == 20 * BAND_RATE
    assert (song.n_bars - 1) * song.bar_sec < 20 <= song.n_bars * song.bar_sec
    assert song.bar_sec == pytest.approx(240 / song.tempo_bpm)
    assert song.chord_at(0.0) == song.chords[0]
    assert song.chord_at(1.5 * song.bar_sec) == song.chords[1]
    assert song.chord_at(2.01 * song.bar_sec) == song.chords[2]
    assert song.chord_at(1e3) == song.chords[-1]
    assert song_of(duration_sec=0.1).n_bars == 1


def test_chords_and_voicings():
    assert parse_chord("1", 0) == Chord(0, (0, 4, 7))
    assert parse_chord("b7", 2) == Chord(0, (0, 4, 7))
    assert parse_chord("57", 5) == Chord(0, (0, 4, 7, 10))
    with pytest.raises(ValueError, match="8x"):
        parse_chord("8x", 0)
    g_major = parse_chord("5", 0)
    assert voiced(g_major, "close", 60) == [62, 67, 71]
    assert voiced(g_major, "power", 40) == [43, 50, 55]
    assert voiced(g_major, "wide", 48) == [55, 67, 71, 74]


def test_swing_delays_off_beats_only():
    song = song_of("soul")  # triplets: the second eighth starts at two thirds of the beat
    assert song.time_of(1, 4) == pytest.approx(song.bar_sec + song.beat_sec)
    assert song.time_of(0, 2) == pytest.approx(2 / 3 * song.beat_sec)


def test_sections_follow_each_other_and_play():
    for seed, n_bars in itertools.product(range(20), (1, 9, 40)):
        sections = plan_sections(np.random.default_rng(seed), n_bars)
        bars = [s.first_bar + i for s in sections for i in range(s.n_bars)]
        assert bars == list(range(n_bars))
        assert any({"drums", "bass", "comp"} <= s.playing for s in sections)


def test_melodies_play_in_the_gaps_and_against_the_voice():
    song = song_of(duration_sec=60.0)
    sung = [(float(start), start + 6.0) for start in range(0, 60, 10)]
    *_, gaps, against = arrange(np.random.default_rng(0), song, sung)["other"]
    for part, inside in ((gaps, False), (against, True)):
        assert part.program in song.style.leads
        starts = [note.start_sec for note in part.notes]
        voiced_notes = [any(a <= t < b for a, b in sung) for t in starts]
        assert len(starts) > 15
        assert np.mean(voiced_notes) > 0.5 if inside else np.mean(voiced_notes) < 0.05
    assert {note.pitch % 12 for note in gaps.notes} - {song.tonic}  # more than a drone


def test_rhythm_is_on_the_grid():
    song = song_of("synth-pop", duration_sec=20.0)  # straight, hardly any jitter
    parts = arrange(np.random.default_rng(0), song, [])
    for part in (*parts["drums"], *parts["bass"]):
        steps = np.array([note.start_sec for note in part.notes]) / song.bar_sec * STEPS_PER_BAR
        assert np.abs(steps - steps.round()).max() < 0.05

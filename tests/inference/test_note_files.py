"""Files of notes: each read by a reader of its format and compared with the notes."""

import re
import xml.etree.ElementTree as ET

import mido
import numpy as np
import pytest
import soundfile as sf
from test_song_files import Singer, music, names, sing, write

from asteroid_joint.cli import main
from asteroid_joint.errors import AudioError, ConfigError
from asteroid_joint.inference.notes import (
    NOTES_FORMATS,
    Line,
    Note,
    NotesMidi,
    SongFacts,
    lyrics_beside,
)
from asteroid_joint.inference.notes.lyrics import Sung, parse_lrc, parse_srt, share_out, spread
from asteroid_joint.inference.separate import separate_file

RATE = 16000
LYRICS = (Line(1.0, ("wonderful", "day")), Line(3.0, ()), Line(5.0, ("the", "end", "my", "friend")))


def melody(n: int = 40, seed: int = 0) -> list[Note]:
    """Notes of any length from 90 ms, some with rests between them."""
    rng = np.random.default_rng(seed)
    lengths = rng.uniform(0.09, 0.8, n)
    rests = np.where(rng.random(n) < 0.5, 0, rng.uniform(0.02, 1.5, n))
    ends = 1.234 + np.cumsum(lengths + rests)
    pitches = rng.uniform(45, 75, n)
    return [
        Note(float(end - length), float(end), float(pitch), 0.9)
        for end, length, pitch in zip(ends, lengths, pitches, strict=True)
    ]


def write_notes(kind: str, folder, notes, song=None, end=None) -> str:
    writer = NOTES_FORMATS[kind](folder / NOTES_FORMATS[kind].file_name, song)
    writer.write(notes[:7])
    writer.write([])
    writer.write(notes[7:])
    writer.close(end)
    return (folder / NOTES_FORMATS[kind].file_name).read_bytes().decode("latin1")


@pytest.mark.parametrize("kind", sorted(NOTES_FORMATS))
def test_no_notes_pieces_and_failures(kind, tmp_path):
    whole = write_notes(kind, tmp_path, melody(), end=60.0)
    with NOTES_FORMATS[kind](tmp_path / "once") as writer:
        writer.write(melody())
        writer.close(60.0)
        writer.close()  # a second time does nothing
    assert (tmp_path / "once").read_bytes().decode("latin1") == whole
    write_notes(kind, tmp_path, [], end=3.0)
    with pytest.raises(ZeroDivisionError), NOTES_FORMATS[kind](tmp_path / "broken"):
        raise ZeroDivisionError
    with pytest.raises(OSError):
        NOTES_FORMATS[kind](tmp_path / "missing" / "notes").close()
    files = [known.file_name for known in NOTES_FORMATS.values()]
    assert len(set(files)) == len(files)


# UltraStar


def read_ultrastar(text: str):
    """Headers; notes as (type, start in seconds, end, pitch, text); beats of ends of phrases."""
    headers, notes, phrases, last = {}, [], [], -1
    lines = text.split("\n")
    assert lines[-1] == "" and lines[-2] == "E"
    for line in lines[:-2]:
        if line.startswith("#"):
            assert not notes
            key, value = re.fullmatch(r"#([A-Z0-9]+):(.+)", line).groups()
            headers[key] = value
        elif line.startswith("-"):
            phrases.append((int(re.fullmatch(r"- (\d+)", line)[1]), len(notes)))
        else:
            kind, start, length, pitch, text = re.fullmatch(
                r"([:*FRG]) (\d+) (\d+) (-?\d+) (.+)", line
            ).groups()
            assert int(start) >= last and int(length) >= 1
            last = int(start) + int(length)
            beat_sec = 60 / (4 * float(headers["BPM"]))
            at = float(headers["GAP"]) / 1000
            times = at + int(start) * beat_sec, at + last * beat_sec
            notes.append((kind, *times, int(pitch), text))
    return headers, notes, phrases


@pytest.mark.parametrize("tempo", [20.0, 97.3, 120.0, 400.0])
def test_ultrastar_is_a_song_of_version_1_2_0(tmp_path, tempo):
    facts = SongFacts("Me - My Song", "song.mp3", "vocals.wav", "band.wav", tempo)
    notes = melody()
    headers, found, phrases = read_ultrastar(write_notes("ultrastar", tmp_path, notes, facts))
    assert list(headers)[0] == "VERSION" and headers["VERSION"] == "1.2.0"
    wanted = {"ARTIST": "Me", "TITLE": "My Song", "MP3": "song.mp3", "AUDIO": "song.mp3"}
    wanted |= {"VOCALS": "vocals.wav", "INSTRUMENTAL": "band.wav"}
    assert {key: headers[key] for key in wanted} == wanted
    assert np.log2(float(headers["BPM"]) / tempo) % 1 == pytest.approx(0, abs=1e-3)
    assert [note[3] for note in found] == [round(n.pitch_midi) - 60 for n in notes]
    beat_sec = 15 / float(headers["BPM"])
    assert beat_sec <= 0.05
    for (_, start, end, *_), note in zip(found, notes, strict=True):
        assert start == pytest.approx(note.onset_sec, abs=0.6 * beat_sec)
        assert end == pytest.approx(note.offset_sec, abs=0.6 * beat_sec)
    long_rests = [
        n for n in range(1, len(notes)) if notes[n].onset_sec - notes[n - 1].offset_sec >= 0.6
    ]
    assert [n for _, n in phrases] == long_rests and long_rests
    assert {text.strip() for *_, text in found} == {"~"}


def test_ultrastar_sings_the_lyrics(tmp_path):
    notes = [Note(t, t + 0.4, 60.0, 1.0) for t in (0.0, 0.9, 1.5, 2.0, 3.5, 5.1, 6.0)]
    text = write_notes("ultrastar", tmp_path, notes, SongFacts("x", lyrics=LYRICS))
    headers, found, phrases = read_ultrastar(text)
    assert headers["ARTIST"] == "Unknown" and "VOCALS" not in headers
    texts = [note[4] for note in found]
    assert texts == ["~", "wonderful", "~", " day", "~", "the end", " my friend"]
    assert [n for _, n in phrases] == [1, 4, 5]


def test_a_title_cannot_end_its_header(tmp_path):
    text = write_notes("ultrastar", tmp_path, melody(), SongFacts("a\nE\n#BPM:1"))
    assert read_ultrastar(text)[0]["TITLE"] == "a E #BPM:1"


# Lyrics


def test_words_are_given_to_notes():
    assert share_out(["la"], 3) == ["la", "~", "~"]
    assert share_out(["strength", "area"], 4) == ["strength", "area", "~", "~"]
    for n_words in range(1, 6):
        for n_notes in range(1, 9):
            words = [f"w{k}" for k in range(n_words)]
            found = share_out(words, n_notes)
            assert len(found) == n_notes
            assert [w for text in found for w in text.split() if w != "~"] == words


def test_a_line_without_notes_is_not_sung():
    notes = [Note(9.0, 9.5, 60.0, 1.0)]
    assert spread([Line(0.0, ("a",), 1.0), Line(2.0, ("b",), 4.0)], notes, 0.5) == [Sung("~", True)]
    assert spread([], [], 0.5) == []


def test_lrc_with_all_it_may_have():
    text = (
        "[ti:Song]\n[offset:+500]\nno time\n"
        "[00:10.00][01:00.5]<00:10.0> One <00:11.0> two\n[0:05:25]three\n[00:20]\n"
    )
    assert parse_lrc(text) == (
        *(Line(4.75, ("three",)), Line(9.5, ("One", "two"))),
        *(Line(19.5, ()), Line(60.0, ("One", "two"))),
    )


def test_srt_with_all_it_may_have():
    text = (
        "1\r\n00:00:01,5 --> 00:00:02,000\r\n{\\an8}<i>One</i>\r\n two\r\n\r\n"
        "2\r\n01:00:00.250 --> 01:00:01.000\r\n3 \r\n"
    )
    assert parse_srt(text) == (Line(1.5, ("One", "two"), 2.0), Line(3600.25, ("3",), 3601.0))


def test_lyrics_beside_a_song(tmp_path):
    song = tmp_path / "song.mp3"
    assert lyrics_beside(song) == ()
    (tmp_path / "song.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nLa\n")
    assert lyrics_beside(song)[0].words == ("La",)
    (tmp_path / "song.lrc").write_text("\ufeffla la la\n", "utf-8")
    with pytest.raises(AudioError, match=r"^The lyrics in .*song.lrc have no times: add them"):
        lyrics_beside(song)
    (tmp_path / "song.lrc").write_bytes(b"[00:01]\xff\xfe\n")
    with pytest.raises(AudioError, match=r"song.lrc cannot be read: save the lyrics as UTF-8.$"):
        lyrics_beside(song)


# MusicXML


def read_musicxml(text: str):
    """Notes as (start in quarters, length, MIDI, lyric), ties joined; every measure is full."""
    root = ET.fromstring(text.split("?>", 1)[1].split(">", 1)[1])
    assert root.tag == "score-partwise" and root.get("version") == "4.0"
    (part,) = root.findall("part")
    assert part.get("id") == root.find("part-list/score-part").get("id")
    divisions = int(part.find("measure/attributes/divisions").text)
    assert [m.get("number") for m in part] == [str(n + 1) for n in range(len(part))]
    at, notes, open_tie = 0, [], False
    kinds = {"whole": 4, "half": 2, "quarter": 1, "eighth": 1 / 2, "16th": 1 / 4}
    kinds |= {"32nd": 1 / 8, "64th": 1 / 16}
    for measure in part:
        lengths = []
        for note in measure.findall("note"):
            length = int(note.find("duration").text)
            shown = kinds[note.find("type").text] * (1.5 if note.find("dot") is not None else 1)
            assert shown * divisions == length
            ties = {tie.get("type") for tie in note.findall("tie")}
            assert ties == {tie.get("type") for tie in note.findall("notations/tied")}
            assert ("stop" in ties) == open_tie
            open_tie = "start" in ties
            if note.find("rest") is None:
                step, octave = (note.find(f"pitch/{x}").text for x in ("step", "octave"))
                alter = int(note.findtext("pitch/alter", "0"))
                midi = 12 * (int(octave) + 1) + "C D EF G A B".index(step) + alter
                if "stop" in ties:
                    assert notes[-1][2] == midi
                    notes[-1][1] += length / divisions
                else:
                    notes.append([at / divisions, length / divisions, midi, None])
                    notes[-1][3] = note.findtext("lyric/text")
            lengths.append(length)
            at += length
        assert sum(lengths) == 4 * divisions
    assert not open_tie
    return root, notes, divisions


@pytest.mark.parametrize("tempo", [20.0, 60.0, 120.0, 190.0])
def test_musicxml_has_full_measures_and_the_notes(tmp_path, tempo):
    facts, notes = SongFacts("A <b> & c", tempo_bpm=tempo), melody()
    root, found, divisions = read_musicxml(write_notes("musicxml", tmp_path, notes, facts))
    assert root.findtext("work/work-title") == "A <b> & c"
    assert float(root.find("part/measure/direction/sound").get("tempo")) == tempo
    assert [note[2] for note in found] == [round(n.pitch_midi) for n in notes]
    step = 1 / divisions
    for (start, length, *_), note in zip(found, notes, strict=True):
        slack = step * (0.51 if tempo >= 60 else 2.5)
        assert start == pytest.approx(note.onset_sec * tempo / 60, abs=slack)
        assert start + length == pytest.approx(note.offset_sec * tempo / 60, abs=slack)
        assert length >= step


def test_musicxml_has_the_lyrics_and_an_empty_score_a_rest(tmp_path):
    notes = [Note(t, t + 0.4, 60.0, 1.0) for t in (1.0, 1.5, 5.1)]
    text = write_notes("musicxml", tmp_path, notes, SongFacts("x", lyrics=LYRICS))
    _, found, _ = read_musicxml(text)
    assert [note[3] for note in found] == ["wonderful", "day", "the end my friend"]
    root, found, _ = read_musicxml(write_notes("musicxml", tmp_path, []))
    assert found == [] and len(root.findall("part/measure")) == 1


# Labels


def test_labels_are_a_track_of_audacity(tmp_path):
    notes = melody()
    rows = [row.split("\t") for row in write_notes("labels", tmp_path, notes).splitlines()]
    times = [(n.onset_sec, n.offset_sec) for n in notes]
    np.testing.assert_allclose([(float(a), float(b)) for a, b, _ in rows], times, atol=1e-6)
    assert all(re.fullmatch(r"[A-G]#?\d", name) for *_, name in rows)


def test_textgrid_has_no_gaps(tmp_path):
    notes = melody()
    text = write_notes("textgrid", tmp_path, notes, end=99.0)
    assert text.splitlines()[:2] == ['File type = "ooTextFile"', 'Object class = "TextGrid"']
    found = re.findall(r'xmin = (\S+)\s+xmax = (\S+)\s+text = "(.*)"', text)
    assert int(re.search(r"intervals: size = (\d+)", text)[1]) == len(found)
    assert float(found[0][0]) == 0 and float(found[-1][1]) == 99.0
    assert [end for _, end, _ in found[:-1]] == [start for start, *_ in found[1:]]
    assert all(float(start) < float(end) for start, end, _ in found)
    sung = [(float(start), float(end)) for start, end, name in found if name]
    np.testing.assert_allclose(sung, [(n.onset_sec, n.offset_sec) for n in notes], atol=1e-6)


# MIDI, tempo


def test_midi_of_another_tempo_and_bend_range(tmp_path):
    curve = np.array([[0.0, 60.0], [0.25, 61.0], [0.5, 65.0]])
    note = Note(0.0, 1.0, 60.2, 1.0, curve=curve)
    late = Note(7.0, 8.0, 72.0, 1.0)
    with NotesMidi(tmp_path / "n.mid", SongFacts(tempo_bpm=90.5, bend_semitones=2)) as writer:
        writer.write([note, late])
    file = mido.MidiFile(tmp_path / "n.mid")
    tempos = [m.tempo for m in file.tracks[0] if m.type == "set_tempo"]
    assert [mido.tempo2bpm(tempo) for tempo in tempos] == [pytest.approx(90.5, abs=1e-3)]
    now, onsets, bends, controls = 0.0, [], [], []
    for message in file:  # mido's own clock
        now += message.time
        if message.type == "note_on":
            onsets.append(now)
        if message.type == "pitchwheel":
            bends.append((now, message.pitch))
        if message.type == "control_change":
            controls.append((message.control, message.value))
    assert onsets == pytest.approx([0.0, 7.0], abs=0.001)
    assert (6, 2) in controls
    assert bends[0] == (pytest.approx(0.25, abs=0.001), 4096)
    assert bends[1][1] == 8191  # the range ends here


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"tempo_bpm": 10}, "The tempo is 10: give 20 to 400 beats per minute, or auto."),
        ({"tempo_bpm": float("nan")}, "The tempo is nan: give 20 to 400"),
        ({"bend_semitones": 0}, "The bend range is 0: give 1 to 96 semitones."),
    ],
)
def test_numbers_out_of_range(facts, sentence):
    with pytest.raises(ConfigError, match="^" + re.escape(sentence)):
        SongFacts(**facts)


# From a song


def test_every_format_from_a_song(tmp_path):
    (tmp_path / "song.lrc").write_text("[00:00.00]hey\n[00:01.00]you\n")
    done = sing(tmp_path, notes=True, notes_formats=[*NOTES_FORMATS, "csv"], tempo=100)
    files = ["notes.mid", "notes.csv", *(known.file_name for known in NOTES_FORMATS.values())]
    assert list(done.files[3:]) == list(dict.fromkeys(files)) and done.n_notes == 3
    headers, notes, _ = read_ultrastar((done.folder / "ultrastar.txt").read_text())
    assert headers["BPM"] == "400" and headers["MP3"] == "song.wav"
    assert (headers["VOCALS"], headers["INSTRUMENTAL"]) == ("vocals.wav", "accompaniment.wav")
    assert [text for *_, text in notes] == ["hey", "you", "~"]
    assert [pitch for *_, pitch, _ in notes] == [57 - 60] * 3
    _, score, _ = read_musicxml((done.folder / "notes.musicxml").read_text())
    assert [note[2] for note in score] == [57] * 3
    assert "xmax = 3.000000" in (done.folder / "notes.TextGrid").read_text()


def test_one_format_alone_and_its_bad_lyrics(tmp_path):
    done = sing(tmp_path, notes_formats=["labels"], stems=[])
    assert names(done.folder) == ["f0.csv", "notes.labels.txt"] and done.n_notes == 3
    (tmp_path / "song.srt").write_text("la la\n")
    assert sing(tmp_path, notes_formats=["labels"]).n_notes == 3  # has no words anyway
    with pytest.raises(AudioError, match="have no times"):
        sing(tmp_path, notes_formats=["ultrastar"])
    assert names(tmp_path / "out") == ["song"]


@pytest.mark.parametrize("kind", ["midi", "ultrastar"])
def test_tempo_auto_is_120_and_said(tmp_path, kind):
    """No kept library fits: librosa hears a beat in noise and in a sine, and takes 260 MB."""
    done = sing(tmp_path, notes_formats=[kind], tempo="auto", stems=[])
    assert done.warning.startswith(f"The tempo of {tmp_path / 'song.wav'} is not estimated: its ")
    assert done.warning.endswith("notes are on a grid of 120 BPM, give --tempo for another.")
    fixed = sing(tmp_path, notes_formats=[kind], tempo=120, stems=[])
    assert fixed.warning is None
    again = sing(tmp_path, notes_formats=[], tempo="auto", stems=[])
    assert again.warning is None  # nothing has a tempo


def test_a_tempo_given_is_that_of_the_file(tmp_path):
    done = sing(tmp_path, notes_formats=["midi"], tempo=97.0, stems=[])
    tempos = [m.tempo for m in mido.MidiFile(done.folder / "notes.mid") if m.type == "set_tempo"]
    assert mido.tempo2bpm(tempos[0]) == pytest.approx(97, rel=1e-5) and done.warning is None


# Names of stems


def test_stems_by_pattern_and_as_other_programs_call_them(tmp_path):
    path = write(tmp_path / "My Song.wav", music(0.3))
    for name, expected in {
        "demucs": ["no_vocals.wav", "vocals.wav"],
        "audio-separator": ["My Song_(Instrumental)_Singer.wav", "My Song_(Vocals)_Singer.wav"],
        "{Stem} of {song}": ["Instrumental of My Song.wav", "Vocals of My Song.wav"],
    }.items():
        done = separate_file(Singer(), path, tmp_path / name, stem_name=name, f0_formats=[])
        assert names(done.folder) == expected == sorted(done.files)
    mix, rate = sf.read(path, dtype="int32")
    parts = [sf.read(file, dtype="int32")[0] for file in done.folder.iterdir()]
    np.testing.assert_array_equal(parts[0] + parts[1], mix)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--name", "{song}"], "The name pattern '{song}' does not tell stems apart: include"),
        (["--name", "{stem}{title}"], "The name pattern '{stem}{title}' has a placeholder other"),
        (["--name", "{stem:>9}"], "The name pattern '{stem:>9}' has a placeholder other than"),
        (["--name", "{stem"], "The name pattern '{stem' is not valid: "),
        (["--name", "a/{stem}"], "The name pattern 'a/{stem}' names folders: give a plain"),
        (["--notes-format", "midi,mp3"], "Unknown notes format 'mp3': choose one of csv, labels,"),
        (["--tempo", "fast"], "The tempo is fast: give 20 to 400 beats per minute, or auto."),
        (["--tempo", "0"], "The tempo is 0.0: give 20 to 400 beats per minute, or auto."),
        (["--bend-range", "97"], "The bend range is 97: give 1 to 96 semitones."),
    ],
)
def test_wrong_options_are_one_sentence(tmp_path, capsys, options, sentence):
    path = write(tmp_path / "song.wav", music(0.1))
    assert main(["separate", str(path), "-o", str(tmp_path / "out"), *options]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"asteroid-joint: {sentence}")
    assert said.err.count("\n") == 1 and not (tmp_path / "out").exists()


def test_formats_and_the_models_name_on_the_command_line(tmp_path, weights, capsys):
    (tmp_path / "music").mkdir()
    write(tmp_path / "music" / "a.wav", music(0.3))
    write(tmp_path / "music" / "b.wav", music(0.3))
    where = [str(tmp_path / "music"), "-o", str(tmp_path / "out"), "--model", str(weights)]
    options = ["--notes-format", "labels", "--notes-format", "csv,labels", "--f0-format", "npy"]
    options += ["--f0-format", "rvc", "--name", "audio-separator"]
    assert main(["separate", *where, *options]) == 0
    model = weights.stem
    expected = ["f0.npy", "f0_coarse.npy", "f0_fine.npy", "notes.csv", "notes.labels.txt"]
    for song in "ab":
        stems = [f"{song}_({stem})_{model}.wav" for stem in ("Instrumental", "Vocals")]
        assert names(tmp_path / "out" / song) == [*stems, *expected]
    capsys.readouterr()
    assert main(["separate", *where, *options, "--resume", "--json"]) == 0
    assert capsys.readouterr().out.count('"skipped": true') == 2


def test_help_lists_all_formats(capsys):
    with pytest.raises(SystemExit):
        main(["separate", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert ", ".join(NOTES_FORMATS) in said and len(NOTES_FORMATS) >= 6

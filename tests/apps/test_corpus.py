"""``make-corpus``: what it writes, that it is the same each time, and what it refuses."""

import csv
import errno
import json
import math
import shutil
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import MULTITRACK_RATE as RATE
from conftest import STEMS

from asteroid_joint.apps.corpus import make
from asteroid_joint.apps.corpus import track as tracks
from asteroid_joint.apps.corpus.make import (
    SIDES,
    VOICE_DB,
    CorpusOptions,
    make_corpus,
    plan_corpus,
)
from asteroid_joint.apps.corpus.singers import SINGERS
from asteroid_joint.apps.corpus.track import write_track
from asteroid_joint.cli import main
from asteroid_joint.errors import UserError

SECONDS = 6.0  # of the tracks of the fixture corpus_dir
TINY = CorpusOptions(3, 4.0, seed=1)
AS_TINY = ["--tracks", "3", "--seconds", "4", "--seed", "1"]
LABELS = ("vocals_f0.csv", "vocals_activity.csv", "notes.csv", "vocals.mid", "meta.json")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    """Three tracks of four seconds; to be read only."""
    return make_corpus(tmp_path_factory.mktemp("corpus") / "tiny", TINY)


@pytest.fixture
def copy(tiny, tmp_path) -> Path:
    """A copy of it, with times."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


@pytest.fixture
def nothing_is_rendered(monkeypatch):
    """Tracks are empty folders."""
    monkeypatch.setattr(make, "write_track", lambda spec, dest: _folder(dest, spec).mkdir())


def _folder(dest: Path, spec) -> Path:
    return dest / spec.side / spec.name


def content(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def tracks_of(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.rglob("meta.json"))


def columns(path: Path) -> list[list[str]]:
    """Rows below the header."""
    with path.open(newline="") as file:
        return list(csv.reader(file))[1:]


def numbers(path: Path) -> np.ndarray:
    return np.array(columns(path), float)


# ------------------------------------------------------------------ plans


def test_sides_share_no_singer_and_no_style():
    specs = plan_corpus(CorpusOptions(160, 45.0))
    for attribute in ("singer", "style"):
        used = [{getattr(s, attribute) for s in specs if s.side == side} for side in SIDES]
        assert sum(map(len, used)) == len(set.union(*used)) and all(len(x) >= 2 for x in used)
    assert len({spec.name for spec in specs}) == len(specs)
    assert {spec.singer for spec in specs} == set(SINGERS)
    pairs = [(spec.singer, spec.style) for spec in specs if spec.side == "test"]
    assert len(set(pairs)) > len({singer for singer, _ in pairs})  # another style each round


@pytest.mark.parametrize(
    ("n_tracks", "counts"), [(3, [1, 1, 1]), (6, [2, 2, 2]), (8, [4, 2, 2]), (32, [24, 4, 4])]
)
def test_every_side_has_tracks(n_tracks, counts):
    sides = [spec.side for spec in plan_corpus(CorpusOptions(n_tracks, 4.0))]
    assert [sides.count(side) for side in SIDES] == counts


@pytest.mark.parametrize("seed", range(20))
def test_sides_are_equally_hard(seed):
    specs = plan_corpus(CorpusOptions(32 + 8 * seed, 30.0, seed))
    levels = {side: np.array([s.voice_db for s in specs if s.side == side]) for side in SIDES}
    means = [level.mean() for level in levels.values()]
    assert max(means) - min(means) < 1.2
    low, high = VOICE_DB
    for level in levels.values():
        assert np.mean(level) == pytest.approx((low + high) / 2, abs=0.8)
        assert low <= level.min() < low + 1.8 and high - 1.8 < level.max() <= high


def test_a_plan_depends_on_the_seed_alone():
    assert plan_corpus(TINY) == plan_corpus(TINY)
    other = plan_corpus(replace(TINY, seed=2))
    assert not {spec.seed for spec in other} & {spec.seed for spec in plan_corpus(TINY)}


# ------------------------------------------------------------------ files


def test_all_files_are_there_and_stems_add_up_to_the_bit(corpus_dir):
    found = tracks_of(corpus_dir)
    assert [track.parent.name for track in found] == ["test"] * 2 + ["train"] * 2 + ["valid"] * 2
    audio = {f"{name}.wav" for name in (*STEMS, "mixture")}
    for track in found:
        assert {path.name for path in track.iterdir()} == audio | set(LABELS)
        for name in audio:
            info = sf.info(track / name)
            form = (info.samplerate, info.channels, info.subtype, info.frames)
            assert form == (RATE, 2, "PCM_16", SECONDS * RATE)
        pcm = {n: sf.read(track / f"{n}.wav", dtype="int16")[0] for n in (*STEMS, "mixture")}
        total = np.sum([pcm[name].astype(np.int64) for name in STEMS], axis=0)
        np.testing.assert_array_equal(total, pcm["mixture"])
        peak_db = 20 * np.log10(np.abs(pcm["mixture"].astype(float)).max() / 32767)
        assert -12 < peak_db < -0.2
        assert all(np.abs(pcm[name].astype(int)).max() > 300 for name in STEMS)
    facts = json.loads((corpus_dir / "corpus.json").read_text())
    assert facts["settings"]["tracks"] == 6 and "CC BY 3.0" in facts["licence"]
    assert set(facts["made_with"]) > {"asteroid-joint", "numpy", "midirenderer"}
    assert not list(corpus_dir.rglob("*.part*"))


def test_labels_agree_with_one_another(corpus_dir):
    pretty_midi = pytest.importorskip("pretty_midi")
    for track in tracks_of(corpus_dir):
        meta = json.loads((track / "meta.json").read_text())
        sec, f0_hz = numbers(track / "vocals_f0.csv").T
        assert len(sec) == math.ceil(SECONDS / 0.005)
        np.testing.assert_allclose(sec, 0.005 * np.arange(len(sec)), atol=1e-9)
        active = numbers(track / "vocals_activity.csv")
        assert (active[:, 0] < active[:, 1]).all() and (active[1:, 0] > active[:-1, 1] + 0.2).all()
        sung = (sec[:, None] > active[:, 0] - 0.001) & (sec[:, None] < active[:, 1] + 0.001)
        assert not f0_hz[~sung.any(1)].any()
        voiced = f0_hz > 0
        assert voiced.sum() > 0.5 * sung.sum()
        assert voiced.mean() == pytest.approx(meta["voiced_share"], abs=1e-3)
        midi = 69 + 12 * np.log2(f0_hz[voiced] / 440)
        singer = SINGERS[meta["singer"]]
        assert singer.low_midi - 4 < midi.min() and midi.max() < singer.high_midi + 4
        rows = columns(track / "notes.csv")
        notes = np.array([row[:3] for row in rows], float)
        assert len(rows) == meta["n_notes"] >= 1
        for (onset, offset, _), row in zip(notes, rows, strict=True):
            start, end = active[int(row[4])]
            assert start <= onset < offset <= end + 0.002 and row[3][-1] in "aiueo"
        # what is sung in the middle of a note is about that note
        for onset, offset, pitch in notes:
            middle = voiced & (np.abs(sec - (onset + offset) / 2) < 0.02)
            if middle.any():
                found = 69 + 12 * np.log2(np.median(f0_hz[middle]) / 440)
                assert found == pytest.approx(pitch, abs=1.5)
        (line,) = pretty_midi.PrettyMIDI(str(track / "vocals.mid")).instruments
        written = [(note.start, note.end, note.pitch) for note in line.notes]
        np.testing.assert_allclose(written, notes, atol=0.002)


def test_the_voice_is_as_loud_as_planned(corpus_dir):
    for track in tracks_of(corpus_dir):
        meta = json.loads((track / "meta.json").read_text())
        wavs = {name: sf.read(track / f"{name}.wav")[0] for name in ("vocals", "mixture")}
        sung = np.zeros(len(wavs["vocals"]), bool)
        for start, end in numbers(track / "vocals_activity.csv"):
            sung[round(start * RATE) : round(end * RATE)] = True
        band = wavs["mixture"] - wavs["vocals"]
        powers = [np.mean(wav[sung] ** 2) for wav in (wavs["vocals"], band)]
        assert 10 * np.log10(powers[0] / powers[1]) == pytest.approx(meta["voice_db"], abs=0.05)


def test_backing_voices_leave_the_lead_as_it_is(tiny, tmp_path):
    spec = next(spec for spec in plan_corpus(TINY) if spec.side == "test")
    track = write_track(replace(spec, backing=1.0), tmp_path)
    plain = _folder(tiny, spec)
    assert json.loads((track / "meta.json").read_text())["backing_kind"] in ("harmony", "double")
    assert json.loads((plain / "meta.json").read_text())["backing_kind"] == "none"
    for name in ("vocals_f0.csv", "vocals_activity.csv", "notes.csv", "vocals.mid"):
        assert (track / name).read_bytes() == (plain / name).read_bytes()
    assert (track / "vocals.wav").read_bytes() != (plain / "vocals.wav").read_bytes()


def test_musdb_reads_it(corpus_dir):
    from asteroid_joint.metrics.museval_bss import ensure_ffmpeg

    ensure_ffmpeg()
    musdb = pytest.importorskip("musdb")
    sides = {
        side: list(musdb.DB(root=str(corpus_dir), is_wav=True, subsets=side))
        for side in ("train", "test")
    }
    for side, found in sides.items():
        names = {path.name for path in (corpus_dir / side).iterdir()}
        assert {track.name for track in found} == names
    track = sides["train"][0]
    assert track.rate == RATE and track.audio.shape == (SECONDS * RATE, 2)
    assert set(track.sources) == set(STEMS)
    total = sum(source.audio for source in track.sources.values())
    np.testing.assert_allclose(total, track.audio, atol=1e-4)
    accompaniment = track.targets["accompaniment"].audio
    np.testing.assert_allclose(
        accompaniment + track.targets["vocals"].audio, track.audio, atol=1e-4
    )


def test_asteroids_dataset_reads_it(corpus_dir):
    from asteroid.data import MUSDB18Dataset

    dataset = MUSDB18Dataset(str(corpus_dir), targets=list(STEMS), split="train", segment=1.0)
    assert len(dataset) == 2
    mixture, stems = dataset[0]
    assert mixture.shape == (2, RATE) and stems.shape == (4, 2, RATE)
    valid = MUSDB18Dataset(str(corpus_dir), split="valid", segment=None)
    mixture, stems = valid[1]
    assert mixture.shape == (2, SECONDS * RATE) and set(stems) == set(STEMS)


# ------------------------------------------------------------------ the same each time


def test_any_number_of_processes_gives_the_same_bytes(tiny, tmp_path):
    again = make_corpus(tmp_path / "again", TINY, jobs=2)
    assert content(again) == content(tiny)


def test_another_seed_gives_other_songs(tiny, tmp_path):
    spec = plan_corpus(TINY)[0]
    other = write_track(replace(spec, seed=(2, 0, 0)), tmp_path)
    for name in ("mixture.wav", "vocals.wav", "drums.wav", "vocals_f0.csv", "notes.csv"):
        assert (other / name).read_bytes() != (_folder(tiny, spec) / name).read_bytes()


def test_resume_makes_what_is_missing_and_nothing_else(tiny, copy):
    lost, *kept = tracks_of(copy)
    shutil.rmtree(lost)
    part = lost.with_name(".train_killed.part")
    part.mkdir()
    (part / "vocals.wav").write_bytes(b"half")
    before = {p: p.stat().st_mtime_ns for track in kept for p in (track, *track.iterdir())}
    seen: list[tuple[int, int]] = []
    make_corpus(copy, TINY, resume=True, progress=lambda *done: seen.append(done))
    assert content(copy) == content(tiny)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert not part.exists() and seen == [(2, 3), (3, 3)]


def test_an_interrupted_run_is_finished_later(tiny, tmp_path, monkeypatch, capsys):
    dest, write_csv = tmp_path / "new" / "corpus", tracks._write_csv

    def interrupted_in_the_second(path, header, rows):
        if tracks_of(dest) and path.name == "notes.csv":
            raise KeyboardInterrupt
        write_csv(path, header, rows)

    with monkeypatch.context() as patch:
        patch.setattr(tracks, "_write_csv", interrupted_in_the_second)
        assert main(["make-corpus", str(dest), *AS_TINY]) == 130
    out, err = capsys.readouterr()
    assert not out and "complete tracks are kept, --resume" in err and "Traceback" not in err
    assert len(tracks_of(dest)) == 1 and not list(dest.rglob("*.part*"))
    assert main(["make-corpus", str(dest), *AS_TINY, "--resume"]) == 0
    assert capsys.readouterr().out == f"{dest}\n"
    assert content(dest) == content(tiny)


# ------------------------------------------------------------------ refusals


def refused(capsys, *argv: object) -> str:
    """The one sentence."""
    assert main(["make-corpus", *map(str, argv)]) == 2
    out, err = capsys.readouterr()
    assert not out and err.startswith("asteroid-joint: ") and err.count("\n") == 1
    return err


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--tracks", 2], "give 3 or more, one for each split"),
        (["--seconds", 1], "give 4 to 3600"),
        (["--seconds", "nan"], "give 4 to 3600"),
        (["--seed", -1], "give 0 or more"),
        (["--backing", 2], "give a probability"),
        (["--jobs", -1], "0 for all cores"),
        (["--soundfont", "/no/such.sf2"], "There is no soundfont"),
        (["--soundfont", __file__], "is not a soundfont"),
    ],
)
def test_wrong_options(capsys, tmp_path, options, sentence):
    assert sentence in refused(capsys, tmp_path / "x", *options)
    assert not (tmp_path / "x").exists()


def test_words_for_numbers(capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        main(["make-corpus", str(tmp_path), "--tracks", "many"])
    assert stop.value.code == 2 and "Traceback" not in capsys.readouterr().err


@pytest.mark.usefixtures("nothing_is_rendered")
def test_a_folder_that_holds_something_else_is_left_alone(capsys, tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    for resume in ([], ["--resume"]):
        sentence = refused(capsys, tmp_path, *AS_TINY, *resume)
        assert "is not empty and contains no corpus" in sentence
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert "is a file" in refused(capsys, tmp_path / "thesis.tex", *AS_TINY)
    assert "Cannot write to" in refused(capsys, tmp_path / "thesis.tex" / "x", *AS_TINY)


@pytest.mark.usefixtures("nothing_is_rendered")
def test_a_corpus_goes_on_only_as_itself(capsys, tmp_path):
    dest = tmp_path / "corpus"
    assert main(["make-corpus", str(dest), *AS_TINY]) == 0
    capsys.readouterr()
    before = sorted(dest.rglob("*"))
    assert "give --resume to make missing tracks" in refused(capsys, dest, *AS_TINY)
    for resume in ([], ["--resume"]):
        sentence = refused(capsys, dest, *AS_TINY[:-1], 7, *resume)
        assert "contains another corpus (tracks 3, seconds 4.0, seed 1" in sentence
    assert sorted(dest.rglob("*")) == before
    assert main(["make-corpus", str(dest), *AS_TINY, "--resume"]) == 0  # there is nothing to do
    capsys.readouterr()
    (dest / "corpus.json").write_text("{")
    assert "is damaged" in refused(capsys, dest, *AS_TINY, "--resume")


def test_a_folder_without_permission(capsys, tmp_path, monkeypatch):
    def denied(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", denied)
    assert "Cannot write to" in refused(capsys, tmp_path / "x", *AS_TINY)


@pytest.mark.usefixtures("nothing_is_rendered")
def test_too_little_space_is_said_before_anything_is_made(capsys, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(make.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 15 * 10**6))
    dest = tmp_path / "x"
    sentence = refused(capsys, dest, "--tracks", 4, "--seconds", 5)
    assert "has 0.01 GB left and the corpus needs 0.02 GB" in sentence and "--tracks" in sentence
    assert not any(dest.iterdir())
    assert main(["make-corpus", str(dest), *AS_TINY]) == 0  # a smaller one fits


@pytest.mark.parametrize("file", ["bass.wav", "vocals_f0.csv", "corpus.json"])
def test_a_disk_that_fills_up_leaves_nothing_half_written(
    tiny, copy, capsys, monkeypatch, request, file
):
    missing = tracks_of(copy)[-1]
    shutil.rmtree(missing)
    if file == "corpus.json":  # the very first file
        shutil.rmtree(copy)
        request.getfixturevalue("nothing_is_rendered")
    with monkeypatch.context() as patch:
        for method in ("write_bytes", "write_text"):
            real = getattr(Path, method)

            def full(path, data, real=real):
                if path.name == file:
                    real(path, data[: len(data) // 2])
                    raise OSError(errno.ENOSPC, "No space left on device", str(path))
                return real(path, data)

            patch.setattr(Path, method, full)
        sentence = refused(capsys, copy, *AS_TINY, "--resume")
    assert "No space is left" in sentence and "--resume" in sentence
    assert not missing.exists() and not list(copy.rglob("*.part*"))
    make_corpus(copy, TINY, resume=True)
    if file != "corpus.json":
        assert content(copy) == content(tiny)


@pytest.mark.parametrize("package", ["pyworld", "pretty_midi", "midirenderer", "pyopenjtalk"])
def test_a_missing_package_is_named(capsys, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    sentence = refused(capsys, tmp_path / "x", *AS_TINY)
    assert f"{package} is not installed: pip install 'asteroid-joint[corpus]'." in sentence
    assert not (tmp_path / "x").exists()


def test_a_process_that_dies_is_one_sentence(tmp_path, monkeypatch):
    def dies(*_):
        raise make.BrokenExecutor("A process in the process pool was terminated abruptly.")

    monkeypatch.setattr(make, "_write_all", dies)
    with pytest.raises(UserError, match="give fewer --jobs"):
        make_corpus(tmp_path / "x", TINY, jobs=2)

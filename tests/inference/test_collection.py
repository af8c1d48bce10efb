"""Collections of songs: what is found, what a manifest keeps, what a killed run leaves."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest
import soundfile as sf
from conftest import child_env
from filelock import FileLock

from asteroid_joint.cli import main
from asteroid_joint.errors import UserError
from asteroid_joint.files import portable_name
from asteroid_joint.inference.collection import MANIFEST, Manifest, find_songs
from asteroid_joint.inference.collection.inputs import pattern_base
from asteroid_joint.inference.collection.manifest import LOCK
from asteroid_joint.inference.collection.run import KEYS
from asteroid_joint.inference.destination import (
    RECEIPT,
    HiddenFolder,
    move,
    output_name,
    remove_leftovers,
)
from asteroid_joint.jobs import JobError, run_jobs
from asteroid_joint.registry import ENGINES

RATE = 16000


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def found(*inputs: object, out: Path) -> dict[str, str]:
    """Path to name of the songs that inputs come to."""
    songs = find_songs([str(one) for one in inputs], out).songs
    names = {str(song.path): song.name for song in songs}
    assert len(names) == len(songs)
    return names


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Inputs


def test_a_folder_is_searched_and_its_paths_are_kept(tmp_path):
    music = tmp_path / "music"
    touch(music / "one.wav", music / "a/one.MP3", music / "a/b/two.flac", music / "a/cover.jpg")
    touch(music / ".hidden.wav", music / ".trash/old.wav", music / "video.mp4", music / "noext")
    assert found(music, out=tmp_path / "out") == {
        str(music / "one.wav"): "one",
        str(music / "a/one.MP3"): "a/one",
        str(music / "a/b/two.flac"): "a/b/two",
    }


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("music/*/*.mp3", ["a/one", "b/one"]),
        ("music/**/*.mp3", ["a/one", "a/c/two", "b/one"]),
        ("music/a/*", ["c/two", "one"]),
        ("m*/b/[no]ne.mp3", ["music/b/one"]),
        ("./music/b/on?.mp3", ["one"]),
    ],
)
def test_patterns(tmp_path, monkeypatch, pattern, expected):
    music = tmp_path / "music"
    touch(music / "a/one.mp3", music / "b/one.mp3", music / "a/c/two.mp3", music / "a/notes.txt")
    monkeypatch.chdir(tmp_path)
    assert sorted(found(pattern, out=Path("out")).values()) == sorted(expected)


def test_a_file_whose_name_looks_like_a_pattern(tmp_path):
    touch(tmp_path / "what [live].wav", tmp_path / "l.wav")
    path = tmp_path / "what [live].wav"
    assert found(path, out=tmp_path / "out") == {str(path): "what [live]"}


def test_names_that_would_collide_get_their_extension(tmp_path):
    music = tmp_path / "music"
    touch(music / "a.wav", music / "a.mp3", music / "b.wav", music / "B.flac")
    touch(music / "album.wav", music / "album/x.wav")
    assert sorted(found(music, out=tmp_path / "out").values()) == sorted(
        ["a.wav", "a.mp3", "b.wav", "B.flac", "album.wav", "album/x"]
    )


def test_folders_have_names_that_every_system_has(tmp_path):
    """What is separated on Linux can be copied to Windows, and nothing gets lost there."""
    music = tmp_path / "music"
    for name in ("CON/a|b.wav", "CON/a?b.flac", "Why.../aux.wav", "Why/x.wav", "c:d/nul.mp3"):
        (music / name).parent.mkdir(parents=True, exist_ok=True)
        (music / name).touch()
    songs = find_songs([music], tmp_path / "out").songs
    found = sorted(song.name for song in songs)
    assert len({name.lower() for name in found}) == 5
    for name in found:
        for part in name.split("/"):
            assert part == portable_name(part), name
    assert found == ["CON_/a_b.flac", "CON_/a_b.wav", "Why/aux_", "Why/x", "c_d/nul_"]


@pytest.mark.parametrize(
    "pattern, base",
    [
        (r"C:\songs\*\x.wav", r"C:\songs"),
        (r"C:\songs\album [1]\*.wav", r"C:\songs"),
        (r"\\nas\music\**\*.wav", "\\\\nas\\music\\"),
        (r"songs\*.wav", "songs"),
        ("C:/songs/*.wav", r"C:\songs"),
        ("*.wav", "."),
    ],
)
def test_patterns_of_windows(pattern, base):
    """Paths are kept from the first wildcard on, whichever way the slashes lean."""
    assert pattern_base(PureWindowsPath(pattern)) == PureWindowsPath(base)
    assert pattern_base(PurePosixPath("/songs/*/x.wav")) == PurePosixPath("/songs")


def test_files_by_name_that_collide_are_refused(tmp_path):
    touch(tmp_path / "x/song.wav", tmp_path / "y/song.wav")
    with pytest.raises(UserError, match="would both be written to"):
        found(tmp_path / "x/song.wav", tmp_path / "y/song.wav", out=tmp_path / "out")


def test_what_is_reached_twice_is_done_once(tmp_path):
    music = tmp_path / "music"
    touch(music / "a/song.wav")
    (music / "b").symlink_to(music / "a")
    (music / "loop").symlink_to(music)
    (music / "link.wav").symlink_to(music / "a/song.wav")
    inputs = music, music / "a/song.wav", tmp_path / "music" / "*.wav"
    assert list(found(*inputs, out=tmp_path / "out").values()) == ["link"]
    (music / "link.wav").unlink()
    assert list(found(*inputs, out=tmp_path / "out").values()) == ["a/song"]


def test_a_link_to_nothing_is_an_input_that_fails(tmp_path):
    (tmp_path / "music").mkdir()
    for name in ("gone", "lost"):  # each is named, though both lead to the same
        (tmp_path / f"music/{name}.wav").symlink_to(tmp_path / "nowhere.wav")
    again = tmp_path / "music/gone.wav"
    assert list(found(tmp_path / "music", again, out=tmp_path / "out").values()) == ["gone", "lost"]


def test_only_files_are_songs(tmp_path):
    music = tmp_path / "music"
    (music / "folder.wav").mkdir(parents=True)
    os.mkfifo(music / "pipe.wav")
    result = find_songs([str(music)], tmp_path / "out")
    assert result.songs == [] and result.problems == [f"{music} contains no audio files."]
    result = find_songs([str(tmp_path / "*.wav")], tmp_path / "out")
    assert result.problems == [f"No audio file matches {tmp_path}/*.wav."]


def test_results_are_not_inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(Path("song.wav"), Path("out/song/vocals.wav"), Path("out/song/f0.csv"))
    assert list(found(".", out=Path("out"))) == ["song.wav"]
    assert list(found("**/*.wav", out=Path("out"))) == ["song.wav"]
    result = find_songs(["song.wav", "out/song/vocals.wav"], Path("out"))  # by a shell
    assert [song.name for song in result.songs] == ["song"] and result.n_results == 1
    touch(Path("song/vocals.flac"), Path("song/f0.jams"))
    assert list(found("**/s*.wav", "**/*.flac", out=Path("."))) == ["song.wav"]


def test_results_in_a_searched_folder_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(Path("music/song.wav"), Path("music/music/deep.wav"))
    for inputs, out in ((["."], "."), (["music"], "music"), (["music"], ".")):
        with pytest.raises(UserError, match="being searched for songs: choose another folder"):
            find_songs(inputs, Path(out))
    assert len(found("music", out=Path("music/out"))) == 2


def test_a_pattern_cannot_leave_the_output_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(Path("in/a/x.wav"), Path("above.wav"))
    assert found("in/a*/../../above.wav", out=Path("out")) == {"in/a/../../above.wav": "above"}


# Videos, and what a folder leaves out


def test_a_folder_says_what_it_left_out(tmp_path):
    music = tmp_path / "music"
    touch(music / "a.wav", music / "Artist - Song.stem.mp4", music / "clip.mp4", music / "b/x.MKV")
    touch(music / "cover.jpg", music / "b/cover.jpg", music / "b/list.m3u", music / "README")
    touch(music / ".hidden.wav", music / ".DS_Store", music / ".trash/old.wav")
    os.mkfifo(music / "pipe.wav")
    result = find_songs([str(music)], tmp_path / "out")
    assert [song.name for song in result.songs] == ["Artist - Song", "a"]
    assert result.problems == [] and result.left_out == [
        f"{music}: left out 2 videos (.mp4, .mkv: a pattern such as '{music}/**/*.mp4' takes them),"
        " 4 files (.jpg, without extension, .m3u: no audio by extension), 1 hidden file, 1 pipe."
    ]
    assert find_songs([str(music / "*" / "..")], tmp_path / "out").left_out  # one for a pattern
    assert find_songs([str(music / "a.wav")], tmp_path / "out").left_out == []


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("music/*.webm", ["clip"]),
        ("music/**/*.mp4", ["Artist - Song", "b/clip"]),
        ("music/*.[mw]*", ["Artist - Song", "clip"]),
        ("music/*.sound", ["odd"]),
        ("music/*", ["Artist - Song"]),
        ("music/*.*", ["Artist - Song"]),
    ],
)
def test_an_extension_in_a_pattern_counts(tmp_path, monkeypatch, pattern, expected):
    names = "Artist - Song.stem.mp4", "clip.webm", "b/clip.mp4", "odd.sound", "text.txt"
    touch(*(tmp_path / "music" / name for name in names))
    monkeypatch.chdir(tmp_path)
    assert sorted(found(pattern, out=Path("out")).values()) == expected


def test_brackets_of_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    touch(Path("[2020] Al/a.wav"))
    (problem,) = find_songs(["[2020] Al/*.wav"], Path("out")).problems
    literal = "[[]2020] Al/*.wav"
    assert problem == (
        "No audio file matches [2020] Al/*.wav: [ ] are wildcards, too; for a name that has them, "
        f"write '{literal}'."
    )
    assert list(found(literal, out=Path("out"))) == ["[2020] Al/a.wav"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.stem.mp4", "x"),
        ("a b.STEM.M4A", "a b"),
        ("x.stem.wav", "x.stem"),
        ("x.mp4", "x"),
        (".stem.mp4", ".stem"),
        ("stem.mp4", "stem"),
    ],
)
def test_names_of_stem_files(name, expected):
    assert output_name(name) == expected


# Manifest


def test_a_manifest_passes_over_what_a_crash_cut_off(tmp_path):
    with Manifest(tmp_path) as manifest:
        manifest.append({"folder": "a", "status": "done", "input": "/a"})
        manifest.append({"folder": "b", "status": "failed"})
    path = tmp_path / MANIFEST
    path.write_bytes(path.read_bytes() + b'{"folder": "c", "sta')
    with Manifest(tmp_path) as manifest:
        assert list(manifest.entries) == ["a", "b"]
        manifest.append({"folder": "d", "status": "done"})
        manifest.append({"folder": "b", "status": "done"})
    with Manifest(tmp_path) as manifest:
        states = {name: entry["status"] for name, entry in manifest.entries.items()}
    assert states == {"a": "done", "b": "done", "d": "done"}
    assert names(tmp_path) == [MANIFEST]


@pytest.mark.parametrize(
    "content", [b"", b"\n\n", b"\xff\xfe\x00", b"[1]\n7\n{}\n", b'{"folder": 1}']
)
def test_a_manifest_of_something_else_is_no_obstacle(tmp_path, content):
    (tmp_path / MANIFEST).write_bytes(content)
    with Manifest(tmp_path) as manifest:
        assert manifest.entries == {}
        manifest.append({"folder": "a"})
    with Manifest(tmp_path) as manifest:
        assert list(manifest.entries) == ["a"]


def test_one_run_at_a_time(tmp_path):
    other = FileLock(tmp_path / LOCK)
    with other, pytest.raises(UserError, match="Another run is writing to"), Manifest(tmp_path):
        pass


# Hidden folders


def test_leftovers_go_and_live_runs_stay(tmp_path):
    with HiddenFolder(tmp_path, "alive") as work:
        dead = [tmp_path / ".x.part-abcdefgh", tmp_path / ".y.part-00000000"]
        touch(dead[0] / "lock", dead[0] / "files" / "vocals.wav")  # its process is gone
        dead[1].mkdir()  # killed before it had a lock, long ago
        os.utime(dead[1], (0, 0))
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        (tmp_path / f".w.part-abcdefgh.{process.pid}").mkdir()  # just now, before it had a lock
        (tmp_path / ".new.part-abcdefgh").mkdir()  # about to get its lock
        (tmp_path / f".new.part-abcdefgh.{os.getpid()}").mkdir()  # likewise, of a live process
        touch(tmp_path / "song/vocals.wav", tmp_path / ".mine" / "x", tmp_path / ".z.part-abcdefgi")
        assert remove_leftovers(tmp_path) == 3
        assert work.exists()
        hidden = work.parent.name
    expected = [
        ".mine",
        ".new.part-abcdefgh",
        f".new.part-abcdefgh.{os.getpid()}",
        ".z.part-abcdefgi",
        "song",
    ]
    assert names(tmp_path) == expected and hidden not in expected


def test_files_of_an_existing_folder_are_replaced_with_the_receipt_last(tmp_path, monkeypatch):
    folder, seen = tmp_path / "song", []
    touch(folder / "mine.txt", folder / "vocals.wav")
    replace = Path.replace

    def watch(self, target):
        seen.append((target.name, json.loads((folder / RECEIPT).read_text()) if seen else None))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", watch)
    with HiddenFolder(tmp_path, "song") as work:
        (work / "vocals.wav").write_text("new")
        move(work, folder, {"input": "/a", "size": 1})
    begun = {"input": "/a"}
    assert seen == [(RECEIPT, None), ("vocals.wav", begun), (RECEIPT, begun)]
    assert json.loads((folder / RECEIPT).read_text()) == {"input": "/a", "size": 1}
    assert names(folder) == [RECEIPT, "mine.txt", "vocals.wav"]
    assert (folder / "vocals.wav").read_text() == "new"


def test_jobs_in_this_process():
    def work(n: int) -> float:
        return 6 / n

    results = dict(run_jobs(lambda: work, [3, 0, 2]))
    assert results[3] == 2 and results[2] == 3
    assert isinstance(results[0], JobError) and "division by zero" in results[0].reason
    with pytest.raises(UserError, match="nowhere"):
        list(run_jobs(lambda: work, [1], engine="nowhere"))


# The command


@pytest.fixture
def music(tmp_path) -> Path:
    """Three songs, two of one name, and a file that is none."""
    rng = np.random.default_rng(0)
    for name in ("one.wav", "a/two.wav", "b/two.wav"):
        (tmp_path / "music" / name).parent.mkdir(parents=True, exist_ok=True)
        sf.write(tmp_path / "music" / name, rng.uniform(-0.5, 0.5, (4000, 2)), RATE)
    (tmp_path / "music/bad.mp3").write_text("no sound")
    return tmp_path / "music"


@pytest.fixture
def call(music, weights, tmp_path, capsys):
    """Separate ``music`` as JSON lines: exit code, outcomes by input, and what was said."""

    def run(*options: str) -> tuple[int, dict[str, dict], str]:
        where = [str(music), "-o", str(tmp_path / "out"), "--model", str(weights), "--json"]
        code = main(["separate", *where, *options])
        said = capsys.readouterr()
        outcomes = [json.loads(line) for line in said.out.splitlines()]
        return code, {os.path.relpath(one["input"], music): one for one in outcomes}, said.err

    return run


def entries(tmp_path: Path) -> list[dict]:
    return [json.loads(line) for line in (tmp_path / "out" / MANIFEST).read_text().splitlines()]


def skipped(outcomes: dict[str, dict]) -> list[str]:
    return sorted(name for name, one in outcomes.items() if one["skipped"])


SONGS = ["a/two.wav", "b/two.wav", "one.wav"]


def test_a_folder_with_its_manifest_and_summary(call, tmp_path):
    code, outcomes, err = call()
    assert code == 1 and sorted(outcomes) == sorted([*SONGS, "bad.mp3"])
    out = tmp_path / "out"
    for name in SONGS:
        one = outcomes[name]
        assert one["status"] == "done" and one["folder"] == str(out / name[:-4])
        assert names(Path(one["folder"])) == sorted(one["files"])
        assert (one["seconds"], one["sample_rate"], one["channels"]) == (0.25, RATE, 2)
        assert 0 <= one["voiced"] <= 1 and "reason" not in one
    bad = outcomes["bad.mp3"]
    assert (
        bad["status"] == "failed" and "contains no audio" in bad["reason"] and "folder" not in bad
    )
    assert err == (
        f"asteroid-joint: {bad['reason']}\n"
        f"asteroid-joint: 3 done, 1 failed: see {out / MANIFEST}.\n"
    )
    lines = entries(tmp_path)
    assert [line["status"] for line in lines].count("done") == 3 and len(lines) == 4
    assert all({*KEYS, "folder", "time"} <= line.keys() for line in lines)
    assert names(out) == ["a", "b", MANIFEST, "one"]


def test_resume_does_what_is_left(call, music, tmp_path):
    call()
    before = (tmp_path / "out/one/vocals.wav").stat().st_mtime_ns
    code, outcomes, err = call("--resume")
    assert code == 1 and skipped(outcomes) == sorted([*SONGS, "bad.mp3"])
    assert "3 done (3 of them earlier), 1 failed" in err and "contains no audio" in err
    assert len(entries(tmp_path)) == 4
    assert (tmp_path / "out/one/vocals.wav").stat().st_mtime_ns == before

    (tmp_path / "out/one/f0.csv").unlink()  # results that are not all there any more
    sf.write(music / "a/two.wav", np.zeros((800, 1)), RATE)  # an input that has changed
    sf.write(music / "bad.wav", np.zeros(800), RATE)
    (music / "bad.wav").rename(music / "bad.mp3")  # one that has been mended
    code, outcomes, err = call("--resume")
    assert code == 0 and skipped(outcomes) == ["b/two.wav"] and err.count("\n") == 1
    assert sf.info(tmp_path / "out/a/two/vocals.wav").frames == 800
    assert call("--resume")[0] == 0 and len(entries(tmp_path)) == 7

    _, outcomes, _ = call("--resume", "--decoder", "viterbi")  # other results are wanted
    assert skipped(outcomes) == []
    code, outcomes, err = call()  # without --resume nothing is touched, nothing forgotten
    assert code == 1 and all(one["status"] == "failed" for one in outcomes.values())
    assert all("give --resume to go on, --overwrite" in one["reason"] for one in outcomes.values())
    assert len(entries(tmp_path)) == 11


def test_retry_and_causes_outside_the_file(call, music, tmp_path, monkeypatch):
    from asteroid_joint import DJCM

    monkeypatch.setattr(DJCM, "estimate", lambda *_: 1 / 0)
    _, outcomes, _ = call()
    assert all(outcomes[name]["retry"] for name in SONGS) and not outcomes["bad.mp3"]["retry"]
    monkeypatch.undo()
    code, outcomes, _ = call("--resume")
    assert code == 1 and skipped(outcomes) == ["bad.mp3"]
    assert skipped(call("--resume", "--retry")[1]) == SONGS


def test_a_run_killed_between_results_and_manifest(call, tmp_path):
    call()
    path = tmp_path / "out" / MANIFEST
    lines = path.read_text().splitlines()
    last = json.loads(lines.pop())
    path.write_text("\n".join(lines) + '\n{"input": "/so')  # torn as well
    receipt = tmp_path / "out" / last["folder"] / RECEIPT
    receipt.write_text(json.dumps({key: last[key] for key in (*KEYS, "folder")}))
    _, outcomes, _ = call("--resume")
    assert skipped(outcomes) == sorted([*SONGS, "bad.mp3"])
    assert not receipt.exists()
    assert entries_by_folder(path)[last["folder"]]["status"] == "done"
    n_lines = len(path.read_text().splitlines())
    receipt.write_text(json.dumps({key: last[key] for key in (*KEYS, "folder")}))
    call("--resume")  # killed after the line, before the receipt was removed: no second line
    assert not receipt.exists() and len(path.read_text().splitlines()) == n_lines


def test_another_engine_does_the_same_with_what_it_is_sent(call, tmp_path, monkeypatch):
    sent = []

    def run_pickled(make_worker, items, address, n_workers):
        sent.append((address, n_workers))
        work = pickle.loads(pickle.dumps(make_worker))()
        for item in pickle.loads(pickle.dumps(items)):
            lost = JobError("The worker died.") if item.song.name == "one" else None
            yield item, lost or pickle.loads(pickle.dumps(work(item)))

    monkeypatch.setitem(ENGINES, "elsewhere", run_pickled)
    options = ["--engine", "elsewhere", "--address", "host:1", "--workers", "2"]
    code, outcomes, _ = call(*options, "--stems", "vocals")
    assert code == 1 and sent == [("host:1", 2)]
    assert (
        outcomes["a/two.wav"]["files"] == outcomes["b/two.wav"]["files"] == ["vocals.wav", "f0.csv"]
    )
    lost = outcomes["one.wav"]
    assert (lost["status"], lost["reason"], lost["retry"]) == ("failed", "The worker died.", True)
    assert len(entries(tmp_path)) == 4
    assert skipped(call("--resume", "--stems", "vocals")[1]) == [
        "a/two.wav",
        "b/two.wav",
        "bad.mp3",
    ]


def entries_by_folder(path: Path) -> dict[str, dict]:
    with Manifest(path.parent) as manifest:
        return manifest.entries


def test_results_of_another_input_are_not_replaced(call, music, tmp_path, weights, capsys):
    call()
    other = tmp_path / "other"
    other.mkdir()
    sf.write(other / "one.wav", np.zeros(800), RATE)
    where = ["-o", str(tmp_path / "out"), "--model", str(weights), "--resume"]
    assert main(["separate", str(other), *where]) == 1
    assert "one/vocals.wav exists already" in capsys.readouterr().err
    assert sf.info(tmp_path / "out/one/vocals.wav").frames == 4000


def test_killed_twice_and_resumed(weights, tmp_path):
    """As a crash in the night: 20 right, 4 named, none half, none twice."""
    music, out = tmp_path / "music", tmp_path / "out"
    rng = np.random.default_rng(0)
    bad = {"d02/song.wav", "d09/song.wav", "d13/song.wav", "d20/song.wav"}
    seconds = [4] * 14 + [15] * 10  # the late ones take long enough to be seen half written
    for n in range(24):
        path = music / f"d{n:02d}" / "song.wav"
        path.parent.mkdir(parents=True)
        sf.write(path, rng.uniform(-0.5, 0.5, (seconds[n] * RATE + n, 1)), RATE)
        if f"{path.parent.name}/song.wav" in bad:
            path.write_bytes(b"broken" * 50)
    command = [sys.executable, "-m", "asteroid_joint.cli", "separate", str(music), "-o", str(out)]
    command += ["--model", str(weights), "--resume", "--json"]
    for n_lines in (6, 14):
        process = subprocess.Popen(command, env=child_env(), stdout=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 200
            while not (out / MANIFEST).exists() or n_lines > len(entries(tmp_path)):
                assert process.poll() is None and time.monotonic() < end
                time.sleep(0.005)
            if n_lines == 14:  # one of the songs is being written
                while not list(out.glob(".song.part-*/files/*.wav")):
                    assert process.poll() is None
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert process.returncode == -signal.SIGKILL
    done = {line["folder"] for line in entries(tmp_path) if line["status"] == "done"}
    before = {name: (out / name / "vocals.wav").stat().st_mtime_ns for name in done}
    last = subprocess.run(command, env=child_env(), capture_output=True, text=True)
    assert last.returncode == 1, last.stderr
    assert {name: (out / name / "vocals.wav").stat().st_mtime_ns for name in done} == before
    lines = entries(tmp_path)
    assert len({line["folder"] for line in lines}) == len(lines) == 24
    failed = {line["folder"] + ".wav" for line in lines if line["status"] == "failed"}
    assert failed == bad and all(str(music / name) in last.stderr for name in bad)
    for n in range(24):
        folder = out / f"d{n:02d}" / "song"
        assert folder.exists() == (f"d{n:02d}/song.wav" not in bad)
        if folder.exists():
            assert names(folder) == ["accompaniment.wav", "f0.csv", "vocals.wav"]
            mixture = sf.read(music / f"d{n:02d}/song.wav", dtype="int32")[0]
            stems = [sf.read(folder / name, dtype="int32")[0] for name in names(folder)[::2]]
            np.testing.assert_array_equal(sum(stems), mixture)
            n_lines = 50 * seconds[n] + 2 - (n == 0)
            assert len((folder / "f0.csv").read_text().splitlines()) == n_lines
    assert names(out) == sorted(
        [*{f"d{n:02d}" for n in range(24)} - {b[:3] for b in bad}, MANIFEST]
    )

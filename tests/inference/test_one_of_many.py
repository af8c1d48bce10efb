"""Whatever goes wrong with one song is a line about that song, and the others are separated."""

import errno
import io
import json
import os
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile as sf
from filelock import FileLock

import asteroid_joint.inference.collection.manifest as manifest_module
import asteroid_joint.inference.collection.run as run_module
from asteroid_joint.cli import main
from asteroid_joint.errors import OutputError, UserError
from asteroid_joint.inference.collection import MANIFEST, find_songs
from asteroid_joint.inference.destination import RECEIPT, HiddenFolder, move

RATE = 16000


def song(path: Path, n_samples: int = 800) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, n_samples), RATE)
    return path


@pytest.fixture
def call(weights, tmp_path) -> Callable[..., int]:
    """Separate inputs, ``music`` by default, into ``tmp_path / "out"``."""

    def run(*inputs: object, options: tuple[str, ...] = ("--stems", "none")) -> int:
        where = ["-o", str(tmp_path / "out"), "--model", str(weights), *options]
        return main(["separate", *map(str, inputs or [tmp_path / "music"]), *where])

    return run


def done(out: Path) -> list[str]:
    """Names of the songs whose results are there."""
    return sorted(path.parent.relative_to(out).as_posix() for path in out.rglob("f0.csv"))


def lines(out: Path) -> dict[str, dict]:
    entries = map(json.loads, (out / MANIFEST).read_text().splitlines())
    return {entry["folder"]: entry for entry in entries}


# Places that are taken


def take_by_file(out: Path) -> None:
    (out / "sub").write_text("mine")


def take_by_dangling_link(out: Path) -> None:
    (out / "sub").symlink_to(out / "nowhere")


def take_by_link_to_itself(out: Path) -> None:
    (out / "sub").symlink_to("sub")


def take_by_folder_as_receipt(out: Path) -> None:
    (out / "sub/x" / RECEIPT).mkdir(parents=True)


@pytest.mark.parametrize(
    "take",
    [take_by_file, take_by_dangling_link, take_by_link_to_itself, take_by_folder_as_receipt],
)
def test_a_place_that_is_taken(call, tmp_path, capsys, take):
    song(tmp_path / "music/sub/x.wav")
    song(tmp_path / "music/zz.wav")
    out = tmp_path / "out"
    out.mkdir()
    take(out)
    assert call() == 1
    said = capsys.readouterr().err
    assert str(out / "sub") in said and said.count("\n") == 2 and "(--debug" not in said
    assert done(out) == ["zz"] and lines(out)["zz"]["status"] == "done"
    assert call(options=("--stems", "none", "--resume")) == 1 and done(out) == ["zz"]


def test_a_file_in_the_way_is_named(call, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    take_by_file(tmp_path / "out")
    song(tmp_path / "music/sub/x.wav")
    call()
    assert f"{tmp_path / 'out/sub'} is a file" in capsys.readouterr().err


def test_names_of_the_collections_own_files(call, tmp_path):
    hidden = ".a.part-abcdefgh"  # as of what a killed run leaves, which --resume removes
    music = tmp_path / "music"
    for name in ("manifest.jsonl.wav", "zz.wav", f"{hidden}.wav", ".manifest.lock.wav"):
        song(music / name)
    song(tmp_path / "more/Manifest.jsonl/x.wav")
    inputs = music, tmp_path / "more", music / f"{hidden}.wav", music / ".manifest.lock.wav"
    assert call(*inputs) == 0
    names = [f"{hidden}_", ".manifest.lock_", "Manifest.jsonl_/x", "manifest.jsonl.wav", "zz"]
    assert done(tmp_path / "out") == sorted(lines(tmp_path / "out")) == sorted(names)
    assert call(*inputs, options=("--stems", "none", "--resume")) == 0
    assert len((tmp_path / "out" / MANIFEST).read_text().splitlines()) == 5


# Names


def test_names_that_some_file_systems_take_for_one(call, tmp_path, capsys):
    composed, decomposed = (unicodedata.normalize(form, "é.wav") for form in ("NFC", "NFD"))
    for name in ("A.wav", "a.wav", composed, decomposed, "Strasse.wav", "Straße.wav", "zz.wav"):
        song(tmp_path / "music" / name)
    if len(os.listdir(tmp_path / "music")) < 7:
        pytest.skip("this file system takes some of these names for one")
    assert call() == 1
    said = capsys.readouterr().err
    assert said.count("would both be written to") == 2 and said.count("\n") == 3
    assert "5 done, 2 failed" in said
    assert set(done(tmp_path / "out")) >= {"A.wav", "Strasse", "Straße", "zz"}
    assert lines(tmp_path / "out")["A.wav"]["status"] == "done"  # the refused one is no line of it
    assert call(options=("--stems", "none", "--resume")) == 1


def test_names_that_no_file_system_takes(call, tmp_path, capsys):
    """A name of 300 bytes, or in a folder that may not be entered: tests of paths raise."""
    good = song(tmp_path / "good.wav")
    assert call("x" * 300 + ".wav", good) == 1
    assert capsys.readouterr().err.startswith("asteroid-joint: There is no file xxx")
    assert done(tmp_path / "out") == ["good"]


def test_results_that_cannot_be_looked_at(call, tmp_path, capsys, monkeypatch):
    song(tmp_path / "music/a.wav")
    song(tmp_path / "music/b.wav")
    assert call() == 0
    capsys.readouterr()
    stat = os.stat

    def deny(path: object, *args: object, **options: object) -> os.stat_result:
        if os.fspath(path) == str(tmp_path / "out/a/f0.csv"):  # type: ignore[call-overload]
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return stat(path, *args, **options)  # type: ignore[arg-type]

    (tmp_path / "out" / "b/f0.csv").unlink()
    monkeypatch.setattr(os, "stat", deny)
    assert call(options=("--stems", "none", "--resume")) == 0
    monkeypatch.undo()
    assert done(tmp_path / "out") == ["a", "b"]


# Pipes and devices


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("how", ["name", "pattern", "descriptor"])
def test_a_pipe_is_no_song(call, tmp_path, capsys, how):
    """Opening one would wait for ever, or take four bytes that no decoder then sees."""
    good = song(tmp_path / "music/good.wav")
    pipe = tmp_path / "music/pipe.wav"
    reading = writing = None
    if how == "descriptor":  # as /dev/stdin or <(...) of a shell
        reading, writing = os.pipe()
        pipe = Path(f"/dev/fd/{reading}")
    else:
        os.mkfifo(pipe)
    inputs = [tmp_path / "music/*.wav"] if how == "pattern" else [pipe, good]
    try:
        assert call(*inputs) == 1
    finally:
        for number in filter(None, (reading, writing)):
            os.close(number)
    said = capsys.readouterr().err
    assert f"{pipe} is a pipe or a device" in said and "asteroid-joint stream" in said
    assert done(tmp_path / "out") == ["good"]


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_device_is_no_song(call, tmp_path, capsys):
    assert call("/dev/zero") == 1
    assert "/dev/zero is a pipe or a device" in capsys.readouterr().err


# The manifest, the lock, what is said


def test_a_manifest_that_cannot_be_written(call, tmp_path, capsys, monkeypatch):
    for name in ("a", "b", "c"):
        song(tmp_path / f"music/{name}.wav")
    calls = []

    def fail(number: int) -> None:
        calls.append(number)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(manifest_module.os, "fsync", fail)
    assert call() == 0
    said = capsys.readouterr().err
    assert said.splitlines()[0].endswith(f"{MANIFEST} cannot be written: No space left on device.")
    out = tmp_path / "out"
    assert done(out) == ["a", "b", "c"] and (out / "b" / RECEIPT).exists()
    monkeypatch.undo()
    assert call(options=("--stems", "none", "--resume")) == 0
    assert "3 done (3 of them earlier)" in capsys.readouterr().err


def test_a_file_system_without_locks(call, tmp_path, capsys, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise NotImplementedError("FileSystem does not appear to support flock")

    song(tmp_path / "music/a.wav")
    monkeypatch.setattr(FileLock, "acquire", fail)
    assert call() == 2
    assert "cannot be locked: FileSystem does not" in capsys.readouterr().err


class Stream(io.StringIO):
    """Standard output or error of a narrow encoding, or one that fails."""

    def __init__(self, encoding: str, error: int | None = None) -> None:
        super().__init__()
        self._encoding, self._error = encoding, error

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._encoding

    def write(self, text: str) -> int:
        if self._error is not None:
            raise OSError(self._error, os.strerror(self._error))
        text.encode(self._encoding)  # raises as a real one does
        return super().write(text)

    def fileno(self) -> int:
        raise io.UnsupportedOperation("fileno")


def test_an_output_that_is_not_utf8(call, tmp_path, monkeypatch):
    song(tmp_path / "music/1 日本.wav")
    song(tmp_path / "music/2 plain.wav")
    song(tmp_path / "music/3 é.wav").write_text("no sound")
    out, err = Stream("cp1252"), Stream("ascii")
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert call() == 1
    printed = [Path(line).name for line in out.getvalue().splitlines()]
    assert printed == ["1 \\u65e5\\u672c", "2 plain"]
    assert "3 \\xe9.wav contains no audio" in err.getvalue()


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [(errno.EPIPE, 0, ""), (errno.ENOSPC, 1, "Standard output cannot be written: No space left")],
)
def test_an_output_that_nobody_takes(call, tmp_path, capsys, monkeypatch, error, code, sentence):
    for name in ("a", "b"):
        song(tmp_path / f"music/{name}.wav")
    monkeypatch.setattr(sys, "stdout", Stream("utf-8", error))
    assert call() == code
    said = capsys.readouterr().err
    assert sentence in said and "2 done, 0 failed" in said
    assert done(tmp_path / "out") == ["a", "b"]


@pytest.mark.parametrize("stream", [None, Stream("utf-8", errno.EIO)])
def test_nobody_to_talk_to(call, tmp_path, monkeypatch, stream):
    song(tmp_path / "music/a.wav")
    song(tmp_path / "music/b.wav").write_text("no sound")
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    assert call() == 1 and done(tmp_path / "out") == ["a"]


@pytest.mark.parametrize("command", [["list"], ["list", "--json"], ["info", "DJCM"], ["--help"]])
def test_no_command_minds_its_reader(command, monkeypatch, capsys):
    for error, code in ((errno.EPIPE, 0), (errno.ENOSPC, 1)):
        monkeypatch.setattr(sys, "stdout", Stream("utf-8", error))
        try:
            assert main(command) == code
        except SystemExit as end:  # of argparse
            assert (end.code or 0) == code
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_what_python_writes_at_its_end(run):
    program = f"{sys.executable} -m asteroid_joint.cli --help"
    done = run("bash", "-c", f"{program} > /dev/full; echo $?; {program} | head -c 0")
    assert done.stdout == "1\n"
    assert done.stderr.count("\n") == 1 and "cannot be written: No space left" in done.stderr


def test_a_sentence_now_and_then_without_a_terminal(call, tmp_path, capsys, monkeypatch):
    path = song(tmp_path / "long.wav", 25 * RATE)
    assert call(path) == 0 and capsys.readouterr().err == ""
    monkeypatch.setattr(run_module, "EVERY_SEC", 0.0)
    assert call(path, options=("--stems", "none", "--overwrite")) == 0
    said = capsys.readouterr().err.splitlines()
    assert len(said) > 2 and said[-1] == "asteroid-joint: long.wav: 25 of 25 s are done."


@pytest.mark.parametrize("free", [0, 1 << 40])
def test_a_full_disk_is_told_without_the_hidden_folder(call, tmp_path, capsys, monkeypatch, free):
    def fail(self: sf.SoundFile, *_: object) -> None:
        raise sf.LibsndfileError(2)

    path = song(tmp_path / "x.wav")
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr("asteroid_joint.audio.writing.shutil.disk_usage", lambda _: usage)
    monkeypatch.setattr(sf.SoundFile, "write", fail)
    assert call(path, options=()) == 1
    said = capsys.readouterr().err
    assert str(tmp_path / "out/x") in said and ".part-" not in said
    assert ("is full: free some space" in said) == (free == 0)


# Two at once


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("receipt", [None, {"input": "/a", "size": 1}])
def test_what_another_process_wrote_meanwhile_stays(tmp_path, monkeypatch, links, receipt):
    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    folder = tmp_path / "song"
    folder.mkdir()
    (folder / "vocals.wav").write_text("theirs")
    with HiddenFolder(tmp_path, "song") as work:
        (work / "f0.csv").write_text("ours")
        (work / "vocals.wav").write_text("ours")
        with pytest.raises(OutputError, match="vocals.wav exists already: give --overwrite"):
            move(work, folder, receipt, overwrite=False)
    assert os.listdir(folder) == ["vocals.wav"]
    with HiddenFolder(tmp_path, "song") as work:
        (work / "f0.csv").write_text("ours")
        move(work, folder, receipt, overwrite=False)
    assert (folder / "f0.csv").read_text() == "ours"
    assert (folder / RECEIPT).exists() == (receipt is not None)
    assert receipt is None or json.loads((folder / RECEIPT).read_text()) == receipt
    assert (folder / "vocals.wav").read_text() == "theirs"


def test_a_folder_that_appears_at_the_last_moment(tmp_path, monkeypatch):
    folder, rename = tmp_path / "song", Path.rename

    def too_late(self: Path, target: Path) -> Path:
        folder.mkdir()
        (folder / "vocals.wav").write_text("theirs")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", too_late)
    with HiddenFolder(tmp_path, "song") as work:
        (work / "vocals.wav").write_text("ours")
        with pytest.raises(OutputError, match="exists already"):
            move(work, folder, overwrite=False)
    assert (folder / "vocals.wav").read_text() == "theirs"


def test_two_commands_one_song_one_folder(call, tmp_path, capsys, monkeypatch):
    """The second begins and ends while the first is separating."""
    from asteroid_joint import DJCM

    path, estimate, codes = song(tmp_path / "x.wav"), DJCM.estimate, []

    def second(self, wav):
        monkeypatch.setattr(DJCM, "estimate", estimate)
        codes.append(call(path))
        (tmp_path / "out/x/f0.csv").write_text("of the second")
        return estimate(self, wav)

    monkeypatch.setattr(DJCM, "estimate", second)
    codes.append(call(path))
    assert codes == [0, 1]
    assert "f0.csv exists already: give --overwrite" in capsys.readouterr().err
    assert (tmp_path / "out/x/f0.csv").read_text() == "of the second"
    assert sorted(os.listdir(tmp_path / "out")) == ["x"]


def test_two_files_of_one_name_given_by_name_are_still_a_wrong_call(tmp_path):
    songs = [str(song(tmp_path / folder / "song.wav")) for folder in "ab"]
    with pytest.raises(UserError, match="would both be written to"):
        find_songs(songs, tmp_path / "out")

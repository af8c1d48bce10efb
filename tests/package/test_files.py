"""Files that are there completely or not at all."""

import errno
import hashlib
import multiprocessing
import os
import stat
from pathlib import Path

import numpy as np
import pytest

from asteroid_joint import files
from asteroid_joint.errors import DataError
from asteroid_joint.files import (
    atomic_folder,
    atomic_write,
    portable_name,
    replace_file,
    sha256,
    write_bytes,
    write_text,
)

ROUNDS = 60


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "report.md"
    write_text(path, "± 1 dB\n")
    assert path.read_bytes() == "± 1 dB\n".encode()
    write_bytes(str(path), b"\r\n\x00")
    assert path.read_bytes() == b"\r\n\x00" and os.listdir(tmp_path) == ["report.md"]


def test_writers_that_look_at_the_suffix_get_the_final_name(tmp_path):
    with atomic_write(tmp_path / "scores.npz") as part:
        assert part.name == "scores.npz" and part.parent.parent == tmp_path
        np.savez(part, x=np.arange(3))
        assert not (tmp_path / "scores.npz").exists()
    with np.load(tmp_path / "scores.npz") as content:
        assert content["x"].tolist() == [0, 1, 2]


WINDOWS = {f"a{c}b": "a_b" for c in '<>:"|?*\\\x00\x1f'} | {  # what becomes of what it forbids
    "CON": "CON_",
    "con.live": "con_.live",
    "Nul": "Nul_",
    "LPT9.": "LPT9_",
    "com¹.x": "com¹_.x",
    "aux .mix": "aux_.mix",
    "Wait...": "Wait",
    "Wait. . ": "Wait",
    "...": "_",
    " ": "_",
    "": "_",
}
KEPT = "COM10", "console", "Motörhead – Ø", "歌 (live) [2020]", "a.b..c", ".hidden", " x", "x" * 250


@pytest.mark.parametrize("name", WINDOWS, ids=ascii)
def test_names_that_windows_lacks_are_changed(name):
    assert portable_name(name) == WINDOWS[name] == portable_name(WINDOWS[name])


@pytest.mark.parametrize("name", KEPT)
def test_all_other_names_are_kept(name):
    assert portable_name(name) == name


def held_open(monkeypatch, for_times: int, code: int | None = 32) -> list[float]:
    """Replacing files is as on Windows while another program reads them; what is waited."""
    waited: list[float] = []
    replace = os.replace

    def sharing_violation(source, target):
        if len(waited) < for_times or for_times == 0:
            err = PermissionError(errno.EACCES, "The process cannot access the file", str(source))
            err.winerror = code
            raise err
        replace(source, target)

    monkeypatch.setattr(files.os, "replace", sharing_violation)
    monkeypatch.setattr(files.time, "sleep", waited.append)
    return waited


def test_a_file_that_a_scanner_holds_for_a_moment_is_replaced(tmp_path, monkeypatch):
    write_text(tmp_path / "vocals.txt", "old")
    waited = held_open(monkeypatch, 2)
    write_text(tmp_path / "vocals.txt", "new")
    assert (tmp_path / "vocals.txt").read_text() == "new" and 0 < sum(waited) < 1


def test_a_file_that_is_played_is_not_replaced_and_it_is_said_why(tmp_path, monkeypatch):
    write_text(tmp_path / "vocals.txt", "old")
    waited = held_open(monkeypatch, 0)
    with pytest.raises(PermissionError, match="vocals.txt is open in another program"):
        write_text(tmp_path / "vocals.txt", "new")
    assert 0.5 < sum(waited) < 3
    assert os.listdir(tmp_path) == ["vocals.txt"]
    assert (tmp_path / "vocals.txt").read_text() == "old"
    waited = held_open(monkeypatch, 0, code=None)  # of a system that means what it says
    with pytest.raises(PermissionError, match="cannot access"):
        replace_file(tmp_path / "vocals.txt", tmp_path / "b")
    assert not waited


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt()])
def test_a_failure_half_way_leaves_what_was_there_and_no_litter(tmp_path, error):
    path = tmp_path / "facts.json"
    path.write_text("old")
    for target in (path, tmp_path / "new.json"):
        with pytest.raises(type(error)), atomic_write(target) as part:
            part.write_text("half of")
            raise error
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["facts.json"]


def test_a_file_that_cannot_get_its_name_leaves_no_litter(tmp_path):
    (tmp_path / "song" / "inside").mkdir(parents=True)
    with pytest.raises(OSError):
        write_text(tmp_path / "song", "a folder has this name")
    assert os.listdir(tmp_path) == ["song"]
    with pytest.raises(FileNotFoundError):
        write_text(tmp_path / "nowhere" / "x", "there is no such folder")


@pytest.mark.parametrize("name", [250 * "x" + ".csv", 80 * "歌" + ".csv"])
def test_names_may_be_as_long_as_the_file_system_allows(tmp_path, name):
    write_text(tmp_path / name, "0.0,440.0\n")
    assert os.listdir(tmp_path) == [name]


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_permissions_are_those_of_any_new_file(tmp_path, mask):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "whole", "x")
        with atomic_folder(tmp_path / "folder") as part:
            (part / "plain").write_text("x")
    finally:
        os.umask(before)
    for path in (tmp_path / "whole", tmp_path / "folder" / "plain"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "folder").stat().st_mode) == 0o777 & ~mask


def _write_often(path: Path, letter: str) -> None:
    for _ in range(ROUNDS):
        with atomic_write(path) as part, open(part, "w") as file:
            for _ in range(100):
                file.write(1000 * letter)
                file.flush()


def test_two_processes_may_write_the_same_file(tmp_path):
    """Whoever reads it meanwhile finds one or the other, whole."""
    path = tmp_path / "best_model.pth"
    write_text(path, 100_000 * "-")
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_often, args=(path, letter)) for letter in "ab"]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        text = path.read_text()
        seen.add(text[0])
        assert len(text) == 100_000 and len(set(text)) == 1
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert seen & set("ab") and os.listdir(tmp_path) == ["best_model.pth"]


def test_a_folder_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "train" / "one"
    left = path.with_name(".one.part")
    left.mkdir(parents=True)
    (left / "half.wav").write_bytes(b"of a run that was killed")
    with atomic_folder(path) as part:
        assert part == left and not any(part.iterdir())
        (part / "vocals.wav").write_bytes(b"whole")
        assert not path.exists()
    assert os.listdir(path) == ["vocals.wav"] and os.listdir(path.parent) == ["one"]


def test_a_folder_whose_filling_fails_is_not_there(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "one") as part:
        (part / "vocals.wav").write_bytes(b"half")
        raise KeyboardInterrupt
    assert not os.listdir(tmp_path)


def test_checksum_of_a_file_larger_than_a_block(tmp_path):
    content = np.random.default_rng(0).bytes((1 << 20) + 7)
    write_bytes(tmp_path / "x", content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()
    with pytest.raises(DataError, match=r"nothing cannot be read: No such file"):
        sha256(tmp_path / "nothing")

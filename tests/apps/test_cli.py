"""The command ``asteroid-joint``, called as a function and, where that matters, as a process."""

import signal
import subprocess
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import child_env

from asteroid_joint import DJCM
from asteroid_joint.cli import _parser, main
from asteroid_joint.inference.pitch_files import PITCH_FORMATS
from asteroid_joint.models.pretrained import WEIGHTS

FILES = ["accompaniment.wav", "f0.csv", "vocals.wav"]


@pytest.fixture
def song(tmp_path) -> Path:
    """A second of stereo noise."""
    path = tmp_path / "song.wav"
    sf.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, (22050, 2)), 22050)
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_separate_writes_the_documented_files(song, weights, tmp_path, capsys):
    out = tmp_path / "new" / "out"
    assert main(["separate", str(song), "-o", str(out), "--model", str(weights)]) == 0
    assert names(out) == ["song"] and names(out / "song") == FILES
    said = capsys.readouterr()
    assert said.out.strip() == str(out / "song") and said.err == ""


@pytest.mark.parametrize("decoder", ["argmax", "viterbi"])
def test_options(song, weights, tmp_path, decoder):
    options = ["--decoder", decoder, "--batch", "3", "--device", "cpu"]
    call = ["separate", str(song), "-o", str(tmp_path / "out"), "--model", str(weights), *options]
    assert main(call) == 0
    assert len((tmp_path / "out" / "song" / "f0.csv").read_text().splitlines()) == 51


def test_several_inputs_one_of_them_bad(song, weights, tmp_path, capsys):
    other = song.with_name("other.flac")
    sf.write(other, np.zeros(800), 8000)
    inputs = [str(song), str(tmp_path / "none.wav"), str(other)]
    out = tmp_path / "out"
    assert main(["separate", *inputs, "-o", str(out), "--model", str(weights)]) == 1
    assert names(out) == ["other", "song"]
    assert names(out / "other") == names(out / "song") == FILES
    assert capsys.readouterr().err == f"asteroid-joint: There is no file {inputs[1]}.\n"


@pytest.mark.parametrize(
    "call",
    [
        [],
        ["separate"],
        ["separate", "song.wav"],
        ["separate", "song.wav", "-o", "out", "--batch", "0"],
        ["separate", "song.wav", "-o", "out", "--batch", "many"],
        ["separate", "song.wav", "-o", "out", "--format", "aiff"],
        ["separate", "song.wav", "-o", "out", "--stems", ","],
        ["separate", "song.wav", "-o", "out", "--f0-format", ""],
        ["separate", "song.wav", "-o", "out", "--workers", "none"],
        ["separate", "song.wav", "-o", "out", "--device", "tpu"],
        ["separat", "song.wav", "-o", "out"],
    ],
)
def test_usage(call, capsys):
    with pytest.raises(SystemExit) as end:
        main(call)
    assert end.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_where_there_is_none(song, weights, tmp_path, capsys):
    call = ["separate", str(song), "-o", str(tmp_path), "--model", str(weights)]
    assert main([*call, "--device", "cuda"]) == 2
    assert "--device cpu" in capsys.readouterr().err


def test_an_error_of_ours_is_one_sentence_unless_debugged(
    song, weights, tmp_path, capsys, monkeypatch
):
    def fail(*_):
        raise RuntimeError("something\nbroke")

    monkeypatch.setattr(DJCM, "estimate", fail)
    call = ["separate", str(song), "-o", str(tmp_path / "out"), "--model", str(weights)]
    assert main(call) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "RuntimeError: something" in err
    assert main([*call, "--debug"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and "RuntimeError: something" in err
    assert names(tmp_path / "out") == []


def test_a_plugin_brings_a_format(song, weights, tmp_path, monkeypatch):
    (tmp_path / "my_f0.py").write_text(
        "from asteroid_joint.inference.pitch_files import PITCH_FORMATS, PitchWriter\n\n\n"
        '@PITCH_FORMATS.register("lines")\n'
        "class Lines(PitchWriter):\n"
        '    file_name = "f0.lines"\n\n'
        "    def _append(self, rows):\n"
        '        self._file.writelines(f"{row[1]:.1f}\\n" for row in rows)\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(PITCH_FORMATS, "lines", raising=False)
    call = ["separate", str(song), "-o", str(tmp_path / "out"), "--model", str(weights)]
    assert main([*call, "--f0-format", "lines,csv", "--plugins", "my_f0"]) == 0
    folder = tmp_path / "out" / song.stem
    n_frames = len((folder / "f0.csv").read_text().splitlines()) - 1
    assert len((folder / "f0.lines").read_text().splitlines()) == n_frames > 0
    del PITCH_FORMATS["lines"]


def test_infer_is_asteroids_own(monkeypatch):
    seen = []
    monkeypatch.setattr("asteroid_joint.compat.infer", seen.append)
    assert main(["infer", "model.pth", "--files", "a.wav", "-w", "2"]) == 0
    assert seen == [["model.pth", "--files", "a.wav", "-w", "2"]]


def test_infer_knows_the_shipped_names(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr("asteroid_joint.compat.infer", seen.append)
    monkeypatch.chdir(tmp_path)
    for call in (["pop", "--files", "pop"], ["--files", "pop", "-o", "out", "djcm_pop"]):
        assert main(["infer", *call]) == 0
    path = str(WEIGHTS / "djcm_pop.pth")
    assert seen == [[path, "--files", "pop"], ["--files", "pop", "-o", "out", path]]


def test_infer_fails_in_one_sentence(weights, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    song = tmp_path / "song.wav"
    sf.write(song, np.zeros(800), 22050)
    options = ["--files", str(song), "-d", "cpu"]
    assert main(["infer", str(weights), *options]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "22050Hz for a model of 16000Hz. You can give --res" in said
    assert main(["infer", "mir1k", *options]) == 1  # a short name is not what is wrong
    assert "22050Hz for a model of 16000Hz" in capsys.readouterr().err
    assert main(["infer", "djcm_opera", *options]) == 2
    assert "There is no model 'djcm_opera': give a file, or one of " in capsys.readouterr().err


def test_a_bar_without_standard_error(tmp_path, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(
        "asteroid_joint.apps.corpus.make.make_corpus", lambda *args, **options: calls.append(args)
    )
    monkeypatch.setattr(sys, "stderr", None)
    assert main(["make-corpus", str(tmp_path / "corpus")]) == 0 and len(calls) == 1
    assert capsys.readouterr().out == f"{tmp_path / 'corpus'}\n"


def test_separate_imports_nothing_heavy(song, weights, tmp_path, run):
    code = """
import sys
from asteroid_joint.cli import main
from asteroid_joint.inference.pitch_files import PITCH_FORMATS
code = main(sys.argv[1:])
heavy = "pytorch_lightning", "museval", "matplotlib", "librosa", "asteroid_joint.jobs"
print([m for m in heavy if m in sys.modules])
sys.exit(code)
"""
    call = "separate", song, "-o", tmp_path / "out", "--model", weights
    done = run(sys.executable, "-c", code, *call)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle(song, weights, tmp_path, number):
    """What is finished stays, of the one in work nothing does."""
    long = tmp_path / "long.wav"
    with sf.SoundFile(long, "w", 44100, 2) as file:
        for _ in range(900):  # far more than can be done before the signal comes
            file.write(np.random.default_rng(0).uniform(-0.5, 0.5, (44100, 2)))
    out = tmp_path / "out"
    call = [sys.executable, "-m", "asteroid_joint.cli", "separate", song, long, "-o", out]
    process = subprocess.Popen(
        [*map(str, call), "--model", str(weights)],
        env=child_env(),
        stderr=subprocess.PIPE,
        text=True,
        # a job in the background ignores SIGINT; the test must not inherit that
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        end = time.monotonic() + 100
        while not any(out.glob(".long.part-*/files/*.wav")) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(number)
        err = process.communicate(timeout=60)[1]
    finally:
        process.kill()
        long.unlink()
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    assert names(out) == ["song"] and names(out / "song") == FILES


def test_the_command_is_this_function():
    (entry,) = entry_points(group="console_scripts", name="asteroid-joint")
    assert entry.load() is main


def test_arguments_of_several_commands_are_the_same_in_all_of_them():
    (commands,) = (a.choices for a in _parser()._actions if isinstance(a.choices, dict))
    said: dict[str, set[str]] = {"--model": set(), "--device": set(), "--plugins": set()}
    for command in commands.values():
        for action in command._actions:
            for flag in said.keys() & set(action.option_strings):
                if action.help is not None:
                    said[flag].add(action.help % vars(action))
    assert said == {
        "--model": {"name of shipped weights (see list) or a model file; default djcm_pop"},
        "--device": {
            "mps is the GPU of Apple computers; auto is a GPU where there is one; default auto"
        },
        "--plugins": {"modules that register further models"},
    }

"""An option of ``separate`` is two places, its field and its flag: nothing else lists them."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import soundfile as sf
from fake_models import Halves

from asteroid_joint.apps.commands.separate import add_separate_command, read_options
from asteroid_joint.cli import main
from asteroid_joint.inference import separate
from asteroid_joint.inference.activity import SegmentRules
from asteroid_joint.inference.collection import MANIFEST
from asteroid_joint.inference.collection.run import fingerprint
from asteroid_joint.inference.options import NO_FLAG, SAME_RESULTS, RunOptions, SeparateOptions
from asteroid_joint.inference.separate import separate_file

KINDS = SeparateOptions, RunOptions
OWN = {"inputs", "json", "help"}  # of the command itself
FLAGGED = [(kind, f.name) for kind in KINDS for f in fields(kind) if NO_FLAG not in f.metadata]
CALL = ["separate", "song.wav", "-o", "out"]


def command() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """A parser with this one command, and the command's own."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    add_separate_command(commands)
    return parser, commands.choices["separate"]


def arguments() -> dict[str, argparse.Action]:
    """Arguments by ``dest``, each of which is there once."""
    actions = command()[1]._actions
    found = {action.dest: action for action in actions}
    assert len(found) == len(actions)
    return found


def example(action: argparse.Action) -> list[str]:
    """Words of a command line that set an argument to something else than its default."""
    if action.nargs == 0:
        return [action.option_strings[-1]]
    kind = getattr(action.type, "__name__", "")
    words = {"positive": "7", "number": "0.5", "octaves": "-1"}
    value = list(action.choices)[-1] if action.choices else words.get(kind, "a_name")
    return [action.option_strings[-1], value]


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of an annotated type."""
    if get_origin(hint) in (Union, UnionType):
        return any(fits(value, part) for part in get_args(hint))
    if get_origin(hint) is Sequence:
        return isinstance(value, tuple) and all(fits(one, *get_args(hint)) for one in value)
    return isinstance(value, hint)


def test_every_field_has_a_flag_and_every_flag_a_field():
    names = [name for _, name in FLAGGED]
    assert sorted(names) == sorted(arguments().keys() - OWN)
    assert len(set(names)) == len(names)


def test_what_is_not_given_is_the_default_of_the_field():
    args = command()[0].parse_args(CALL)
    assert read_options(SeparateOptions, args) == SeparateOptions()
    assert read_options(RunOptions, args) == RunOptions(Path("out"))


@pytest.mark.parametrize(("kind", "name"), FLAGGED)
def test_what_is_given_arrives_at_its_field_in_its_type(kind, name):
    args = command()[0].parse_args([*CALL, *example(arguments()[name])])
    value = getattr(read_options(kind, args), name)
    assert value != getattr(kind, name, None)
    assert fits(value, get_type_hints(kind)[name])
    for other in KINDS:  # and nothing else has changed
        for field in fields(other):
            if field.name not in (name, "out"):
                assert getattr(read_options(other, args), field.name) == field.default


def test_lists_of_names():
    for text, expected in {"none": (), "vocals": ("vocals",), "a, b,a": ("a", "b")}.items():
        args = command()[0].parse_args([*CALL, "--stems", text])
        assert read_options(SeparateOptions, args).stems == expected


@dataclass(frozen=True)
class More(SeparateOptions):
    """Options with one that is new."""

    lyrics: bool = False


def test_a_new_option_is_its_field_and_its_flag(tmp_path, monkeypatch):
    parser, own = command()
    own.add_argument("--lyrics", action="store_true")
    args = parser.parse_args([*CALL, "--lyrics", "--batch", "1"])
    options = read_options(More, args)
    assert options == More(lyrics=True, batch_size=1)
    assert fingerprint(options, Halves()) != fingerprint(More(), Halves())
    seen = []

    class Watched(separate.SongFiles):
        def __init__(self, folder, model, reader, options):
            seen.append(options)
            super().__init__(folder, model, reader, options)

    monkeypatch.setattr(separate, "SongFiles", Watched)
    sf.write(tmp_path / "song.wav", np.zeros(800), 16000)
    separate_file(Halves(), tmp_path / "song.wav", tmp_path / "out", options, notes=True)
    assert seen == [replace(options, notes=True)] and seen[0].lyrics


def other(value: object) -> object:
    """Another value for a field with this default."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"not {value}"


@pytest.mark.parametrize("field", fields(SeparateOptions), ids=lambda field: field.name)
def test_the_manifest_knows_of_every_field_that_results_depend_on(field):
    changed = replace(SeparateOptions(), **{field.name: other(field.default)})
    same = fingerprint(changed, Halves()) == fingerprint(SeparateOptions(), Halves())
    assert same == bool(field.metadata.get(SAME_RESULTS))


def test_the_manifest_knows_of_the_rules_of_segments():
    prints = {
        fingerprint(SeparateOptions(activity=rules), Halves())
        for rules in (None, SegmentRules(), SegmentRules(on=0.9))
    }
    assert len(prints) == 3


def test_a_batch_of_another_size_is_no_reason_to_do_songs_again(tmp_path, weights, capsys):
    (tmp_path / "music").mkdir()
    sf.write(tmp_path / "music/song.wav", np.zeros(800), 16000)
    call = ["separate", str(tmp_path / "music"), "-o", str(tmp_path / "out"), "--json"]
    for n, options in enumerate([[], ["--batch", "1"], ["--activity"]]):
        assert main([*call, "--model", str(weights), "--resume", *options]) == 0
        assert json.loads(capsys.readouterr().out)["skipped"] == (n == 1)
    assert len((tmp_path / "out" / MANIFEST).read_text().splitlines()) == 2


def test_keywords_of_separate_file_are_fields(tmp_path):
    sf.write(tmp_path / "song.wav", np.zeros(800), 16000)
    call = Halves(), tmp_path / "song.wav", tmp_path / "out"
    done = separate_file(*call, stems=["vocals"], f0_formats=["svl"])
    assert done.files == ("vocals.wav", "f0.svl")
    options = SeparateOptions(stems=("vocals",), audio_format="flac")
    done = separate_file(*call, options, audio_format="ogg")
    assert done.files == ("vocals.ogg", "f0.csv")
    with pytest.raises(TypeError, match="unexpected keyword argument 'note'$"):
        separate_file(*call, note=True)

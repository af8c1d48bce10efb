"""The command ``separate``.

Exit codes: 0 all done; 1 some inputs failed, the others are complete; 2 the call itself was wrong
and nothing ran; 130 interrupted, finished inputs are complete.
"""

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ...audio import AUDIO_FORMATS, open_audio
from ...errors import UserError
from ...inference.activity import SegmentRules
from ...inference.collection import MANIFEST, Found, Outcome, find_songs, run_collection
from ...inference.options import RunOptions, SeparateOptions
from ...inference.pitch_files import PITCH_FORMATS
from ...registry import import_plugins
from .common import positive, say

DONE, SOME_FAILED = 0, 1
NO_STEMS = "none"
Options = TypeVar("Options", SeparateOptions, RunOptions)


def add_separate_command(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    separate = commands.add_parser(
        "separate",
        help="split songs into stems and write the F0 curve of the voice",
        description="Write OUT/<song>/ for every song: a file per stem, the F0 curve, and what "
        "else is asked for. A song of a folder goes to the same place below OUT.",
        epilog="Exit codes: 0 all done; 1 some songs failed, the others are complete; 2 the call "
        "was wrong and nothing ran; 130 interrupted, finished songs are complete.",
        argument_default=argparse.SUPPRESS,  # what is not given is the field's default
    )
    separate.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="audio file, folder (all audio files below it), or pattern such as 'music/**/*.flac'",
    )
    _add_results(separate.add_argument_group("results"))
    _add_model(separate.add_argument_group("model"))
    _add_collections(separate.add_argument_group("collections"))
    separate.add_argument("--debug", action="store_true", help="show tracebacks")
    separate.set_defaults(run=_separate)


def _add_results(group: Any) -> None:
    rules = SegmentRules()
    group.add_argument("-o", "--out", required=True, type=Path, help="folder for the results")
    group.add_argument(
        "--stems",
        type=_stems,
        metavar="NAME,...",
        help=f"stems to write, {NO_STEMS!r} for none; default: all that the model has",
    )
    group.add_argument(
        "--format",
        dest="audio_format",
        choices=list(AUDIO_FORMATS),
        help="of the stems; wav and flac keep integers exactly, flac rounds to 24 bits, mp3 and "
        f"ogg are lossy; default {SeparateOptions.audio_format}",
    )
    group.add_argument(
        "--f0-format",
        dest="f0_formats",
        type=_names,
        metavar="NAME,...",
        help=f"of the F0 curve, one or more of {', '.join(PITCH_FORMATS)}; default csv: "
        "time,frequency,confidence,voiced",
    )
    group.add_argument(
        "--notes",
        action="store_true",
        help="also write notes.mid, with pitch bend, and notes.csv (extra: notes)",
    )
    group.add_argument(
        "--plot",
        action="store_true",
        help="also draw picture.png: spectrogram of the voice, F0, notes, stems (extra: demo)",
    )
    group.add_argument(
        "--activity",
        action="store_const",
        const=rules,
        help="also write activity.csv, when somebody sings, start and end in seconds: segments "
        f"that reach a probability of {rules.on:g} and stay above {rules.off:g}, at least "
        f"{rules.min_sec:g} s long, less than {rules.gap_sec:g} s apart counts as one",
    )
    group.add_argument("--overwrite", action="store_true", help="replace earlier results")
    group.add_argument(
        "--json",
        action="store_true",
        default=False,
        help="print a JSON object per song, one a line, and nothing else",
    )


def _add_model(group: Any) -> None:
    group.add_argument(
        "--model",
        metavar="NAME|PATH",
        help=f"shipped weights (see info) or a model file; default {RunOptions.model}",
    )
    group.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), help=f"default {RunOptions.device}"
    )
    group.add_argument(
        "--decoder",
        metavar="NAME",
        help=f"how activations become pitch: argmax, viterbi; default {SeparateOptions.decoder}",
    )
    group.add_argument(
        "--two-pass-viterbi",
        action="store_true",
        help="find the pitch by Viterbi over the whole song rather than some seconds at a time; "
        "takes 260 MB of disk per hour of song while it runs",
    )
    group.add_argument(
        "--batch",
        dest="batch_size",
        type=positive,
        metavar="N",
        help=f"windows at a time; less needs less memory; default {SeparateOptions.batch_size}",
    )
    group.add_argument(
        "--plugins", metavar="MODULE,...", help="modules that register further models"
    )


def _add_collections(group: Any) -> None:
    group.description = (
        f"Where an INPUT is a folder or a pattern, or with --resume, OUT/{MANIFEST} gets a line "
        "for every song that is done or has failed, with the reason."
    )
    group.add_argument(
        "--resume",
        action="store_true",
        help="leave out songs that the manifest says are done with the same options and model, "
        "and those that cannot be read, unless they have changed; remove what a killed run left",
    )
    group.add_argument(
        "--retry", action="store_true", help="with --resume: try again whatever failed"
    )
    group.add_argument("--engine", metavar="NAME", help="local, or ray for a cluster")
    group.add_argument("--address", help="of the cluster; default: one on this machine")
    group.add_argument("--workers", type=positive, metavar="N", help="how many, each with a model")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    if not names:
        raise argparse.ArgumentTypeError(f"expected a name or several, received {text!r}")
    return names


def _stems(text: str) -> tuple[str, ...]:
    names = _names(text)
    return () if names == (NO_STEMS,) else names


def read_options(kind: type[Options], args: argparse.Namespace) -> Options:
    """Options from a command line: each field from the argument that has its name as ``dest``.

    Args:
        kind: The class of options.
        args: What was given; for the rest, fields have their defaults.
    """
    given = vars(args)
    return kind(**{field.name: given[field.name] for field in fields(kind) if field.name in given})


def _separate(args: argparse.Namespace) -> int:
    options, run = read_options(SeparateOptions, args), read_options(RunOptions, args)
    _check(options, run, "decoder" in args)
    found = find_songs(args.inputs, run.out)
    for problem in found.problems:
        say(problem)
    if found.n_results:
        say(f"{found.n_results} files are results of an earlier run and were left out.")
    n_failed = len(found.problems)
    with_manifest = found.searched or run.resume
    if not with_manifest:
        n_failed += _leave_out_unreadable(found, args.json)
    n_done = n_earlier = 0
    if found.songs:
        for outcome in run_collection(found.songs, options, run, manifest=with_manifest):
            _tell(outcome, args.json)
            n_failed += outcome.status == "failed"
            n_done += outcome.status == "done"
            n_earlier += outcome.status == "done" and outcome.skipped
    if with_manifest and found.songs:
        earlier = f" ({n_earlier} of them earlier)" if n_earlier else ""
        say(f"{n_done} done{earlier}, {n_failed} failed: see {run.out / MANIFEST}.")
    return SOME_FAILED if n_failed or not found.songs else DONE


def _check(options: SeparateOptions, run: RunOptions, decoder_given: bool) -> None:
    """Refuse options that contradict each other or do not exist, before a model is loaded."""
    import_plugins(run.plugins)  # they may bring formats
    for name in options.f0_formats:
        PITCH_FORMATS[name]
    if run.retry and not run.resume:
        raise UserError("--retry is for --resume: give both.")
    if options.two_pass_viterbi and decoder_given:
        raise UserError("--two-pass-viterbi takes the place of --decoder: give one of them.")
    if run.engine == "local" and (run.address is not None or run.workers is not None):
        raise UserError("--address and --workers are for other engines: give --engine ray, too.")


def _leave_out_unreadable(found: Found, as_json: bool) -> int:
    """Say what cannot be opened before the model is loaded; returns how many."""
    readable = []
    for song in found.songs:
        try:
            open_audio(song.path).close()
            readable.append(song)
        except UserError as err:
            _tell(Outcome(str(song.path), status="failed", reason=str(err)), as_json)
    n_unreadable = len(found.songs) - len(readable)
    found.songs = readable
    return n_unreadable


def _tell(outcome: Outcome, as_json: bool) -> None:
    for sentence in filter(None, (outcome.reason, outcome.warning)):
        say(sentence)
    if as_json:
        print(outcome.to_json(), flush=True)
    elif outcome.status == "done" and not outcome.skipped:
        print(str(outcome.folder).encode(errors="replace").decode(), flush=True)

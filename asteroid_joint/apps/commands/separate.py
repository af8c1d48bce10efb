"""The command ``separate``.

Exit codes: 0 all done; 1 some inputs failed, the others are complete; 2 the call itself was wrong
and nothing ran; 130 interrupted, finished inputs are complete.
"""

import argparse
from pathlib import Path
from typing import Any

from ...audio.formats import AUDIO_FORMATS
from ...errors import UserError
from ...inference.activity import SegmentRules
from ...inference.collection import MANIFEST, Found, Outcome, SeparateOptions, find_songs
from ...inference.options import BATCH, DECODER
from ...inference.pitch_files import PITCH_FORMATS
from ...version import DEFAULT_MODEL
from .common import positive, say

DONE, SOME_FAILED = 0, 1
NO_STEMS = "none"


def add_separate_command(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    separate = commands.add_parser(
        "separate",
        help="split songs into stems and write the F0 curve of the voice",
        description="Write OUT/<song>/ for every song: a file per stem, the F0 curve, and what "
        "else is asked for. A song of a folder goes to the same place below OUT.",
        epilog="Exit codes: 0 all done; 1 some songs failed, the others are complete; 2 the call "
        "was wrong and nothing ran; 130 interrupted, finished songs are complete.",
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
        type=_names,
        metavar="NAME,...",
        help=f"stems to write, {NO_STEMS!r} for none; default: all that the model has",
    )
    group.add_argument(
        "--format",
        choices=list(AUDIO_FORMATS),
        default="wav",
        help="of the stems; wav and flac keep integers exactly, flac rounds to 24 bits, mp3 and "
        "ogg are lossy; default %(default)s",
    )
    group.add_argument(
        "--f0-format",
        type=_names,
        default=("csv",),
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
        action="store_true",
        help="also write activity.csv, when somebody sings, start and end in seconds: segments "
        f"that reach a probability of {rules.on:g} and stay above {rules.off:g}, at least "
        f"{rules.min_sec:g} s long, less than {rules.gap_sec:g} s apart counts as one",
    )
    group.add_argument("--overwrite", action="store_true", help="replace earlier results")
    group.add_argument(
        "--json",
        action="store_true",
        help="print a JSON object per song, one a line, and nothing else",
    )


def _add_model(group: Any) -> None:
    group.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="shipped weights (see info) or a model file; default %(default)s",
    )
    group.add_argument(
        "--device", choices=("auto", "cpu", "cuda"), default="auto", help="default %(default)s"
    )
    group.add_argument(
        "--decoder",
        metavar="NAME",
        help=f"how activations become pitch: argmax, viterbi; default {DECODER}",
    )
    group.add_argument(
        "--two-pass-viterbi",
        action="store_true",
        help="find the pitch by Viterbi over the whole song rather than some seconds at a time; "
        "takes 260 MB of disk per hour of song while it runs",
    )
    group.add_argument(
        "--batch",
        type=positive,
        default=BATCH,
        metavar="N",
        help="windows at a time; less needs less memory; default %(default)s",
    )
    group.add_argument(
        "--plugins", default="", metavar="MODULE,...", help="modules that register further models"
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
    group.add_argument(
        "--engine", default="local", metavar="NAME", help="local, or ray for a cluster"
    )
    group.add_argument("--address", help="of the cluster; default: one on this machine")
    group.add_argument("--workers", type=positive, metavar="N", help="how many, each with a model")


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(filter(None, (name.strip() for name in text.split(",")))))
    if not names:
        raise argparse.ArgumentTypeError(f"expected a name or several, received {text!r}")
    return names


def _separate(args: argparse.Namespace) -> int:
    options = _options(args)
    _check(args)
    found = find_songs(args.inputs, args.out)
    for problem in found.problems:
        say(problem)
    if found.n_results:
        say(f"{found.n_results} files are results of an earlier run and were left out.")
    n_failed = len(found.problems)
    with_manifest = found.searched or args.resume
    if not with_manifest:
        n_failed += _leave_out_unreadable(found, args.json)
    n_done = n_earlier = 0
    if found.songs:
        from ...inference.collection.run import run_collection

        for outcome in run_collection(
            found.songs,
            options,
            manifest=with_manifest,
            **{name: getattr(args, name) for name in ("resume", "retry", "overwrite")},
            **{"engine": args.engine, "address": args.address, "n_workers": args.workers},
        ):
            _tell(outcome, args.json)
            n_failed += outcome.status == "failed"
            n_done += outcome.status == "done"
            n_earlier += outcome.status == "done" and outcome.skipped
    if with_manifest and found.songs:
        earlier = f" ({n_earlier} of them earlier)" if n_earlier else ""
        say(f"{n_done} done{earlier}, {n_failed} failed: see {args.out / MANIFEST}.")
    return SOME_FAILED if n_failed or not found.songs else DONE


def _options(args: argparse.Namespace) -> SeparateOptions:
    same = ("out", "model", "device", "plugins", "batch", "notes", "plot", "activity", "debug")
    return SeparateOptions(
        **{name: getattr(args, name) for name in same},
        stems=() if args.stems == (NO_STEMS,) else args.stems,
        audio_format=args.format,
        f0_formats=args.f0_format,
        decoder=args.decoder or DECODER,
        two_pass_viterbi=args.two_pass_viterbi,
    )


def _check(args: argparse.Namespace) -> None:
    """Refuse options that contradict each other or do not exist."""
    for name in args.f0_format:
        PITCH_FORMATS[name]
    if args.retry and not args.resume:
        raise UserError("--retry is for --resume: give both.")
    if args.two_pass_viterbi and args.decoder is not None:
        raise UserError("--two-pass-viterbi takes the place of --decoder: give one of them.")
    if args.engine == "local" and (args.address is not None or args.workers is not None):
        raise UserError("--address and --workers are for other engines: give --engine ray, too.")


def _leave_out_unreadable(found: Found, as_json: bool) -> int:
    """Say what cannot be opened before the model is loaded; returns how many."""
    from ...audio import open_audio

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

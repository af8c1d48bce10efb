"""The command ``pitch``."""

import argparse
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...inference.options import SeparateOptions
from ...registry import import_plugins
from .common import DONE, SOME_FAILED, add_model, add_runtime, say
from .separate import add_decoding, add_pitch_results, check_pitch_results, read_options


def add_pitch_command(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    pitch = commands.add_parser(
        "pitch",
        help="write F0, notes, activity and picture of a voice that is separate already",
        description="Track the pitch of voices that another program separated, with the pitch part "
        "of a model alone: a folder OUT/<voice>/ for each, with what separate writes but stems.",
        epilog="Exit codes: 0 all done; 1 some voices failed, the others are complete; 2 the call "
        "was wrong and nothing ran; 130 interrupted, finished voices are complete.",
        argument_default=argparse.SUPPRESS,  # the fields of the options have the defaults
    )
    pitch.add_argument("inputs", nargs="+", type=Path, metavar="VOICE", help="audio file")
    results = pitch.add_argument_group("results")
    results.add_argument("-o", "--out", required=True, type=Path, help="folder for the results")
    results.add_argument(
        "--mixture",
        type=Path,
        default=None,
        metavar="SONG",
        help="the song that the one VOICE was separated from: helps to find notes; its lyrics and "
        "its tempo are used",
    )
    add_pitch_results(results)
    results.add_argument(
        "--overwrite", action="store_true", default=False, help="replace existing results"
    )
    model = pitch.add_argument_group("model")
    add_model(model)
    add_runtime(model)
    add_decoding(model)
    pitch.set_defaults(run=_pitch)


def _pitch(args: argparse.Namespace) -> int:
    options = read_options(SeparateOptions, args)
    import_plugins(args.plugins)
    check_pitch_results(options, "decoder" in args)
    if args.mixture is not None and len(args.inputs) > 1:
        raise UserError("--mixture is the song of one voice: give one VOICE with it.")
    from ...inference.knobs import tuned_runner
    from ...inference.load import ready_pitch_runner
    from ...inference.track import track_file

    model = ready_pitch_runner(args.model, args.device, options.batch_size, args.runtime, args.bf16)
    tuned_runner(model, options)  # raises one sentence before anything is written
    n_failed = 0
    for path in args.inputs:
        try:
            done = track_file(
                model, path, args.out, options, mixture=args.mixture, overwrite=args.overwrite
            )
        except UserError as err:
            say(str(err))
            n_failed += 1
            continue
        if done.warning:
            say(done.warning)
        print(str(done.folder).encode(errors="replace").decode(), flush=True)
    return SOME_FAILED if n_failed else DONE

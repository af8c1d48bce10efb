"""The command ``stream``."""

import argparse
import sys
from contextlib import ExitStack, closing
from typing import Any

from ...errors import AudioError, UserError
from ...version import DEFAULT_MODEL
from ..live.formats import SAMPLE_FORMATS
from ..live.plan import BLOCK_SEC, CONTEXT_SEC, LOOKAHEAD_SEC, LivePlan

DONE, FAILED = 0, 1
DESCRIPTION = """\
Separate sound while it is made: lines of F0 and the voice come out while sound goes in.

A line is known --block + --lookahead seconds after its time at the latest, computing apart; the
model sees --context seconds of what was before. More lookahead is more accurate, a longer block is
less work. Memory does not grow. The stream ends with the input, with SIGINT (ctrl-C) or SIGTERM, or
when nobody reads the output any more; what was heard by then is finished, and what latency there
was is said.
"""
EXAMPLES = """\
examples:
  ffmpeg -loglevel error -i URL -f wav - | asteroid-joint stream --voice voice.raw > f0.csv
  arecord -q -f cd -t wav | asteroid-joint stream --format jsonl
  asteroid-joint stream --input default --lookahead 0
  sox in.flac -t raw -e signed -b 16 -L - | asteroid-joint stream --sample-format s16le \\
      --rate 44100 --channels 2 --voice - | aplay -f cd
"""


def add_stream_command(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    stream = commands.add_parser(
        "stream",
        help="the same of a live input: F0 lines and the voice with bounded latency",
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_sound(stream.add_argument_group("sound"))
    _add_results(stream.add_argument_group("results"))
    _add_work(stream.add_argument_group("work"))
    stream.set_defaults(run=_stream)


def _add_sound(sound: Any) -> None:
    sound.add_argument(
        "--input",
        default="-",
        metavar="-|DEVICE",
        help="standard input, or a sound card by number or part of its name, or default "
        "(extra: live); default %(default)s",
    )
    sound.add_argument(
        "--list-devices", action="store_true", help="list sound cards that can record, and end"
    )
    sound.add_argument(
        "--sample-format",
        choices=sorted(SAMPLE_FORMATS),
        help="of raw PCM on standard input; without it a WAV header is expected there",
    )
    sound.add_argument("--rate", type=int, metavar="HZ", help="of raw PCM or a sound card")
    sound.add_argument("--channels", type=int, metavar="N", help="same; default 1")


def _add_results(results: Any) -> None:
    results.add_argument(
        "--f0",
        metavar="PATH",
        help="file, pipe or - for the F0 lines; default -, none if the voice goes there",
    )
    results.add_argument(
        "--format",
        choices=("csv", "jsonl"),
        default="csv",
        help="of the lines: time,frequency,confidence,voiced below a header, or an object each; "
        "default %(default)s",
    )
    results.add_argument(
        "--voice",
        metavar="PATH",
        help="file, pipe or - for the voice, as raw PCM of the input's rate, channels and format",
    )
    results.add_argument("--overwrite", action="store_true", help="replace files that are there")


def _add_work(work: Any) -> None:
    for name, default, text in (
        ("block", BLOCK_SEC, "worked on at a time"),
        ("lookahead", LOOKAHEAD_SEC, "of future that the model sees; 0 is possible"),
        ("context", CONTEXT_SEC, "of past that the model sees"),
    ):
        work.add_argument(
            f"--{name}",
            type=float,
            default=default,
            metavar="SEC",
            help=f"{text}; default %(default)s",
        )
    work.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="shipped weights (see info) or a model file; default %(default)s",
    )
    work.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    work.add_argument(
        "--decoder", default="argmax", help="see info; viterbi sees one window; default %(default)s"
    )
    work.add_argument(
        "--plugins", default="", metavar="MODULE,...", help="modules that register further models"
    )


def _stream(args: argparse.Namespace) -> int:
    """Run a live stream; returns the exit code."""
    from ...inference.load import ready_model
    from ...registry import DECODERS, import_plugins
    from ..live.outputs import Gone
    from ..live.separator import LiveSeparator
    from ..live.session import Stop, run_session
    from .common import say

    if args.list_devices:
        from ..live.sound_card import list_devices

        print(list_devices())
        return DONE
    _check_options(args)
    import_plugins(args.plugins)
    DECODERS[args.decoder]  # what does not exist is said before the model is loaded
    model = ready_model(args.model, args.device, batch_size=1)
    wants_f0 = _wants_f0(args, model)
    plan = LivePlan.of(model, args.block, args.lookahead, args.context)
    source = _source(args)
    kind = source.kind
    separator = LiveSeparator(model, kind.sample_rate, kind.n_channels, plan, decoder=args.decoder)
    stop = Stop()
    try:
        with ExitStack() as stack:
            outputs = _outputs(args, wants_f0, kind, stack)
            separator.warm_up()
            stack.enter_context(stop.on_signals())
            say(
                f"receiving {source.name}: {kind}; block {plan.block / plan.sample_rate:.2f} s + "
                f"lookahead {plan.lookahead / plan.sample_rate:.2f} s."
            )
            run_session(separator, source, outputs, say, stop)
    except Gone:  # before the first sample
        return DONE
    except AudioError as err:
        say(str(err))
        return FAILED
    return DONE


def _check_options(args: argparse.Namespace) -> None:
    """Refuse what contradicts itself."""
    raw = {"--sample-format": args.sample_format, "--rate": args.rate, "--channels": args.channels}
    if args.input != "-":
        if args.sample_format:
            raise UserError("A sound card has no --sample-format: leave it out.")
    elif args.sample_format and args.rate is None:
        raise UserError("Raw PCM does not say its rate: give --rate, for example --rate 44100.")
    elif not args.sample_format and (args.rate or args.channels):
        named = next(name for name, value in raw.items() if value)
        raise UserError(
            f"{named} is for raw PCM: add --sample-format, for example s16le; a WAV header says "
            "it itself."
        )
    if args.f0 == "-" and args.voice == "-":
        raise UserError("F0 and voice cannot both go to standard output: give one of them a file.")
    if args.f0 and args.voice and args.f0 == args.voice:
        raise UserError(f"F0 and voice cannot both go to {args.f0}.")
    if args.input == "-" and (sys.stdin is None or sys.stdin.isatty()):
        raise UserError(
            "Nothing is piped in: see the examples of asteroid-joint stream --help, or take a "
            "sound card with --input default."
        )


def _wants_f0(args: argparse.Namespace, model: Any) -> bool:
    """Whether F0 lines are to be written.

    Raises:
        UserError: If they are, and the model has none.
    """
    wanted = args.f0 is not None or args.voice != "-"
    if not wanted or model.has_pitch:
        return wanted
    if args.f0 is None and args.voice is not None:
        return False
    raise UserError(
        f"{args.model} does not read pitch: give --voice PATH without --f0, or another --model."
    )


def _source(args: argparse.Namespace) -> Any:
    """Standard input or a sound card."""
    if args.input != "-":
        from ..live.sound_card import SoundCard

        return SoundCard(args.input, args.rate, args.channels)
    from ..live.pcm import PcmInput, PcmKind

    kind = None
    if args.sample_format:
        channels = 1 if args.channels is None else args.channels
        kind = PcmKind(args.rate, channels, args.sample_format)
    return PcmInput(sys.stdin.fileno(), kind)


def _outputs(args: argparse.Namespace, wants_f0: bool, kind: Any, stack: ExitStack) -> Any:
    """Open what results go to, for as long as ``stack``."""
    from ..live.outputs import F0Output, Outputs, VoiceOutput

    voice = f0 = None
    if args.voice is not None:
        voice = stack.enter_context(closing(VoiceOutput(args.voice, kind, args.overwrite)))
    if wants_f0:
        f0 = stack.enter_context(closing(F0Output(args.f0 or "-", args.format, args.overwrite)))
    return Outputs(f0, voice)

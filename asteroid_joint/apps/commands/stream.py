"""The command ``stream``."""

import argparse
import sys
from contextlib import ExitStack, closing
from typing import Any

from ...errors import AudioError, UserError
from ...inference.knobs import PitchKnobs, check_knobs
from ..live.formats import SAMPLE_FORMATS
from ..live.plan import BLOCK_SEC, CONTEXT_SEC, LOOKAHEAD_SEC, LivePlan
from .common import DONE, SOME_FAILED, add_model, add_plugins, add_runtime, say, tell
from .knobs import add_pitch_knobs
from .separate import read_options

DESCRIPTION = """\
Separate a live input and track its pitch: write F0 lines and the voice while sound arrives.

Each F0 line is written at most --block + --lookahead seconds after its time, plus computing; the
model also sees the --context seconds before the block. A longer lookahead is more accurate, a
longer block needs less computing. Memory use is constant. The stream ends with the input, on SIGINT
(Ctrl-C) or SIGTERM, or when the reader of an output closes it; received sound is still processed,
and the latency is reported.
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
        help="separate and track a live input: F0 lines and the voice with bounded latency",
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
        help="- for standard input; number or part of the name of a sound card, or 'default' "
        "(extra: live); default %(default)s",
    )
    sound.add_argument(
        "--list-devices", action="store_true", help="list the sound cards that can record, and exit"
    )
    sound.add_argument(
        "--sample-format",
        choices=sorted(SAMPLE_FORMATS),
        help="format of raw PCM on standard input; without this option, a WAV header is expected",
    )
    sound.add_argument(
        "--rate", type=int, metavar="HZ", help="sample rate of raw PCM or a sound card"
    )
    sound.add_argument(
        "--channels", type=int, metavar="N", help="channels of raw PCM or a sound card; default 1"
    )


def _add_results(results: Any) -> None:
    results.add_argument(
        "--f0",
        metavar="PATH",
        help="file, pipe or - for the F0 lines; default -, or none with --voice -",
    )
    results.add_argument(
        "--format",
        choices=("csv", "jsonl"),
        default="csv",
        help="format of the F0 lines: time,frequency,confidence,voiced with a header, or one JSON "
        "object each; default %(default)s",
    )
    add_pitch_knobs(results)
    results.add_argument(
        "--voice",
        metavar="PATH",
        help="file, pipe or - for the voice: raw PCM with the input's rate, channels and format",
    )
    results.add_argument("--overwrite", action="store_true", help="replace existing files")


def _add_work(work: Any) -> None:
    for name, default, text in (
        ("block", BLOCK_SEC, "length of sound processed at a time"),
        ("lookahead", LOOKAHEAD_SEC, "length of future sound that the model sees, 0 or more"),
        ("context", CONTEXT_SEC, "length of past sound that the model sees"),
    ):
        work.add_argument(
            f"--{name}",
            type=float,
            default=default,
            metavar="SEC",
            help=f"{text}; default %(default)s",
        )
    add_model(work)
    add_runtime(work)
    work.add_argument(
        "--decoder",
        default="argmax",
        metavar="NAME",
        help="pitch decoder (see list); viterbi sees one window; default %(default)s",
    )
    add_plugins(work)


def _stream(args: argparse.Namespace) -> int:
    """Run a live stream; returns the exit code."""
    from ...inference.knobs import tuned_runner
    from ...inference.load import ready_runner
    from ...registry import DECODERS, import_plugins
    from ..live.outputs import Gone
    from ..live.separator import LiveSeparator
    from ..live.session import Stop, run_session

    if args.list_devices:
        from ..live.sound_card import list_devices

        return DONE if tell(list_devices()) else SOME_FAILED
    _check_options(args)
    check_knobs(knobs := read_options(PitchKnobs, args))
    import_plugins(args.plugins)
    DECODERS[args.decoder]  # raises for an unknown name before the model is loaded
    model = ready_runner(args.model, args.device, 1, args.runtime, args.bf16)
    wants_f0 = _wants_f0(args, model)
    tuned_runner(model, knobs)  # raises before anything is opened
    plan = LivePlan.of(model, args.block, args.lookahead, args.context)
    source = _source(args)
    kind = source.kind
    separator = LiveSeparator(
        model, kind.sample_rate, kind.n_channels, plan, decoder=args.decoder, knobs=knobs
    )
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
        return SOME_FAILED
    return DONE


def _check_options(args: argparse.Namespace) -> None:
    """Refuse contradictory options."""
    raw = {"--sample-format": args.sample_format, "--rate": args.rate, "--channels": args.channels}
    if args.input != "-":
        if args.sample_format:
            raise UserError("A sound card has no --sample-format: omit it.")
    elif args.sample_format and args.rate is None:
        raise UserError(
            "Raw PCM does not state its sample rate: give --rate, for example --rate 44100."
        )
    elif not args.sample_format and (args.rate or args.channels):
        named = next(name for name, value in raw.items() if value)
        raise UserError(
            f"{named} is for raw PCM: add --sample-format, for example s16le, or omit {named} for "
            "an input with a WAV header."
        )
    if args.f0 == "-" and args.voice == "-":
        raise UserError("F0 and voice cannot both go to standard output: give one of them a file.")
    if args.f0 and args.voice and args.f0 == args.voice:
        raise UserError(f"F0 and voice cannot both go to {args.f0}: give one of them another file.")
    if args.input == "-" and (sys.stdin is None or sys.stdin.isatty()):
        raise UserError(
            "Nothing is piped in: see the examples of asteroid-joint stream --help, or record from "
            "a sound card with --input default."
        )


def _wants_f0(args: argparse.Namespace, model: Any) -> bool:
    """Whether to write F0 lines.

    Raises:
        UserError: If they were requested and the model does not estimate pitch.
    """
    wanted = args.f0 is not None or args.voice != "-"
    if not wanted or model.has_pitch:
        return wanted
    if args.f0 is None and args.voice is not None:
        return False
    raise UserError(
        f"{args.model} does not estimate pitch: give --voice PATH without --f0, or another --model."
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
    """Open the outputs; ``stack`` closes them."""
    from ..live.outputs import F0Output, Outputs, VoiceOutput

    voice = f0 = None
    if args.voice is not None:
        voice = stack.enter_context(closing(VoiceOutput(args.voice, kind, args.overwrite)))
    if wants_f0:
        f0 = stack.enter_context(closing(F0Output(args.f0 or "-", args.format, args.overwrite)))
    return Outputs(f0, voice)

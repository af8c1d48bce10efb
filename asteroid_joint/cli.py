"""The command ``asteroid-joint``: ``separate``, ``make-corpus``, ``describe``, ``info``, ...

Exit codes of ``separate``: 0 all done; 1 some inputs failed, the others are complete; 2 the call
itself was wrong and nothing ran; 130 interrupted, finished inputs are complete.
"""

import argparse
import signal
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import UserError

DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; ``None`` takes those of the process.

    Returns:
        Exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments[:1] == ["infer"]:  # Asteroid's own options, not ours to parse
        from .compat import infer

        infer(arguments[1:])
        return DONE
    args = _parser().parse_args(arguments)
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        return args.run(args)
    except KeyboardInterrupt:
        say("interrupted; finished inputs are complete, of the others nothing was kept.")
        return INTERRUPTED
    except UserError as err:
        say(str(err))
        return USAGE
    finally:
        signal.signal(signal.SIGTERM, previous)


def _parser() -> argparse.ArgumentParser:
    from . import __version__
    from .activity import SegmentRules
    from .bias.command import add_bias_command
    from .corpus.command import add_corpus_commands
    from .models.store import DEFAULT_MODEL
    from .page.command import add_demo_command
    from .registry import DECODERS
    from .streaming import BATCH

    parser = argparse.ArgumentParser(
        prog="asteroid-joint",
        description="Separate songs into voice and accompaniment, with the voice's pitch.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    separate = commands.add_parser(
        "separate",
        help="split songs into stems and write the F0 curve of the voice",
        description="Write OUT/<input's name>/: one WAV file per stem, f0.csv and, with "
        "--activity, activity.csv.",
    )
    separate.add_argument("inputs", nargs="+", type=Path, metavar="INPUT", help="audio file")
    separate.add_argument("-o", "--out", required=True, type=Path, help="folder for the results")
    separate.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="shipped weights (see info) or a model file; default %(default)s",
    )
    separate.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    separate.add_argument(
        "--decoder",
        choices=sorted(DECODERS),
        default="argmax",
        help="how activations become pitch; default %(default)s",
    )
    rules = SegmentRules()
    separate.add_argument(
        "--activity",
        action="store_true",
        help="also write when somebody sings, start and end in seconds: segments that reach a "
        f"probability of {rules.on:g} and stay above {rules.off:g}, at least {rules.min_sec:g} s "
        f"long, less than {rules.gap_sec:g} s apart counts as one",
    )
    separate.add_argument(
        "--batch",
        type=_positive,
        default=BATCH,
        metavar="N",
        help="windows at a time; less needs less memory; default %(default)s",
    )
    separate.add_argument(
        "--plugins", default="", metavar="MODULE,...", help="modules that register further models"
    )
    separate.add_argument("--overwrite", action="store_true", help="replace earlier results")
    separate.add_argument("--debug", action="store_true", help="show tracebacks")
    separate.set_defaults(run=_separate)

    add_corpus_commands(commands)
    add_bias_command(commands)
    add_demo_command(commands)
    commands.add_parser("infer", help="asteroid-infer, knowing the models of this package")
    info = commands.add_parser("info", help="list models, presets and shipped weights")
    info.set_defaults(run=_info)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a number of 1 or more, received {text!r}")
    return int(text)


def say(sentence: str) -> None:
    """One sentence for the user."""
    print(f"asteroid-joint: {sentence}", file=sys.stderr)


def _separate(args: argparse.Namespace) -> int:
    """Separate the inputs one after the other."""
    from .activity import check_activity
    from .audio import open_audio
    from .registry import import_plugins
    from .separate import make_folder

    import_plugins(args.plugins)
    _check_names(args.inputs, args.out)
    n_failed, inputs = 0, []
    for path in args.inputs:  # what cannot be opened is said before the model is loaded
        try:
            open_audio(path).close()
            inputs.append(path)
        except UserError as err:
            say(str(err))
            n_failed += 1
    if inputs:
        make_folder(args.out)
        model = _load(args.model, args.device, args.batch)
        if args.activity:
            check_activity(model)
        n_failed += sum(not _separate_one(model, path, args) for path in inputs)
    return SOME_FAILED if n_failed else DONE


def _separate_one(model: Any, path: Path, args: argparse.Namespace) -> bool:
    """Separate one input and report; whether it worked."""
    import torch
    from tqdm import tqdm

    from .activity import SegmentRules
    from .separate import separate_file

    bar_format = "{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}]"
    bar = tqdm(desc=path.name, total=1.0, bar_format=bar_format, disable=None, leave=False)

    def show(done_sec: float, total_sec: float | None) -> None:
        bar.total = max(done_sec, total_sec or 0.0)
        bar.update(done_sec - bar.n)

    options: dict[str, Any] = {
        "decoder": args.decoder,
        "batch_size": args.batch,
        "activity": SegmentRules() if args.activity else None,
        "overwrite": args.overwrite,
    }
    try:
        with bar:
            result = separate_file(model, path, args.out, progress=show, **options)
    except UserError as err:
        say(str(err))
    except (torch.OutOfMemoryError, MemoryError):
        say(f"{path} needs more memory than there is: try --batch 1 or --device cpu.")
    except Exception as err:
        if args.debug:
            raise
        reason = (str(err).strip().splitlines() or [""])[0]
        say(f"{path} failed with {type(err).__name__}: {reason} (--debug shows where).")
    else:
        if result.warning:
            say(result.warning)
        print(str(result.folder).encode(errors="replace").decode())
        return True
    return False


def _check_names(inputs: list[Path], out: Path) -> None:
    """Refuse two inputs whose results would go to one folder."""
    from .separate import output_name

    seen: dict[str, Path] = {}
    for path in inputs:
        other = seen.setdefault(output_name(path), path)
        if other is not path:
            raise UserError(
                f"{other} and {path} would both be written to {out / output_name(path)}: "
                "separate them into different folders."
            )


def _load(name: str, device: str, batch_size: int) -> Any:
    import torch

    from .masknn.fuse import optimize_for_inference
    from .models.store import load_model
    from .parallel import spread_batches

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    elif device == "cuda" and not torch.cuda.is_available():
        raise UserError("torch finds no CUDA device here: use --device cpu.")
    with warnings.catch_warnings():  # torch comments on foreign files; the error says it better
        warnings.simplefilter("ignore")
        model = load_model(name)
    if device == "cpu":
        n_threads = torch.get_num_threads()
        spread_batches(optimized := optimize_for_inference(model), min(n_threads, batch_size))
        if batch_size > 1:
            torch.set_num_threads(1)  # two threads per operation would wait for one another
        return optimized
    return model.to(device)


def _stop(signum: int, _frame: Any) -> None:
    """End as if by an exception, so that nothing half-written stays."""
    raise SystemExit(128 + signum)


def _info(_args: argparse.Namespace) -> int:
    """List what is there."""
    from . import __version__
    from .models.store import WEIGHTS, available_weights
    from .registry import DECODERS, MODELS

    print(f"asteroid-joint {__version__}\n\nmodels (presets)")
    for name, model in sorted(MODELS.items()):
        print(f"  {name:<20} {', '.join(model.presets)}")
    print("\nshipped weights (--model NAME)")
    for name in available_weights():
        print(f"  {name:<20} {(WEIGHTS / f'{name}.pth').stat().st_size / 1e6:.1f} MB")
    if not available_weights():
        print("  none")
    print(f"\npitch decoders (--decoder NAME)\n  {', '.join(sorted(DECODERS))}")
    return DONE


if __name__ == "__main__":
    sys.exit(main())

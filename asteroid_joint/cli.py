"""The command ``asteroid-joint``; its subcommands are in :mod:`asteroid_joint.apps.commands`.

Exit codes: 0 all done; 1 some inputs failed, the others are complete; 2 the call itself was wrong
and nothing ran; 130 interrupted, finished inputs are complete. Heavy imports wait until a command
runs: ``--help`` and usage errors appear at once.
"""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from .apps.commands.common import INTERRUPTED, SOME_FAILED, USAGE, say, tell
from .errors import UserError

__all__ = ["main", "say"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: Arguments without the program's name; by default those of the process.

    Returns:
        Exit code.
    """
    run = _command(list(sys.argv[1:] if argv is None else argv))
    previous = signal.signal(signal.SIGTERM, _stop)
    try:
        return run()
    except SystemExit as end:  # of --help and --version, which have printed
        raise SystemExit(end.code if tell("", end="") else end.code or SOME_FAILED) from None
    except KeyboardInterrupt:
        say("interrupted; finished inputs are complete, others were discarded.")
        return INTERRUPTED
    except UserError as err:
        say(str(err))
        return USAGE
    except ModuleNotFoundError as err:
        if (err.name or "").partition(".")[0] not in ("asteroid", "asteroid_joint", "torch"):
            raise
        say("This needs the full package, with torch: pip install asteroid-joint.")
        return USAGE
    finally:
        signal.signal(signal.SIGTERM, previous)


def _command(arguments: list[str]) -> Callable[[], int]:
    """What the arguments ask for; parsing them is a part of it."""
    if arguments[:1] == ["infer"]:  # Asteroid parses the options
        from .apps.commands.infer import infer

        return partial(infer, arguments[1:])

    def run() -> int:
        args = _parser().parse_args(arguments)
        return args.run(args)

    return run


def _parser() -> argparse.ArgumentParser:
    from .apps.commands.corpus import add_corpus_commands
    from .apps.commands.demo import add_demo_command
    from .apps.commands.describe import add_describe_command
    from .apps.commands.infer import add_infer_command
    from .apps.commands.list_info import add_list_commands
    from .apps.commands.pitch import add_pitch_command
    from .apps.commands.separate import add_separate_command
    from .apps.commands.share import add_share_commands
    from .apps.commands.stream import add_stream_command
    from .version import __version__

    parser = argparse.ArgumentParser(
        prog="asteroid-joint",
        description="Separate songs into voice and accompaniment, and track the voice's pitch.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    add_separate_command(commands)
    add_pitch_command(commands)
    add_stream_command(commands)
    add_corpus_commands(commands)
    add_describe_command(commands)
    add_demo_command(commands)
    add_infer_command(commands)
    add_list_commands(commands)
    add_share_commands(commands)
    return parser


def _stop(signum: int, _frame: Any) -> None:
    """Raise an exception on SIGTERM, whose handlers remove partial files."""
    raise SystemExit(128 + signum)


if __name__ == "__main__":
    sys.exit(main())

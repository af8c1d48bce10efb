"""Exit codes, arguments and output that several commands share."""

import argparse
import contextlib
import errno
import os
import sys
from typing import IO, Any

from ...inference.options import RUNTIMES
from ...version import DEFAULT_MODEL

# exit codes: all done; some inputs failed, the others are complete; the call itself was wrong and
# nothing ran; interrupted, finished inputs are complete
DONE, SOME_FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130


def add_model(parser: Any) -> None:
    """Add ``--model``, ``--device`` and ``--bf16`` to a parser or a group of one."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="NAME|PATH",
        help="name of shipped weights (see list) or a model file; default %(default)s",
    )
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="auto",
        help="mps is the GPU of Apple computers; auto is a GPU where there is one; "
        "default %(default)s",
    )
    parser.add_argument(
        "--bf16",
        action="store_true",
        default=False,
        help="multiply in bfloat16, in torch: nearly twice as fast on processors with AVX512-BF16 "
        "or AMX and on recent GPUs, and about 60 dB from the exact result",
    )


def add_runtime(parser: Any) -> None:
    """Add ``--runtime`` to a parser or a group of one."""
    parser.add_argument(
        "--runtime",
        choices=RUNTIMES,
        default="auto",
        help="what runs the model: torch; onnx, on a CPU, for models with a graph (see export); "
        "auto is onnx where it can be; default %(default)s",
    )


def add_plugins(parser: Any) -> None:
    """Add ``--plugins`` to a parser or a group of one; see ``registry.import_plugins``."""
    parser.add_argument(
        "--plugins", default="", metavar="MODULE,...", help="modules that register further models"
    )


def positive(text: str) -> int:
    """Parse an integer of 1 or more."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of 1 or more, received {text!r}")
    return int(text)


def say(sentence: str) -> None:
    """Print one sentence for the user to standard error; nothing if that cannot be written."""
    with contextlib.suppress(OSError, ValueError):
        _write(sys.stderr, f"asteroid-joint: {sentence}\n")


def tell(text: str, end: str = "\n") -> bool:
    """Print a result to standard output; results are files too, so that a failure ends nothing.

    Returns:
        Whether it was written, or its reader had read enough. Otherwise a sentence says why, and
        what follows is discarded.
    """
    try:
        _write(sys.stdout, text + end)
    except OSError as err:
        _discard_stdout()
        if err.errno in (errno.EPIPE, errno.EINVAL):  # the latter on Windows
            return True
        say(f"Standard output cannot be written: {err.strerror}.")
        return False
    return True


def _write(stream: IO[str] | None, text: str) -> None:
    """Write and flush, with escapes for what the encoding of a stream lacks."""
    if stream is None:  # closed by whoever started this process
        return
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _discard_stdout() -> None:
    """Send to nowhere what is still to be written, also by Python at its end."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

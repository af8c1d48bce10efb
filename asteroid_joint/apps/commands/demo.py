"""The command ``demo``."""

import argparse
import contextlib
import errno
import importlib.util
import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import UserError
from ...inference.knobs import check_knobs
from ...inference.options import SeparateOptions
from ...optional import optional
from ..page.access import LEAST_TOKEN, check_token
from ..page.uploads import Limits, check_length, check_song
from .common import DONE, add_model, add_runtime, say
from .knobs import add_note_knobs, add_pitch_knobs
from .separate import read_options

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
TOKEN_VARIABLE = "ASTEROID_JOINT_TOKEN"
ALSO = ("ultrastar",)  # formats of notes besides the usual


def add_demo_command(commands: Any) -> None:
    """Add the command to a parser's subparsers."""
    limits = Limits()
    demo = commands.add_parser(
        "demo",
        help="serve a web page: upload a song, hear its stems, see pitch and notes (extra: demo)",
        description="Serve a web page that separates songs, plays them, plots them and offers the "
        "results for download. It loads and sends nothing elsewhere; songs are visible only to the "
        "browser that sent them and are removed when it closes the page. Ctrl+C ends it.",
    )
    demo.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; default %(default)s: this computer only. 0.0.0.0 admits other "
        "computers, which needs --token; on an untrusted network, put a reverse proxy with HTTPS "
        "in front",
    )
    demo.add_argument(
        "--token",
        metavar="SECRET",
        help="what visitors must know: browsers open the address with ?token=SECRET once, programs "
        "send Authorization: Bearer SECRET; better in the environment variable "
        f"{TOKEN_VARIABLE}, as other users of this computer see arguments",
    )
    demo.add_argument(
        "--port",
        type=_port,
        default=7860,
        help="default %(default)s; 0 picks a free one",
    )
    add_model(demo)
    add_runtime(demo)
    add_pitch_knobs(demo)
    add_note_knobs(demo)
    for flag, unit, default, text in (
        ("--max-minutes", "M", limits.minutes, "longest song accepted"),
        ("--max-mb", "MB", limits.megabytes, "largest file accepted, 10^6 bytes"),
        ("--keep-minutes", "M", 30.0, "time after which an unused song is removed"),
    ):
        demo.add_argument(
            flag,
            type=_above_zero,
            default=default,
            metavar=unit,
            help=f"{text}; default %(default)g",
        )
    demo.set_defaults(run=_demo)


def _above_zero(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, received {text!r}")
    return number


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 65535, received {text!r}")
    return int(text)


def demo_song() -> Path | None:
    """Six seconds of a song in the package stempeg; ``None`` if that is not installed.

    The Easton Ellises, "Falcon 69" (CC BY-NC-SA 3.0). The package is not imported, which would
    require ffmpeg.
    """
    spec = importlib.util.find_spec("stempeg")
    roots = (spec.submodule_search_locations or []) if spec else []
    return next((path for root in roots for path in sorted(Path(root).rglob("*.stem.mp4"))), None)


def _demo(args: argparse.Namespace) -> int:
    """Serve until interrupted."""
    for module in ("starlette", "uvicorn", "PIL.Image"):
        optional(module, "demo")
    optional("mido", "demo")
    check_knobs(options := read_options(SeparateOptions, args))
    from ...inference.knobs import tuned_runner
    from ...inference.load import ready_runner
    from ..page.server import make_app
    from ..page.songs import Songs

    token = os.environ.get(TOKEN_VARIABLE) or None if args.token is None else args.token
    if token is not None:
        check_token(token)
    listener = _listen(args.host, args.port, token is not None)
    address, port = listener.getsockname()[:2]
    with listener:
        model = ready_runner(args.model, args.device, runtime=args.runtime, bf16=args.bf16)
        tuned_runner(model, options)  # raises one sentence
        limits = Limits(minutes=args.max_minutes, megabytes=args.max_mb)
        songs = Songs(worker(model, limits, options), limits, 60 * args.keep_minutes)
        try:
            app = make_app(
                songs,
                title=Path(args.model).stem,
                demo_song=demo_song(),
                hosts=LOOPBACK | {args.host} if ipaddress.ip_address(address).is_loopback else None,
                cookie=f"asteroid_joint_{port}",
                keep_minutes=args.keep_minutes,
                token=token,
            )
            shown = f"[{args.host}]" if ":" in args.host else args.host
            query = "" if token is None else "?token=... with its token"
            say(f"the page is at http://{shown}:{port}/{query} (Ctrl+C ends it)")
            with contextlib.suppress(KeyboardInterrupt):  # the usual end
                _serve(app, listener)
        finally:
            songs.close()
    return DONE


def worker(
    model: Any, limits: Limits, options: SeparateOptions | None = None
) -> Callable[..., None]:
    """Return the function that processes a song of the page.

    Args:
        model: Any joint model.
        limits: Limits of the page; the length is also checked while a song is processed, since its
            header may not state it.
        options: What to change of pitch and notes.
    """
    from ...inference.separate import separate_file
    from ..page.downloads import convertible
    from ..page.view import make_view

    drawn = all(importlib.util.find_spec(name) for name in ("matplotlib", "scipy"))

    def work(song: Any, progress: Callable[[float, float | None], None]) -> None:
        def watch(done_sec: float, total_sec: float | None) -> None:
            check_length(done_sec, limits)
            progress(done_sec, total_sec)

        check_song(song.upload, limits)
        out = song.folder / "out"
        done = separate_file(
            model,
            song.upload,
            out,
            options,
            notes=model.has_pitch,
            notes_formats=ALSO if model.has_pitch else (),
            plot=drawn,
            title=song.name,
            progress=watch,
        )
        song.upload.unlink(missing_ok=True)
        song.view = make_view(done.folder, model.sources)
        song.files = [done.folder / name for name in done.files]
        song.converted = convertible(song.files)
        song.message = remark(song.view, done.warning, song)

    return work


def remark(view: dict[str, Any], warning: str | None, song: Any) -> str:
    """Message about a finished song; empty for none."""
    if warning:
        return song.in_words(warning)
    if view["peak"] == 0:
        return f"{song.name} is silent: its stems are silent, too."
    if view["pitch"] is not None and not any(view["pitch"]["cents"]):
        return f"Nobody seems to sing in {song.name}: there is no pitch to show."
    return ""


def _listen(host: str, port: int, with_token: bool = False) -> socket.socket:
    """Open a socket, before the model is loaded.

    Args:
        host: Name or address to listen on.
        port: 0 for any that is free.
        with_token: Whether visitors need a token; without, only this computer is served.

    Raises:
        UserError: If the address is not available, or other computers reach it without a token.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as err:
        raise UserError(
            f"There is no address {host!r}: give another --host, for example 127.0.0.1."
        ) from err
    if not with_token and not ipaddress.ip_address(address[0]).is_loopback:
        raise UserError(
            f"{host} is reached by other computers: give --token or {TOKEN_VARIABLE} of at least "
            f"{LEAST_TOKEN} characters, or --host 127.0.0.1 for this computer only."
        )
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen()
    except OSError as err:
        listener.close()
        if err.errno == errno.EADDRINUSE:
            raise UserError(
                f"Port {port} of {host} is in use: give another --port, or 0 for any."
            ) from err
        raise UserError(f"Listening on {host} port {port} failed: {err.strerror}.") from err
    return listener


def _serve(app: Any, listener: socket.socket) -> None:
    import uvicorn

    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=2,
        ws="none",
    )
    uvicorn.Server(config).run(sockets=[listener])

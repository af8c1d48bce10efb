"""Routes of the page and access rules.

A song is found only by its id together with the visitor's cookie. No part of a request is used as a
path: files are chosen by name from a list. A content security policy forbids other hosts.
"""

import asyncio
import gzip
import json
import secrets
import shutil
import zipfile
from collections.abc import Iterator
from html import escape
from importlib.resources import files as package_files
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from ...errors import UserError
from .access import REFUSED, Access
from .downloads import convert
from .openapi import openapi
from .songs import Song, Songs
from .uploads import clean_name, receive, too_large

STATIC = Path(str(package_files("asteroid_joint.apps.page") / "static"))
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".mid": "audio/midi",
    ".png": "image/png",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; media-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",  # browsers keep nothing that was removed here
}
ZIP_BLOCK = 1 << 20  # bytes
TOKEN_LENGTH = 32  # shortest token of a visitor, characters
GONE = "This song is not available any more: send it again."
NO_COOKIE = "This page needs cookies: allow them and reload it."


def make_app(
    songs: Songs,
    *,
    title: str,
    demo_song: Path | None = None,
    hosts: frozenset[str] | None = None,
    cookie: str = "asteroid_joint",
    keep_minutes: float = 30.0,
    token: str | None = None,
) -> Starlette:
    """Build the web application.

    Args:
        songs: Songs of all visitors.
        title: Name of the model, shown on the page.
        demo_song: A song for visitors without one.
        hosts: Host names that the server answers to, against DNS rebinding; ``None`` for any.
        cookie: Name of the visitors' cookie; servers on one host need different ones.
        keep_minutes: How long an unused song is kept, shown on the page.
        token: What visitors must know; ``None`` admits everybody.

    Raises:
        ConfigError: If the token is too short.
    """
    limits = songs.limits
    access = Access(token, f"{cookie}_pass")
    index = Template((STATIC / "index.html").read_text("utf-8")).substitute(
        title=escape(title),
        minutes=f"{limits.minutes:g}",
        megabytes=f"{limits.megabytes:g}",
        keep=f"{keep_minutes:g}",
        songs=limits.songs,
        no_demo="" if demo_song else "hidden",
    )
    app = Starlette(
        routes=_Page(
            songs, index, demo_song, cookie, openapi(title, limits, not access.open)
        ).routes(),
        exception_handlers={
            UserError: lambda _, err: _sentence(str(err), 413),
            _Refusal: lambda _, err: _sentence(*err.args),
        },
    )
    app.add_middleware(_Guard, hosts=hosts, access=access)
    return app


class _Refusal(Exception):
    """A message for the visitor and an HTTP status."""


class _Page:
    """The routes, one method each."""

    def __init__(
        self,
        songs: Songs,
        index: str,
        demo_song: Path | None,
        cookie: str,
        description: dict[str, Any],
    ) -> None:
        self._description = description
        self._converting = asyncio.Lock()  # one at a time: who waits for it holds no thread
        self._songs = songs
        self._index = index
        self._demo_song = demo_song
        self._cookie = cookie
        self._assets = {path.name for path in STATIC.iterdir()} - {"index.html"}

    def routes(self) -> list[Route]:
        return [
            Route("/", self.index),
            Route("/static/{name}", self.asset),
            Route("/openapi.json", self.openapi),
            Route("/songs", self.send, methods=["POST"]),
            Route("/demo-song", self.send_demo, methods=["POST"]),
            Route("/leave", self.leave, methods=["POST"]),
            Route("/songs/{song}", self.state, methods=["GET"]),
            Route("/songs/{song}", self.remove, methods=["DELETE"]),
            Route("/songs/{song}/view", self.view),
            Route("/songs/{song}/zip", self.archive),
            Route("/songs/{song}/files/{name}", self.file),
        ]

    async def index(self, request: Request) -> Response:
        response = HTMLResponse(self._index)
        if len(self._token(request)) < TOKEN_LENGTH:
            token = secrets.token_urlsafe(32)
            response.set_cookie(self._cookie, token, httponly=True, samesite="strict", path="/")
        return response

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(self._description)

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets:
            raise _Refusal("This file does not exist.", 404)
        return FileResponse(STATIC / name, media_type=TYPES[Path(name).suffix])

    async def send(self, request: Request) -> Response:
        visitor, limits = self._visitor(request), self._songs.limits
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limits.megabytes * 1e6:
            raise too_large(limits)
        name = clean_name(unquote(request.headers.get("x-file-name", "")))
        song = self._songs.add(visitor, name)
        try:
            await receive(request.stream(), song.upload, limits)
        except (UserError, ClientDisconnect, OSError) as err:
            self._songs.remove(song)
            if isinstance(err, UserError):
                raise
            raise _Refusal("The song could not be received: send it again.", 413) from err
        return self._submitted(song)

    async def send_demo(self, request: Request) -> Response:
        if self._demo_song is None:
            raise _Refusal("This server has no demo song: send one of yours.", 404)
        name = clean_name(self._demo_song.name.replace(".stem.", "."))
        song = self._songs.add(self._visitor(request), name)
        await run_in_threadpool(shutil.copyfile, self._demo_song, song.upload)
        return self._submitted(song)

    async def leave(self, request: Request) -> Response:
        """The page was closed: it names its songs, since those of other tabs stay."""
        for song_id in (await _small_body(request)).split():
            song = self._songs.find(self._token(request), song_id)
            if song is not None:
                self._songs.remove(song)
        return Response(status_code=204)

    async def state(self, request: Request) -> Response:
        return JSONResponse(self._state(self._song(request)))

    async def remove(self, request: Request) -> Response:
        song = self._songs.find(self._token(request), request.path_params["song"])
        if song is not None:
            self._songs.remove(song)
        return Response(status_code=204)

    async def view(self, request: Request) -> Response:
        song = self._song(request)
        if song.view is None:
            raise _Refusal(GONE, 404)
        data = json.dumps(song.view, separators=(",", ":")).encode()
        headers = {}
        if "gzip" in request.headers.get("accept-encoding", ""):
            data, headers = gzip.compress(data, 5), {"Content-Encoding": "gzip"}
        return Response(data, media_type="application/json", headers=headers)

    async def archive(self, request: Request) -> Response:
        song = self._song(request)
        if song.state != "done":
            raise _Refusal(GONE, 404)
        return StreamingResponse(
            _zipped(song.name, song.files),
            media_type="application/zip",
            headers=_as_download(f"{song.name}.zip"),
        )

    async def file(self, request: Request) -> Response:
        song, name = self._song(request), request.path_params["name"]
        files = song.files if song.state == "done" else []
        pictures = files[0].parent.glob("*.png") if files else []
        found = [path for path in (*files, *pictures) if path.name == name and path.exists()]
        if not found:
            found = [await self._converted(song, files, name)]
        headers = {}
        if "download" in request.query_params:
            headers = _as_download(f"{song.name} - {name}")
        return FileResponse(found[0], media_type=TYPES[found[0].suffix], headers=headers)

    async def _converted(self, song: Song, files: list[Path], name: str) -> Path:
        """A stem in another format, made now if nobody had asked for it."""
        source = song.converted.get(name)
        if source is None or not files:
            raise _Refusal(GONE, 404)
        try:
            async with self._converting:
                return await run_in_threadpool(convert, source, name)
        except (UserError, OSError, RuntimeError) as err:  # the last: libsndfile's
            if song.cancelled.is_set():
                raise _Refusal(GONE, 404) from err
            raise _Refusal(f"{name} could not be made: take the WAV file.", 507) from err

    def _token(self, request: Request) -> str:
        return request.cookies.get(self._cookie, "")

    def _visitor(self, request: Request) -> str:
        """The token of a visitor who may send songs."""
        if len(self._token(request)) < TOKEN_LENGTH:
            raise _Refusal(NO_COOKIE, 403)
        return self._token(request)

    def _song(self, request: Request) -> Song:
        """The song of the address, if it is the visitor's."""
        song = self._songs.find(self._token(request), request.path_params["song"])
        if song is None:
            raise _Refusal(GONE, 404)
        return song

    def _submitted(self, song: Song) -> Response:
        self._songs.submit(song)
        return JSONResponse(self._state(song), 202)

    def _state(self, song: Song) -> dict[str, Any]:
        """State of a song, for the page."""
        return {
            "id": song.id,
            "name": song.name,
            "state": song.state,
            "before": self._songs.position(song),
            "share": song.share,
            "message": song.message,
            "files": [
                {"name": path.name, "bytes": path.stat().st_size}
                for path in (song.files if song.state == "done" else [])
                if path.exists()
            ],
            "converted": list(song.converted) if song.state == "done" else [],
        }


class _Guard:
    """Refuses requests from other sites and strangers, and adds ``HEADERS`` to every response."""

    def __init__(self, app: Any, hosts: frozenset[str] | None, access: Access) -> None:
        self._app = app
        self._hosts = hosts
        self._access = access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        headers, at_index = Headers(scope=scope), scope["path"] == "/"
        enters = at_index and self._access.knows(scope["query_string"])

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                sent.update(HEADERS)
                if enters and message["status"] == 200:
                    sent.append("Set-Cookie", self._access.cookie_header())
            await send(message)

        refusal = self._refusal(scope["method"], headers)
        answer = _sentence(refusal, 403) if refusal else self._app
        if refusal is None and not (enters or self._access.admits(headers)):
            answer = PlainTextResponse(REFUSED, 401) if at_index else _sentence(REFUSED, 401)
            answer.headers["WWW-Authenticate"] = "Bearer"
        await answer(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if self._hosts is not None and _split(f"//{host}").hostname not in self._hosts:
            return "This server does not answer to that host name."
        origin = headers.get("origin")
        own = headers.get("sec-fetch-site", "same-origin") == "same-origin"
        if method not in ("GET", "HEAD") and not (
            own and (origin is None or _split(origin).netloc == host)
        ):
            return "Requests from other sites are refused."
        return None


def _split(url: str) -> SplitResult:
    """The parts of an address, which are empty where it is none."""
    try:
        return urlsplit(url)
    except ValueError:  # "[" and the like
        return urlsplit("")


def _sentence(text: str, status: int) -> Response:
    return JSONResponse({"message": text}, status)


async def _small_body(request: Request) -> str:
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > 4096:
            return ""
    return body.decode("ascii", "ignore")


def _as_download(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}


class _Outbox:
    """A write-only file whose content is taken out while it is written."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def flush(self) -> None:
        pass

    def take(self) -> bytes:
        taken, self._held = bytes(self._held), bytearray()
        return taken


def _zipped(name: str, files: list[Path]) -> Iterator[bytes]:
    """Stream a ZIP archive that holds ``files`` in a folder ``name``."""
    outbox = _Outbox()
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for path in files:
            member = zipfile.ZipInfo.from_file(path, f"{name}/{path.name}")
            with archive.open(member, "w") as target, open(path, "rb") as source:
                while block := source.read(ZIP_BLOCK):
                    target.write(block)
                    yield outbox.take()
    yield outbox.take()

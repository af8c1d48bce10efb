"""The addresses of the page, and who may see what.

Songs are found by their id and the visitor's cookie together. Nothing of a request is ever used as
a path: files are chosen by name from a list. The browser is told to load nothing from elsewhere.
"""

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
from urllib.parse import quote, unquote, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from ...errors import UserError
from .songs import Song, Songs
from .uploads import clean_name, receive, too_large

STATIC = Path(str(package_files("asteroid_joint.apps.page") / "static"))
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
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
    "Cache-Control": "no-store",  # what was removed here is not kept there
}
ZIP_BLOCK = 1 << 20  # bytes
GONE = "This song is not here any more: send it again."
NO_COOKIE = "This page needs cookies: allow them and load it again."


def make_app(
    songs: Songs,
    *,
    title: str,
    demo_song: Path | None = None,
    hosts: frozenset[str] | None = None,
    cookie: str = "asteroid_joint",
    keep_minutes: float = 30.0,
) -> Starlette:
    """The web application.

    Args:
        songs: Of all visitors.
        title: Says which model is at work.
        demo_song: A song for visitors without one.
        hosts: Names that this server answers to, against pages elsewhere that let their own name
            point here; ``None`` for any.
        cookie: Name of the visitors' cookie; servers on one host need different ones.
        keep_minutes: How long a song is kept, for the page to say.
    """
    limits = songs.limits
    index = Template((STATIC / "index.html").read_text("utf-8")).substitute(
        title=escape(title),
        minutes=f"{limits.minutes:g}",
        megabytes=f"{limits.megabytes:g}",
        keep=f"{keep_minutes:g}",
        songs=limits.songs,
        no_demo="" if demo_song else "hidden",
    )
    app = Starlette(routes=_Page(songs, index, demo_song, cookie).routes())
    app.add_middleware(_Guard, hosts=hosts)
    return app


class _Page:
    """What the server answers, a method per address."""

    def __init__(self, songs: Songs, index: str, demo_song: Path | None, cookie: str) -> None:
        self._songs = songs
        self._index = index
        self._demo_song = demo_song
        self._cookie = cookie
        self._assets = {path.name for path in STATIC.iterdir()} - {"index.html"}

    def routes(self) -> list[Route]:
        return [
            Route("/", self.index),
            Route("/static/{name}", self.asset),
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
        if not self._is_known(request):
            token = secrets.token_urlsafe(32)
            response.set_cookie(self._cookie, token, httponly=True, samesite="strict", path="/")
        return response

    async def asset(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self._assets:
            return _sentence("There is no such page.", 404)
        return FileResponse(STATIC / name, media_type=TYPES[Path(name).suffix])

    async def send(self, request: Request) -> Response:
        limits = self._songs.limits
        if not self._is_known(request):
            return _sentence(NO_COOKIE, 403)
        if int(request.headers.get("content-length") or 0) > limits.megabytes * 1e6:
            return _sentence(str(too_large(limits)), 413)
        name = clean_name(unquote(request.headers.get("x-file-name", "")))
        try:
            song = self._songs.add(self._visitor(request), name)
        except UserError as err:
            return _sentence(str(err), 413)
        try:
            await receive(request.stream(), song.upload, limits)
        except (UserError, ClientDisconnect, OSError) as err:
            self._songs.remove(song)
            known = isinstance(err, UserError)
            return _sentence(str(err) if known else "The song could not be received.", 413)
        return self._submitted(song)

    async def send_demo(self, request: Request) -> Response:
        if self._demo_song is None:
            return _sentence("There is no demo song here: send one of yours.", 404)
        if not self._is_known(request):
            return _sentence(NO_COOKIE, 403)
        name = clean_name(self._demo_song.name.replace(".stem.", "."))
        try:
            song = self._songs.add(self._visitor(request), name)
        except UserError as err:
            return _sentence(str(err), 413)
        await run_in_threadpool(shutil.copyfile, self._demo_song, song.upload)
        return self._submitted(song)

    async def leave(self, request: Request) -> Response:
        """The page is closed: it names its songs, those of other tabs stay."""
        for song_id in (await _small_body(request)).split():
            song = self._songs.find(self._visitor(request), song_id)
            if song is not None:
                self._songs.remove(song)
        return Response(status_code=204)

    async def state(self, request: Request) -> Response:
        song = self._song(request)
        return _sentence(GONE, 404) if song is None else JSONResponse(_state(self._songs, song))

    async def remove(self, request: Request) -> Response:
        song = self._song(request)
        if song is not None:
            self._songs.remove(song)
        return Response(status_code=204)

    async def view(self, request: Request) -> Response:
        song = self._song(request)
        if song is None or song.view is None:
            return _sentence(GONE, 404)
        data = json.dumps(song.view, separators=(",", ":")).encode()
        headers = {}
        if "gzip" in request.headers.get("accept-encoding", ""):
            data, headers = gzip.compress(data, 5), {"Content-Encoding": "gzip"}
        return Response(data, media_type="application/json", headers=headers)

    async def archive(self, request: Request) -> Response:
        song = self._song(request)
        if song is None or song.state != "done":
            return _sentence(GONE, 404)
        return StreamingResponse(
            _zipped(song.name, song.files),
            media_type="application/zip",
            headers=_as_download(f"{song.name}.zip"),
        )

    async def file(self, request: Request) -> Response:
        song = self._song(request)
        found = _file(song, request.path_params["name"]) if song else None
        if song is None or found is None:
            return _sentence(GONE, 404)
        headers = {}
        if "download" in request.query_params:
            headers = _as_download(f"{song.name} - {found.name}")
        return FileResponse(found, media_type=TYPES[found.suffix], headers=headers)

    def _visitor(self, request: Request) -> str:
        return request.cookies.get(self._cookie, "")

    def _is_known(self, request: Request) -> bool:
        return len(self._visitor(request)) >= 32

    def _song(self, request: Request) -> Song | None:
        """The song of the address, if it is the visitor's."""
        return self._songs.find(self._visitor(request), request.path_params["song"])

    def _submitted(self, song: Song) -> Response:
        self._songs.submit(song)
        return JSONResponse(_state(self._songs, song), 202)


class _Guard:
    """Refuses requests that other sites cause, and adds the headers to every answer."""

    def __init__(self, app: Any, hosts: frozenset[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope["method"], Headers(scope=scope))
        answer = _sentence(refusal, 403) if refusal else self._app
        await answer(scope, receive, send_with_headers)

    def _refusal(self, method: str, headers: Headers) -> str | None:
        host = headers.get("host", "")
        if self._hosts is not None and (urlsplit(f"//{host}").hostname or "") not in self._hosts:
            return "This server does not answer to that name."
        origin = headers.get("origin")
        own = headers.get("sec-fetch-site", "same-origin") == "same-origin"
        if method not in ("GET", "HEAD") and not (
            own and (origin is None or urlsplit(origin).netloc == host)
        ):
            return "Requests from other sites are refused."
        return None


def _sentence(text: str, status: int) -> Response:
    return JSONResponse({"message": text}, status)


async def _small_body(request: Request) -> str:
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > 4096:
            return ""
    return body.decode("ascii", "ignore")


def _state(songs: Songs, song: Song) -> dict[str, Any]:
    """What the page is told of a song."""
    done = song.state == "done"
    return {
        "id": song.id,
        "name": song.name,
        "state": song.state,
        "before": songs.position(song),
        "share": song.share,
        "message": song.message,
        "files": [
            {"name": path.name, "bytes": path.stat().st_size}
            for path in (song.files if done else [])
            if path.exists()
        ],
    }


def _file(song: Song, name: str) -> Path | None:
    """A file of a finished song by its name."""
    if song.state != "done" or not song.files:
        return None
    pictures = song.files[0].parent.glob("*.png")
    return next(
        (path for path in [*song.files, *pictures] if path.name == name and path.exists()), None
    )


def _as_download(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}


class _Outbox:
    """A file that only grows; what was written is taken from it block by block."""

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
    """A ZIP archive of files in a folder, made while it is sent."""
    outbox = _Outbox()
    with zipfile.ZipFile(outbox, "w", zipfile.ZIP_STORED) as archive:  # type: ignore[call-overload]
        for path in files:
            member = zipfile.ZipInfo.from_file(path, f"{name}/{path.name}")
            with archive.open(member, "w") as target, open(path, "rb") as source:
                while block := source.read(ZIP_BLOCK):
                    target.write(block)
                    yield outbox.take()
    yield outbox.take()

"""A page with a model whose result is known, served in this process, for the tests of the page."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch

from asteroid_joint import JointModel, JointOutput, PitchGrid
from asteroid_joint.apps.commands.demo import LOOPBACK, _listen, demo_song, worker
from asteroid_joint.apps.page.server import make_app
from asteroid_joint.apps.page.songs import Songs
from asteroid_joint.apps.page.uploads import Limits

TONES_HZ = (220.0, 330.0)  # A3, then E4


class Melody(JointModel):
    """The voice is half of the input, and sings A3 and E4, two seconds each; then it rests."""

    def __init__(self) -> None:
        super().__init__(16000, PitchGrid(320, 16000))

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])
        logits = torch.full((len(wav), n_frames, 360), -9.0)
        for n, hz in enumerate(TONES_HZ):
            span = slice(100 * n, 100 * (n + 1))
            logits[:, span, round(float(self.pitch_grid.hz_to_bin(hz)))] = 5.0
        logits[wav.abs().amax((1, 2)) == 0] = -9.0
        return JointOutput(torch.stack([wav / 2, wav / 2], 1)[:, :, 0], logits)  # (B, S, T)


class Page:
    """A running page, and what visitors ask of it."""

    def __init__(self, songs: Songs, port: int) -> None:
        self.songs = songs
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(
        self, method: str, path: str, cookie: str = "", body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; the path is sent as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if cookie:
            named["Cookie"] = cookie
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, data

    def visitor(self) -> str:
        """Cookie of somebody new."""
        return self.ask("GET", "/")[1]["set-cookie"].split(";")[0]

    def send(self, cookie: str, path: Path, name: str | None = None) -> dict[str, Any]:
        """Upload a file; the state of the song, or of a refusal its message."""
        body = path.read_bytes()
        _, _, data = self.ask("POST", "/songs", cookie, body, X_File_Name=name or path.name)
        return json.loads(data)

    def wait(self, cookie: str, song: dict[str, Any]) -> dict[str, Any]:
        """State of a song when it is done or failed."""
        for _ in range(600):
            state = json.loads(self.ask("GET", f"/songs/{song['id']}", cookie)[2])
            if state.get("state") in ("done", "failed"):
                return state
            time.sleep(0.03)
        raise AssertionError(f"still {state}")


@contextmanager
def serve(
    work: Any = None,
    limits: Limits | None = None,
    keep_sec: float = 600.0,
    token: str | None = None,
) -> Iterator[Page]:
    """A page while the block lasts; notes are of the curve alone, as the sound does not sing it."""
    import uvicorn

    limits = limits or Limits(minutes=0.2, megabytes=5.0)
    songs = Songs(work or worker(Melody().eval(), limits), limits, keep_sec)
    curve_alone = mock.patch("asteroid_joint.inference.song_files.VOICE", "nobody")
    with curve_alone, _listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        app = make_app(
            songs,
            title="melody",
            demo_song=demo_song(),
            hosts=LOOPBACK,
            cookie=f"page_{port}",
            token=token,
        )
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Page(songs, port)
        finally:
            server.should_exit = server.force_exit = True
            thread.join(10)
            songs.close()


def tone(seconds: float, rate: int, seed: int = 0) -> np.ndarray:
    """Something to hear, ``(T, 2)``."""
    sec = np.arange(int(seconds * rate)) / rate
    wav = 0.3 * np.sin(2 * np.pi * (220 + 55 * seed) * sec)
    return np.stack([wav, 0.5 * wav], 1)


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Look again and again until it is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)

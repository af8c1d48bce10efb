"""The page as a server: what it takes, who gets what, and what is left when it ends."""

import http.client
import io
import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile as sf
from conftest import ROOT, child_env
from filelock import FileLock
from page_server import Melody, Page, serve, tone, wait_for

from asteroid_joint.apps.commands.demo import TOKEN_VARIABLE, _listen, worker
from asteroid_joint.apps.page import songs as songs_module
from asteroid_joint.apps.page.downloads import convert, convertible
from asteroid_joint.apps.page.server import STATIC, _Page
from asteroid_joint.apps.page.songs import LOCK, PREFIX, Songs
from asteroid_joint.apps.page.uploads import MOST_CHANNELS, Limits
from asteroid_joint.apps.page.view import make_view
from asteroid_joint.audio import StemWriter, open_audio
from asteroid_joint.cli import main
from asteroid_joint.errors import AudioError, UserError
from asteroid_joint.inference.options import SeparateOptions
from asteroid_joint.inference.separate import separate_file

RATE = 22050
FILES = ["vocals.wav", "accompaniment.wav", "f0.csv", "notes.mid", "notes.csv"]
FILES += ["ultrastar.txt", "picture.png"]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """In a temporary folder of its own: other tests write to the common one meanwhile."""
    with ExitStack() as stack:
        with mock.patch.object(tempfile, "tempdir", str(tmp_path_factory.mktemp("page"))):
            running = stack.enter_context(serve())
        yield running


@pytest.fixture
def song(tmp_path) -> Path:
    path = tmp_path / "My söng.flac"
    sf.write(path, tone(4.5, RATE), RATE)
    return path


def message(page: Page, cookie: str, sent: dict) -> str:
    """What is said of a song in the end."""
    return (page.wait(cookie, sent) if "id" in sent else sent)["message"]


def test_a_song_comes_back_as_the_command_makes_it(page, song, tmp_path):
    me = page.visitor()
    state = page.wait(me, page.send(me, song, "My s%C3%B6ng.flac"))
    assert state["state"] == "done" and state["message"] == "" and state["name"] == "My söng"
    assert [file["name"] for file in state["files"]] == FILES
    expected = separate_file(Melody().eval(), song, tmp_path / "out").folder
    got = {}
    for file in state["files"]:
        path = f"/songs/{state['id']}/files/{file['name']}?download"
        status, headers, got[file["name"]] = page.ask("GET", path, me)
        assert status == 200 and len(got[file["name"]]) == file["bytes"]
        assert f"My%20s%C3%B6ng%20-%20{file['name']}" in headers["content-disposition"]
    for name in FILES[:3]:
        assert got[name] == (expected / name).read_bytes()
    names = [line.split(",")[3] for line in got["notes.csv"].decode().splitlines()[1:]]
    assert names == ["A3", "E4"] and got["notes.mid"][:4] == b"MThd"
    sure = [float(line.split(",")[4]) for line in got["notes.csv"].decode().splitlines()[1:]]
    view = json.loads(page.ask("GET", f"/songs/{state['id']}/view", me)[2])
    assert [note[3] for note in view["notes"]] == sure and min(sure) > 0.9
    status, headers, data = page.ask("GET", f"/songs/{state['id']}/zip", me)
    assert status == 200 and "My%20s%C3%B6ng.zip" in headers["content-disposition"]
    archive = zipfile.ZipFile(io.BytesIO(data))
    assert archive.testzip() is None
    assert {name: archive.read(f"My söng/{name}") for name in FILES} == got
    assert len(archive.namelist()) == len(FILES)
    part = page.ask("GET", f"/songs/{state['id']}/files/vocals.wav", me, Range="bytes=100-199")
    assert part[0] == 206 and part[2] == got["vocals.wav"][100:200]


def test_further_formats_are_made_when_they_are_asked_for(page, song, tmp_path):
    me = page.visitor()
    state = page.wait(me, page.send(me, song))
    stems = ("vocals", "accompaniment")
    assert state["converted"] == [f"{s}.{form}" for s in stems for form in ("flac", "mp3")]
    folder = page.songs.find(me.split("=")[1], state["id"]).files[0].parent
    assert not [*folder.glob("*.flac"), *folder.glob("*.mp3")]
    files = f"/songs/{state['id']}/files"
    wav, rate = sf.read(io.BytesIO(page.ask("GET", f"{files}/vocals.wav", me)[2]), dtype="int32")
    for _ in range(2):  # made, and there
        status, headers, data = page.ask("GET", f"{files}/vocals.flac?download", me)
        assert status == 200 and headers["content-type"] == "audio/flac"
        assert headers["content-disposition"].endswith("%20-%20vocals.flac")
        flac, flac_rate = sf.read(io.BytesIO(data), dtype="int32")
        assert flac_rate == rate
        np.testing.assert_array_equal(flac, wav)
    status, headers, data = page.ask("GET", f"{files}/accompaniment.mp3", me)
    assert status == 200 and headers["content-type"] == "audio/mpeg"
    assert len(sf.read(io.BytesIO(data))[0]) == len(wav)
    text = page.ask("GET", f"{files}/ultrastar.txt", me)[2].decode()
    assert "#TITLE:My söng" in text and "#INSTRUMENTAL:accompaniment.wav" in text
    assert page.ask("GET", f"{files}/picture.png", me)[2][:4] == b"\x89PNG"
    odd = page.wait(me, page.send(me, song, "$%5Cfrac%7B$ #%0A:E.wav"))  # no formula, no line
    assert odd["state"] == "done" and "picture.png" in [file["name"] for file in odd["files"]]
    other = page.visitor()
    for path in ("vocals.flac", "vocals.ogg", "f0.flac", "..%2Fvocals.flac", ".part-vocals.mp3"):
        status = page.ask("GET", f"{files}/{path}", other if path == "vocals.flac" else me)[0]
        assert status == 404, path
    assert not list(folder.glob(".part*"))


def test_what_a_format_cannot_store_is_not_offered(tmp_path, monkeypatch):
    sf.write(tmp_path / "a.wav", np.zeros((100, 3)), 44100)
    sf.write(tmp_path / "b.wav", np.zeros((100, 2)), 96000, subtype="FLOAT")
    (tmp_path / "c.csv").touch()
    found = convertible([tmp_path / name for name in ("a.wav", "b.wav", "c.csv", "gone.wav")])
    assert list(found) == ["a.flac", "b.flac"]
    loud = np.array([0.25, -0.5, 1.5])
    sf.write(tmp_path / "b.wav", loud, 96000, subtype="FLOAT")
    kept = sf.read(convert(tmp_path / "b.wav", "b.flac"))[0]
    np.testing.assert_allclose(kept, loud.clip(-1, 1), atol=2**-22)
    monkeypatch.setattr(StemWriter, "close", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        convert(tmp_path / "a.wav", "a.flac")
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "b.wav", "c.csv", "b.flac"}


def test_knobs_of_the_command_are_those_of_all_songs(song):
    limits = Limits(minutes=0.2)
    options = SeparateOptions(octave=1, hop_ms=10.0)
    with serve(worker(Melody().eval(), limits, options), limits) as page:
        me = page.visitor()
        state = page.wait(me, page.send(me, song))
        rows = page.ask("GET", f"/songs/{state['id']}/files/f0.csv", me)[2].decode().splitlines()
        assert rows[2].split(",")[0] == "0.010000"
        view = json.loads(page.ask("GET", f"/songs/{state['id']}/view", me)[2])
        assert [round(midi) for _, _, midi, _ in view["notes"]] == [69, 76]
        assert view["pitch"]["hop"] == pytest.approx(0.01)


TOKEN = "a-token-for-this-test-only"


@pytest.fixture(scope="module")
def closed():
    """A page with a token."""
    with serve(lambda song, progress: None, token=TOKEN) as running:
        yield running


def test_nobody_enters_without_the_token(closed):
    for headers in (
        {},
        {"Authorization": "Bearer "},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": "Bearer é"},
        {"Cookie": f"page_{closed.port}_pass={TOKEN}"},
        {"Cookie": f"page_{closed.port}_pass="},
        {"Cookie": '"; =;é'},
    ):
        for path in ("/", "/static/page.js", "/songs/x", "/openapi.json", "/none"):
            status, got, data = closed.ask("GET", path, **headers)
            assert status == 401 and got["www-authenticate"] == "Bearer", (path, headers)
            assert b"needs its token" in data and "set-cookie" not in got
            assert "default-src 'none'" in got["content-security-policy"]
        assert closed.ask("POST", "/songs", "", b"x", **headers)[0] == 401
    for query in (f"token={TOKEN}x", "token=", f"token={TOKEN}&token={TOKEN}", "token=%ff", TOKEN):
        assert closed.ask("GET", f"/?{query}")[0] == 401
    assert closed.ask("GET", f"/songs/x?token={TOKEN}")[0] == 401  # there only once
    assert closed.ask("GET", f"/?token={TOKEN}", Host="evil.example")[0] == 403


def test_a_browser_shows_the_token_once(closed):
    status, headers, page = closed.ask("GET", f"/?token={TOKEN}")
    assert status == 200 and TOKEN.encode() not in page and TOKEN not in str(headers)
    connection = http.client.HTTPConnection("127.0.0.1", closed.port)
    connection.request("GET", f"/?token={TOKEN}")
    set_by = connection.getresponse().headers.get_all("set-cookie")
    connection.close()
    assert len(set_by) == 2  # the visitor, and the pass
    for cookie in set_by:
        assert "httponly" in cookie.lower() and "samesite=strict" in cookie.lower()
    cookies = "; ".join(cookie.split(";")[0] for cookie in set_by)
    assert closed.ask("GET", "/", cookies)[0] == 200
    assert closed.ask("GET", "/static/page.js", cookies)[0] == 200
    assert closed.ask("POST", "/demo-song", cookies, Origin="http://evil.example")[0] == 403


def test_a_program_sends_the_token(closed, song):
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    me = closed.ask("GET", "/", **bearer)[1]["set-cookie"].split(";")[0]
    status, _, data = closed.ask("POST", "/songs", me, song.read_bytes(), **bearer)
    assert status == 202
    path = f"/songs/{json.loads(data)['id']}"
    assert closed.ask("GET", path, me, **bearer)[0] == 200
    assert closed.ask("GET", path, "", **bearer)[0] == 404  # somebody else, with the token
    assert closed.ask("DELETE", path, me, Authorization=f"bearer  {TOKEN}")[0] == 204


def test_the_description_is_of_the_routes_that_there_are(page, closed, song):
    found = json.loads(page.ask("GET", "/openapi.json")[2])
    routes = _Page(page.songs, "", None, "", {}).routes()
    there = {
        (route.path, method.lower())
        for route in routes
        for method in route.methods - {"HEAD"}
        if route.path not in ("/", "/static/{name}")  # the page itself
    }
    verbs = {"get", "post", "delete"}
    assert {(p, m) for p, item in found["paths"].items() for m in item if m in verbs} == there
    for path, item in found["paths"].items():
        named = {p["name"] for p in item.get("parameters", []) if p["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), path
    text = json.dumps(found)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in found["components"]["schemas"]
    me = page.visitor()
    state = page.wait(me, page.send(me, song))
    schema = found["components"]["schemas"]["Song"]
    assert set(state) == set(schema["properties"]) == set(schema["required"])
    assert state["state"] in schema["properties"]["state"]["enum"]
    view = json.loads(page.ask("GET", f"/songs/{state['id']}/view", me)[2])
    schema = found["components"]["schemas"]["View"]
    assert set(view) == set(schema["properties"]) == set(schema["required"])
    note = schema["properties"]["notes"]["items"]
    assert {len(one) for one in view["notes"]} == {len(note["prefixItems"])} == {note["minItems"]}
    assert list(found["security"][0]) == ["visitor"]
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    needs = json.loads(closed.ask("GET", "/openapi.json", **bearer)[2])["security"]
    assert needs == [{"visitor": [], "token": []}]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_other_computers_need_a_token(host, capsys, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    asked = socket.getaddrinfo

    def resolved(name, *rest, **more):  # also where this machine has no IPv6
        return (
            asked(name or None, *rest, **more)
            if name != "::"
            else [(socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::", 0, 0, 0))]
        )

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    opened = []
    monkeypatch.setattr(socket, "socket", lambda *_: opened.append(1))
    assert main(["demo", "--host", host, "--port", "0"]) == 2
    said = capsys.readouterr().err
    assert "is reached by other computers: give --token" in said and said.count("\n") == 1
    assert not opened


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "::1"])
def test_this_computer_needs_none(host):
    try:
        _listen(host, 0).close()
    except UserError as err:
        assert "Listening on" in str(err)  # there is no such interface here


@pytest.mark.parametrize("token", ["", "short", "with spaces in between", "tökens-are-in-ascii!"])
def test_tokens_that_are_none(token, capsys, monkeypatch):
    for given in (["--token", token], []):
        monkeypatch.setenv(TOKEN_VARIABLE, "" if given else token or "x")
        assert main(["demo", "--host", "0.0.0.0", "--port", "0", *given]) == 2
        said = capsys.readouterr().err
        assert "The token must have at least 16" in said and said.count("\n") == 1


def test_what_is_drawn(tmp_path):
    folder = tmp_path / "song"
    folder.mkdir()
    sec = np.arange(25 * RATE) / RATE
    sf.write(folder / "vocals.wav", np.where(sec < 12, 0.5 * np.sin(880 * np.pi * sec), 0), RATE)
    sf.write(folder / "rest.wav", 0.25 * np.ones(len(sec)), RATE)
    (folder / "f0.csv").write_text(
        "time,frequency,confidence,voiced\n0.00,440.0,0.9,1\n0.02,440.0,0.2,0\n0.04,220.0,0.7,1\n"
    )
    (folder / "notes.csv").write_text(
        "onset,offset,pitch_midi,note_name,confidence\n0.0,1.5,69.25,A4,0.9\n"
    )
    view = make_view(folder, ("vocals", "rest"))
    json.dumps(view)  # plain values
    assert view["seconds"] == 25 and view["notes"] == [[0.0, 1.5, 69.25, 0.9]]
    assert view["pitch"]["cents"] == [6900, 0, 5700]
    assert view["pitch"]["confidence"] == [90, 20, 70] and view["pitch"]["hop"] == 0.02
    assert view["waves"]["rest"][5] == 50 and view["waves"]["vocals"][0] == 100
    low, high = view["range"]
    assert low < 69.25 < high
    pictures = view["picture"]
    from PIL import Image

    tiles = [Image.open(folder / f"tile-{n}.png").convert("L") for n in range(pictures["tiles"])]
    shades = np.concatenate([np.asarray(tile) for tile in tiles], 1)  # (F, N)
    assert shades.shape[1] == pictures["columns"]
    assert abs(pictures["columns"] * pictures["column_sec"] - 25) < 0.1
    # the tone is where the axis says: row from the top, in semitones
    row = shades[:, 300].argmax() + 0.5
    found = pictures["high"] - row / len(shades) * (pictures["high"] - pictures["low"])
    assert abs(found - 69) < 0.3
    on = shades.max(0) > 150
    assert on[:595].all() and not on[605:].any()
    overview = Image.open(folder / "overview.png")
    assert overview.size == (pictures["overview_columns"], len(shades))


@pytest.mark.parametrize("level_db, shown", [(0, True), (-20, True), (-56, False)])
def test_a_stem_is_as_bright_as_it_is_heard(tmp_path, level_db, shown):
    from PIL import Image

    band = 0.2 * np.random.default_rng(0).standard_normal((8000, 2))
    voice = 10 ** (level_db / 20) * tone(1, 8000)
    for name, wav in (("vocals", voice), ("accompaniment", band)):
        sf.write(tmp_path / f"{name}.wav", wav, 8000, subtype="FLOAT")
    make_view(tmp_path, ("vocals", "accompaniment"))
    shades = np.asarray(Image.open(tmp_path / "tile-0.png"))  # of 64 colours, dark to bright
    assert (shades.max() > 35) == shown and (shades.max() < 8) == (not shown)


def test_a_long_song_is_drawn_in_few_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr("asteroid_joint.apps.page.view.MOST_OVERVIEW", 256)
    monkeypatch.setattr("asteroid_joint.apps.page.view.MOST_WAVE", 256)
    sf.write(tmp_path / "vocals.wav", tone(90, 8000), 8000)
    view = make_view(tmp_path, ("vocals",))
    assert view["picture"]["overview_columns"] <= 256 and len(view["waves"]["vocals"]) <= 257
    columns, sec = (view["picture"][f"overview_{key}"] for key in ("columns", "column_sec"))
    assert (columns - 1) * sec <= 90.1 <= columns * sec + 0.1
    assert view["pitch"] is None and view["notes"] == []


def test_a_song_is_seen_by_its_visitor_only(page, song):
    me, other = page.visitor(), page.visitor()
    assert me != other
    state = page.wait(me, page.send(me, song))
    paths = [f"/songs/{state['id']}", f"/songs/{state['id']}/view", f"/songs/{state['id']}/zip"]
    paths += [f"/songs/{state['id']}/files/{name}" for name in [*FILES, "tile-0.png"]]
    forged = me.split("=")[0] + "="
    for path in paths:
        assert page.ask("GET", path, me)[0] == 200, path
        for cookie in (other, "", forged, me[:-1], me + "x"):
            status, _, data = page.ask("GET", path, cookie)
            assert status == 404 and state["name"].encode() not in data, path
    page.ask("DELETE", paths[0], other)
    page.ask("POST", "/leave", other, state["id"])
    assert page.ask("GET", paths[0], me)[0] == 200
    assert page.songs.root.stat().st_mode & 0o077 == 0


def test_names_are_no_paths(page, song):
    me = page.visitor()
    before = {path.name for path in page.songs.root.parent.iterdir()}
    for name in ("../../x.flac", "..%2F..%2Fx.flac", "..\\..\\x.flac", "/etc/x"):
        state = page.wait(me, page.send(me, song, name))
        assert (state["state"], state["name"]) == ("done", "x"), name
    folder = page.songs.find(me.split("=")[1], state["id"]).folder
    assert folder.parent == page.songs.root and {p.name for p in folder.iterdir()} == {"out"}
    assert {path.name for path in page.songs.root.parent.iterdir()} <= before
    files = f"/songs/{state['id']}/files"
    for path in (
        f"{files}/../../../../../etc/passwd",
        f"{files}/..%2f..%2f..%2flock",
        f"{files}/%2e%2e/song",
        f"{files}//etc/passwd",
        f"{files}/{folder}/out/song/vocals.wav",
        f"/songs/../{page.songs.root}/lock",
        "/static/../server.py",
        "/static/%2e%2e%2fserver.py",
        "/static//etc/passwd",
    ):
        status, _, data = page.ask("GET", path, me)
        assert status == 404 and b"root:" not in data and b"import" not in data, path
    page.ask("POST", "/leave", me, " ".join(page.songs._songs))


def bad_files(folder: Path) -> dict[str, Path]:
    """Files that are refused, by what is said of them."""
    text, empty, nan, long, wide = (
        folder / name for name in ("text.mp3", "empty.wav", "nan.wav", "long", "wide")
    )
    text.write_text("This is no song.\n" * 50)
    empty.write_bytes(b"")
    broken = tone(1, RATE)
    broken[500] = np.nan
    sf.write(nan, broken, RATE, subtype="FLOAT")
    sf.write(long, np.zeros(13 * 8000), 8000, format="FLAC")
    sf.write(wide, np.zeros((800, MOST_CHANNELS + 1)), 8000, format="WAV")
    return {
        "text contains no audio that libsndfile or FFmpeg can decode.": text,
        "empty is empty (0 bytes).": empty,
        "nan contains NaN or infinite samples, the first at 0.023 s: repair the file first.": nan,
        "The song is longer than 0.2 minutes, the most that this page accepts: "
        "use 'asteroid-joint separate', which has no limit.": long,
        f"The song has 9 channels: send one with at most {MOST_CHANNELS}.": wide,
    }


def test_bad_files_get_a_sentence_each(page, tmp_path):
    me = page.visitor()
    for sentence, path in bad_files(tmp_path).items():
        state = page.wait(me, page.send(me, path))
        assert (state["state"], state["message"]) == ("failed", sentence), path
        assert state["files"] == []
        assert page.ask("GET", f"/songs/{state['id']}/zip", me)[0] == 404
        page.ask("DELETE", f"/songs/{state['id']}", me)
    assert page.ask("GET", "/songs/none/files/x", me)[0] == 404


def test_files_that_name_other_files_are_no_audio(tmp_path):
    """Playlists would let a visitor hear what lies on the server."""
    for name in ("private.mp3", "private.wav"):
        sf.write(tmp_path / name, tone(1, 44100), 44100)
    lists = {
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n"
        f"{tmp_path / 'private.mp3'}\n#EXT-X-ENDLIST\n",
        "list": "ffconcat version 1.0\nfile private.wav\n",
    }
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(AudioError, match="contains no audio"):
            open_audio(tmp_path / name).close()


def test_a_length_that_no_header_tells_is_found_out(tmp_path):
    path = tmp_path / "song.wav"
    sf.write(path, tone(14, 8000), 8000)
    with serve() as page:
        me = page.visitor()
        data = bytearray(path.read_bytes())
        at = data.index(b"data") + 4
        data[at : at + 4] = b"\xff\xff\xff\xff"  # as programs write that do not know yet
        path.write_bytes(data)
        assert "longer than 0.2 minutes" in message(page, me, page.send(me, path))


def test_silence_is_no_error(page, tmp_path):
    path = tmp_path / "quiet.wav"
    sf.write(path, np.zeros((RATE, 2)), RATE)
    me = page.visitor()
    state = page.wait(me, page.send(me, path))
    assert state["state"] == "done"
    assert state["message"] == "quiet is silent: its stems are silent, too."
    view = json.loads(page.ask("GET", f"/songs/{state['id']}/view", me)[2])
    assert view["notes"] == [] and view["peak"] == 0


def test_too_large_is_refused_before_and_while_it_arrives(page, tmp_path):
    me = page.visitor()
    status, _, data = page.ask("POST", "/songs", me, b"x", Content_Length="6000000")
    assert status == 413 and b"larger than 5 MB" in data
    blocks = (b"\0" * 1_000_000 for _ in range(7))  # a length is not announced
    connection = socket.create_connection(("127.0.0.1", page.port))
    head = f"POST /songs HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {me}\r\nTransfer-Encoding: chunked"
    connection.sendall(f"{head}\r\n\r\n".encode())
    try:
        for block in blocks:
            connection.sendall(b"%x\r\n%s\r\n" % (len(block), block))
    except OSError:
        pass  # it need not listen to the end
    answer = connection.recv(4096)
    connection.close()
    assert b" 413 " in answer.splitlines()[0]
    assert not any(song.visitor == me.split("=")[1] for song in page.songs._songs.values())


def test_who_goes_away_half_way_leaves_nothing(page, caplog):
    me = page.visitor()
    connection = socket.create_connection(("127.0.0.1", page.port))
    head = f"POST /songs HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {me}\r\nContent-Length: 100000"
    connection.sendall(f"{head}\r\n\r\n".encode() + b"RIFF")
    token = me.split("=")[1]
    wait_for(lambda: any(song.visitor == token for song in page.songs._songs.values()))
    connection.close()
    wait_for(lambda: not any(song.visitor == token for song in page.songs._songs.values()))
    time.sleep(0.1)
    assert not caplog.records


def test_two_at_once_get_their_own(page, tmp_path):
    visitors, states = [page.visitor() for _ in range(2)], {}
    for n in range(2):
        sf.write(tmp_path / f"song{n}.wav", tone(3 + n, RATE, n), RATE)

    def go(n: int) -> None:
        sent = page.send(visitors[n], tmp_path / f"song{n}.wav", "same.wav")
        states[n] = page.wait(visitors[n], sent)

    threads = [threading.Thread(target=go, args=(n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for n in range(2):
        path = f"/songs/{states[n]['id']}/files/vocals.wav"
        got, rate = sf.read(io.BytesIO(page.ask("GET", path, visitors[n])[2]))
        song, _ = sf.read(tmp_path / f"song{n}.wav")
        assert got.shape == song.shape and rate == RATE
        assert np.abs(got - song / 2)[RATE:-RATE].max() < 0.02


def test_one_after_the_other_and_no_more_than_allowed(song):
    go_on = threading.Event()

    def work(_song, progress):
        while not go_on.wait(0.01):
            progress(1.0, 2.0)

    with serve(work, Limits(songs=3, waiting=4)) as page:
        me, other = page.visitor(), page.visitor()
        mine = [page.send(me, song) for _ in range(3)]
        assert "You have 3 songs here" in page.send(me, song)["message"]
        page.send(other, song)
        assert "Too many songs are waiting" in page.send(other, song)["message"]
        states = [json.loads(page.ask("GET", f"/songs/{s['id']}", me)[2]) for s in mine]
        assert [s["state"] for s in states] == ["working", "waiting", "waiting"]
        assert [s["before"] for s in states] == [0, 1, 2]
        # removing the one that is worked on ends it, and the next begins
        folder = page.songs.find(me.split("=")[1], mine[0]["id"]).folder
        assert page.ask("DELETE", f"/songs/{mine[0]['id']}", me)[0] == 204
        assert page.ask("GET", f"/songs/{mine[0]['id']}", me)[0] == 404
        wait_for(lambda: not folder.exists())
        go_on.set()
        assert page.wait(me, mine[2])["state"] == "done"


def test_songs_are_removed_in_every_way(song, monkeypatch):
    monkeypatch.setattr(songs_module, "SWEEP_SEC", 0.05)
    with serve(lambda song, progress: None, keep_sec=0.5) as page:
        me = page.visitor()
        root = page.songs.root
        left, kept = page.send(me, song), page.send(me, song)
        page.wait(me, left), page.wait(me, kept)
        assert page.ask("POST", "/leave", me, left["id"])[0] == 204  # one of two tabs
        assert page.ask("GET", f"/songs/{left['id']}", me)[0] == 404
        assert page.ask("GET", f"/songs/{kept['id']}", me)[0] == 200
        assert {path.name for path in root.iterdir()} == {LOCK, kept["id"]}
        wait_for(lambda: {path.name for path in root.iterdir()} == {LOCK})
        assert page.ask("GET", f"/songs/{kept['id']}", me)[0] == 404
        page.send(me, song)
    assert not root.exists()


def test_an_error_of_ours_ends_one_song_only(song, capsys):
    calls = []

    def work(_song, progress):
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("not meant for visitors")

    with serve(work) as page:
        me = page.visitor()
        assert message(page, me, page.send(me, song)) == (
            "Processing My söng failed: see the server's log."
        )
        assert page.wait(me, page.send(me, song))["state"] == "done"
    assert "not meant for visitors" in capsys.readouterr().err


def test_folders_of_killed_servers_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead, alive, strange = (tmp_path / f"{PREFIX}{name}" for name in ("dead", "alive", "strange"))
    for folder in (dead, alive):
        folder.mkdir()
        (folder / LOCK).touch()
    strange.mkdir()
    with FileLock(alive / LOCK):
        songs = Songs(lambda song, progress: None, Limits(), 1.0)
        assert not dead.exists() and alive.exists() and strange.exists()
    assert songs.root.parent == tmp_path
    songs.close()
    assert not songs.root.exists()


def test_other_sites_are_refused(page):
    me = page.visitor()
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},  # another port of this host
    ):
        assert page.ask("POST", "/demo-song", me, **headers)[0] == 403, headers
    assert page.ask("GET", "/", Host="evil.example")[0] == 403
    assert page.ask("GET", "/", Host="localhost:1")[0] == 200
    assert page.ask("POST", "/songs", "", b"x")[0] == 403
    cookie = page.ask("GET", "/")[1]["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=strict" in cookie
    for path in ("/", "/static/page.js", "/songs/x", "/none"):
        headers = page.ask("GET", path, me)[1]
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store" and "server" not in headers or path


ODD_VALUES = (
    "[",
    "http://[",
    "http://[::1",
    "http://a:b:c",
    "//",
    "é",
    "\xff",
    "%",
    ";;==",
    '"',
    "",
)


@pytest.mark.parametrize("header", ["Host", "Origin", "Cookie", "Range", "X-File-Name", "Accept"])
def test_malformed_headers_are_answered(page, song, header, caplog):
    """With a sentence or a page, never with a traceback."""
    me = page.visitor()
    sent = page.send(me, song)
    name = me.split("=")[0]
    page.wait(me, sent)
    one = f"/songs/{sent['id']}"
    asked = [("GET", "/"), ("GET", one), ("GET", f"{one}/files/vocals.wav"), ("POST", "/leave")]
    for value in ODD_VALUES:
        if header == "Cookie":
            value = f"{name}={value}"
        for method, path in asked:
            headers = {header.replace("-", "_"): value}
            cookie = "" if header == "Cookie" else me
            status, _, _ = page.ask(method, path, cookie, **headers)
            assert status < 500, (method, path, value)
    assert page.ask("GET", "/", Host="[")[0] == 403
    assert page.ask("POST", "/demo-song", me, Origin="http://[")[0] == 403
    assert page.ask("GET", one, f"{name}=é")[0] == 404
    assert not caplog.records
    page.ask("DELETE", one, me)


def test_the_page_names_no_other_host():
    for path in STATIC.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//[\w-]+\.\w|@import|integrity", text), path.name


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--port", "70000"], "from 0 to 65535"),
        (["--port", "x"], "from 0 to 65535"),
        (["--max-minutes", "0"], "above 0"),
        (["--max-minutes", "nan"], "above 0"),
        (["--max-mb", "inf"], "above 0"),
        (["--keep-minutes", "-1"], "above 0"),
        (["--hop", "x"], "expected a number"),
        (["--octave", "2"], "expected +1 or -1"),
    ],
)
def test_wrong_options(options, said, capsys):
    with pytest.raises(SystemExit) as end:
        main(["demo", *options])
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_addresses_that_cannot_be_had(page, capsys):
    assert main(["demo", "--port", str(page.port)]) == 2
    assert capsys.readouterr().err == (
        f"asteroid-joint: Port {page.port} of 127.0.0.1 is in use: give another --port, "
        "or 0 for any.\n"
    )
    assert main(["demo", "--host", "no..such..host", "--port", "0"]) == 2
    assert "There is no address 'no..such..host'" in capsys.readouterr().err
    assert main(["demo", "--model", "none", "--port", "0"]) == 2
    assert "There is no model 'none'" in capsys.readouterr().err
    assert main(["demo", "--fmin", "-1", "--port", "0"]) == 2
    assert "A limit of the pitch is -1 Hz" in capsys.readouterr().err


def test_the_command_serves_and_leaves_nothing(weights, tmp_path):
    command = [sys.executable, "-m", "asteroid_joint.cli", "demo", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--model", str(weights), "--device", "cpu"],
        env={**child_env(), "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
        assert found, line
        page = Page(None, int(found[1]))  # type: ignore[arg-type]
        wav = tmp_path / "song.wav"
        sf.write(wav, tone(1, 8000), 8000)
        me = page.visitor()
        assert page.wait(me, page.send(me, wav))["state"] == "done"
        assert list(tmp_path.glob(f"{PREFIX}*/*/out/song/vocals.wav"))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        rest = process.communicate()[1]
    assert rest == ""
    assert list(tmp_path.iterdir()) == [wav]

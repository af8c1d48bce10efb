"""The page in a real browser: clicked through, by keyboard alone, and watched for what it loads.

It takes the Chromium (or Chrome) of the system, as Debian's ``chromium`` package brings it; where
there is none, these tests say so and are skipped.
"""

import contextlib
import io
import re
import socket
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile as sf
from browser import running_browser
from page_server import serve, tone, wait_for

READY = "#studio:not([hidden])"
FILES = ["vocals.wav", "accompaniment.wav", "f0.csv", "notes.mid", "notes.csv"]
FILES += ["ultrastar.txt", "picture.png"]


@pytest.fixture(scope="module")
def browser():
    with running_browser() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def server():
    with serve() as page:
        yield page


class Visit:
    """A tab of a visitor; whatever it asks for and complains about is kept."""

    def __init__(self, context: Any, url: str) -> None:
        self.asked: list[str] = []
        self.errors: list[str] = []
        context.on("request", lambda request: self.asked.append(request.url))
        context.on("websocket", lambda socket: self.asked.append(socket.url))
        self.tab = context.new_page()
        self.tab.set_default_timeout(20_000)
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", self._console)
        self.url = url
        self.tab.goto(url)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def seconds(self) -> float:
        """What the clock of the page shows."""
        minutes, rest = self.tab.inner_text("#now").split(":")
        return 60 * int(minutes) + float(rest)

    def cursor(self) -> float:
        """Pixels."""
        shift = self.tab.eval_on_selector("#cursor", "e => e.style.transform")
        return float(re.findall(r"[\d.]+", shift)[0])

    def until(self, condition: str, seconds: float = 20.0) -> None:
        """Wait for JavaScript to be true; the page forbids Playwright's own way, which is eval."""
        end = time.monotonic() + seconds
        while not self.tab.evaluate(condition):
            assert time.monotonic() < end, condition
            self.tab.wait_for_timeout(20)

    def focus(self) -> str:
        """Tag and id, or tag and text, of what has the focus."""
        return self.tab.evaluate(
            "(e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : ' ' + e.textContent.trim()))"
            "(document.activeElement)"
        )


@pytest.fixture
def visit(browser, server):
    """A function that opens the page as somebody new."""
    visits, contexts = [], []

    def new() -> Visit:
        contexts.append(browser.new_context(viewport={"width": 1200, "height": 1000}))
        visits.append(Visit(contexts[-1], server.url + "/"))
        return visits[-1]

    yield new
    for one in visits:
        foreign = [url for url in one.asked if not url.startswith(server.url + "/")]
        assert one.asked and not foreign
        assert not [error for error in one.errors if " 404 " not in error], one.errors
    for context in contexts:
        context.close()


def test_the_demo_song_from_click_to_download(visit, server, tmp_path):
    me = visit()
    tab = me.tab
    tab.get_by_role("button", name="Use the demo song").click()
    tab.wait_for_selector(READY)
    assert tab.inner_text("#title") == "The Easton Ellises - Falcon 69"
    assert me.seconds() == 0
    at = [me.cursor()]
    tab.get_by_role("button", name="Play", exact=True).click()
    for after in ("0:00.5", "0:02.3"):
        me.until(f"document.querySelector('#now').textContent >= '{after}'")
        at.append(me.cursor())
        now, sung = tab.evaluate(
            "['#now', '#sung'].map((id) => document.querySelector(id).textContent)"
        )
        tones = {"A3": 0 <= float(now[2:]) <= 2, "E4": 2 <= float(now[2:]) <= 4}
        assert tones.get(sung[:2], float(now[2:]) >= 4), (now, sung)
    tab.get_by_role("button", name="Pause").click()
    assert at == sorted(at) and at[2] > at[1] > at[0]
    # the cursor is where the axis says: 46 pixels of names, then the song
    box = tab.locator("#plot").bounding_box()
    total = float(tab.get_attribute("#plot", "aria-valuemax"))
    assert abs(me.cursor() - (46 + (box["width"] - 46) * me.seconds() / total)) < 15
    tab.wait_for_timeout(200)
    stood = me.cursor()
    tab.wait_for_timeout(300)
    assert me.cursor() == stood
    # a click goes there
    tab.mouse.click(box["x"] + 46 + (box["width"] - 46) / 2, box["y"] + 100)
    me.until(f"Math.abs(document.querySelector('#now').textContent.slice(2) - {total / 2}) < 0.1")
    # a drag does not, and what is drawn changes with the view
    pixels = tab.evaluate("document.querySelector('#score').toDataURL()")
    tab.get_by_role("button", name="Zoom in").click()
    tab.wait_for_timeout(150)
    assert tab.evaluate("document.querySelector('#score').toDataURL()") != pixels
    before = me.seconds()
    tab.mouse.move(box["x"] + 500, box["y"] + 100)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 200, box["y"] + 100, steps=4)
    tab.mouse.up()
    assert me.seconds() == before
    got = {}
    for name in FILES:
        with tab.expect_download() as download:
            tab.get_by_role("link", name=name, exact=True).click()
        assert download.value.suggested_filename == f"The Easton Ellises - Falcon 69 - {name}"
        got[name] = Path(download.value.path()).read_bytes()
    with tab.expect_download() as download:
        tab.get_by_role("link", name="everything as a ZIP file").click()
    archive = zipfile.ZipFile(download.value.path())
    assert {Path(name).name: archive.read(name) for name in archive.namelist()} == got
    kept = next(iter(server.songs._songs.values())).files
    assert {path.name: path.read_bytes() for path in kept} == got
    stems = [sf.read(io.BytesIO(got[name]))[0] for name in FILES[:2]]
    assert len(stems[0]) > 6 * 44100 and np.abs(stems[0]).max() > 0.01
    # somebody else, who knows the address
    song = next(iter(server.songs._songs))
    other = visit()
    for path in (f"songs/{song}", f"songs/{song}/zip", f"songs/{song}/files/vocals.wav"):
        mine, theirs = (
            one.tab.evaluate("path => fetch(path).then((answer) => answer.status)", path)
            for one in (me, other)
        )
        assert (mine, theirs) == (200, 404)
    # closing the page removes the song
    tab.goto("about:blank")
    wait_for(lambda: song not in server.songs._songs)


def test_without_a_mouse(visit, tmp_path):
    me = visit()
    keyboard = me.tab.keyboard

    def tab_to(wanted: str, most: int = 25) -> None:
        for _ in range(most):
            keyboard.press("Tab")
            outline = me.tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline != "none", me.focus()
            if me.focus() == wanted:
                return
        raise AssertionError(f"{wanted} was not reached, last {me.focus()}")

    tab_to("input#file", 1)
    tab_to("button#demo", 1)
    keyboard.press("Enter")
    me.tab.wait_for_selector(READY)
    assert me.focus() == "h2#title"
    assert "is ready, " in me.tab.inner_text("#status")
    tab_to("button#play", 1)
    keyboard.press("Space")
    me.until("document.querySelector('#now').textContent >= '0:00.3'")
    keyboard.press("Space")
    tab_to("div#plot", 5)
    value = "document.querySelector('#plot').getAttribute('aria-valuetext')"
    keyboard.press("Home")
    me.until("document.querySelector('#now').textContent === '0:00.0'")
    keyboard.press("ArrowRight")
    me.until(f"{value}.startsWith('0:01.0 of 0:06, A3')")
    keyboard.press("ArrowLeft")
    me.until("document.querySelector('#now').textContent === '0:00.0'")
    keyboard.press("Shift+ArrowRight")  # ten seconds are more than there are
    me.until(f"{value}.includes('nothing sung')")
    keyboard.press("p")
    me.until(f"{value}.includes('E4')")
    starts = me.seconds()
    keyboard.press("p")
    me.until(f"{value}.includes('A3')")
    keyboard.press("n")
    me.until(f"{value}.includes('E4')")
    assert me.seconds() == starts
    drawn = "document.querySelector('#score').toDataURL()"
    seen = [me.tab.evaluate(drawn)]
    for key in ("+", "PageDown", "0"):
        keyboard.press(key)
        me.tab.wait_for_timeout(150)
        seen.append(me.tab.evaluate(drawn))
    assert len(set(seen)) == 3 and seen[3] == seen[0]
    keyboard.press("Home")
    keyboard.press(" ")
    me.until("document.querySelector('#now').textContent >= '0:00.3'")
    keyboard.press(" ")
    tab_to("button Mute", 1)
    keyboard.press("Enter")
    assert me.tab.get_by_role("button", name="Mute vocals").get_attribute("aria-pressed") == "true"
    tab_to("button Solo", 1)
    tab_to("input ", 1)
    volume = me.tab.get_by_role("slider", name="Volume of vocals")
    keyboard.press("ArrowLeft")
    assert volume.input_value() == "99"
    tab_to("a vocals.wav")
    with me.tab.expect_download() as download:
        keyboard.press("Enter")
    assert Path(download.value.path()).stat().st_size > 1_000_000
    tab_to("summary Notes as a table")
    keyboard.press("Enter")
    keyboard.press("Tab")  # the table, which scrolls
    keyboard.press("Tab")
    assert me.focus().startswith("button 0:00.")
    keyboard.press("Enter")  # goes to the first note
    me.until(f"{value}.includes('A3')")
    for _ in range(60):  # back up to the list
        keyboard.press("Shift+Tab")
        if me.focus() == "button Remove":
            break
    keyboard.press("Enter")
    me.tab.wait_for_selector("#studio", state="hidden")
    assert me.focus() == "input#file"


def test_axe_finds_nothing_to_mend(visit):
    """Names, roles, contrast, structure: what a program can tell of accessibility."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    me = visit()
    found = [axe.run(me.tab)]
    me.tab.get_by_role("button", name="Use the demo song").click()
    me.tab.wait_for_selector(READY)
    for part in me.tab.locator("summary").all():
        part.click()
    me.tab.evaluate("document.querySelector('#alert').hidden = false")
    me.tab.evaluate("document.querySelector('#alert').textContent = 'Something is wrong.'")
    found.append(axe.run(me.tab))
    for results in found:
        assert len(results.response["passes"]) > 15  # it has looked
        broken = [rule["id"] for rule in results.response["violations"]]
        assert not broken, results.generate_report()


def test_several_files_some_of_them_bad(visit, server, tmp_path):
    sf.write(tmp_path / "one.wav", tone(3, 16000), 16000)
    sf.write(tmp_path / "two.flac", tone(4.5, 16000, 1), 16000)
    (tmp_path / "text.mp3").write_text("no song\n" * 100)
    with open(tmp_path / "large.wav", "wb") as file:
        file.truncate(6_000_000)
    me = visit()
    me.tab.set_input_files("#file", [tmp_path / "one.wav", tmp_path / "two.flac"])
    me.tab.wait_for_selector("li.done:nth-child(1)")
    me.tab.wait_for_selector("li.done:nth-child(2)")
    names = me.tab.locator("#songs .name").all_inner_texts()
    assert sorted(names) == ["one", "two"]
    for name, seconds in (("one", "0:03"), ("two", "0:05")):
        me.tab.get_by_role("button", name=f"Open {name}").click()
        me.until(f"document.querySelector('#title').textContent === '{name}'")
        assert me.tab.inner_text("#end") == seconds
    me.tab.set_input_files("#file", tmp_path / "text.mp3")
    alert = me.tab.get_by_role("alert")
    alert.get_by_text("text contains no audio that libsndfile or FFmpeg can decode.").wait_for()
    me.tab.set_input_files("#file", tmp_path / "large.wav")
    alert.get_by_text("large.wav is larger than 5 MB, the most that this page accepts").wait_for()
    # dropped, with a name that is markup
    me.tab.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["x"], "<img src=x onerror=alert(1)>.wav"));
            document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: data, bubbles: true}));
        }"""
    )
    alert.get_by_text("contains no audio that libsndfile or FFmpeg can decode.").wait_for()
    assert not me.tab.locator("img").count()


def test_more_files_than_the_page_keeps(visit, tmp_path):
    """As many as fit are separated; all others are named, and stay named."""
    wav = io.BytesIO()
    sf.write(wav, tone(0.1, 8000), 8000, format="WAV")
    files = [
        {"name": f"song {n}.wav", "mimeType": "audio/wav", "buffer": wav.getvalue()}
        for n in range(1, 13)
    ]
    files.insert(3, {"name": "large.wav", "mimeType": "audio/wav", "buffer": bytes(5_500_000)})
    files[7]["buffer"] = b"no song"
    me = visit()
    me.tab.set_input_files("#file", files)
    me.tab.wait_for_selector("#songs li:nth-child(8).done")
    assert me.tab.locator("#songs li").count() == 8
    alert = me.tab.inner_text("#alert").splitlines()
    assert alert[0].startswith("large.wav is larger than 5 MB")
    assert alert[1] == (
        "This page keeps 8 songs at a time, so 4 of 12 were not sent: song 9.wav, song 10.wav, "
        "song 11.wav, song 12.wav. Remove songs first, then send these again."
    )
    assert alert[2] == "song 7 contains no audio that libsndfile or FFmpeg can decode."
    # a refusal of the server's, as another tab has taken the place
    me.tab.evaluate("document.body.dataset.songs = 99")
    me.tab.set_input_files("#file", files[:1])
    alert = me.tab.get_by_role("alert")
    alert.get_by_text("song 1.wav: You have 8 songs here, the most that this page keeps").wait_for()
    me.errors[:] = [error for error in me.errors if "413" not in error]


def test_files_are_sent_at_once_so_that_none_is_ever_chosen(visit, tmp_path):
    """The browser's own "No file chosen" would be there all the time."""
    me = visit()
    style = "(({color, fontSize}) => [color, fontSize])"
    style = me.tab.evaluate(f"{style}(getComputedStyle(document.querySelector('#file')))")
    assert style == ["rgba(0, 0, 0, 0)", "0px"]
    button = me.tab.evaluate(
        "getComputedStyle(document.querySelector('#file'), '::file-selector-button').fontSize"
    )
    assert button == "16px"
    assert me.tab.get_attribute("#file", "title") == "Song files"  # instead of the same as a tip


CONTRAST = """() => {
  const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => {
    const [r, g, b] = rgb(colour).slice(0, 3).map((c) => c / 255).map(
      (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (rgb(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const texts = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() &&
    [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim()));
  return texts.map((e) => {
    const [one, two] = [light(getComputedStyle(e).color), light(paper(e))];
    const ratio = (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05);
    return [ratio, `${e.tagName} ${e.id} ${e.className} ${e.textContent.trim().slice(0, 20)}`];
  });
}"""


ROLL = """async ([notes, range, seconds]) => {
  const {Score} = await import("/static/score.js");
  const canvas = document.createElement("canvas");
  canvas.style.width = "800px";
  canvas.style.height = "400px";
  document.body.append(canvas);
  const score = new Score(canvas);
  const picture = {low: 33, high: 111, tiles: 0, column_sec: 0.02, tile_columns: 1024, columns: 0};
  score.load({seconds: 4, notes, pitch: null, range, picture}, () => "static/icon.svg");
  score.show(0, 4);
  for (let n = 0; n < 2; n += 1) await new Promise(requestAnimationFrame);
  const drawn = (...box) => { // highest opacity in x, y, width, height
    const {data} = canvas.getContext("2d").getImageData(...box);
    return Math.max(...data.filter((_, k) => k % 4 === 3)) / 255;
  };
  const at = (second) => Math.round(score.x(second));
  const half = score.semitone / 2;
  const found = {
    edges: notes.map(([on, off, midi]) =>
      drawn(at((on + off) / 2), Math.round(score.y(midi) + half) - 2, 4, 4)),
    fills: notes.map(([on, off, midi]) =>
      drawn(at((on + off) / 2), Math.round(score.y(midi)), 4, 1)),
    names: notes.map(([on, , midi]) =>
      drawn(Math.max(at(on), 46), Math.round(score.y(midi) - half) - 14, 24, 9)),
    lines: [60, 61, 62, 63, 64].map((midi) =>
      drawn(at(seconds), Math.round(score.y(midi)), 4, 1)),
  };
  canvas.remove();
  return found;
}"""


def test_notes_lie_on_a_roll_and_are_paler_where_they_are_less_certain(visit):
    """Nothing is behind them: no spectrogram, so the opacity of the canvas is that of the notes."""
    notes = [[0.0, 0.5, 61.0, 0.95], [1.0, 1.5, 61.0, 0.75], [2.0, 2.5, 61.0, 0.0]]
    notes += [[3.0, 3.5, 61.0], [-2.0, 0.5, 73.0, 0.6]]  # of an older server; out of view at first
    roll = visit().tab.evaluate(ROLL, [notes, [48, 78], 3.8])
    sure, unsure, lost, unknown, _ = roll["edges"]
    assert unknown > sure > unsure + 0.1 and unsure > lost + 0.1 and lost > 0.45
    fills = np.array(roll["fills"][:4]) / 0.6
    np.testing.assert_allclose(fills, [0.95, 0.75, 0.5, 1.0], atol=0.02)
    assert min(roll["names"]) > 0.95  # no paler than those that are sure
    c, c_sharp, d, d_sharp, e = roll["lines"]
    assert c > 2 * d > 0.1 and d == e and c_sharp == d_sharp == 0
    wide = visit().tab.evaluate(ROLL, [[], [33, 170], 3.8])["lines"]  # too low for all lines
    assert wide == [c, 0, 0, 0, 0]


def test_the_table_of_notes_says_how_sure_they_are(visit):
    me = visit()
    me.tab.get_by_role("button", name="Use the demo song").click()
    me.tab.wait_for_selector(READY)
    me.tab.get_by_text("Notes as a table").click()
    assert me.tab.locator("#notes-part th").all_inner_texts()[-1] == "Confidence"
    with me.tab.expect_download() as download:
        me.tab.get_by_role("link", name="notes.csv", exact=True).click()
    rows = Path(download.value.path()).read_text().splitlines()[1:]
    shown = me.tab.locator("#notes td:last-child").all_inner_texts()
    assert shown == [f"{float(row.split(',')[4]):.2f}" for row in rows] and shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_either_scheme(visit, scheme):
    me = visit()
    me.tab.emulate_media(color_scheme=scheme)
    me.tab.get_by_role("button", name="Use the demo song").click()
    me.tab.wait_for_selector(READY)
    me.tab.get_by_text("Notes as a table").click()
    found = me.tab.evaluate(CONTRAST)
    assert len(found) > 25 and not [text for ratio, text in found if ratio < 4.5]
    paper = me.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, re.findall(r"\d+", paper))) < 60) == (scheme == "dark")


def test_further_formats_are_beside_their_stem(visit, tmp_path):
    me = visit()
    me.tab.get_by_role("button", name="Use the demo song").click()
    me.tab.wait_for_selector(READY)
    for name in ("vocals.flac", "accompaniment.mp3"):
        with me.tab.expect_download() as download:
            me.tab.get_by_role("link", name=name, exact=True).click()
        assert download.value.suggested_filename.endswith(f" - {name}")
        assert sf.info(download.value.path()).frames > 0


def test_a_token_is_not_left_in_the_address(browser):
    with serve(token="only-for-this-one-test") as page:
        context = browser.new_context()
        refused = context.new_page()
        assert refused.goto(page.url).status == 401
        me = Visit(context, f"{page.url}/?token=only-for-this-one-test")
        me.until("location.search === ''")
        me.tab.get_by_role("button", name="Use the demo song").click()
        me.tab.wait_for_selector(READY)
        me.tab.reload()  # with the cookie alone
        me.tab.get_by_role("button", name="Use the demo song").wait_for()
        assert "only-for-this" not in str([c["value"] for c in context.cookies()])
        assert not me.errors
        context.close()


def test_a_server_that_is_gone_is_said(browser, tmp_path):
    with serve() as page:
        context = browser.new_context()
        me = Visit(context, page.url + "/")
    me.tab.get_by_role("button", name="Use the demo song").click()
    me.tab.get_by_role("alert").get_by_text("The server does not answer").wait_for()
    context.close()


def test_the_browser_itself_refuses_other_hosts(visit):
    """Were there anything foreign on the page, nothing would be sent."""
    reached = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as elsewhere:
        elsewhere.settimeout(30)
        url = f"http://127.0.0.1:{elsewhere.getsockname()[1]}/"
        threading.Thread(target=_accept, args=(elsewhere, reached), daemon=True).start()
        me = visit()
        blocked = me.tab.evaluate(
            """async (url) => {
                const image = new Image();
                const tried = new Promise((end) => { image.onload = image.onerror = end; });
                image.src = url;
                await tried;
                return fetch(url, {mode: "no-cors"}).then(() => false, () => true);
            }""",
            url,
        )
        assert blocked and not reached.is_set()
    me.errors.clear()  # they say so
    me.asked[:] = [asked for asked in me.asked if asked != url]


def _accept(elsewhere: socket.socket, reached: threading.Event) -> None:
    """Remember whether anybody comes; answer nothing."""
    with contextlib.suppress(OSError):
        while True:
            elsewhere.accept()[0].close()
            reached.set()

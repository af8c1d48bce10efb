"""Pictures of songs: what is gathered, that it stays small, and where it is drawn."""

import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest

from asteroid_joint.dsp.columns import (
    COLUMN_SEC,
    FLOOR_DB,
    FRAME_SEC,
    RANGE_DB,
    Columns,
    LogSpectrogram,
    log_rows,
    shades_db,
    surest,
)
from asteroid_joint.inference import lettering as letters
from asteroid_joint.inference.notes import Note
from asteroid_joint.inference.picture import MOST_ROWS, SongPicture, _minutes

RATE = 8000


def song(seconds: float, hz: float = 220.0) -> tuple[np.ndarray, np.ndarray, list[Note]]:
    """Stems ``(2, 1, T)``, F0 rows and notes: one second sung, one silent, in turn."""
    sec = np.arange(int(seconds * RATE)) / RATE
    gate = sec % 2 < 1
    voice = 0.5 * gate * sum(np.sin(2 * np.pi * k * hz * sec) / k for k in range(1, 5))
    band = 0.2 * np.random.default_rng(0).standard_normal(len(sec))
    time = 0.02 * np.arange(int(seconds * 50))
    sung = time % 2 < 1
    f0 = np.stack([time, np.full(len(time), hz), np.where(sung, 0.9, 0.1), sung], 1)
    notes = [Note(float(t), t + 1.0, 57.0, 0.9) for t in range(0, int(seconds), 2)]
    return np.stack([voice, band])[:, None].astype(np.float32), f0, notes


def pixels(path) -> np.ndarray:
    """``(height, width, 3)`` of a PNG, by matplotlib's reader."""
    from matplotlib.image import imread

    return imread(path)[..., :3]


# Columns


@pytest.mark.parametrize("n", [0, 1, 7, 8, 9, 100, 1000])
def test_columns_are_those_of_the_whole_series(n):
    rng = np.random.default_rng(n)
    series = rng.standard_normal((n, 3))
    columns, at = Columns(lambda block: block.max(1), most=8), 0
    while at < n:
        step = int(rng.integers(0, 20))
        columns.push(series[at : at + step])
        at += step
    values = columns.values()
    if n == 0:
        assert len(values) == 0
        return
    assert len(values) <= 9 and columns.width == max(1, 2 ** int(np.ceil(np.log2(n / 8) - 1e-9)))
    edges = range(0, n, columns.width)
    expected = [series[edge : edge + columns.width].max(0) for edge in edges]
    np.testing.assert_array_equal(values[: len(expected)], expected)


def test_the_surest_of_neighbours_stays():
    block = np.array([[[220.0, 0.5], [0.0, -1.0], [440.0, 0.9]], [[0.0, -1.0]] * 3])
    np.testing.assert_array_equal(surest(block), [[440.0, 0.9], [0.0, -1.0]])


@pytest.mark.parametrize("hz", [60.0, 220.0, 997.0, 3000.0])
def test_rows_show_a_tone_where_it_is(hz):
    n_fft = 2048
    wav = np.sin(2 * np.pi * hz * np.arange(n_fft) / RATE) * np.hanning(n_fft)
    rows_hz, pick = log_rows(RATE, n_fft, 50.0, 6000.0)
    power = pick((np.abs(np.fft.rfft(wav)) ** 2)[None])[0]
    assert rows_hz[0] == 50.0 and rows_hz[-1] < 0.45 * RATE
    assert abs(np.log2(rows_hz[power.argmax()] / hz)) < 1 / 12 + 8 / hz
    assert power.max() > 0.5 * (n_fft / 4) ** 2  # no tone falls between two rows


@pytest.mark.parametrize("rate", [8000, 44100])
@pytest.mark.parametrize("step", [333, 10_000, 1_000_000])
def test_a_spectrogram_in_blocks_is_that_of_its_frames(rate, step):
    """Against frames that are cut one by one around every 20 ms, also beyond both ends."""
    wav = np.random.default_rng(0).uniform(-1, 1, int(3.3 * rate)).astype("f4")
    spectrogram = LogSpectrogram(rate, 50.0, 3000.0)
    powers = [spectrogram.push(wav[at : at + step]) for at in range(0, len(wav), step)]
    hop, n_frame = round(COLUMN_SEC * rate), round(FRAME_SEC * rate)
    n_fft = 2 ** int(np.ceil(np.log2(n_frame)))
    n_whole = (len(wav) - n_frame + n_frame // 2) // hop + 1
    assert spectrogram.hop == hop and sum(map(len, powers)) == n_whole
    power = np.concatenate([*powers, spectrogram.finish()])
    padded = np.pad(wav.astype(float), (n_frame // 2, n_frame))
    frames = [padded[at : at + n_frame] for at in range(0, len(padded) - n_frame + 1, hop)]
    assert len(frames) == len(power)
    _, pick = log_rows(rate, n_fft, 50.0, 3000.0)
    expected = pick(np.abs(np.fft.rfft(frames * np.hanning(n_frame), n_fft)) ** 2)
    np.testing.assert_allclose(power, expected, rtol=1e-3, atol=1e-6 * expected.max())
    assert spectrogram.unit_power == pytest.approx(np.hanning(n_frame).sum() ** 2)


# Pictures


def gathered(seconds: float, step: int) -> SongPicture:
    stems, f0, notes = song(seconds)
    picture, frame = SongPicture(RATE, ("vocals", "accompaniment"), "a song"), 0
    for at in range(0, stems.shape[2], step):
        until = min((at + step) / RATE, seconds) if at + step < stems.shape[2] else np.inf
        stop = int(np.searchsorted(f0[:, 0], until))
        done = [n for n in notes if frame <= np.searchsorted(f0[:, 0], n.offset_sec - 0.02) < stop]
        picture.push(stems[..., at : at + step], f0[frame:stop], done)
        frame = stop
    return picture


def test_chunks_do_not_show(tmp_path):
    for step in (1_000_000, 777):
        picture = gathered(6.0, step)
        assert picture.seconds == 6.0
        picture.draw(tmp_path / f"{step}.png")
    first = pixels(tmp_path / "1000000.png")
    np.testing.assert_array_equal(pixels(tmp_path / "777.png"), first)
    assert first.shape[1] == 1200


def test_what_is_sung_is_bright_and_what_is_not_is_dark(tmp_path):
    gathered(6.0, 8000).draw(tmp_path / "song.png")
    image = pixels(tmp_path / "song.png")
    height, width = image.shape[:2]
    row = image[int(0.1 * height) : int(0.6 * height), int(0.09 * width) : int(0.91 * width)]
    light = row.mean((0, 2))
    seconds = np.array_split(light, 6)
    sung, silent = np.mean(seconds[::2]), np.mean(seconds[1::2])
    assert sung > silent + 0.1
    saturated = row.max(2) - row.min(2) > 0.5  # the curve is in colour, the spectrum is not
    in_colour = [part.mean() for part in np.array_split(saturated.mean(0), 6)]
    assert min(in_colour[::2]) > 0.005 > 4 * max(in_colour[1::2])


@pytest.mark.parametrize("level_db, shown", [(0, True), (-20, True), (-56, False)])
def test_a_stem_is_as_bright_as_it_is_heard(tmp_path, level_db, shown):
    stems, f0, _ = song(6.0)
    stems[0] *= 10 ** (level_db / 20)
    picture = SongPicture(RATE, ("vocals", "accompaniment"))
    picture.push(stems, f0[:0])
    picture.draw(tmp_path / "song.png")
    image = pixels(tmp_path / "song.png")
    height, width = image.shape[:2]
    light = image[int(0.1 * height) : int(0.6 * height), int(0.1 * width) : int(0.2 * width)]
    assert (light.max() > 0.5) == shown and (light.max() < 0.25) == (not shown)


def test_a_range_of_shades_is_black_to_white():
    for below_db in range(0, 120, 7):
        black_db, white_db = shades_db(-30.0, float(below_db))
        assert white_db - black_db == RANGE_DB
        assert white_db == max(-30.0, -30.0 + below_db - FLOOR_DB + RANGE_DB)


def contrast(colors: np.ndarray) -> np.ndarray:
    """Of sRGB colours ``(n, 3)`` on black, by WCAG: 4.5 is enough for text."""
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return (linear @ [0.2126, 0.7152, 0.0722] + 0.05) / 0.05


def test_an_unsure_curve_and_the_names_of_notes_are_visible_on_black():
    from matplotlib.colors import to_rgb
    from matplotlib.text import Text

    stems, f0, notes = song(6.0)
    f0[:, 2] = np.linspace(0.1, 1, len(f0))
    picture = SongPicture(RATE, ("vocals", "accompaniment"))
    picture.push(stems, f0, notes)
    axes = picture.figure().axes[0]
    (curve,) = [c for c in axes.collections if c.get_array() is not None]
    colors = curve.to_rgba(np.linspace(*curve.get_clim(), 50))[:, :3]
    assert contrast(colors).min() > 4.5
    # and on white: a dark edge around the curve and around every name
    assert any(np.allclose(c.get_edgecolor()[0], (0, 0, 0, 1)) for c in axes.collections)
    names = [child for child in axes.get_children() if isinstance(child, Text) and child.get_text()]
    assert [name.get_text() for name in names] == ["A3"] * 3
    for name in names:
        assert contrast(np.array([to_rgb(name.get_color())])).min() > 10
        assert name.get_fontsize() >= 8 and name.get_path_effects()


def test_a_note_is_paler_where_it_is_less_certain(tmp_path):
    """Boxes on black, away from any sound and curve."""
    confidence = [1.0, 0.6, 0.0]
    notes = [Note(2.0 * k + 0.5, 2.0 * k + 1.5, 57.0, sure) for k, sure in enumerate(confidence)]
    stems, f0, _ = song(6.0)
    picture = SongPicture(RATE, ("vocals", "accompaniment"))
    stems[0] = 0  # beside the accompaniment, its spectrogram is black
    picture.push(stems, f0[:0], notes)
    picture.draw(tmp_path / "song.png")
    image = pixels(tmp_path / "song.png")
    height, width = image.shape[:2]
    row = image[int(0.1 * height) : int(0.6 * height), int(0.086 * width) : int(0.918 * width)]
    at = ((2 * np.arange(3) + 1.35) / 6 * row.shape[1]).astype(int)  # right of the names
    edge = [row[:, x - 10 : x + 10].mean(2).max() for x in at]
    assert edge[0] > edge[1] + 0.1 and edge[1] > edge[2] + 0.1 and edge[2] > 0.2
    (boxes,) = [c for c in picture.figure().axes[0].collections if len(c.get_facecolor()) == 3]
    np.testing.assert_allclose(boxes.get_edgecolor()[:, 3], [1, 0.6, 0.35])
    np.testing.assert_allclose(boxes.get_facecolor()[:, 3], 0.6 * boxes.get_edgecolor()[:, 3])


ODD_TITLES = {
    "1 日本の歌 – Ünïcode Я": "1 ???? – Ünïcode Я",
    "A$AP $x^$ \\frac{": "A$AP $x^$ \\frac{",
    "of another encoding \udcff": "of another encoding ?",
    "two\nlines\tand \x07": "two lines and  ",
    "x" * 300: "x" * 120 + "…",
    "長" * 80: "?" * 60 + "…",
    "🎤": "?",
    "": "",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("title", ODD_TITLES, ids=ascii)
def test_any_title_is_one_line_without_a_warning(title, monkeypatch, tmp_path):
    monkeypatch.setattr(letters, "_installed", lambda: [("none", "/none.ttf")])
    stems, f0, _ = song(1.0)
    picture = SongPicture(RATE, ("vocals", "伴奏"), title)
    picture.push(stems, f0)
    figure = picture.figure()
    assert figure.get_suptitle() == ODD_TITLES[title]
    assert figure.axes[2].get_ylabel() == "??"
    figure.savefig(tmp_path / "song.png")


def test_a_font_that_has_the_letters_is_taken(monkeypatch, tmp_path):
    """As on most desktops; here it is made up, with two glyphs."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib import font_manager

    builder, pen = FontBuilder(1000, isTTF=True), TTGlyphPen(None)
    for command, point in (("moveTo", (0, 0)), ("lineTo", (900, 0)), ("lineTo", (0, 900))):
        getattr(pen, command)(point)
    pen.closePath()
    names = [".notdef", "sun", "book"]
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord("日"): "sun", ord("本"): "book"})
    builder.setupGlyf(dict.fromkeys(names, pen.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": "Two Glyphs", "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    builder.save(tmp_path / "two.ttf")
    listed = list(font_manager.fontManager.ttflist)
    monkeypatch.setattr(font_manager.fontManager, "ttflist", listed)
    font_manager.fontManager.addfont(tmp_path / "two.ttf")
    text, style = letters.lettering("日本 Ü")
    assert text == "日本 Ü" and style["fontfamily"][-1] == "Two Glyphs"
    picture = SongPicture(RATE, ("vocals",), "日本 Ü")
    picture.push(song(1.0)[0][:1], np.zeros((0, 4)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        picture.draw(tmp_path / "song.png")


def test_an_hour_takes_the_memory_of_minutes(tmp_path):
    """Two minutes with columns that are merged early."""
    stems, f0, _ = song(6.0)
    picture = SongPicture(RATE, ("vocals", "accompaniment"))
    for columns in (picture._low, picture._high, picture._power, picture._pitch):
        columns._most = 200
    held = []
    tracemalloc.start()
    for k in range(20):
        picture.push(stems, f0 + [6.0 * k, 0, 0, 0], [Note(6.0 * k, 6.0 * k + 1, 57.0, 1.0)])
        held.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert picture._low.width == 32 and picture.seconds == 120.0
    assert max(held[12:]) < 1.25 * max(held[:8])
    picture.draw(tmp_path / "long.png")
    image = pixels(tmp_path / "long.png")
    assert image.shape[1] == 1200 and image.shape[0] < 500 * MOST_ROWS


def test_songs_without_notes_pitch_or_sound(tmp_path):
    stems, f0, _ = song(1.0)
    cases = {
        "no notes": (stems, f0),
        "unvoiced": (stems, f0 * [1, 1, 1, 0]),
        "silence": (0 * stems, f0[:0]),
        "one sample": (stems[..., :1], f0[:0]),
        "four stereo stems": (np.repeat(np.concatenate([stems, stems]), 2, 1), f0),
    }
    for name, (wav, rows) in cases.items():
        picture = SongPicture(RATE, [f"stem {k}" for k in range(len(wav))])
        picture.push(wav, rows)
        picture.draw(tmp_path / f"{name}.png")
        header = (tmp_path / f"{name}.png").read_bytes()[:33]
        assert struct.unpack(">L", header[16:20]) == (1200,), name
        assert zlib.crc32(header[12:29]) == struct.unpack(">L", header[29:33])[0]
    with pytest.raises(ValueError, match="at least one sample"):
        SongPicture(RATE, ("vocals",)).draw(tmp_path / "nothing.png")


def test_minutes_and_seconds():
    assert [_minutes(sec) for sec in (0, 9, 75, 3600)] == ["0:00", "0:09", "1:15", "60:00"]

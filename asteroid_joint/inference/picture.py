"""A picture of a song: its voice, pitch and notes over its waveforms, wrapped like a score.

It is built while the song is separated, in columns of 20 ms. When there are too many, pairs are
merged: an hour takes as much memory as three minutes, at the resolution that can be seen.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..dsp.columns import COLUMN_SEC, Columns, LogSpectrogram, shades_db, surest
from ..dsp.downmix import audible_channel
from ..optional import optional
from ..pitch import hz_to_midi, midi_to_hz
from .lettering import lettering
from .notes import Note, note_name

LOWEST_HZ = 50.0
HIGHEST_HZ = 6000.0
ROW_SEC = 40.0  # seconds in a row of the score, more where that would be too many rows
MOST_ROWS = 6
WIDTH = 12.0  # inches of 100 pixels
SCORE_INCHES, WAVE_INCHES, GAP_INCHES = 3.2, 0.55, 0.35  # heights
LEFT, RIGHT = 0.085, 0.92  # of the width
PEAK_PERCENT = 99.8  # of the samples are drawn in full: a click does not make all else flat
LEAST_CONFIDENCE = 0.01  # share of voiced columns that may be below the colour scale
NAME_PIXELS = 24  # notes narrower than this are not named
MARGIN_BELOW, MARGIN_ABOVE = 4, 16  # semitones about the melody: two harmonics are in view
TICKS_SEC = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600)
CURVE_FROM = 0.5  # of the colours of plasma, which begin in violet: too dark on black
NOTE_COLOR = "#cdece2"
PALEST_NOTE = 0.35  # opacity of the box of a note that is not sure at all
STEM_COLORS = ("#d9480f", "#1971c2", "#2f9e44", "#9c36b5")


class SongPicture:
    """Collects a song chunk by chunk and draws it.

    Args:
        sample_rate: Sample rate of the stems in Hz.
        sources: Names of the stems; the first is the voice.
        title: Title of the picture.

    Example:
        >>> picture = SongPicture(8000, ("vocals", "accompaniment"))
        >>> picture.push(np.zeros((2, 1, 8000), np.float32), np.zeros((0, 4)))
        >>> picture.seconds
        1.0
    """

    def __init__(self, sample_rate: int, sources: Sequence[str], title: str = "") -> None:
        self._rate = sample_rate
        self._sources = tuple(sources)
        self._title = title
        self._spectrogram = LogSpectrogram(sample_rate, LOWEST_HZ, HIGHEST_HZ)
        self._hop, self._hz = self._spectrogram.hop, self._spectrogram.hz
        self._loudest = np.zeros(2)  # power of the voice's and of the mixture's loudest column
        self._n_samples = 0
        self._mono = np.zeros((len(sources), 0), np.float32)  # (S, T), an incomplete column
        self._low = Columns(lambda block: block.min(1))
        self._high = Columns(lambda block: block.max(1))
        self._power = Columns(lambda block: block.max(1))
        self._pitch = Columns(surest)
        self._pitch_sec: list[float] = []  # times of the first two frames: their hop
        self._notes: list[tuple[float, float, float, float]] = []

    @property
    def seconds(self) -> float:
        """Length pushed so far."""
        return self._n_samples / self._rate

    def push(self, stems: np.ndarray, f0: np.ndarray, notes: Iterable[Note] = ()) -> None:
        """Add a chunk; its stems, F0 and notes need not end at the same time.

        Args:
            stems: ``(n_src, n_channels, n_samples)`` in the order of ``sources``.
            f0: ``(n_frames, 4)`` time, frequency in Hz, confidence, voiced.
            notes: Newly final notes.
        """
        mono = audible_channel(stems)  # (S, T)
        self._n_samples += mono.shape[1]
        self._mono = np.concatenate([self._mono, mono], 1)
        whole = self._mono.shape[1] // self._hop
        if whole:
            blocks = self._mono[:, : whole * self._hop].reshape(len(mono), whole, self._hop)
            self._low.push(blocks.min(2).T)  # (N, S)
            self._high.push(blocks.max(2).T)
            both = np.stack([blocks[0], blocks.sum(0)])  # (2, N, T)
            self._loudest = np.maximum(self._loudest, np.square(both).mean(2).max(1))
            self._mono = self._mono[:, whole * self._hop :].copy()
        self._power.push(self._spectrogram.push(mono[0]))
        if len(f0):
            self._pitch_sec = (self._pitch_sec + f0[:2, 0].tolist())[:2]
            sung = (f0[:, 3] > 0) & (f0[:, 1] > 0)
            pairs = np.stack([np.where(sung, f0[:, 1], 0), np.where(sung, f0[:, 2], -1)], 1)
            self._pitch.push(pairs.astype(np.float32))
        self._notes += [
            (note.onset_sec, note.offset_sec, note.pitch_midi, note.confidence) for note in notes
        ]

    def draw(self, path: str | os.PathLike) -> None:
        """Write :meth:`figure` as a PNG, 1200 pixels wide."""
        self.figure().savefig(path, dpi=100, format="png", pil_kwargs={"compress_level": 3})

    def figure(self) -> Any:
        """The picture as a ``matplotlib.figure.Figure``.

        Raises:
            UserError: If matplotlib is not installed.
            ValueError: If nothing was pushed.
        """
        if not self._n_samples:
            raise ValueError("Expected at least one sample, received none.")
        optional("matplotlib", "demo")
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        n_rows = int(np.clip(np.ceil(self.seconds / ROW_SEC), 1, MOST_ROWS))
        panels = [SCORE_INCHES, *[WAVE_INCHES] * len(self._sources), GAP_INCHES]
        height = n_rows * sum(panels) + GAP_INCHES
        figure = Figure(figsize=(WIDTH, height))
        FigureCanvasAgg(figure)  # draws into a file with any user backend
        top = height - GAP_INCHES  # inches of the panel's upper edge
        row_sec = self.seconds / n_rows
        for row in range(n_rows):
            span = row * row_sec, (row + 1) * row_sec
            for panel, inches in enumerate(panels):
                top -= inches
                if panel == len(panels) - 1:
                    break  # the gap below a row
                axes = figure.add_axes((LEFT, top / height, RIGHT - LEFT, inches / height * 0.97))
                if panel == 0:
                    curve = self._draw_score(axes, span)
                else:
                    self._draw_wave(axes, span, panel - 1)
                _time_axis(axes, span, labels=panel == len(panels) - 2)
        bar = figure.add_axes((RIGHT + 0.012, 1 - (GAP_INCHES + SCORE_INCHES) / height, 0.012, 0))
        bar.set_position((RIGHT + 0.012, bar.get_position().y0, 0.012, SCORE_INCHES / height))
        figure.colorbar(curve, cax=bar, ticks=curve.get_clim(), format="{x:.1f}")
        bar.set_ylabel("confidence of F0", fontsize=8, labelpad=-8)
        bar.tick_params(labelsize=8)
        title = lettering(self._title)
        figure.suptitle(title.text, fontsize=11, y=1 - 0.25 * GAP_INCHES / height, **title.style)
        return figure

    def _draw_wave(self, axes: Any, span: tuple[float, float], stem: int) -> None:
        """Lowest and highest sample of a stem; all stems share one scale."""
        low, high = self._low.values(), self._high.values()
        low, high = (x.reshape(-1, len(self._sources)) for x in (low, high))  # (N, S)
        peak = np.percentile(np.abs([low, high]), PEAK_PERCENT) if len(low) else 0.0
        column_sec = self._low.width * self._hop / self._rate
        sec = (np.arange(len(low)) + 0.5) * column_sec
        shown = (sec >= span[0] - column_sec) & (sec <= span[1] + column_sec)
        color = STEM_COLORS[stem % len(STEM_COLORS)]
        axes.fill_between(sec[shown], low[shown, stem], high[shown, stem], color=color, lw=0.4)
        axes.set(ylim=(-max(peak, 1e-3), max(peak, 1e-3)), yticks=[])
        name = lettering(self._sources[stem])
        aside = {"rotation": 0, "ha": "right", "va": "center", "fontsize": 8}
        axes.set_ylabel(name.text, **aside, **name.style)

    def _draw_spectrogram(self, axes: Any, span: tuple[float, float]) -> None:
        """Levels of the voice in a row, relative to the loudest of all rows and of the mixture."""
        level_db = _decibels(self._power.values())  # (N, F)
        column_sec = self._power.width * self._hop / self._rate
        first, stop = int(span[0] / column_sec), int(np.ceil(span[1] / column_sec)) + 1
        shown = level_db[first:stop]
        if shown.size:
            voice_db, mixture_db = _decibels(self._loudest)
            black_db, white_db = shades_db(level_db.max(), mixture_db - voice_db)
            axes.imshow(
                shown.T,
                origin="lower",
                aspect="auto",
                cmap="gray",
                interpolation="bilinear",
                vmin=black_db,
                vmax=white_db,
                extent=(
                    (first - 0.5) * column_sec,
                    (first + len(shown) - 0.5) * column_sec,
                    *hz_to_midi(self._hz[[0, -1]]) + [-0.25, 0.25],
                ),
            )

    def _draw_score(self, axes: Any, span: tuple[float, float]) -> Any:
        """Spectrogram, curve and notes of a row; returns the curve."""
        self._draw_spectrogram(axes, span)
        notes = [note for note in self._notes if note[1] > span[0] and note[0] < span[1]]
        self._draw_notes(axes, span, notes)
        curve = self._draw_curve(axes, span)
        low, high = self._view()
        tones = [k for k in range(int(np.ceil(low)), int(high) + 1) if k % 12 in (0, 4, 7)]
        axes.set_yticks(tones, [f"{note_name(k)}  {midi_to_hz(k):.0f}" for k in tones])
        axes.tick_params(axis="y", labelsize=7)
        axes.set(ylim=(low, high), ylabel="tone, Hz", facecolor="black")
        return curve

    def _draw_curve(self, axes: Any, span: tuple[float, float]) -> Any:
        """F0 by confidence, bright at every confidence and with a dark edge on bright harmonics."""
        from matplotlib import colormaps
        from matplotlib.collections import LineCollection
        from matplotlib.colors import ListedColormap

        points, confidence = self._points(span)
        axes.add_collection(LineCollection(list(points), colors="black", lw=4.0))
        colors = ListedColormap(colormaps["plasma"](np.linspace(CURVE_FROM, 1, 256)))
        return axes.add_collection(
            LineCollection(list(points), array=confidence, cmap=colors, clim=self._scale(), lw=2.4)
        )

    def _draw_notes(self, axes: Any, span: tuple[float, float], notes: list) -> None:
        """Boxes, paler where less certain, and the names of those that are wide enough."""
        from matplotlib.collections import PatchCollection
        from matplotlib.colors import to_rgba
        from matplotlib.patches import Rectangle
        from matplotlib.patheffects import withStroke

        boxes = [Rectangle((on, midi - 0.5), off - on, 1.0) for on, off, midi, _ in notes]
        opacity = np.clip([note[3] for note in notes], PALEST_NOTE, 1.0)
        axes.add_collection(
            PatchCollection(
                boxes,
                facecolor=[(0, 0, 0, 0.6 * alpha) for alpha in opacity],
                edgecolor=[to_rgba(NOTE_COLOR, alpha) for alpha in opacity],
                lw=0.9,
            )
        )
        edge = withStroke(linewidth=2.5, foreground="black")
        beside = {"ha": "left", "va": "bottom", "fontsize": 8, "clip_on": True}
        for on, off, midi, _ in notes:
            if (off - on) / (span[1] - span[0]) * 100 * WIDTH * (RIGHT - LEFT) >= NAME_PIXELS:
                at = max(on, span[0]), midi + 0.6
                name = axes.text(*at, note_name(midi), color=NOTE_COLOR, **beside)
                name.set_path_effects([edge])

    def _points(self, span: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
        """Lines ``(n, 2, 2)`` from each voiced column to the next, and their confidence."""
        hz, confidence = self._pitch_columns()
        start, hop = self._pitch_sec[0] if self._pitch_sec else 0.0, COLUMN_SEC
        if len(self._pitch_sec) == 2:
            hop = self._pitch_sec[1] - self._pitch_sec[0]
        width = self._pitch.width * hop
        sec = start + (np.arange(len(hz)) * self._pitch.width + (self._pitch.width - 1) / 2) * hop
        sung = (hz > 0) & (sec >= span[0] - width) & (sec <= span[1] + width)
        midi = hz_to_midi(np.where(hz > 0, hz, 440.0))
        # a column extends half way to its neighbours, which makes a single one visible
        at = np.flatnonzero(sung)
        after = np.minimum(at + 1, max(len(hz) - 1, 0))
        joined = sung[after] & (np.abs(midi[after] - midi[at]) < 3) & (after > at)
        end_sec = np.where(joined, sec[after], sec[at] + width / 2)
        end_midi = np.where(joined, midi[after], midi[at])
        lines = np.stack([sec[at], midi[at], end_sec, end_midi], 1).reshape(-1, 2, 2)
        return lines, np.clip(confidence[at], 0, 1)

    def _pitch_columns(self) -> tuple[np.ndarray, np.ndarray]:
        """Frequency in Hz, 0 where unvoiced, and confidence, ``(n,)`` each."""
        hz, confidence = self._pitch.values().astype(float).reshape(-1, 2).T
        return hz, confidence

    def _scale(self) -> tuple[float, float]:
        """Confidences at the ends of the colour scale, the same in all rows."""
        hz, confidence = self._pitch_columns()
        low = np.quantile(confidence[hz > 0], LEAST_CONFIDENCE) if (hz > 0).any() else 0.0
        return float(np.clip(np.floor(10 * low) / 10, 0.0, 0.9)), 1.0

    def _view(self) -> tuple[float, float]:
        """Lowest and highest pitch in view, the same in all rows."""
        pitches = [note[2] for note in self._notes]
        hz, _ = self._pitch_columns()
        if not pitches:
            pitches = list(np.percentile(hz_to_midi(hz[hz > 0]), [2, 98])) if (hz > 0).any() else []
        low, high = (min(pitches), max(pitches)) if pitches else (48.0, 72.0)
        bottom, top = hz_to_midi(self._hz[[0, -1]])
        return max(low - MARGIN_BELOW, bottom), min(high + MARGIN_ABOVE, top)


def _decibels(power: Any) -> Any:
    return 10 * np.log10(np.maximum(power, 1e-12))


def _time_axis(axes: Any, span: tuple[float, float], labels: bool) -> None:
    step = next((s for s in TICKS_SEC if (span[1] - span[0]) / s <= 16), TICKS_SEC[-1])
    ticks = np.arange(np.ceil(span[0] / step - 1e-9), np.floor(span[1] / step + 1e-9) + 1) * step
    names = [f"{int(t) // 60}:{t % 60:04.1f}" if step < 1 else _minutes(t) for t in ticks]
    axes.set_xticks(ticks, names if labels else [])
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlim(*span)
    axes.margins(x=0)


def _minutes(sec: float) -> str:
    return f"{round(sec) // 60}:{round(sec) % 60:02d}"

"""Pictures of a corpus: statistics of all tracks, and spectrograms and pitch of one track."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.files import read_f0
from ...data.multitrack import F0_FILE, Multitrack
from ...files import atomic_write
from ...inference.notes import note_name
from ...pitch import midi_to_hz
from .make import SIDES, VOICE_DB

SHOWN_SEC = 10.0  # of a track; short enough for vibrato to be visible
TOP_HZ = 5000


def _figure(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)  # draws into a file whatever the user's backend is
    draw(figure)
    with atomic_write(path) as part:
        figure.savefig(part, dpi=100, format="png")


def draw_report(path: Path, result: dict[str, Any]) -> None:
    """Write a PNG: pitch, vibrato, levels, share of singing and RPA, one colour per split.

    Args:
        path: File to write.
        result: Content of ``report.json``.
    """
    rows, sides = result["tracks"], [s for s in result["sides"] if s != "all"]
    crepe = result["crepe_model"]

    def draw(figure: Any) -> None:
        axes = figure.subplot_mosaic("PPVV;LSRR" if crepe != "none" else "PPVV;LLSS")
        for x, side in enumerate(sides):
            mine, color = [row for row in rows if row["side"] == side], f"C{SIDES.index(side)}"
            counts = result["sides"][side]["f0_frames_by_midi"]
            midi = np.arange(int(min(counts, key=int)) - 1, int(max(counts, key=int)) + 2)
            share = np.array([counts.get(str(k), 0) for k in midi]) / sum(counts.values())
            axes["P"].step(midi, 100 * share, where="mid", color=color, label=side)
            axes["P"].fill_between(midi, 100 * share, step="mid", color=color, alpha=0.15)
            rates = [rate for row in mine for rate, _ in row["vibrato"]]
            label = f"{side}: {len(rates)} notes"
            # fill and outline, so that overlapping splits are visible
            for style in ({"alpha": 0.25, "label": label}, {"histtype": "step", "lw": 1.5}):
                axes["V"].hist(rates, np.arange(4, 8.01, 0.2), color=color, **style)
            for panel, key in (("L", "voice_db"), ("S", "singing_share")):
                # sorted: an even spread is a straight line
                y = np.sort([row[key] for row in mine]) * (100 if panel == "S" else 1)
                places = x + (np.linspace(-0.35, 0.35, len(y)) if len(y) > 1 else np.zeros(1))
                axes[panel].plot(places, y, "o", color=color, ms=4)
                axes[panel].hlines(y.mean(), x - 0.4, x + 0.4, color=color)
        low, high = (int(np.floor(k)) for k in axes["P"].get_xlim())
        ticks = [k for k in range(low, high + 1) if k % 12 in (0, 4, 8)]
        axes["P"].set_xticks(ticks, [f"{note_name(k)}\n{midi_to_hz(k):.0f}" for k in ticks])
        axes["P"].set(title="F0 in 5 ms frames", xlabel="note, Hz", ylabel="voiced frames / %")
        axes["V"].set(title="vibrato", xlabel="rate / Hz", ylabel="notes")
        axes["L"].set(title="voice over band (lines: mean)", ylabel="level / dB")
        axes["L"].set(ylim=(VOICE_DB[0] - 0.5, VOICE_DB[1] + 0.5))
        axes["S"].set(title="share of singing", ylabel="of the track / %", ylim=(0, 100))
        for panel in "LS":
            axes[panel].set_xticks(range(len(sides)), sides)
        for panel in "PV":
            axes[panel].legend()
        if crepe != "none":
            _draw_rpa(axes["R"], rows, crepe, result["targets"]["clean_rpa"])
        for panel in axes.values():
            panel.grid(alpha=0.3)

    _figure(path, (14, 8.5), draw)


def _draw_rpa(axes: Any, rows: Sequence[dict], crepe: str, wanted: float) -> None:
    colors = [f"C{SIDES.index(row['side'])}" for row in rows]
    clean, mixture = ([100 * row[f"{k}_rpa"] for row in rows] for k in ("clean", "mixture"))
    axes.vlines(range(len(rows)), mixture, clean, colors=colors, alpha=0.3)
    axes.scatter(range(len(rows)), clean, c=colors, label="clean voice")
    axes.scatter(range(len(rows)), mixture, c=colors, marker="x", label="mixture")
    axes.axhline(100 * wanted, color="gray", ls="--", label="wanted of the clean mean")
    axes.set(title=f"torchcrepe {crepe}", xlabel="track", ylabel="RPA / %", ylim=(0, 118))
    axes.set_yticks(range(0, 101, 20))
    axes.legend(loc="upper center", ncols=3)  # above all points


def draw_track(path: Path, data: Multitrack, index: int) -> None:
    """Write a PNG: spectrograms of mixture and voice from the first note on, with the exact F0.

    Args:
        path: File to write.
        data: Split of the corpus, with ``vocals`` as first stem.
        index: Index of the track.
    """
    import torch

    from ...dsp.stft import STFT

    folder, rate = data.folders[index], data.sample_rate
    times, f0_hz = read_f0(folder / F0_FILE)
    first_sec = max(float(times[np.argmax(f0_hz > 0)]) - 0.3, 0.0)
    mixture, stems = data.read(index, int(first_sec * rate), int(SHOWN_SEC * rate))
    assert stems is not None
    n_fft, hop = 1 << int(np.log2(0.1 * rate)), rate // 100  # 93 ms at 44.1 kHz
    curve = np.where(f0_hz > 0, f0_hz, np.nan)  # no line across unvoiced frames

    def draw(figure: Any) -> None:
        panels = figure.subplots(2, 1, sharex=True)
        for axes, title, wav in zip(
            panels, ("mixture", "vocals"), (mixture, stems[0]), strict=True
        ):
            spec = STFT(n_fft, hop)(torch.from_numpy(wav.mean(0))[None])[0].abs()  # (N, F)
            level_db = 20 * np.log10(spec.numpy().T + 1e-6)
            shown = int(TOP_HZ * n_fft / rate) + 1
            hz, sec = np.arange(shown) * rate / n_fft, np.arange(level_db.shape[1]) * hop / rate
            image = axes.pcolormesh(
                first_sec + sec,
                hz,
                level_db[:shown] - level_db.max(),
                shading="nearest",
                vmin=-70,
                vmax=0,
                cmap="magma",
            )
            figure.colorbar(image, ax=axes, label="level / dB re peak")
            axes.plot(times, curve, color="lime", lw=1.5, label="exact F0")
            axes.set(title=f"{folder.name}: {title}", ylabel="frequency / Hz")
            axes.set_yscale(
                "symlog", linthresh=500
            )  # large scale for pitch, harmonics still visible
            axes.set_ylim(50, TOP_HZ)
            axes.set_yticks([100, 200, 300, 400, 500, 1000, 2000, TOP_HZ])
            axes.yaxis.set_major_formatter("{x:.0f}")
            axes.legend(loc="upper right")
        axes.set(xlabel="time / s", xlim=(first_sec, first_sec + sec[-1]))

    _figure(path, (14, 8), draw)

"""Report of ``describe``: a table of all songs, a summary and a picture of the distributions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import atomic_write, write_text
from ...metrics.report import Column, markdown_table, rows_to_csv
from ...optional import optional
from .measure import SongFacts

SONGS_FILE, SUMMARY_FILE, PICTURE_FILE = "songs.csv", "summary.md", "describe.png"
# colour-blind safe: the palette of Okabe and Ito without yellow
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = "os^DvPX"
MANY = 30  # songs, above which the points are small and pale
MEASURES = (  # fields of SongFacts
    Column("vocals_db", "vocals over accompaniment / dB", digits=1),
    Column("level_db", "level of the mixture / dBFS", digits=1),
    Column("vocal_share", "time with vocals / %", 100, 1),
)


def write_report(
    out_dir: Path, songs: Mapping[str, Sequence[SongFacts]], notes: Sequence[str] = ()
) -> str:
    """Write ``songs.csv``, ``summary.md`` and ``describe.png``, each completely or not at all.

    Args:
        out_dir: Folder, created if missing.
        songs: Name of a set to its songs.
        notes: Sentences at the end of the summary.

    Returns:
        The summary.

    Raises:
        UserError: If the folder cannot be written to, or matplotlib is missing.
    """
    text = summary(songs, notes)
    rows = [song._asdict() for of_set in songs.values() for song in of_set]
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        write_text(out_dir / SONGS_FILE, rows_to_csv(rows))
        write_text(out_dir / SUMMARY_FILE, text + "\n")
        draw(out_dir / PICTURE_FILE, songs)
    except OSError as err:
        raise UserError(
            f"The report cannot be written to {out_dir} ({err.strerror}): give another folder."
        ) from err
    return text


def values_of(songs: Sequence[SongFacts], measure: Column) -> np.ndarray:
    """Known values ``(n,)`` of a measure, in the units of the tables."""
    known = [getattr(song, measure.metric) for song in songs]
    return measure.scale * np.array([value for value in known if value is not None])


def summary(songs: Mapping[str, Sequence[SongFacts]], notes: Sequence[str] = ()) -> str:
    """Markdown table of medians and quartiles, one line per set, and songs without values."""
    heads = ["set", "songs", "minutes", *(m.heading for m in MEASURES)]
    rows, left_out = [], []
    for name, of_set in songs.items():
        cells = [name, str(len(of_set)), f"{sum(s.seconds for s in of_set) / 60:.1f}"]
        for measure in MEASURES:
            values = values_of(of_set, measure)
            cells.append(_median(values, measure.digits))
            if len(values) < len(of_set):
                left_out.append(
                    f"{name}: {len(of_set) - len(values)} of {len(of_set)} songs have no "
                    f"{measure.heading.split(' /')[0]} (no stems or labels, or silence)."
                )
        rows.append(cells)
    legend = (
        "Median over songs (quartiles). Energies are of whole songs; there are vocals where their "
        "mean absolute amplitude in 10 ms is above 5e-4 of full scale, or where labels say so."
    )
    return "\n".join([markdown_table(heads, rows), "", legend, *left_out, *notes])


def draw(path: Path, songs: Mapping[str, Sequence[SongFacts]]) -> None:
    """Write a PNG with a panel per measure and a row per set: songs, quartiles and median."""
    optional("matplotlib", "eval")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.6 + 0.8 * len(songs)), layout="constrained")
    FigureCanvasAgg(figure)  # independent of the user's backend
    panels = figure.subplots(1, len(MEASURES), sharey=True, squeeze=False)[0]
    for axes, measure in zip(panels, MEASURES, strict=True):
        for row, of_set in enumerate(songs.values()):
            _draw_row(axes, row, np.sort(values_of(of_set, measure)))
        axes.set_xlabel(measure.heading, fontsize=12)
        axes.tick_params(labelsize=11)
        axes.margins(x=0.08)
        axes.grid(axis="x", alpha=0.3)
    panels[-1].set_xlim(-3, 103)  # per cent, with room for the points at both ends
    labels = [f"{name}\n{len(of_set)} songs" for name, of_set in songs.items()]
    panels[0].set_yticks(range(len(songs)), labels, fontsize=11)
    panels[0].set_ylim(len(songs) - 0.5, -0.5)  # the first set on top
    with atomic_write(path) as part:
        figure.savefig(part, dpi=100, format="png")


def _draw_row(axes: Any, row: int, values: np.ndarray) -> None:
    """Songs as points, spread over the height of the row, and a box plot."""
    if not len(values):
        axes.text(0.5, row, "unknown", transform=axes.get_yaxis_transform(), ha="center")
        return
    color, marker = COLORS[row % len(COLORS)], MARKERS[row % len(MARKERS)]
    # multiples of the golden ratio fill an interval evenly for any number of points
    heights = row + 0.62 * ((np.arange(len(values)) * 0.618034) % 1 - 0.5)
    look = {"ms": 4, "alpha": 0.45} if len(values) > MANY else {"ms": 7, "alpha": 0.8}
    axes.plot(values, heights, marker, color=color, mew=0, **look)
    box = {"color": "black", "linewidth": 1.5}
    axes.boxplot(
        values,
        positions=[row],
        widths=0.5,
        orientation="horizontal",
        manage_ticks=False,
        showfliers=False,
        boxprops=box,
        whiskerprops=box,
        capprops=box,
        medianprops={"color": color, "linewidth": 4},
    )


def _median(values: np.ndarray, digits: int) -> str:
    if not len(values):
        return ""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75]).round(digits) + 0.0  # no "-0.0"
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"

"""What ``peers.py`` measured, as a Markdown table and a plot."""

import statistics
from pathlib import Path
from typing import Any

Report = dict[str, Any]
# Okabe and Ito's colours, which the colour-blind tell apart, less their yellow, plus a grey
COLOURS = {
    "ours": "#D55E00",
    "ours_notes": "#E69F00",
    "one_pass_xumx": "#CC79A7",
    "xumx_crepe_full": "#000000",
    "xumx_crepe_tiny": "#7F7F7F",
    "umx_fcpe": "#0072B2",
    "htdemucs_fcpe": "#009E73",
    "fcpe": "#56B4E9",
    "swift_f0": "#8C6D1F",
}
MARKERS = dict(zip(COLOURS, "oDsv^P*Xp", strict=True))
TICKS = {
    1: "1 s",
    10: "10 s",
    60: "1 min",
    300: "5 min",
    600: "10 min",
    1800: "30 min",
    3600: "1 h",
}
MEMORY_TICKS = {250: "250 MB", 500: "500 MB", 1000: "1 GB", 2000: "2 GB", 4000: "4 GB"}
MEMORY_TICKS |= {8000: "8 GB", 16000: "16 GB"}


def length(seconds: float) -> str:
    """A duration in words."""
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def short(value: float, digits: int = 2) -> str:
    """A figure with so many digits, never with an exponent."""
    return f"{value:.{digits}g}" if value < 10**digits - 0.5 else f"{value:.0f}"


def where(facts: dict[str, Any]) -> str:
    """Processor and threads in words."""
    return f"{facts['hardware']}, {facts['threads']} thread{'s' * (facts['threads'] > 1)}"


def values(report: Report, key: str, seconds: float, field: str) -> dict[int, float]:
    """A figure of a system at a length, by round."""
    runs = (r for r in report["runs"] if r["system"] == key and r["seconds"] == seconds)
    return {run["round"]: run[field] for run in runs}


def lengths(report: Report) -> list[float]:
    """All lengths that were asked for."""
    entries = [*report["runs"], *report["left_out"]]
    return sorted({entry["seconds"] for entry in entries})


def left_out(report: Report, key: str, seconds: float, notes: list[str]) -> str:
    """Why a cell is empty; long reasons become notes below the table."""
    for entry in report["left_out"]:
        if entry["system"] == key and entry["seconds"] == seconds:
            if len(entry["why"]) < 20:
                return entry["why"]
            if entry["why"] not in notes:
                notes.append(entry["why"])
            return f"({notes.index(entry['why']) + 1})"
    return ""


def time_cell(report: Report, key: str, seconds: float, notes: list[str]) -> str:
    """Median time; then the ratio to the first system, round by round, with its spread."""
    clock = report["facts"]["clock"]
    times = values(report, key, seconds, clock)
    if not times:
        return left_out(report, key, seconds, notes)
    median = f"{short(statistics.median(times.values()), 3)} s"
    first = values(report, report["first"], seconds, clock)
    ratios = [times[turn] / first[turn] for turn in times if turn in first]
    if key == report["first"] or not ratios:
        return median
    spread = f" ({short(min(ratios))} to {short(max(ratios))})" if len(ratios) > 1 else ""
    return f"{median}, **{short(statistics.median(ratios))}**{spread}"


def growth(report: Report, key: str) -> float | None:
    """Seconds of clock that a further minute of song costs, from shortest to longest measured."""
    clock = report["facts"]["clock"]
    found = {s: values(report, key, s, clock).values() for s in lengths(report)}
    medians = [(s, statistics.median(times)) for s, times in found.items() if times]
    if len(medians) < 2:
        return None
    (short, less), (long, more) = medians[0], medians[-1]
    return 60 * (more - less) / (long - short)


def growth_cell(report: Report, key: str) -> str:
    """See :func:`growth`; with its ratio to the first system."""
    own, first = growth(report, key), growth(report, report["first"])
    if own is None:
        return ""
    if key == report["first"] or not first:
        return f"{short(own, 3)} s"
    return f"{short(own, 3)} s, **{short(own / first)}**"


def memory_cell(report: Report, key: str, seconds: float, notes: list[str]) -> str:
    """Median of the peaks."""
    peaks = values(report, key, seconds, "peak_mb")
    if not peaks:
        return left_out(report, key, seconds, notes)
    return f"{statistics.median(peaks.values()):.0f}"


def table(report: Report) -> str:
    """Two tables, time and memory, with the facts that a figure needs."""
    facts, notes = report["facts"], []
    heads = [length(s) for s in lengths(report)]
    rows: dict[str, list[str]] = {"time": [], "memory": []}
    for key, system in report["systems"].items():
        mark = " °" if system["random"] else ""
        for name, cell in (("time", time_cell), ("memory", memory_cell)):
            cells = [cell(report, key, s, notes) for s in lengths(report)]
            if name == "time":
                cells = [system["gives"], *cells, growth_cell(report, key)]
            rows[name].append(f"| {system['label']}{mark} | {' | '.join(cells)} |")
    clock = "processor time" if facts["clock"] == "cpu_sec" else "wall time"
    line = f"|{'---|' * (len(heads) + 1)}"
    parts = [
        f"{where(facts)}, {facts['date'][:10]}, commit {facts['commit']}, "
        f"{facts['audio']} repeated, {facts['rounds']} round{'s' * (facts['rounds'] > 1)}"
        + "".join(f", {length(s)} once" for s in facts.get("once", []))
        + "; at most "
        f"{facts['limit_sec']:g} s and {facts['limit_mb'] / 1000:.0f} GB a run. Versions: "
        + ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
        + ".",
        "",
        f"| {clock} of the whole command, **times the first row's** (least to most) "
        f"| writes | {' | '.join(heads)} | a further minute |",
        line + "---|---|",
        *rows["time"],
        "",
        f"| peak memory, MB | {' | '.join(heads)} |",
        line,
        *rows["memory"],
        "",
        "° separator with random weights, for time only: its own are not in its package.",
    ]
    parts += [f"({number}) {note}" for number, note in enumerate(notes, 1)]
    return "\n".join(parts) + "\n"


def write_section(report: Report, page: Path) -> None:
    """Replace what stands between ``<!-- peers -->`` and ``<!-- /peers -->``."""
    before, rest = page.read_text().split("<!-- peers -->\n", 1)
    after = rest.split("<!-- /peers -->", 1)[1]
    picture = "![Time and memory against the length of the song](../docs/peers.png)"
    section = f"{picture}\n\n{table(report)}"
    page.write_text(f"{before}<!-- peers -->\n{section}<!-- /peers -->{after}")


def draw(report: Report, path: Path) -> None:
    """Time and memory against length, one line per system, named where it ends."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    clock = report["facts"]["clock"]
    panels = figure.subplots(1, 2)
    titles = ("Time of the whole command", "Peak memory")
    for axes, field, title in zip(panels, (clock, "peak_mb"), titles, strict=True):
        axes.set(xscale="log", yscale="log")
        axes.set_title(title, loc="left", fontsize=13)
        axes.set_xlabel("length of the song", fontsize=12)
        ends = [
            end for key in report["systems"] if (end := _line(axes, report, key, field)) is not None
        ]
        measured = lengths(report)
        axes.set_xlim(measured[0] / 1.3, measured[-1] * 1.3)
        _ticks(axes.xaxis, {s: length(s) for s in measured})
        low, high = axes.get_ylim()
        names = MEMORY_TICKS if field == "peak_mb" else TICKS
        _ticks(axes.yaxis, {k: v for k, v in names.items() if low <= k <= high})
        axes.grid(alpha=0.3, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        _names(axes, ends, (low, high))
    if clock == "cpu_sec":
        panels[0].set_title("Processor time, whole command", loc="left", fontsize=13)
    figure.supxlabel(
        f"{where(report['facts'])}; ° random weights, for time only; "
        f"a line ends where a run took over {report['facts']['limit_sec'] / 60:g} min or "
        f"{report['facts']['limit_mb'] / 1000:.0f} GB",
        fontsize=10,
        color="#555555",
    )
    figure.savefig(path)


def _line(axes: Any, report: Report, key: str, field: str) -> tuple | None:
    """Medians with their spread; where the line ends, and what it is called."""
    per_length = {s: list(values(report, key, s, field).values()) for s in lengths(report)}
    measured = {s: found for s, found in per_length.items() if found}
    if not measured:
        return None
    medians = [statistics.median(found) for found in measured.values()]
    ours = key.startswith("ours")
    axes.plot(
        list(measured),
        medians,
        color=COLOURS[key],
        marker=MARKERS[key],
        markersize=7,
        linewidth=3 if ours else 1.6,
        zorder=3 if ours else 2,
    )
    for seconds, found in measured.items():
        axes.plot([seconds] * 2, [min(found), max(found)], color=COLOURS[key], linewidth=1)
    system = report["systems"][key]
    label = f"{system['label']} °" if system["random"] else system["label"]
    return max(measured), medians[-1], label, COLOURS[key], ours


def _ticks(axis: Any, names: dict[float, str]) -> None:
    axis.set_ticks(list(names), labels=list(names.values()), fontsize=11)
    axis.set_ticks([], minor=True)


def _names(axes: Any, ends: list[tuple], limits: tuple[float, float]) -> None:
    """Names right of the panel, moved apart, each tied to its line's last point."""
    from math import log

    low, high = (log(v) for v in limits)
    gap = 0.055  # heights of the panel between two names
    placed: list[float] = []
    ends = sorted(ends, key=lambda end: end[1])
    for end in ends:
        height = (log(end[1]) - low) / (high - low)
        placed.append(max(height, placed[-1] + gap if placed else 0.0))
    top = 0.97  # clear of the title
    for index in range(len(placed) - 1, -1, -1):  # what was pushed out at the top comes down
        placed[index] = min(placed[index], top)
        top = placed[index] - gap
    for (x, y, label, colour, ours), height in zip(ends, placed, strict=True):
        axes.annotate(
            label,
            xy=(x, y),
            xytext=(1.03, height),
            textcoords="axes fraction",
            color=colour,
            fontsize=11,
            fontweight="bold" if ours else "normal",
            va="center",
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "alpha": 0.6},
        )

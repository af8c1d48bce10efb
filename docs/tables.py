"""Result tables are data: stored reports in, Markdown between two markers out.

``python docs/tables.py add mir1k/DJCM final_metrics.json 10_djcm "first column" [COMMIT]`` stores a
report of ``eval.py`` under ``recipes/mir1k/DJCM/results`` (with the commit, if the report lacks
it); ``write`` renews all tables from what is stored; ``check`` fails where they differ.

A recipe's README has the full table between ``<!-- results -->`` and ``<!-- /results -->``;
``docs/results.md`` has a short one for every recipe, between ``<!-- results mir1k/DJCM -->`` and
the same.
"""

import json
import sys
from pathlib import Path

from asteroid_joint.metrics.report import table_head, table_row

ROOT = Path(__file__).resolve().parent.parent
RECIPES = ROOT / "recipes"
SHORT = (
    ("sdr", "SDR dB", 1, 2),
    ("nsdr", "NSDR dB", 1, 2),
    ("rpa", "RPA %", 100, 1),
    ("rpa_t0", "RPA %, threshold 0", 100, 1),
    ("oa", "OA %", 100, 1),
)
PUBLISHED = {
    "mir1k/DJCM": (
        "| *published, not comparable (songs on both sides, other gains, chosen on test): "
        "DJCM `paper`, third party's run of the authors' code* "
        "| *12.25* | *9.23* | *93.3* | | *92.6* |"
    )
}


def add(recipe: str, source: str, name: str, label: str, commit: str = "") -> None:
    """Store a report with the words for its row."""
    report = json.loads(Path(source).read_text())
    if commit:
        report["commit"] = commit
    folder = RECIPES / recipe / "results"
    folder.mkdir(exist_ok=True)
    text = json.dumps({"label": label, **report}, indent=1)
    (folder / f"{name}.json").write_text(text + "\n")


def reports(recipe: str) -> list[dict]:
    """Stored reports in the order of their file names."""
    return [json.loads(p.read_text()) for p in sorted((RECIPES / recipe / "results").glob("*"))]


def full_table(recipe: str) -> str:
    """All metrics, with the facts of each run."""
    rows = []
    for report in reports(recipe):
        run = report.get("run", {})
        facts = {**report, **{k: run[k] for k in ("seed", "commit") if run.get(k) is not None}}
        facts["split"] = f"{where(report)}, {report['side']}"
        rows.append(table_row(report["label"], report["metrics"], facts))
    return "\n".join([table_head(), *rows])


def where(report: dict) -> str:
    """Split of a report, or the form of its recordings where there is but one split."""
    if report["split"]:
        return report["split"]
    form = {1: "mono", 2: "stereo"}[report["n_channels"]]
    return f"{report['sample_rate'] / 1000:g} kHz {form}"


def short_table(recipe: str) -> str:
    """A few metrics of what was measured on the leak-free test side, for the page of results."""
    shown = [r for r in reports(recipe) if r["side"] == "test" and r["split"] in (None, "disjoint")]
    heads = " | ".join(head for _, head, _, _ in SHORT)
    first = shown[0]
    head = f"{recipe}: {where(first)} test, {first['n_clips']} clips, {first['n_songs']} songs"
    lines = [f"| {head} | {heads} |", "|---|" + "---|" * len(SHORT)]
    lines += [PUBLISHED[recipe]] if recipe in PUBLISHED else []
    for report in shown:
        cells = []
        for metric, _, scale, digits in SHORT:
            value = report["metrics"].get(metric)
            cells.append("" if value is None else f"{scale * value['mean']:.{digits}f}")
        lines.append(f"| {report['label']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(text: str, table: str, recipe: str = "") -> str:
    """``text`` with what stands between the markers replaced."""
    marker = f"<!-- results{f' {recipe}' if recipe else ''} -->\n"
    before, rest = text.split(marker, 1)
    after = rest.split("<!-- /results -->", 1)[1]
    return f"{before}{marker}{table}\n<!-- /results -->{after}"


def pages() -> dict[Path, str]:
    """Every page with tables, as it should be."""
    results = ROOT / "docs" / "results.md"
    fresh = {results: results.read_text()}
    for folder in sorted(RECIPES.glob("*/*/results")):
        recipe = str(folder.parent.relative_to(RECIPES))
        page = folder.parent / "README.md"
        fresh[page] = with_table(page.read_text(), full_table(recipe))
        fresh[results] = with_table(fresh[results], short_table(recipe), recipe)
    return fresh


def main(argv: list[str]) -> int:
    """Command line."""
    command, *rest = argv or ["check"]
    if command == "add":
        add(*rest)
    stale = []
    for path, text in pages().items():
        if text == path.read_text():
            continue
        if command == "check":
            stale.append(str(path.relative_to(ROOT)))
        else:
            path.write_text(text)
    if stale:
        print(f"tables.py: stale tables in {', '.join(stale)}: run docs/tables.py write")
    return len(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Result tables are data: stored reports in, Markdown between two markers out.

``python docs/tables.py add final_metrics.json 10_djcm "first column" [COMMIT]`` stores a report of
``eval.py`` under ``recipes/mir1k/DJCM/results`` (with the commit, if the report lacks it);
``write`` renews the tables of both READMEs from that; ``check`` fails where they differ.
"""

import json
import sys
from pathlib import Path

from asteroid_joint.metrics.report import table_head, table_row

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "recipes/mir1k/DJCM/results"
SHORT = (
    ("nsdr", "NSDR dB", 1, 2),
    ("rpa", "RPA %", 100, 1),
    ("rpa_t0", "RPA %, threshold 0", 100, 1),
    ("oa", "OA %", 100, 1),
)
PUBLISHED = (
    "| *published, not comparable (songs on both sides, other gains, chosen on test): "
    "DJCM `paper`, third party's run of the authors' code* | *9.23* | *93.3* | | *92.6* |"
)


def add(source: str, name: str, label: str, commit: str = "") -> None:
    """Store a report with the words for its row."""
    report = json.loads(Path(source).read_text())
    if commit:
        report["commit"] = commit
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps({"label": label, **report}, indent=1)
    (RESULTS / f"{name}.json").write_text(text + "\n")


def reports() -> list[dict]:
    """Stored reports in the order of their file names."""
    return [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]


def full_table() -> str:
    """All metrics, with the facts of each run."""
    rows = []
    for report in reports():
        run = report.get("run", {})
        facts = {**report, **{k: run[k] for k in ("seed", "commit") if run.get(k) is not None}}
        facts["split"] = f"{report['split']}, {report['side']}"
        rows.append(table_row(report["label"], report["metrics"], facts))
    return "\n".join([table_head(), *rows])


def short_table() -> str:
    """Three metrics, for the first README."""
    heads = " | ".join(head for _, head, _, _ in SHORT)
    head = f"| MIR-1K, `disjoint` test, 128 clips, 15 songs, seed 0 | {heads} |"
    lines = [head, "|---|" + "---|" * len(SHORT), PUBLISHED]
    for report in reports():
        if report["split"] != "disjoint" or report["side"] != "test":
            continue
        cells = []
        for metric, _, scale, digits in SHORT:
            value = report["metrics"].get(metric)
            cells.append("" if value is None else f"{scale * value['mean']:.{digits}f}")
        lines.append(f"| {report['label']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """``text`` with what stands between the markers replaced."""
    before, rest = text.split("<!-- results -->\n", 1)
    after = rest.split("<!-- /results -->", 1)[1]
    return f"{before}<!-- results -->\n{table}\n<!-- /results -->{after}"


def main(argv: list[str]) -> int:
    """Command line."""
    command, *rest = argv or ["check"]
    if command == "add":
        add(*rest)
        command = "write"
    stale = []
    for path, table in (
        (ROOT / "README.md", short_table()),
        (RESULTS.parent / "README.md", full_table()),
    ):
        text = path.read_text()
        new = with_table(text, table)
        if new != text and command == "write":
            path.write_text(new)
        elif new != text:
            stale.append(str(path.relative_to(ROOT)))
    if stale:
        print(f"tables.py: stale tables in {', '.join(stale)}: run docs/tables.py write")
    return len(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

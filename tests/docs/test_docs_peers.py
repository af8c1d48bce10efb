"""The benchmark against other tools, on processes and figures that are made up."""

import json
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "benchmarks"))

import peers  # noqa: E402
import peers_measure  # noqa: E402
import peers_report  # noqa: E402
import peers_run  # noqa: E402

LIMITS = peers_measure.Limits(wall_sec=60, peak_mb=4000)
WRITE = "import pathlib, sys; f = pathlib.Path(sys.argv[1]); f.mkdir(); (f / 'f0.csv').touch();"


def process(out: Path, code: str, limits: peers_measure.Limits = LIMITS):
    return peers_measure.measure([sys.executable, "-c", WRITE + code, out], 1, limits, out)


def test_a_process_is_measured(tmp_path):
    code = "x = bytearray(300 * 10**6); print('hello'); print('{\"track\": 1.5}')"
    # memory is looked at every 20 ms: what a process takes just before its end is missed
    code += "; import time; time.sleep(0.2)"
    run = process(tmp_path / "out", code)
    assert run.peak_mb > 300 and 0 < run.cpu_sec <= run.wall_sec + 0.1
    assert run.steps == {"track": 1.5}
    assert not (tmp_path / "out").exists(), "the next run would find the files of this one"


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is read from /proc")
def test_memory_is_that_of_the_process_not_of_this_one(tmp_path):
    weight = bytearray(400 * 10**6)
    assert process(tmp_path / "out", "import time; time.sleep(0.2)").peak_mb < 200
    del weight


@pytest.mark.parametrize(
    ("code", "limits", "why"),
    [
        ("import time; time.sleep(50)", LIMITS._replace(wall_sec=0.5), "over 0.5 s"),
        (
            "x = bytearray(900 * 10**6); import time; time.sleep(50)",
            LIMITS._replace(peak_mb=500),
            "over 0 GB",
        ),
        ("raise ValueError('no such song')", LIMITS, "failed: ValueError: no such song"),
        ("(f / 'f0.csv').unlink()", LIMITS, "failed: ended with code 0, without F0"),
    ],
)
def test_what_goes_wrong_is_said(tmp_path, code, limits, why):
    if "GB" in why and not Path("/proc").exists():
        pytest.skip("memory is read from /proc")
    assert process(tmp_path / "out", code, limits) == why


@pytest.fixture
def report() -> dict:
    """Two systems at two lengths, the second gone over the limit at the longer one."""
    runs = [
        ("ours", 10, [2.0, 2.2, 2.1]),
        ("ours", 70, [4.0, 4.4, 4.2]),
        ("swift_f0", 10, [4.0, 4.4, 6.3]),
    ]
    facts = {"hardware": "abacus", "date": "2020-01-01T00:00", "commit": "c0ffee", "threads": 1}
    facts |= {"rounds": 3, "clock": "cpu_sec", "limit_sec": 900, "limit_mb": 8000}
    facts |= {"audio": "song.wav", "versions": {"torch": "1"}}
    systems = {s.key: s._asdict() for s in peers.SYSTEMS if s.key in ("ours", "swift_f0", "fcpe")}
    return {
        "facts": facts,
        "first": "ours",
        "systems": systems,
        "runs": [
            {"system": k, "seconds": s, "round": n, "wall_sec": 9, "cpu_sec": t, "peak_mb": 100}
            for k, s, times in runs
            for n, t in enumerate(times, 1)
        ],
        "left_out": [
            {"system": "swift_f0", "seconds": 70, "why": "over 900 s"},
            {"system": "fcpe", "seconds": 10, "why": "torchfcpe cannot be installed: no wheel"},
        ],
    }


def test_table(report):
    text = peers_report.table(report)
    rows = {line.split(" | ")[0]: line.split(" | ")[1:] for line in text.splitlines()}
    assert rows["| asteroid-joint"] == ["100", "100 |"]  # the later table: memory
    assert "| asteroid-joint | 2 stems, F0 | 2.1 s | 4.2 s | 2.1 s |" in text
    # ratios are taken within a round: 4.0 / 2.0, 4.4 / 2.2, 6.3 / 2.1
    assert "| F0 | 4.4 s, **2** (2 to 3) | over 900 s |  |" in text
    assert "(1) |" in text and "(1) torchfcpe cannot be installed: no wheel" in text
    assert "abacus, 1 thread, 2020-01-01, commit c0ffee, song.wav repeated, 3 rounds" in text


def test_figures_have_no_exponent():
    assert [peers_report.short(x) for x in (0.0871, 1.04, 99.7, 243.2)] == [
        *("0.087", "1", "100"),
        "243",
    ]


def test_section_and_plot(report, tmp_path):
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- peers -->\nold\n<!-- /peers -->\nafter\n")
    for _ in range(2):  # again: the same
        peers_report.write_section(report, page)
        text = page.read_text()
        assert text.startswith("before\n<!-- peers -->\n![") and text.endswith("-->\nafter\n")
        assert "old" not in text and text.count("| asteroid-joint |") == 2
    peers_report.draw(report, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 10000


def test_stored_runs_are_what_the_page_shows(tmp_path):
    stored, page = ROOT / "benchmarks" / "peers.json", ROOT / "benchmarks" / "README.md"
    copy = tmp_path / "README.md"
    copy.write_text(page.read_text())
    if not stored.exists():
        assert "<!-- peers -->\n<!-- /peers -->" in page.read_text(), "figures without their runs"
        return
    peers_report.write_section(json.loads(stored.read_text()), copy)
    assert copy.read_text() == page.read_text()
    assert (ROOT / "docs" / "peers.png").exists()


def test_the_schedule_turns_round_and_stops_in_time(tmp_path):
    import argparse

    args = argparse.Namespace(no_warm_up=False, seconds=[1.0, 2.0], rounds=2, once=[])
    plan = list(peers.schedule(list(peers.SYSTEMS[:2]), args))
    a, b = (s.key for s in peers.SYSTEMS[:2])
    assert plan[:2] == [(0, 1.0, a), (0, 1.0, b)]
    assert [key for _, _, key in plan[2:]] == [a, b, a, b, b, a, b, a]
    args.once = [2.0]
    once = list(peers.schedule(list(peers.SYSTEMS[:2]), args))
    assert [turn for turn, seconds, _ in once if seconds == 2.0] == [1, 1]
    assert len(once) == len(plan) - 2
    runs = [{"system": a, "seconds": s, "wall_sec": w} for s, w in ((10, 4.0), (60, 5.0))]
    assert peers.expected_sec(runs[:1], a, 60) == pytest.approx(24)
    assert peers.expected_sec(runs, a, 3600) == pytest.approx(5 + 3540 / 50)
    assert peers.expected_sec(runs, b, 3600) == 0


def test_each_system_can_be_run_and_drawn():
    ours = {"ours", "ours_notes", "one_pass_xumx"}
    keys = {system.key for system in peers.SYSTEMS}
    assert keys - ours == set(peers_run.SYSTEMS)
    assert keys == set(peers_report.COLOURS)
    for parts in peers_run.SYSTEMS.values():
        assert all(callable(getattr(peers_run, name)) for name in parts if name)

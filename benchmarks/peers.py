"""This project against what a user would pick instead: time and peak memory on the same songs.

``python benchmarks/peers.py --out DIR [--seconds 10 60 300 3600] [--rounds 3] [--limit 900]``

Every system runs as a process of its own, start and files included, from a song of 44.1 kHz stereo
to stems and F0 on disk. All on the same audio, in one call, in turn, pinned to as many processors
as ``--threads``; the order turns round after each round, and ratios are taken within a round. The
first run of each is to warm up and not counted. With one thread the clock is processor time, with
more it is wall time. Writes DIR/peers.json (every run), DIR/peers.md and DIR/peers.png.

``python benchmarks/peers.py --plot FILE.json`` makes docs/peers.png and the section of
benchmarks/README.md from stored runs, without measuring.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import peers_report
import torch
from peers_environment import Environment, default_folder, make_environment
from peers_measure import Limits, Run, measure
from separate_speed import RATE, write_song

from asteroid_joint import JointXUMX
from asteroid_joint.audio import open_audio
from asteroid_joint.engine.training.run_facts import commit, hardware, versions
from asteroid_joint.errors import UserError
from asteroid_joint.files import write_text

HERE = Path(__file__).resolve().parent
SEPARATE = ("-W", "ignore", "-m", "asteroid_joint.cli", "separate")
FIRST = "ours"  # what ratios refer to


class System(NamedTuple):
    """Something to measure.

    Attributes:
        key: Name in the stored runs.
        label: Name in table and plot.
        gives: What is on disk at the end.
        random: Its separator has random weights, good for time only.
        needs: Packages of the peers' environment.
    """

    key: str
    label: str
    gives: str
    random: bool = False
    needs: tuple[str, ...] = ()


SYSTEMS = (
    System(FIRST, "asteroid-joint", "2 stems, F0"),
    System("ours_notes", "asteroid-joint --notes", "2 stems, F0, notes"),
    System("one_pass_xumx", "JointXUMX paper, one pass", "4 stems, F0", True),
    System("xumx_crepe_full", "X-UMX, torchcrepe full", "2 stems, F0", True),
    System("xumx_crepe_tiny", "X-UMX, torchcrepe tiny", "2 stems, F0", True),
    System("umx_fcpe", "Open-Unmix, FCPE", "2 stems, F0", True, ("openunmix", "torchfcpe")),
    System("htdemucs_fcpe", "HTDemucs, FCPE", "2 stems, F0", True, ("demucs", "torchfcpe")),
    System("fcpe", "FCPE on the mixture", "F0", False, ("torchfcpe",)),
    System("swift_f0", "SwiftF0 on the mixture", "F0", False, ("swift-f0",)),
)


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for peers.json, peers.md and peers.png")
    parser.add_argument("--plot", type=Path, metavar="JSON", help="draw stored runs, then stop")
    parser.add_argument("--audio", type=Path, help="song; default: the one in stempeg, repeated")
    parser.add_argument("--seconds", nargs="+", type=float, default=[10, 60, 300, 3600])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--once",
        nargs="+",
        type=float,
        default=[],
        metavar="SECONDS",
        help="lengths of the first round only",
    )
    parser.add_argument("--threads", type=int, default=1, help="processors for each system")
    parser.add_argument("--systems", nargs="+", choices=[s.key for s in SYSTEMS], metavar="KEY")
    parser.add_argument(
        "--limit", type=float, default=900, help="seconds a run may take; default %(default)s"
    )
    parser.add_argument("--memory-gb", type=float, help="that a run may take; default 3/4 of free")
    parser.add_argument("--no-warm-up", action="store_true")
    parser.add_argument("--peers-env", type=Path, help="environment; default: in the user's cache")
    args = parser.parse_args()
    if not args.out and not args.plot:
        parser.error("say where to with --out DIR")
    if args.rounds < 1 or args.threads < 1 or min(args.seconds) <= 0:
        parser.error("--rounds, --threads and --seconds have to be above 0")
    args.seconds = sorted(set(args.seconds))
    return args


def example_song() -> Path:
    """Six seconds of a real song in stempeg's wheel."""
    from importlib.util import find_spec

    spec = find_spec("stempeg")  # not imported, which would demand ffmpeg
    for root in (spec.submodule_search_locations or []) if spec else []:
        for path in sorted(Path(root).rglob("*.stem.mp4")):
            return path
    sys.exit("peers: stempeg is not installed: pip install -e '.[demo]', or give --audio SONG.")


def check_song(song: Path) -> Path:
    """Refuse a recording that some of the systems cannot take."""
    with open_audio(song) as reader:
        if (reader.sample_rate, reader.n_channels) != (RATE, 2):
            raise UserError(f"{song}: give a recording of 44.1 kHz in stereo.")
    return song


def package_versions() -> dict[str, str]:
    """Of what the peers take from the running environment."""
    return {name: version(name) for name in ("asteroid", "torchcrepe", "onnxruntime") if has(name)}


def has(package: str) -> bool:
    """Whether a package is installed here."""
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


def why_not(system: System, environment: Environment) -> str | None:
    """Why a system cannot run at all, if so."""
    for package in system.needs:
        if package in environment.missing:
            return f"{package} cannot be installed: {environment.missing[package]}"
    if system.key == "ours_notes":
        command = [sys.executable, *SEPARATE, "--help"]
        if "--notes" not in subprocess.run(command, capture_output=True, text=True).stdout:
            return "this version has no --notes"
    return None


def command_of(key: str, song: Path, out: Path, python: Path, threads: int, model: Path) -> list:
    """The command that runs a system."""
    more = {FIRST: [], "ours_notes": ["--notes"], "one_pass_xumx": ["--model", model]}
    if key in more:
        return [sys.executable, *SEPARATE, song, "-o", out, *more[key]]
    return [python, HERE / "peers_run.py", key, song, out, "--threads", threads]


def schedule(systems: list[System], args: argparse.Namespace) -> Iterator[tuple[int, float, str]]:
    """Round, length and system of every run; round 0 is to warm up."""
    if not args.no_warm_up:
        yield from ((0, args.seconds[0], system.key) for system in systems)
    for turn in range(1, args.rounds + 1):
        for seconds in args.seconds:
            if turn > 1 and seconds in args.once:
                continue
            for system in systems if turn % 2 else systems[::-1]:
                yield turn, seconds, system.key


def expected_sec(runs: list[dict[str, Any]], key: str, seconds: float) -> float:
    """Wall time of a run by a straight line through the two longest lengths so far."""
    walls = {r["seconds"]: r["wall_sec"] for r in runs if r["system"] == key}
    known = sorted((length, wall) for length, wall in walls.items() if length < seconds)
    if not known:
        return 0.0
    longest, wall = known[-1]
    shorter, other = known[-2] if len(known) > 1 else (0.0, 0.0)
    return wall + (wall - other) / (longest - shorter) * (seconds - longest)


def free_mb() -> float:
    """Memory that a run may take without swapping, in MB; much, where nothing says."""
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return 1e9
    return int(text.split("MemAvailable:")[1].split()[0]) * 1024 / 1e6


def run_all(args: argparse.Namespace) -> dict[str, Any]:
    """Measure everything; what is done is stored after every run."""
    song = check_song(args.audio or example_song())
    print("peers: making the peers' environment (once)", flush=True)
    environment = make_environment(args.peers_env or default_folder())
    limits = Limits(args.limit, 1000 * args.memory_gb if args.memory_gb else 0.75 * free_mb())
    chosen = [s for s in SYSTEMS if not args.systems or s.key in args.systems]
    report: dict[str, Any] = {
        "facts": {
            "date": datetime.now(timezone.utc).isoformat(timespec="minutes"),
            "hardware": hardware("cpu").partition(" of ")[2],
            "commit": commit(),
            "threads": args.threads,
            "rounds": args.rounds,
            "once": sorted(set(args.once) & set(args.seconds)),
            "clock": "cpu_sec" if args.threads == 1 else "wall_sec",
            "limit_sec": limits.wall_sec,
            "limit_mb": round(limits.peak_mb),
            "audio": song.name,
            "versions": {**versions(), **package_versions(), **environment.versions},
        },
        "first": FIRST,
        "systems": {s.key: {k: v for k, v in s._asdict().items() if k != "key"} for s in chosen},
        "runs": [],
        "left_out": [],
    }
    able = []
    for system in chosen:
        if reason := why_not(system, environment):
            for seconds in args.seconds:
                leave_out(report, system.key, seconds, reason)
        else:
            able.append(system)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "xumx.pth"
        torch.manual_seed(0)
        torch.save(JointXUMX.from_preset("paper").serialize(), model)
        songs = {seconds: folder / f"{seconds:g}.wav" for seconds in args.seconds}
        for seconds, path in songs.items():
            write_song(path, song, seconds / 60)
        for turn, seconds, key in schedule(able, args):
            if reason := why_out(report, key, seconds):
                leave_out(report, key, seconds, reason)
                continue
            if expected_sec(report["runs"], key, seconds) > limits.wall_sec:
                leave_out(report, key, seconds, f"over {limits.wall_sec:g} s")
                continue
            command = command_of(
                key, songs[seconds], folder / "out", environment.python, args.threads, model
            )
            result = measure(command, args.threads, limits, folder / "out")
            say(turn, seconds, key, result)
            if isinstance(result, str):
                leave_out(report, key, seconds, result)
            elif turn:
                run = {"system": key, "seconds": seconds, "round": turn, **result._asdict()}
                report["runs"].append(run)
            store(report, args.out)
    return report


def leave_out(report: dict[str, Any], key: str, seconds: float, reason: str) -> None:
    """Remember, once, why a cell of the table is empty."""
    entry = {"system": key, "seconds": seconds, "why": reason}
    if entry not in report["left_out"]:
        report["left_out"].append(entry)


def why_out(report: dict[str, Any], key: str, seconds: float) -> str | None:
    """Why a system was left out at this length or, which is reason enough, at a shorter one."""
    for entry in report["left_out"]:
        if entry["system"] == key and entry["seconds"] <= seconds:
            return entry["why"]
    return None


def say(turn: int, seconds: float, key: str, result: Run | str) -> None:
    """One line per run."""
    text = result
    if isinstance(result, Run):
        text = f"{result.wall_sec:8.1f} s wall {result.cpu_sec:8.1f} s CPU {result.peak_mb:7.0f} MB"
    print(
        f"{'warm-up' if not turn else f'round {turn}'} {seconds:6g} s {key:18} {text}", flush=True
    )


def store(report: dict[str, Any], out: Path) -> None:
    """Write the runs so far."""
    write_text(out / "peers.json", json.dumps(report, indent=1) + "\n")


def main() -> None:
    """Measure, or draw what was measured."""
    args = arguments()
    if args.plot:
        try:
            report = json.loads(args.plot.read_text())
        except (OSError, ValueError):
            sys.exit(f"peers: {args.plot} is no file of stored runs: give a peers.json.")
        peers_report.draw(report, HERE.parent / "docs" / "peers.png")
        peers_report.write_section(report, HERE / "README.md")
        return
    args.out.mkdir(parents=True, exist_ok=True)
    try:
        report = run_all(args)
    except UserError as err:
        sys.exit(f"peers: {err}")
    store(report, args.out)
    (args.out / "peers.md").write_text(peers_report.table(report))
    peers_report.draw(report, args.out / "peers.png")
    print(peers_report.table(report))


if __name__ == "__main__":
    main()

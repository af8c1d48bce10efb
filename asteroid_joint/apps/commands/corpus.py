"""The commands ``make-corpus`` and ``describe-corpus``."""

import argparse
import os
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..corpus.presets import BYTES_PER_SEC, PRESETS
from .common import DONE, INTERRUPTED, SOME_FAILED, say, tell


def add_corpus_commands(commands: Any) -> None:
    """Add both commands to a parser's subparsers."""
    make = commands.add_parser(
        "make-corpus",
        help="synthesize a multitrack corpus of songs with exact vocal F0 (extra: corpus)",
        description="Write DEST/{train,valid,test}/<track>/: mixture, vocals, drums, bass, other "
        "as 44.1 kHz stereo WAV (MUSDB18's layout), vocals_f0.csv, vocals_activity.csv, notes.csv, "
        "vocals.mid and meta.json. Nothing is downloaded; the same options give the same bytes. "
        f"Space: {60 * BYTES_PER_SEC / 1e6:.0f} MB per minute.",
    )
    make.add_argument("dest", type=Path, metavar="DEST", help="new folder")
    sizes = ", ".join(f"{name}: {n} tracks of {sec:g} s" for name, (n, sec) in PRESETS.items())
    make.add_argument("--preset", choices=list(PRESETS), default="small", help=sizes)
    make.add_argument(
        "--tracks", type=int, metavar="N", help="total number, instead of the preset's"
    )
    make.add_argument(
        "--seconds", type=float, metavar="S", help="length of each track, instead of the preset's"
    )
    make.add_argument(
        "--seed", type=int, default=0, metavar="K", help="random seed; default %(default)s"
    )
    make.add_argument(
        "--backing",
        type=float,
        default=0.0,
        metavar="P",
        help="share of tracks with a double or harmony under the lead; default %(default)s",
    )
    make.add_argument(
        "--soundfont", default="", metavar="SF2", help="another General MIDI SoundFont"
    )
    make.add_argument("--jobs", type=int, default=1, metavar="J", help="processes; 0 for all cores")
    make.add_argument("--resume", action="store_true", help="make the tracks missing in DEST")
    make.set_defaults(run=_make)

    describe = commands.add_parser(
        "describe-corpus",
        help="report on a corpus: F0, vibrato, levels, agreement with torchcrepe",
        description="Write report.md, report.json and pictures into OUT (extras: corpus, eval).",
    )
    describe.add_argument("corpus", type=Path, metavar="DEST", help="folder written by make-corpus")
    describe.add_argument("-o", "--out", type=Path, help="report folder; default: DEST/report")
    describe.add_argument(
        "--crepe",
        choices=("full", "tiny", "none"),
        default="full",
        help="size of torchcrepe's model, or none to skip it; default %(default)s",
    )
    describe.add_argument(
        "--tracks", type=int, default=0, metavar="N", help="tracks per split to measure; 0 for all"
    )
    describe.set_defaults(run=_describe)


def _make(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ..corpus.make import CorpusOptions, make_corpus

    if args.jobs < 0:
        raise UserError(f"--jobs {args.jobs}: give 1 or more, or 0 for all cores.")
    tracks, seconds = PRESETS[args.preset]
    options = CorpusOptions(
        tracks=tracks if args.tracks is None else args.tracks,
        seconds=seconds if args.seconds is None else args.seconds,
        seed=args.seed,
        backing=args.backing,
        soundfont=args.soundfont,
    )
    bar = tqdm(total=options.tracks, unit="track", desc=str(args.dest), disable=None, leave=False)

    def show(done: int, total: int) -> None:
        bar.update(done - bar.n)

    try:
        with bar:
            jobs = args.jobs or os.cpu_count() or 1
            make_corpus(args.dest, options, jobs=jobs, resume=args.resume, progress=show)
    except KeyboardInterrupt:
        say("interrupted; complete tracks are kept, --resume makes the others.")
        return INTERRUPTED
    return DONE if tell(str(args.dest)) else SOME_FAILED


def _describe(args: argparse.Namespace) -> int:
    from ..corpus.describe import describe_corpus

    out = args.out or args.corpus / "report"
    report = describe_corpus(args.corpus, out, crepe_model=args.crepe, n_tracks=args.tracks)
    return DONE if tell(report) else SOME_FAILED

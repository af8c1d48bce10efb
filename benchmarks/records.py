"""Models on real songs: stems and F0 of records, silence in instrumental music, a lead in a choir.

``python benchmarks/records.py MODEL ... --musdb DIR [--f0 DIR] [--music DIR] [--choir DIR]
[--side test] [--out records.json]``: names of shipped weights, or files; everything goes the path
of ``transcribe``, at the recording's own rate and channels. ``python benchmarks/records.py --table
records.json ...`` prints the table of stored runs.

``--musdb``
    The MUSDB18 sample (``musdb.DB(download=True)``) or the whole set: ``SIDE/NAME.stem.mp4``, or
    ``SIDE/NAME/{vocals,drums,bass,other}.{wav,flac,ogg}``, whose sum is the mixture then.
``--f0``
    ``SIDE/NAME.csv`` with ``time,f0_hz`` every 20 ms, 0 = unvoiced, nan = not known; by default
    ``vocals_f0.csv`` in the song's folder. What two pitch trackers agree on in the true voice.
    ``vocals_melody.csv`` in that folder, an annotation by people, is measured beside it.
``--music``
    Pieces in which nobody sings, with their sides in ``split.json``. Of each ``--music_sec``
    seconds from its middle: what is called a voice there is wrong.
``--choir``
    ``SINGER.{wav,ogg}`` and ``SINGER_f0.csv`` of singers in time with one another; singers whose
    names are equal up to the last digits share a part. Each leads in turn; one singer of every
    other part sings with them, 12 and 6 dB below the lead.
``--picture``
    PNG to draw of the song at which the first model has its median SDR: its mixture, and the voice
    with its F0 over the reference's.
``--trackers``
    Of torchcrepe (``crepe-tiny``, ``crepe-full``), FCPE (``fcpe``) and SwiftF0 (``swift_f0``),
    where they are installed: on the mixture, and on the voice of the first model.
"""

import argparse
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import av
import numpy as np
import soundfile as sf
import soxr
import torch
from tqdm import tqdm

from asteroid_joint import load_model
from asteroid_joint.data import JointExample
from asteroid_joint.engine.evaluation.pictures import draw_clip
from asteroid_joint.engine.evaluation.systems import Estimate as SystemEstimate
from asteroid_joint.engine.training.run_facts import commit, hardware
from asteroid_joint.metrics.melody import melody_metrics
from asteroid_joint.metrics.museval_bss import museval_metrics
from asteroid_joint.metrics.separation import sdr, si_sdr
from asteroid_joint.models import JointModel

STEMS = ("drums", "bass", "other", "vocals")  # in the order of a .stem.mp4 after its mixture
AUDIO = (".wav", ".flac", ".ogg")
LOUD_DB = -20.0  # a "voice" that is louder than this, relative to its mixture, is heard as one
BELOW_DB = (12.0, 6.0)  # of the choir, below its lead
SILENT_DB = -99.0  # stands for the level of digital silence
PUBLISHED = (  # museval's median of medians, dB, on the whole songs of MUSDB18's test side
    ("Wave-U-Net", 3.25),
    ("Open-Unmix", 6.32),
    ("Spleeter", 6.86),
    ("HTDemucs", 7.9),
    ("DTTNet", 10.1),
)


@dataclass(frozen=True)
class Curve:
    """F0 over time: seconds and Hz, 0 = unvoiced, NaN = not known."""

    times: np.ndarray
    hz: np.ndarray

    @classmethod
    def read(cls, path: Path) -> "Curve | None":
        """A CSV file with the columns ``time,f0_hz``; ``None`` where there is none."""
        if not path.is_file():
            return None
        rows = np.genfromtxt(path, delimiter=",", skip_header=1, ndmin=2)
        return cls(rows[:, 0], rows[:, 1])


@dataclass(frozen=True)
class Estimate:
    """What a system says of a song: stems ``(C, T)``, and F0 per frame."""

    voice: np.ndarray | None
    times: np.ndarray
    hz: np.ndarray
    voiced: np.ndarray
    n_notes: int = 0


System = Callable[[np.ndarray, int], Estimate]  # (C, T) and its rate in Hz


@dataclass(frozen=True)
class Song:
    """A song with its stems, ``(C, T)`` each."""

    name: str
    mixture: np.ndarray
    voice: np.ndarray
    rest: np.ndarray
    rate: int
    f0: Curve | None
    melody: Curve | None


# ------------------------------------------------------------------ what is measured on


def read_wav(path: Path) -> tuple[np.ndarray, int]:
    """``(C, T)`` and the rate in Hz."""
    wav, rate = sf.read(path, dtype="float32", always_2d=True)
    return wav.T, rate


def read_stem_file(path: Path) -> tuple[dict[str, np.ndarray], int]:
    """The streams of a ``.stem.mp4`` by name, ``(C, T)`` each, and their rate in Hz."""
    streams: dict[str, np.ndarray] = {}
    for index, name in enumerate(("mixture", *STEMS)):
        with av.open(str(path)) as container:
            stream = container.streams.audio[index]
            frames = [frame.to_ndarray() for frame in container.decode(stream)]
            streams[name] = np.concatenate(frames, 1).astype(np.float32)
            rate = stream.rate
    length = min(wav.shape[1] for wav in streams.values())
    return {name: wav[:, :length] for name, wav in streams.items()}, rate


def musdb_songs(folder: Path, f0_folder: Path | None) -> Iterator[Song]:
    """The songs of one side, in order of their names."""
    paths = sorted(p for p in folder.iterdir() if p.name.endswith(".stem.mp4") or p.is_dir())
    for path in tqdm(paths, desc="songs", leave=False):
        name = path.name.removesuffix(".stem.mp4")
        if path.is_dir():
            found = {s: next(p for e in AUDIO if (p := path / f"{s}{e}").is_file()) for s in STEMS}
            read = {stem: read_wav(file) for stem, file in found.items()}
            rate = read["vocals"][1]
            streams = {stem: wav for stem, (wav, _) in read.items()}
            streams["mixture"] = np.sum(list(streams.values()), 0)
        else:
            streams, rate = read_stem_file(path)
        rest = streams["drums"] + streams["bass"] + streams["other"]
        given = path / "vocals_f0.csv" if f0_folder is None else f0_folder / f"{name}.csv"
        melody = Curve.read(path / "vocals_melody.csv")
        yield Song(
            name, streams["mixture"], streams["vocals"], rest, rate, Curve.read(given), melody
        )


def music_pieces(folder: Path, side: str, seconds: float) -> Iterator[tuple[np.ndarray, int]]:
    """``seconds`` from the middle of every instrumental piece of a side."""
    names = json.loads((folder / "split.json").read_text())[side]
    for name in tqdm(names, desc="instrumental", leave=False):
        with sf.SoundFile(folder / name) as file:
            length = min(file.frames, int(seconds * file.samplerate))
            file.seek((file.frames - length) // 2)
            yield file.read(length, dtype="float32", always_2d=True).T, file.samplerate


def choir_takes(folder: Path) -> Iterator[tuple[np.ndarray, np.ndarray, int, Curve]]:
    """Every singer as the lead, the sum of one singer of each other part, the rate, the lead's F0.

    Both are ``(1, T)`` and equally loud.
    """
    parts: dict[str, list[Path]] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix in AUDIO):
        parts.setdefault(re.sub(r"_?\d+$", "", path.stem), []).append(path)
    for part, singers in tqdm(sorted(parts.items()), desc="choir", leave=False):
        for n, lead_path in enumerate(singers):
            lead, rate = read_wav(lead_path)
            others = [read_wav(them[n % len(them)])[0] for p, them in parts.items() if p != part]
            length = min(wav.shape[1] for wav in (lead, *others))
            choir = np.sum([wav[:, :length] for wav in others], 0)
            choir *= np.sqrt(np.mean(lead**2) / max(np.mean(choir**2), 1e-12))
            curve = Curve.read(lead_path.with_name(f"{lead_path.stem}_f0.csv"))
            if curve is not None:
                yield lead[:, :length], choir, rate, curve


# ------------------------------------------------------------------ what is measured


def joint_system(model: JointModel) -> System:
    """A joint model, as ``transcribe`` runs it."""

    def run(wav: np.ndarray, rate: int) -> Estimate:
        song = model.transcribe(wav, rate)
        f0 = song.f0
        return Estimate(song.stems["vocals"], f0.times, f0.hz, f0.voiced, len(song.notes))

    return run


def tracker(name: str) -> Callable[[np.ndarray, int], tuple[float, np.ndarray, np.ndarray]]:
    """A pitch tracker by name: mono samples and rate to hop in seconds, Hz, voiced."""
    if name.startswith("crepe-"):
        import torchcrepe

        def crepe(wav: np.ndarray, rate: int) -> tuple[float, np.ndarray, np.ndarray]:
            hz, confidence = torchcrepe.predict(
                torch.from_numpy(wav)[None],
                rate,
                round(0.02 * rate),
                model=name.removeprefix("crepe-"),
                batch_size=256,
                return_periodicity=True,
                # with librosa 0.11 its own default, Viterbi, ends in the highest bin on real songs
                decoder=torchcrepe.decode.weighted_argmax,
            )
            return 0.02, hz[0].numpy(), confidence[0].numpy() > 0.5

        return crepe
    if name == "fcpe":
        from torchfcpe import spawn_bundled_infer_model

        model = spawn_bundled_infer_model("cpu")

        def fcpe(wav: np.ndarray, rate: int) -> tuple[float, np.ndarray, np.ndarray]:
            given = torch.from_numpy(wav)[None, :, None]
            voiced = model.infer(given, sr=rate, threshold=0.006)[0, :, 0].numpy() > 0
            return 0.01, model.infer(given, sr=rate, threshold=0.0)[0, :, 0].numpy(), voiced

        return fcpe
    from swift_f0 import SwiftF0

    detector = SwiftF0(threads=1)

    def swift(wav: np.ndarray, rate: int) -> tuple[float, np.ndarray, np.ndarray]:
        found = detector.detect(wav[:, None], rate)
        return float(np.diff(found.timestamps).mean()), found.pitch_hz, found.confidence >= 0.5

    return swift


def tracker_system(name: str, separate: System | None) -> System:
    """A pitch tracker on the mixture, or on the voice that another system gives."""
    track = tracker(name)

    def run(wav: np.ndarray, rate: int) -> Estimate:
        voice = wav if separate is None else separate(wav, rate).voice
        assert voice is not None
        hop_sec, hz, voiced = track(np.ascontiguousarray(voice.mean(0)), rate)
        return Estimate(None, hop_sec * np.arange(len(hz)), hz, voiced)

    return run


def f0_figures(truth: Curve, found: Estimate, prefix: str = "") -> dict[str, float]:
    """RPA whatever is called voiced, and OA at the system's own threshold, of known frames."""
    nearest = np.abs(found.times[None] - truth.times[:, None]).argmin(1)
    hz, voiced = found.hz[nearest], found.voiced[nearest]
    everywhere = melody_metrics(truth.hz, hz, np.ones(len(hz), bool))
    own = melody_metrics(truth.hz, hz, voiced)
    sung = bool((truth.hz > 0).any())
    return {
        f"{prefix}rpa": everywhere["rpa"] if sung else float("nan"),
        f"{prefix}oa": own["oa"],
    }


def song_figures(song: Song, found: Estimate) -> dict[str, float]:
    """All figures of a song; stems' are dB."""
    figures: dict[str, float] = {}
    if found.voice is not None and np.any(song.voice):
        rest = song.mixture - found.voice
        pairs = {"vocals": (song.voice, found.voice), "accompaniment": (song.rest, rest)}
        for name, (true, estimate) in pairs.items():
            figures[f"sdr_{name}"] = sdr(true, estimate)
            figures[f"si_sdr_{name}"] = si_sdr(true, estimate)
        true_stems, stems = (np.stack(x) for x in zip(*pairs.values(), strict=True))
        bss = museval_metrics(true_stems, stems, song.rate, ("vocals", "accompaniment"))
        figures["museval_vocals"] = bss["museval_sdr"]
        figures["museval_accompaniment"] = bss["museval_sdr_accompaniment"]
    if song.f0 is not None:
        figures |= f0_figures(song.f0, found)
    if song.melody is not None:
        figures |= f0_figures(song.melody, found, "melody_")
    return figures


def music_figures(wav: np.ndarray, rate: int, found: Estimate) -> dict[str, float]:
    """What a system hears where nobody sings."""
    figures = {
        "voiced": float(found.voiced.mean()),
        "notes_per_min": 60 * found.n_notes * rate / wav.shape[1],
    }
    if found.voice is not None:
        ratio = np.mean(found.voice**2) / max(np.mean(wav**2), 1e-12)
        figures["level_db"] = 10 * np.log10(ratio) if ratio > 1e-10 else SILENT_DB
        figures["loud"] = float(figures["level_db"] > LOUD_DB)
    return figures


def choir_figures(
    lead: np.ndarray, choir: np.ndarray, rate: int, truth: Curve, system: System
) -> dict[str, float]:
    """The lead's RPA alone and with the choir below it."""
    figures = {"rpa_alone": f0_figures(truth, system(lead, rate))["rpa"]}
    for below_db in BELOW_DB:
        mixture = 0.5 * (lead + 10 ** (-below_db / 20) * choir)
        figures[f"rpa_{below_db:g}_db"] = f0_figures(truth, system(mixture, rate))["rpa"]
    return figures


def summary(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of every figure over the songs that have it; of museval's, the median."""
    names = dict.fromkeys(name for row in rows for name in row)
    result: dict[str, float] = {}
    for name in names:
        values = np.array([row.get(name, np.nan) for row in rows], float)
        middle = np.nanmedian if name.startswith("museval") else np.nanmean
        result[name] = float(middle(values))
        result[f"n_{name}"] = int(np.isfinite(values).sum())
    return result


def measure(system: System, args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """All that is asked for, of one system."""
    found: dict[str, dict[str, float]] = {}
    if args.musdb:
        f0_folder = None if args.f0 is None else args.f0 / args.side
        songs = musdb_songs(args.musdb / args.side, f0_folder)
        found["records"] = summary([song_figures(s, system(s.mixture, s.rate)) for s in songs])
    if args.music:
        pieces = music_pieces(args.music, args.side, args.music_sec)
        found["music"] = summary([music_figures(x, rate, system(x, rate)) for x, rate in pieces])
    if args.choir:
        found["choir"] = summary([choir_figures(*take, system) for take in choir_takes(args.choir)])
    return found


def draw_median(path: Path, model: JointModel, args: argparse.Namespace) -> None:
    """Draw the song of one side at which a model has its median SDR of the voice."""
    songs = list(musdb_songs(args.musdb / args.side, args.f0 and args.f0 / args.side))
    found = [model.transcribe(song.mixture, song.rate) for song in songs]
    pairs = zip(songs, found, strict=True)
    order = np.argsort([sdr(song.voice, one.stems["vocals"]) for song, one in pairs])
    song, one = ((x[order[len(order) // 2]]) for x in (songs, found))

    def mono(wav: np.ndarray) -> np.ndarray:
        return soxr.resample(wav.mean(0), song.rate, model.sample_rate).astype(np.float32)[None]

    truth = None
    if song.f0 is not None:
        nearest = np.abs(song.f0.times[None] - one.f0.times[:, None]).argmin(1)
        truth = song.f0.hz[nearest]
    example = JointExample(mono(song.mixture), f0_hz=truth, name=song.name)
    confidence = np.where(one.f0.voiced, one.f0.confidence, 0.0)
    estimate = SystemEstimate(mono(one.stems["vocals"])[None], one.f0.hz, confidence)
    draw_clip(path, example, estimate, model.pitch_grid, float(model.voicing_threshold))


# ------------------------------------------------------------------ the table

COLUMNS = (  # title, part, figure, factor, digits
    ("SDR voice dB", "records", "sdr_vocals", 1, 2),
    ("SI-SDR voice", "records", "si_sdr_vocals", 1, 2),
    ("museval voice", "records", "museval_vocals", 1, 2),
    ("SDR acc. dB", "records", "sdr_accompaniment", 1, 2),
    ("museval acc.", "records", "museval_accompaniment", 1, 2),
    ("RPA %, threshold 0", "records", "rpa", 100, 1),
    ("OA %", "records", "oa", 100, 1),
    ("by people: RPA", "records", "melody_rpa", 100, 1),
    ("OA", "records", "melody_oa", 100, 1),
    ("instrumental: dB", "music", "level_db", 1, 1),
    ("louder than -20 dB, %", "music", "loud", 100, 0),
    ("voiced %", "music", "voiced", 100, 1),
    ("notes a minute", "music", "notes_per_min", 1, 1),
    ("choir: RPA of the lead alone", "choir", "rpa_alone", 100, 1),
    ("12 dB below", "choir", "rpa_12_db", 100, 1),
    ("6 dB below", "choir", "rpa_6_db", 100, 1),
)


def table(runs: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: published rows, then every system; columns that nobody has are left out."""
    systems = [(name, parts) for run in runs for name, parts in run["systems"].items()]
    shown = [c for c in COLUMNS if any(c[2] in parts.get(c[1], {}) for _, parts in systems)]
    rows = [["system", *(column[0] for column in shown)], ["---"] * (len(shown) + 1)]
    for name, value in PUBLISHED:
        cells = [f"*{value}*" if c[2] == "museval_vocals" else "" for c in shown]
        rows.append([f"*{name}, published, whole songs*", *cells])
    for name, parts in systems:
        values = [parts.get(part, {}).get(figure) for _, part, figure, *_ in shown]
        cells = [
            "" if value is None or np.isnan(value) else f"{factor * value:.{digits}f}"
            for value, (*_, factor, digits) in zip(values, shown, strict=True)
        ]
        rows.append([name, *cells])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    facts = [run["facts"] for run in runs]
    said = dict.fromkeys(
        f"Side {f['side']}, {f['hardware']}, {f['date']}, commit {f['commit']}." for f in facts
    )
    return "\n".join([*lines, "", *said])


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, store and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help="shipped weights or files")
    parser.add_argument("--musdb", type=Path, help="folder of the MUSDB18 sample")
    parser.add_argument("--f0", type=Path, help="folder of SIDE/NAME.csv")
    parser.add_argument("--music", type=Path, help="folder of instrumental music, split.json")
    parser.add_argument("--music_sec", type=float, default=60.0, help="default %(default)s")
    parser.add_argument("--choir", type=Path, help="folder of singers")
    parser.add_argument("--trackers", default="", metavar="NAME,...")
    parser.add_argument("--picture", type=Path, help="PNG of the song of median SDR (--musdb)")
    parser.add_argument("--side", choices=("valid", "test"), default="test")
    parser.add_argument("--out", type=Path, help="JSON to write")
    parser.add_argument("--table", type=Path, nargs="+", help="JSON of earlier runs: print them")
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    if args.table:
        print(table([json.loads(path.read_text()) for path in args.table]))
        return
    systems: dict[str, System] = {}
    for name in args.models:
        systems[Path(name).stem] = joint_system(load_model(name))
    first = next(iter(systems.items()), None)
    for name in filter(None, args.trackers.split(",")):
        systems[f"{name} on the mixture"] = tracker_system(name, None)
        if first is not None:
            systems[f"{name} behind {first[0]}"] = tracker_system(name, first[1])
    if not systems or not (args.musdb or args.music or args.choir):
        sys.exit("records: name models (or --trackers) and at least one folder to measure on.")
    facts = {
        "side": args.side,
        "hardware": hardware("cpu"),
        "commit": commit(),
        "date": date.today().isoformat(),
        "music_sec": args.music_sec,
    }
    run: dict[str, Any] = {"facts": facts, "systems": {}}
    for name, system in systems.items():
        run["systems"][name] = measure(system, args)
        print(name, json.dumps(run["systems"][name]), file=sys.stderr, flush=True)
        if args.out:
            args.out.write_text(json.dumps(run, indent=1) + "\n")
    if args.picture and args.models and args.musdb:
        draw_median(args.picture, load_model(args.models[0]), args)
    print(table([run]))


if __name__ == "__main__":
    main()

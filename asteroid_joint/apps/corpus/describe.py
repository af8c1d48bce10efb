"""Statistics of a corpus measured from its files: a report with numbers and pictures.

Levels are measured from the audio and pitch from the label files; torchcrepe, an independent pitch
tracker, shows how well the labels agree with the audio.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ...data.files import read_columns, read_f0
from ...data.multitrack import ACTIVITY_FILE, F0_FILE, Multitrack, track_folders
from ...errors import DataError, UserError
from ...files import write_text
from ...inference.notes import note_name
from ...metrics.melody import melody_metrics
from ...metrics.report import markdown_table
from ...metrics.separation import sdr
from ...optional import optional, pick_device
from ...pitch import PitchGrid, hz_to_cents, hz_to_midi, resample_f0
from .hts import FRAME_SEC
from .make import FACTS, SIDES, VOICE_DB
from .pictures import draw_report, draw_track
from .track import STEMS

CREPE_GRID = PitchGrid(160, 16000)  # 10 ms
CREPE_HZ = (50.0, 1500.0)
CREPE_VOICED = 0.3  # periodicity above which a frame counts as voiced
GATE_DB = 40.0  # below loud frames; CREPE tracks reverb tails, which are labelled unvoiced
TARGETS = {
    "clean_rpa": 0.97,  # at least
    "clean_vfa": 0.2,  # at most
    "rpa_loss": 0.2,  # at least, from the clean voice to the mixture, or the band is too quiet
    "evenness_db": -6.0,  # at least, in every track; recorded songs have about 0
}
LONG_SEC = 0.5  # shortest note that is searched for vibrato
SETTLED_SEC = 0.3  # after its onset, when glides are over and vibrato has begun
VIBRATO_HZ = np.arange(3.95, 8.06, 0.05)
VIBRATO_SHARE = 0.5  # least share of the variance that a sine must explain

Row = dict[str, Any]


def describe_corpus(corpus: Path, out: Path, crepe_model: str = "full", n_tracks: int = 0) -> str:
    """Measure a corpus; write ``report.{md,json,png}`` and a picture of one track per split.

    Args:
        corpus: Folder that ``make_corpus`` wrote.
        out: Folder for the report.
        crepe_model: ``"full"``, ``"tiny"``, or ``"none"`` to skip torchcrepe.
        n_tracks: Tracks per split, evenly spaced; 0 for all.

    Returns:
        The Markdown of ``report.md``.

    Raises:
        UserError: In one sentence: no corpus, damaged files, a wrong option, missing packages, no
            permission.
    """
    if crepe_model not in ("full", "tiny", "none"):
        raise UserError(f"--crepe {crepe_model}: give full, tiny or none.")
    if n_tracks < 0:
        raise UserError(f"--tracks {n_tracks}: give 1 or more, or 0 for all.")
    facts, sides = _open(corpus)
    optional("matplotlib", "eval")
    if crepe_model != "none":
        optional("torchcrepe", "eval")
        optional("mir_eval", "eval")
    from tqdm import tqdm

    chosen = [(side, i) for side in sides for i in evenly(len(sides[side]), n_tracks)]
    rows: list[Row] = []
    voiced: list[np.ndarray] = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for side, i in tqdm(chosen, unit="track", desc=str(corpus), disable=None, leave=False):
            row, f0_hz = _measure(sides[side], i, crepe_model)
            if not any(row["side"] == side for row in rows):
                draw_track(out / f"{row['track']}.png", sides[side], i)
            rows.append({"side": side, **row})
            voiced.append(f0_hz)
        whole = len(rows) == facts["settings"]["tracks"]
        result = {
            "corpus": facts,
            "crepe_model": crepe_model,
            "whole": whole,
            "targets": TARGETS,
            "sides": {s: _summary(s, rows, voiced) for s in (*sides, "all")},
            "stratified": stratified(rows) if whole else None,
            "tracks": rows,
        }
        text = _markdown(corpus.resolve().name, result)
        draw_report(out / "report.png", result)
        write_text(out / "report.json", json.dumps(result, indent=1) + "\n")
        write_text(out / "report.md", text)
    except OSError as err:
        raise UserError(f"{out} cannot be written: {err.strerror or err}.") from err
    return text


def vibrato(f0_hz: np.ndarray) -> tuple[float, float] | None:
    """Rate and extent of the sine that, on top of a straight line, fits a pitch curve best.

    A fit, not a spectrum, because a note lasts for few cycles only.

    Args:
        f0_hz: ``(n_frames,)`` Hz every 5 ms, all voiced.

    Returns:
        Hz and cents (from the line to the crest), or ``None`` without vibrato: the note is shorter
        than a cycle, the best fit is outside 4 to 8 Hz, or it explains less than half of the
        variance.
    """
    n = len(f0_hz)
    if n * FRAME_SEC < 1 / VIBRATO_HZ[0]:
        return None
    line, _ = np.linalg.qr(np.vander(np.linspace(-1, 1, n), 2))  # (n, 2)
    cents = hz_to_cents(f0_hz, f0_hz[0])
    cents = cents - line @ (line.T @ cents)
    phase = 2 * np.pi * VIBRATO_HZ[:, None] * np.arange(n) * FRAME_SEC
    waves = np.stack([np.cos(phase), np.sin(phase)], -1)  # (rates, n, 2)
    waves -= line @ (line.T @ waves)
    share = ((cents @ np.linalg.qr(waves)[0]) ** 2).sum(-1) / max(cents @ cents, 1e-9)  # (rates,)
    k = int(share.argmax())
    if k in (0, len(share) - 1) or share[k] < VIBRATO_SHARE:
        return None
    before, at, after = share[k - 1 : k + 2]
    top = 0.5 * (before - after) / (before - 2 * at + after)  # of a parabola, -0.5 to 0.5
    rate_hz = VIBRATO_HZ[k] + top * (VIBRATO_HZ[1] - VIBRATO_HZ[0])
    extent = np.linalg.lstsq(waves[k], cents, rcond=None)[0]
    return float(rate_hz), float(np.hypot(*extent))


def stratified(rows: Sequence[Row]) -> bool:
    """Whether each split has exactly one track in each of its equal steps of voice level."""
    for side in SIDES:
        level_db = np.sort([row["voice_db"] for row in rows if row["side"] == side])
        steps = np.linspace(*VOICE_DB, len(level_db) + 1)
        slack = 0.1  # dB, rounding to 16 bits
        if np.any(level_db < steps[:-1] - slack) or np.any(level_db > steps[1:] + slack):
            return False
    return True


def _open(corpus: Path) -> tuple[dict, dict[str, Multitrack]]:
    """Content of ``corpus.json``, and the splits that have tracks."""
    if not (corpus / FACTS).is_file():
        raise DataError(f"{corpus} is not a corpus: give a folder that make-corpus wrote.")
    try:
        facts = json.loads((corpus / FACTS).read_text(encoding="utf-8"))
        int(facts["settings"]["tracks"])
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(f"{corpus / FACTS} is damaged: make the corpus again.") from err
    found = [side for side in SIDES if track_folders(corpus / side)]
    if not found:
        raise DataError(f"{corpus} contains no tracks: run make-corpus --resume.")
    return facts, {side: Multitrack(str(corpus), side, sources=STEMS) for side in found}


def evenly(n: int, wanted: int) -> list[int]:
    """At most ``wanted`` of ``n`` indices, evenly spaced; 0 for all."""
    return np.unique(np.linspace(0, n - 1, min(wanted or n, n)).round().astype(int)).tolist()


def _measure(data: Multitrack, index: int, crepe_model: str) -> tuple[Row, np.ndarray]:
    """Measurements of a track, and the voiced frames of its F0 in Hz."""
    folder, clip, rate = data.folders[index], data.clips[index], data.sample_rate
    mixture, stems = data.read(index)
    assert stems is not None
    vocals, band = stems[0], stems[1:].sum(0)
    times, f0_hz = read_f0(folder / F0_FILE)
    sung = np.zeros(clip.n_samples, bool)
    for start, end in read_columns(folder / ACTIVITY_FILE):
        sung[int(start * rate) : int(end * rate)] = True
    voice, rest = (float(np.mean(wav[:, sung] ** 2, dtype=float)) for wav in (vocals, band))
    voiced = f0_hz[f0_hz > 0]
    if not len(voiced) or not voice or not rest:
        raise DataError(
            f"{folder} lacks a voice or a band: remove it and run make-corpus --resume."
        )
    found = _vibrato_of_long_notes(folder, f0_hz)
    row = {
        "track": clip.name,
        "singer": clip.singer,
        "seconds": clip.n_samples / rate,
        # 16-bit samples and sums of a few are exact in float32
        "exact_sum": bool(np.array_equal(mixture, stems.sum(0))),
        "f0_min_hz": voiced.min(),
        "f0_median_hz": np.median(voiced),
        "f0_max_hz": voiced.max(),
        "voiced_share": len(voiced) / len(f0_hz),
        "singing_share": float(sung.mean()),
        "long_notes": len(found),
        "vibrato": [v for v in found if v],
        "evenness_db": _evenness(vocals, rate, times, f0_hz),
        "voice_db": 10 * float(np.log10(voice / rest)),
        "mixture_sdr": sdr(vocals, mixture),
    }
    if crepe_model != "none":
        for name, wav in (("clean", vocals), ("mixture", mixture)):
            scores = _agreement(wav, rate, times, f0_hz, crepe_model)
            row |= {f"{name}_{metric}": score for metric, score in scores.items()}
    return row, voiced


def _vibrato_of_long_notes(folder: Path, f0_hz: np.ndarray) -> list[tuple[float, float] | None]:
    """Vibrato of each long note of a track; see :func:`vibrato`."""
    found = []
    for start, end in read_columns(folder / "notes.csv"):
        if end - start > LONG_SEC:
            note = f0_hz[round((start + SETTLED_SEC) / FRAME_SEC) : round(end / FRAME_SEC)]
            pause = np.flatnonzero(note == 0)  # a note may end early in the next consonant
            found.append(vibrato(note[: pause[0]] if len(pause) else note))
    return found


def _evenness(wav: np.ndarray, rate: int, times: np.ndarray, f0_hz: np.ndarray) -> float:
    """Median over mean power of voiced 20 ms segments, dB; low if a few sounds mask the rest."""
    n = rate // 50
    power = (wav[:, : wav.shape[1] // n * n] ** 2).reshape(len(wav), -1, n).mean((0, 2))
    centres = (np.arange(len(power)) + 0.5) * n / rate
    power = power[resample_f0(f0_hz, times, centres) > 0]
    return 10 * float(np.log10(max(np.median(power), 1e-12) / max(np.mean(power), 1e-12)))


def _agreement(
    wav: np.ndarray, rate: int, times: np.ndarray, f0_hz: np.ndarray, model: str
) -> dict[str, float]:
    """RPA, RCA, voicing recall and false alarm of torchcrepe on ``(C, T)``."""
    import soxr
    import torch
    import torchcrepe

    mono = soxr.resample(wav.mean(0), rate, CREPE_GRID.sample_rate)
    hop, n_frames = CREPE_GRID.hop_length, CREPE_GRID.n_frames(len(mono))
    low, high = CREPE_HZ
    with torch.inference_mode(), _repeatable():
        estimate = torchcrepe.predict(
            torch.from_numpy(mono)[None],
            CREPE_GRID.sample_rate,
            hop,
            low,
            high,
            model,
            return_periodicity=True,
            batch_size=512,
            device=pick_device("auto"),
        )
    est_hz, periodicity = (x[0, :n_frames].numpy() for x in estimate)
    ref_hz = resample_f0(f0_hz, times, CREPE_GRID.times(n_frames))
    power = np.convolve(mono**2, np.full(2 * hop, 0.5 / hop), "same")[::hop]
    level_db = 10 * np.log10(power + 1e-12)
    voiced = (periodicity > CREPE_VOICED) & (level_db > np.percentile(level_db, 95) - GATE_DB)
    pitch = melody_metrics(ref_hz, est_hz, np.ones(n_frames, bool))
    voicing = melody_metrics(ref_hz, est_hz, voiced)
    return {"rpa": pitch["rpa"], "rca": pitch["rca"], "vr": voicing["vr"], "vfa": voicing["vfa"]}


@contextmanager
def _repeatable() -> Iterator[None]:
    """Seed NumPy's global generator, with which torchcrepe dithers pitch, and use one thread.

    Several threads would wait for each other while another program uses a core.
    """
    import torch

    state, n_threads = np.random.get_state(), torch.get_num_threads()
    np.random.seed(0)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        np.random.set_state(state)
        torch.set_num_threads(n_threads)


def _summary(side: str, rows: Sequence[Row], voiced: Sequence[np.ndarray]) -> Row:
    """Statistics of a split, or of all: mean, min and max over tracks; F0 over frames."""
    here = [i for i, row in enumerate(rows) if side in (row["side"], "all")]
    mine = [rows[i] for i in here]
    f0_hz = np.concatenate([voiced[i] for i in here])
    rates, extents = np.array([v for row in mine for v in row["vibrato"]]).reshape(-1, 2).T
    counts = np.bincount(np.rint(hz_to_midi(f0_hz)).astype(int))
    spread = {}
    for key in mine[0]:
        if isinstance(mine[0][key], float):
            values = np.array([row[key] for row in mine])
            spread[key] = {"mean": values.mean(), "min": values.min(), "max": values.max()}
    return {
        "tracks": len(mine),
        "exact_sums": sum(row["exact_sum"] for row in mine),
        "f0_hz": {"min": f0_hz.min(), "median": float(np.median(f0_hz)), "max": f0_hz.max()},
        "f0_frames_by_midi": {str(k): int(n) for k, n in enumerate(counts) if n},
        "long_notes": sum(row["long_notes"] for row in mine),
        "vibrato_notes": len(rates),
        "vibrato_hz": float(np.median(rates)) if len(rates) else None,
        "vibrato_cents": float(np.median(extents)) if len(rates) else None,
        **spread,
    }


DEFINITIONS = f"""\
## Definitions

- Voice over band: power in sung segments; shown as mean (least to most).
- Median over mean: power of voiced stretches of 20 ms; shown as mean (least). A low value means \
that a few sounds, such as loud consonants, drown the rest.
- Vibrato: in notes over {LONG_SEC} s, from {SETTLED_SEC} s after the onset, where a sine of 4 to \
8 Hz explains half of the variance or more; medians; extent is half of crest to trough.
- RPA, RCA: share of voiced frames within 50 cents (of any octave), each taken voiced. VR, VFA: \
share of voiced and of unvoiced frames with periodicity over {CREPE_VOICED} and a level within \
{GATE_DB:g} dB of loud frames. Default decoder, 10 ms, {CREPE_HZ[0]:g} to {CREPE_HZ[1]:g} Hz.
"""


def _markdown(name: str, result: Row) -> str:
    facts, sides = result["corpus"], result["sides"]
    settings = ", ".join(f"{k} {v}" for k, v in facts["settings"].items() if v != "")
    n, wanted = sides["all"]["tracks"], facts["settings"]["tracks"]
    some = "" if result["whole"] else f" Measured: {n} of {wanted} tracks."
    lines = [
        f"# Corpus {name}\n",
        f"Settings: {settings}.{some}\n",
        markdown_table(["check", "found", "wanted"], _checks(result)),
        "\n![report](report.png)\n\n## Sides\n",
        markdown_table(SIDE_HEADS, [_side_cells(side, s) for side, s in sides.items()]),
    ]
    if result["crepe_model"] != "none":
        heads = [f"{wav} {m}" for wav in ("clean", "mixture") for m in ("RPA", "RCA", "VR", "VFA")]
        keys = [(head.lower().replace(" ", "_"), "mean") for head in heads] + [("clean_rpa", "min")]
        cells = [[side, *(f"{s[k][of]:.3f}" for k, of in keys)] for side, s in sides.items()]
        lines += [f"\n## torchcrepe {result['crepe_model']}, mean over tracks\n"]
        lines += [markdown_table(["side", *heads, "least clean RPA"], cells)]
    shown = {row["side"]: row["track"] for row in result["tracks"][::-1]}  # the first of each side
    pictures = [f"![{shown[s]}]({shown[s]}.png)\n" for s in sides if s in shown]
    return "\n".join([*lines, "\n## A track of each side\n", *pictures, DEFINITIONS])


def _checks(result: Row) -> list[list[str]]:
    """Required properties of a corpus: name, result, target."""
    every, crepe = result["sides"]["all"], result["crepe_model"]
    sums = f"{every['exact_sums']} of {every['tracks']} tracks"
    level = {True: "one voice in each step", False: "NOT even", None: "not checked on a part"}
    checks = [
        ["mixture = sum of stems, to the bit", sums, "all"],
        ["voice levels spread evenly over each side", level[result["stratified"]], "one per step"],
    ]

    def check(what: str, found: float, relation: str, target: float) -> None:
        checks.append([what, f"{found:.3f}", f"{relation} {target:.4g}"])

    even = every["evenness_db"]["min"]
    check("median over mean power of the voice, least, dB", even, ">=", TARGETS["evenness_db"])
    if crepe != "none":
        rpa, alarm, mixed = (every[k]["mean"] for k in ("clean_rpa", "clean_vfa", "mixture_rpa"))
        check(f"RPA of torchcrepe {crepe} on the clean voice", rpa, ">=", TARGETS["clean_rpa"])
        check("its voicing false alarm there", alarm, "<=", TARGETS["clean_vfa"])
        check("its RPA on the mixture", mixed, "far below, <=", rpa - TARGETS["rpa_loss"])
    return checks


SIDE_HEADS = (
    "side | tracks | F0 least / median / most | voiced | singing | vibrato notes | Hz | cents "
    "| voice over band dB | mixture SDR dB | median over mean dB"
).split(" | ")


def _side_cells(side: str, s: Row) -> list[str]:
    f0, level = s["f0_hz"], s["voice_db"]
    pitches_hz = [f0[k] for k in ("min", "median", "max")]
    return [
        side,
        str(s["tracks"]),
        " / ".join(f"{hz:.0f} Hz {note_name(hz_to_midi(hz))}" for hz in pitches_hz),
        *(f"{100 * s[k]['mean']:.0f} %" for k in ("voiced_share", "singing_share")),
        f"{s['vibrato_notes']} of {s['long_notes']}",
        *("" if s[k] is None else f"{s[k]:.3g}" for k in ("vibrato_hz", "vibrato_cents")),
        f"{level['mean']:.2f} ({level['min']:.2f} to {level['max']:.2f})",
        f"{s['mixture_sdr']['mean']:.2f}",
        f"{s['evenness_db']['mean']:.1f} ({s['evenness_db']['min']:.1f})",
    ]

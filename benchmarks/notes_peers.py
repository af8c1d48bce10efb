"""What others make of a voice, for notes.py: Basic Pitch, and curves of pitch trackers cut plainly.

Basic Pitch (``pip install --no-deps basic-pitch pretty_midi``) runs by ONNX Runtime with its own
defaults. The trackers give a curve only; ``plain_notes`` cuts it as one would at a first try, and
``-rules`` behind a name cuts it by this project's rules for F0 alone.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile as sf
from records import tracker
from scipy.ndimage import median_filter

from asteroid_joint.inference.notes import track_notes
from asteroid_joint.pitch import hz_to_midi

Peer = Callable[[np.ndarray, int], np.ndarray]  # mono samples, rate -> (n, 3) notes
SMOOTH_SEC = 0.11  # of the plain cut: the curve's median
SHORTEST_SEC = 0.1  # of a note of it
RULES = "-rules"
NAMES = ("basic-pitch", "fcpe", "swift-f0", "crepe-tiny", "crepe-full")


def plain_notes(times: np.ndarray, hz: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Runs of voiced frames of one semitone, ``(n, 3)`` onset, offset, MIDI.

    Args:
        times: ``(N,)`` seconds, evenly spaced.
        hz: ``(N,)`` F0.
        voiced: ``(N,)`` whether anybody sings.
    """
    hop = float(times[1] - times[0])
    midi = hz_to_midi(np.maximum(hz, 1.0))
    smooth = median_filter(midi, max(1, round(SMOOTH_SEC / hop)))
    tone = np.where(voiced, np.rint(smooth), -1)
    edges = np.flatnonzero(np.diff(tone, prepend=-2, append=-2))
    return np.array([
        (times[a], times[b - 1] + hop, np.median(midi[a:b]))
        for a, b in zip(edges[:-1], edges[1:], strict=True)
        if tone[a] >= 0 and (b - a) * hop >= SHORTEST_SEC
    ]).reshape(-1, 3)  # fmt: skip


class Peers:
    """Notes by peers of takes, from the cache where they are there."""

    def __init__(self, names: Sequence[str], cache: Path | None) -> None:
        self._peers: dict[str, Peer] = {}
        self.names, self._cache = names, cache

    def __call__(self, name: str, kind: str, take: str, wav: np.ndarray, rate: int) -> np.ndarray:
        """``(n, 3)`` notes of ``(n_channels, n_samples)``, which is ``take`` of ``kind``."""
        path = None if self._cache is None else self._cache / "peers" / name / kind / f"{take}.npy"
        if path is not None and path.exists():
            return np.load(path)
        if name not in self._peers:
            self._peers[name] = make_peer(name)
        notes = self._peers[name](wav.mean(0), rate)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, notes)
        return notes


def make_peer(name: str) -> Peer:
    """A peer by its name, with ``-rules`` behind or not."""
    if name == "basic-pitch":
        return _basic_pitch()
    track = tracker(name.removesuffix(RULES))

    def run(wav: np.ndarray, rate: int) -> np.ndarray:
        hop, hz, voiced = track(np.ascontiguousarray(wav, np.float32), rate)
        times = hop * np.arange(len(hz))
        if not name.endswith(RULES):
            return plain_notes(times, hz, voiced)
        found = track_notes(np.stack([times, hz, 0.05 + 0.9 * voiced, voiced], 1))
        return np.array([[n.onset_sec, n.offset_sec, n.pitch_midi] for n in found]).reshape(-1, 3)

    return run


def _basic_pitch() -> Peer:
    from basic_pitch import ICASSP_2022_MODEL_PATH
    from basic_pitch.inference import Model, predict

    onnx = Path(ICASSP_2022_MODEL_PATH).with_name("nmp.onnx")
    model = Model(onnx)

    def run(wav: np.ndarray, rate: int) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "voice.wav"
            sf.write(path, wav, rate)
            _, _, events = predict(path, model)
        return np.array([event[:3] for event in sorted(events)], float).reshape(-1, 3)

    return run

"""A phrase into notes: the cheapest description of its pitch curve by constant notes and rests.

Every run of frames is a note of one pitch or a rest. The cost of a note consists of:

* its price: every note must explain something;
* minus a reward if the sound suggests an onset (:mod:`.cues`), which separates repeated notes;
* the distance of the curve from its pitch, up to a cap, so that vibrato, glides and octave errors
  do not become notes of their own; an octave error costs less than the cap;
* a cost for frames that look unvoiced; a rest has a cost for frames that look voiced.

The sum is minimised over *all* segmentations by dynamic programming over the end of the last note,
whose start and pitch are carried along. This is Viterbi decoding of a hidden semi-Markov model
whose states are pitches with a minimum duration, in linear time. Costs are in semitone-seconds,
which makes them independent of the hop of the curve.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PITCH_STEP = 0.25  # semitones between the candidate pitches of a note
OCTAVE = 12.0  # semitones
BRIEF_SEC = 0.04  # seconds: what is briefer is no note that could be dropped


@dataclass(frozen=True)
class NoteRules:
    """What counts as a note; the defaults are for F0 alone, ``VOICE_RULES`` for F0 and voice.

    Tuned on singers and songs that are held out (``benchmarks/notes.py tune``).

    Args:
        price: Cost of a note in semitone-seconds: two semitones for 0.1 s, say, are 0.2.
        cap: Largest distance that counts, in semitones.
        octave_cost: Cost of a frame exactly one octave off, in semitones.
        unvoiced_cost: Cost of a frame within a note, in semitones per unit of log-odds that it is
            unvoiced.
        voiced_cost: Cost of a frame within a rest, in semitones per unit of log-odds that it is
            voiced.
        shortest_sec: Minimum duration of a note in seconds.
        drop_short: Whether what is shorter is left out of the notes; by default it is merged into
            the note or the rest beside it.
        onset_reward: Reward in semitone-seconds per unit of log-odds of an onset above
            ``onset_floor``.
        onset_floor: Log-odds of an onset with zero reward.
        onset_least: Smallest reward in semitone-seconds, negative without evidence of an onset.
        onset_most: Largest reward in semitone-seconds.
        step_semitones: Pitch difference between before and after a frame that alone makes it an
            onset: legato has no consonants.
        step_reward: Smallest reward there, in semitone-seconds.
        slack: How far the log-odds of voicing may lie below the voicing threshold without other
            evidence.
        sung_floor: Neutral value of the network's log-odds of being sung.
        sure_share: Fraction of a note's voiced frames that the model itself must call voiced.

    References:
        M. Mauch et al., "Computer-aided melody note transcription using the Tony software: accuracy
        and efficiency", TENOR 2015 (a hidden Markov model of notes over a pitch track).
    """

    price: float = 0.14
    cap: float = 2.2
    octave_cost: float = 0.7
    unvoiced_cost: float = 0.85
    voiced_cost: float = 0.6
    shortest_sec: float = 0.09
    drop_short: bool = False
    onset_reward: float = 0.13
    onset_floor: float = -1.2
    onset_least: float = -0.23
    onset_most: float = 0.33
    step_semitones: float = 1.2
    step_reward: float = -0.23
    slack: float = 1.4
    sung_floor: float = 0.4
    sure_share: float = 0.25


VOICE_RULES = NoteRules(
    price=0.18,
    cap=1.2,
    voiced_cost=0.6,
    onset_reward=0.11,
    step_reward=0.05,
    sung_floor=-0.5,
    sure_share=0.0,
)


class Segment(NamedTuple):
    """Frames ``start`` to ``stop`` (exclusive) as one note near ``midi``."""

    start: int
    stop: int
    midi: float


def segment_phrase(
    midi: np.ndarray,
    weight: np.ndarray,
    evidence: np.ndarray,
    onset: np.ndarray,
    hop_sec: float,
    rules: NoteRules,
) -> list[Segment]:
    """Notes of a phrase.

    Args:
        midi: ``(N,)`` pitch of each frame in semitones; finite in unvoiced frames, too.
        weight: ``(N,)`` weight of a frame's pitch, in [0, 1].
        evidence: ``(N,)`` log-odds that a frame is voiced.
        onset: ``(N,)`` reward for a note that begins with this frame, semitone-seconds.
        hop_sec: Hop between frames in seconds.
        rules: What counts as a note.

    Returns:
        Segments in order and without overlap; frames between them are rests.

    Example:
        >>> midi = np.repeat([60.0, 62.0], 25)
        >>> flat = np.ones(50)
        >>> segment_phrase(midi, flat, flat, 0 * flat, 0.02, NoteRules())
        [Segment(start=0, stop=25, midi=60.0), Segment(start=25, stop=50, midi=62.0)]
    """
    n = len(midi)
    least = max(1, round(rules.shortest_sec / hop_sec))
    shortest = min(least, max(1, round(BRIEF_SEC / hop_sec))) if rules.drop_short else least
    grid = np.arange(np.floor(midi.min()), np.ceil(midi.max()) + PITCH_STEP, PITCH_STEP)  # (P,)
    off = np.abs(midi[:, None] - grid)  # (N, P)
    off = np.minimum(off, rules.octave_cost + np.abs(off - OCTAVE))
    unvoiced = rules.unvoiced_cost * np.maximum(-evidence, 0)
    frame = hop_sec * (np.minimum(off, rules.cap) * weight[:, None] + unvoiced[:, None])  # (N, P)
    total = np.concatenate([np.zeros((1, len(grid))), np.cumsum(frame, 0)])  # (N + 1, P)
    rest = hop_sec * rules.voiced_cost * np.maximum(evidence, 0)
    cost = np.zeros(n + 1)  # total of the first t frames
    back: list[tuple[int, int]] = [(0, -1)] * (n + 1)  # start and pitch of the segment ending there
    running = np.full(len(grid), np.inf)  # cost with an unfinished note of each pitch
    begun = np.zeros(len(grid), int)  # its first frame
    for t in range(1, n + 1):
        running += frame[t - 1]
        start = t - shortest
        if start >= 0:
            entered = cost[start] + rules.price - onset[start] + total[t] - total[start]
            better = entered < running
            running[better] = entered[better]
            begun[better] = start
        pitch = int(running.argmin())
        if running[pitch] < cost[t - 1] + rest[t - 1]:
            cost[t], back[t] = running[pitch], (int(begun[pitch]), pitch)
        else:
            cost[t], back[t] = cost[t - 1] + rest[t - 1], (t - 1, -1)
    found, t = [], n
    while t > 0:
        start, pitch = back[t]
        if pitch >= 0:
            found.append(Segment(start, t, float(grid[pitch])))
        t = start
    return [segment for segment in found[::-1] if segment.stop - segment.start >= least]

"""A phrase into notes: the cheapest way to say its pitch curve with constant notes and rests.

Every stretch of frames is a note of one pitch or a rest. What a note costs:

* its price: a note more has to explain something;
* less a reward where the sound says that a note begins (:mod:`.cues`), so that repeated notes part;
* the distance of the curve from its pitch, up to a cap, so that neither vibrato nor a glide nor a
  frame an octave off is worth a note of its own; an octave off costs less than the cap;
* frames that look unvoiced; a rest costs frames that look voiced.

The sum is least over *all* segmentations: dynamic programming over the end of the last note, whose
start and pitch are carried along. That is a Viterbi decoding of a hidden semi-Markov model whose
states are pitches with a least duration; time grows linearly. Costs are in semitone-seconds, so the
hop of the curve does not matter.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

PITCH_STEP = 0.25  # semitones, of the pitches that a note can have while the best is sought
OCTAVE = 12.0  # semitones


@dataclass(frozen=True)
class NoteRules:
    """What makes a note; the defaults are for F0 alone, ``VOICE_RULES`` for a voice beside it.

    Tuned on the validation side of the made corpus.

    Args:
        price: Of a note, semitone-seconds: two semitones for 0.1 s, say, are 0.2.
        cap: Greatest distance that counts, semitones.
        octave_cost: Distance that a frame just an octave off counts as, semitones.
        unvoiced_cost: Of a frame within a note, for each unit of log-odds that it is not
            voiced, semitones.
        voiced_cost: Of a frame within a rest, for each unit of log-odds that it is voiced,
            semitones.
        shortest_sec: Least duration of a note, seconds.
        onset_reward: For each unit of log-odds of an onset above ``onset_floor``,
            semitone-seconds.
        onset_floor: Log-odds that are rewarded with nothing.
        onset_least: Least reward, semitone-seconds: below 0 where no onset is heard.
        onset_most: Greatest reward, semitone-seconds.
        step_semitones: Difference of the pitch before and after a frame from which it is an onset,
            whatever is heard: legato has no consonants.
        step_reward: Least reward there, semitone-seconds.
        slack: How far the log-odds of voicing may lie below those of the voicing threshold where
            nothing else tells.
        sung_floor: Log-odds of being sung, of the network, that speak neither way.
        sure_share: Of a note's voiced frames, that the model itself must call voiced.

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
    onset_reward: float = 0.13
    onset_floor: float = -1.2
    onset_least: float = -0.23
    onset_most: float = 0.33
    step_semitones: float = 1.2
    step_reward: float = -0.23
    slack: float = 1.4
    sung_floor: float = 0.4
    sure_share: float = 0.25


VOICE_RULES = NoteRules(price=0.17, cap=1.6, voiced_cost=0.4, step_reward=0.05, sure_share=0.0)


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
        midi: ``(N,)`` pitch of each frame in semitones; finite where nothing is voiced, too.
        weight: ``(N,)`` how much the pitch of a frame counts, in [0, 1].
        evidence: ``(N,)`` log-odds that a frame is voiced.
        onset: ``(N,)`` reward for a note that begins with this frame, semitone-seconds.
        hop_sec: Distance of frames, seconds.
        rules: What makes a note.

    Returns:
        Segments in order and apart; frames between them are rests.

    Example:
        >>> midi = np.repeat([60.0, 62.0], 25)
        >>> flat = np.ones(50)
        >>> segment_phrase(midi, flat, flat, 0 * flat, 0.02, NoteRules())
        [Segment(start=0, stop=25, midi=60.0), Segment(start=25, stop=50, midi=62.0)]
    """
    n = len(midi)
    shortest = max(1, round(rules.shortest_sec / hop_sec))
    grid = np.arange(np.floor(midi.min()), np.ceil(midi.max()) + PITCH_STEP, PITCH_STEP)  # (P,)
    off = np.abs(midi[:, None] - grid)  # (N, P)
    off = np.minimum(off, rules.octave_cost + np.abs(off - OCTAVE))
    unvoiced = rules.unvoiced_cost * np.maximum(-evidence, 0)
    frame = hop_sec * (np.minimum(off, rules.cap) * weight[:, None] + unvoiced[:, None])  # (N, P)
    total = np.concatenate([np.zeros((1, len(grid))), np.cumsum(frame, 0)])  # (N + 1, P)
    rest = hop_sec * rules.voiced_cost * np.maximum(evidence, 0)
    least = np.zeros(n + 1)  # cost of the first t frames, all said
    back: list[tuple[int, int]] = [(0, -1)] * (n + 1)  # start and pitch of what ends there
    running = np.full(len(grid), np.inf)  # the same with a note of each pitch going on
    begun = np.zeros(len(grid), int)  # frame that it began with
    for t in range(1, n + 1):
        running += frame[t - 1]
        start = t - shortest
        if start >= 0:
            entered = least[start] + rules.price - onset[start] + total[t] - total[start]
            better = entered < running
            running[better] = entered[better]
            begun[better] = start
        pitch = int(running.argmin())
        if running[pitch] < least[t - 1] + rest[t - 1]:
            least[t], back[t] = running[pitch], (int(begun[pitch]), pitch)
        else:
            least[t], back[t] = least[t - 1] + rest[t - 1], (t - 1, -1)
    found, t = [], n
    while t > 0:
        start, pitch = back[t]
        if pitch >= 0:
            found.append(Segment(start, t, float(grid[pitch])))
        t = start
    return found[::-1]

"""Notes of a song while it is being separated: phrase by phrase, in bounded memory.

F0 rows, voice, mixture -> frames -> phrases (separated by silence) -> segments -> notes
"""

from collections.abc import Iterator

import numpy as np

from ...pitch import hz_to_midi
from .cues import VoiceCues
from .note import Note as Note
from .segment import VOICE_RULES, NoteRules, Segment, segment_phrase

GAP_SEC = 0.3  # seconds without voiced frames that end a phrase
BLOCK_SEC = 1.0  # seconds between decisions: fixed, to be independent of how much is pushed
LONGEST_SEC = 30.0  # of a phrase: a longer one is decided up to its last notes
UNDECIDED_SEC = 3.0  # seconds at the end of an unfinished phrase that may still change
MOST_EVIDENCE = 2.5  # log-odds at which evidence is clipped
STEP_SEC = 0.16  # seconds on either side compared for a step of the pitch: a period of vibrato
EDGE_SEC = 0.06  # seconds after the onset that are ignored for a note's pitch
TINY = 1e-3  # smallest probability
LOWEST_HZ = 20.0  # smallest F0: frames without one have 0


class NoteTracker:
    """Turns rows of F0, with the sound if available, into final notes.

    Args:
        hop_sec: Hop between F0 frames in seconds.
        threshold: Voicing threshold of the model that estimated the confidences.
        sample_rate: Sample rate of the voice in Hz; ``None`` without a voice. The voice helps to
            separate repeated notes, and to tell residual accompaniment from singing; the mixture
            helps further.
        rules: What counts as a note; by default ``VOICE_RULES`` with a voice, else ``NoteRules()``.

    Example:
        >>> tracker = NoteTracker(0.02)
        >>> hz = np.concatenate([np.full(30, 220.0), np.full(30, 247.0), np.zeros(40)])
        >>> rows = np.stack([0.02 * np.arange(100), hz, hz > 0, hz > 0], 1)
        >>> notes = tracker.push(rows[:50]) + tracker.push(rows[50:]) + tracker.finish()
        >>> [(round(n.onset_sec, 2), round(n.pitch_midi, 1)) for n in notes]
        [(0.0, 57.0), (0.59, 59.0)]
    """

    def __init__(
        self,
        hop_sec: float,
        threshold: float = 0.5,
        sample_rate: int | None = None,
        rules: NoteRules | None = None,
    ) -> None:
        self.rules = rules or (NoteRules() if sample_rate is None else VOICE_RULES)
        self._hop = hop_sec
        self._block = max(1, round(BLOCK_SEC / hop_sec))  # frames
        self._threshold = threshold
        self.cues = None if sample_rate is None else VoiceCues(sample_rate, hop_sec)
        self._with_mixture: bool | None = None  # not known before the first samples
        self._cue_rows = np.zeros((0, 4))
        self._f0 = np.zeros((0, 4))
        self._activity = np.zeros((0, 2))
        self._held = np.zeros((0, 7))  # frames of the running phrase: see _frames

    def push(
        self,
        f0: np.ndarray,
        voice: np.ndarray | None = None,
        activity: np.ndarray | None = None,
        mixture: np.ndarray | None = None,
    ) -> list[Note]:
        """Add data; F0, sound and activity need not end at the same time.

        Args:
            f0: ``(frames, 4)`` time, frequency in Hz, confidence, voiced, as in ``Chunk.f0``.
            voice: ``(n_channels, n_samples)``, the separated voice.
            activity: ``(frames, 2)`` time and probability that somebody sings, on the frames of
                ``f0``: only from models with an activity output.
            mixture: ``(n_channels, n_samples)``, the samples that the voice was separated from:
                always or never.

        Returns:
            Final notes, in order.

        Raises:
            ValueError: If the mixture is not as long as the voice, or comes with some voice only.
        """
        if self.cues is not None:
            voice = np.zeros((1, 0)) if voice is None else np.asarray(voice)
            self._check(voice, mixture)
            rows = self.cues.push(pitch_of(f0, self._threshold), voice, mixture)
            self._cue_rows = np.concatenate([self._cue_rows, rows])
        return self._advance(f0, activity, last=False)

    def finish(self) -> list[Note]:
        """Return the remaining notes."""
        if self.cues is not None:
            self._cue_rows = np.concatenate([self._cue_rows, self.cues.finish()])
        return self._advance(np.zeros((0, 4)), None, last=True)

    def _check(self, voice: np.ndarray, mixture: np.ndarray | None) -> None:
        n, given = voice.shape[-1], None if mixture is None else np.shape(mixture)[-1]
        if n and self._with_mixture is None:
            self._with_mixture = given is not None
        if (n and (given is not None) != self._with_mixture) or given not in (None, n):
            raise ValueError(
                "Expected the mixture with all of the voice or with none of it, and of the same "
                f"length, received {n} samples of voice and {given} of mixture."
            )

    def _advance(self, f0: np.ndarray, activity: np.ndarray | None, last: bool) -> list[Note]:
        self._f0 = np.concatenate([self._f0, f0])
        with_activity = activity is not None or len(self._activity) > 0
        if activity is not None:
            self._activity = np.concatenate([self._activity, activity])
        n = len(self._f0)
        if with_activity and not last:
            n = min(n, len(self._activity))
        if self.cues is not None and not last:
            until = self._cue_rows[-1, 0] if len(self._cue_rows) else -np.inf
            n = min(n, int(np.searchsorted(self._f0[:, 0], until)))
        notes: list[Note] = []
        while n >= self._block or (last and n):
            taken = min(n, self._block)
            self._held = np.concatenate([self._held, self._frames(taken)])
            n -= taken
            notes += self._decide(last and n == 0)
        return notes if n or not last else [*notes, *self._decide(last)]

    def _frames(self, n: int) -> np.ndarray:
        """The next ``n`` frames, ``(n, 7)``, with the columns named below.

        Voicing is the model's, log-odds re its threshold; evidence is the log-odds that the frame
        is sung, from all cues; onset is the reward for a note.
        """
        rules = self.rules
        rows, self._f0 = self._f0[:n], self._f0[n:]
        time, hz, confidence = rows[:, 0], rows[:, 1], rows[:, 2]
        midi, voicing = pitch_of(rows, self._threshold).T
        evidence, level, onset = voicing + rules.slack, np.full(n, np.nan), np.zeros(n)
        if len(self._cue_rows):
            at, db, begins, sung = self._cue_rows.T
            level = np.interp(time, at, db)
            onset = _rewards(np.interp(time, at, begins), rules)
            evidence = np.interp(time, at, sung) - rules.sung_floor
            keep = int(np.searchsorted(at, time[-1])) - 1
            self._cue_rows = self._cue_rows[max(keep, 0) :]
        if len(self._activity):
            active = _logit(self._activity[:n, 1]) + rules.slack
            self._activity = self._activity[n:]
            evidence[: len(active)] = np.minimum(evidence[: len(active)], active)
        evidence = np.where(hz > 0, evidence, -MOST_EVIDENCE)
        evidence = np.clip(evidence, -MOST_EVIDENCE, MOST_EVIDENCE)
        return np.stack([time, midi, confidence, voicing, evidence, level, onset], 1)

    def _decide(self, last: bool) -> Iterator[Note]:
        """Decide phrases that have ended, or are too long."""
        gap = max(1, round(GAP_SEC / self._hop))
        while len(self._held):
            evidence = self._held[:, 4]
            sung = np.flatnonzero(evidence > 0)
            if not len(sung):
                self._held = self._held[:0]
                return
            ends = sung[np.flatnonzero(np.diff(sung) > gap)]
            open_end = len(self._held) - 1 - sung[-1] <= gap
            if len(ends):
                stop = int(ends[0]) + 1
            elif last or not open_end:
                stop = int(sung[-1]) + 1
            elif len(self._held) * self._hop > LONGEST_SEC:
                yield from self._part(self._held[sung[0] :])
                return
            else:
                self._held = self._held[sung[0] :]
                return
            yield from self._notes(self._held[sung[0] : stop])
            self._held = self._held[stop:]

    def _part(self, frames: np.ndarray) -> Iterator[Note]:
        """Decide an unfinished phrase except for its end."""
        undecided = len(frames) - round(UNDECIDED_SEC / self._hop)
        found = [s for s in self._segments(frames) if s.stop <= undecided]
        # a note longer than the undecided part is output in parts
        stop = found[-1].stop if found else undecided
        yield from self._notes(frames[:stop])
        self._held = frames[stop:]

    def _segments(self, frames: np.ndarray) -> list[Segment]:
        _, midi, confidence, _, evidence, _, onset = frames.T
        step = pitch_step(np.where(evidence > 0, midi, np.nan), round(STEP_SEC / self._hop))
        legato = step >= self.rules.step_semitones  # False for NaN
        onset = np.where(legato, np.maximum(onset, self.rules.step_reward), onset)
        weight = np.clip(confidence, 0, 1) ** 0.3  # an uncertain pitch is seldom far off
        return segment_phrase(midi, weight, evidence, onset, self._hop, self.rules)

    def _notes(self, frames: np.ndarray) -> Iterator[Note]:
        """Notes of a phrase."""
        for start, stop, midi in self._segments(frames):
            voiced = start + np.flatnonzero(frames[start:stop, 4] > 0)
            sure = np.mean(frames[voiced, 3] > -TINY) if len(voiced) else 0.0
            long_enough = len(voiced) * self._hop >= self.rules.shortest_sec / 2
            if long_enough and sure >= self.rules.sure_share:
                yield self._note(frames[voiced[0] : voiced[-1] + 1], midi)

    def _note(self, frames: np.ndarray, near: float) -> Note:
        time, midi, confidence, _, evidence, level, _ = frames.T
        midi = midi - 12 * np.round((midi - near) / 12)  # correct octave errors
        voiced = evidence > 0
        settled = voiced.copy()
        settled[: min(round(EDGE_SEC / self._hop), len(frames) // 3)] = False
        if not settled.any():
            settled = voiced
        return Note(
            onset_sec=max(float(time[0]) - self._hop / 2, 0.0),
            offset_sec=float(time[-1]) + self._hop / 2,
            pitch_midi=float(np.median(midi[settled])),
            confidence=float(np.clip(confidence[voiced], 0, 1).mean()),
            level_db=None if np.isnan(level).any() else float(np.median(level)),
            curve=np.stack([time[voiced], midi[voiced]], 1),
        )


def pitch_of(f0: np.ndarray, threshold: float) -> np.ndarray:
    """MIDI semitones and log-odds of voicing re the threshold, ``(frames, 2)``, of rows of F0."""
    hz = f0[:, 1]
    midi = hz_to_midi(np.maximum(hz, LOWEST_HZ))
    voicing = _logit(np.where(hz > 0, f0[:, 2], 0.0)) - _logit(np.array(threshold))
    return np.stack([midi, voicing], 1)


def track_notes(
    f0: np.ndarray,
    *,
    threshold: float = 0.5,
    voice: np.ndarray | None = None,
    sample_rate: int | None = None,
    activity: np.ndarray | None = None,
    rules: NoteRules | None = None,
    mixture: np.ndarray | None = None,
) -> list[Note]:
    """Notes of an F0 curve in memory; arguments as for :class:`NoteTracker`.

    Raises:
        ValueError: If there are fewer than two frames, or a voice without its sample rate, or if
            the mixture is not as long as the voice.
    """
    if len(f0) < 2 or (voice is None) != (sample_rate is None):
        raise ValueError(
            "Expected at least two frames and a voice with its sample rate, received "
            f"{len(f0)} frames, {'no' if voice is None else 'a'} voice and rate {sample_rate}."
        )
    hop_sec = float(f0[-1, 0] - f0[0, 0]) / (len(f0) - 1)
    tracker = NoteTracker(hop_sec, threshold, sample_rate, rules)
    return [*tracker.push(f0, voice, activity, mixture), *tracker.finish()]


def _logit(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.nan_to_num(probability), TINY, 1 - TINY)
    return np.log(clipped / (1 - clipped))


def pitch_step(midi: np.ndarray, n: int) -> np.ndarray:
    """Difference between the medians of the ``n`` frames before and after each frame.

    Args:
        midi: ``(N,)`` semitones; NaN where unvoiced.
        n: About a period of vibrato, so that vibrato is not a step.

    Returns:
        ``(N,)`` semitones; NaN if one side is mostly unvoiced.

    Example:
        >>> pitch_step(np.repeat([60.0, 62.0], 4), 2).tolist()
        [nan, nan, 0.0, 1.0, 2.0, 1.0, 0.0, nan]
    """
    padded = np.pad(midi, n, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, n)  # (N + n + 1, n)
    known = (~np.isnan(windows)).sum(1) > n // 2
    medians = np.full(len(windows), np.nan)
    medians[known] = np.nanmedian(windows[known], 1)
    return np.abs(medians[n : n + len(midi)] - medians[: len(midi)])


def _rewards(log_odds: np.ndarray, rules: NoteRules) -> np.ndarray:
    """Rewards for onsets, ``(n,)``; notes are too long to receive one twice."""
    return np.clip(
        rules.onset_reward * (log_odds - rules.onset_floor), rules.onset_least, rules.onset_most
    )

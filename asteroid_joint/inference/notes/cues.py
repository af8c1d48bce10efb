"""Cues for notes besides the pitch: where one begins, and whether anybody sings at all.

A repeated note does not show in the pitch, but in the sound: consonants remove the low harmonics,
or add noise, for some 50 ms, and then the vowel sets in in all bands. Accompaniment that the
separation mistook for a voice shows, too: it follows the mixture.

    voice, mixture -> mono -> frames of 46 ms every 20 ms -> power in mel bands, dB -> below peak
    F0 rows -> confidence, pitch about each frame
    all -> network over time (:mod:`.network`) -> log-odds of an onset, log-odds of being sung
"""

import numpy as np

from ...dsp.downmix import StreamDownmix
from .odds import REACH, load_cue_odds

HOP_SEC = 0.02  # seconds
FRAME_SEC = 0.046  # seconds: harmonics blur, syllables do not
N_MELS = 24
LOWEST_BAND_HZ, HIGHEST_BAND_HZ = 80.0, 7500.0
RANGE_DB = 70.0  # below the peak, where bands are cut off
FALL_DB = 0.02  # by which the remembered peak falls per frame, dB: 1 dB a second
BLOCK = 64  # frames at a time, always: rounding must not depend on how much is pushed at once
SILENCE_DB = -120.0  # dB re full scale, the level assigned to digital silence
QUIET_DB = -70.0  # dB re full scale, the lowest peak that counts
AHEAD = 32  # frames of look-ahead of the peak and the pitch
AROUND = (-6, -4, -3, -2, -1, 1, 2, 3, 4, 6)  # frames whose pitch a frame is compared with
MOST_SEMITONES = 3.0  # at which differences of pitch are clipped
LEAST_VOICING = -2.0  # log-odds: below, a frame has no pitch; what is decoded there depends on how
CONTEXT = AHEAD + REACH  # frames on either side that a cue depends on
VOICE, MIXTURE = slice(0, N_MELS), slice(N_MELS, 2 * N_MELS)  # columns of raw frames
VOICE_PEAK, MIXTURE_PEAK, MIDI, VOICING = range(2 * N_MELS, 2 * N_MELS + 4)
N_RAW = 2 * N_MELS + 4
N_FEATURES = 2 * N_MELS + 3 + len(AROUND)


def features(raw: np.ndarray) -> np.ndarray:
    """Input features of the network, independent of the recording's gain.

    Args:
        raw: ``(n + 2 * AHEAD, N_RAW)``: bands of voice and mixture in dB, their running peaks in
            dB, pitch in MIDI semitones, log-odds of voicing re the model's threshold. An unknown
            mixture is silent.

    Returns:
        ``(n, N_FEATURES)``.
    """
    n = len(raw) - 2 * AHEAD
    now = raw[AHEAD : AHEAD + n]
    peaks = np.maximum(raw[2 * AHEAD :, [VOICE_PEAK, MIXTURE_PEAK]], QUIET_DB)  # (N, 2)
    bands = [
        np.maximum(now[:, some] - peak[:, None], -RANGE_DB) / 20
        for some, peak in zip((VOICE, MIXTURE), peaks.T, strict=True)
    ]
    with_mixture = raw[2 * AHEAD :, MIXTURE_PEAK] > SILENCE_DB
    share = np.where(with_mixture, np.clip(peaks[:, 0] - peaks[:, 1], -40, 10) / 10, 0.0)
    pitch = np.where(raw[:, VOICING] > LEAST_VOICING, raw[:, MIDI], np.nan)
    around = np.stack([pitch[AHEAD + k : AHEAD + k + n] for k in AROUND], 1)  # (N, 10)
    differences = np.nan_to_num(around - pitch[AHEAD : AHEAD + n, None])
    steps = np.clip(differences, -MOST_SEMITONES, MOST_SEMITONES) / MOST_SEMITONES
    rest = np.stack([share, with_mixture, now[:, VOICING] / 3], 1)
    return np.concatenate([*bands, rest, steps], 1)


def running_peak(level_db: np.ndarray, before_db: float) -> np.ndarray:
    """Slowly decaying running maximum of a level, ``(n,)``, continued from ``before_db``."""
    fallen = FALL_DB * np.arange(len(level_db) + 1)
    return np.maximum.accumulate([before_db, *(level_db + fallen[1:])])[1:] - fallen[1:]


class MelFrames:
    """Mel frames of a recording that arrives in blocks; buffers a second or two of it.

    Frame ``n`` has its centre at ``n * HOP_SEC`` seconds.

    Args:
        sample_rate: Sample rate in Hz; bands above half of it are silent.
    """

    def __init__(self, sample_rate: int) -> None:
        self._hop = HOP_SEC * sample_rate
        self._n_fft = 2 * round(FRAME_SEC * sample_rate / 2)
        self._window = np.hanning(self._n_fft + 1)[:-1]
        self._window *= np.sqrt(2 / (self._n_fft * np.sum(self._window**2)))
        bins = np.fft.rfftfreq(self._n_fft, 1 / sample_rate)  # Hz
        low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_BAND_HZ, HIGHEST_BAND_HZ))
        edges = 700 * (10 ** (np.linspace(low, high, N_MELS + 2) / 2595) - 1)  # Hz
        triangles = [np.interp(bins, edges[k : k + 3], [0, 1, 0]) for k in range(N_MELS)]
        in_range = (bins >= LOWEST_BAND_HZ) & (bins <= HIGHEST_BAND_HZ)
        self._weights = np.stack([*triangles, in_range], 1)  # (F, N_MELS + 1)
        self._samples = np.zeros(self._n_fft // 2)  # the first frame is centred on sample 0
        self._first = -(self._n_fft // 2)  # position of the first one
        self._n_received = 0
        self._n_framed = 0
        self._peak_db = SILENCE_DB

    def push(self, mono: np.ndarray) -> np.ndarray:
        """Add ``(n_samples,)``; returns ``(N, N_MELS + 2)``: bands, level, running peak, in dB."""
        self._n_received += len(mono)
        self._samples = np.concatenate([self._samples, mono])
        blocks = [np.zeros((0, N_MELS + 2))]
        while self._start(self._n_framed + BLOCK - 1) + self._n_fft <= self._end:
            blocks.append(self._block())
        drop = max(self._start(self._n_framed) - self._first, 0)
        self._samples, self._first = self._samples[drop:].copy(), self._first + drop
        return np.concatenate(blocks)

    def finish(self) -> np.ndarray:
        """Return the remaining frames, up to the last with its centre in the recording."""
        n = int(np.ceil(self._n_received / self._hop - 1e-9)) - self._n_framed
        return self.push(np.zeros(self._n_fft + int((n + BLOCK) * self._hop)))[:n]

    @property
    def _end(self) -> int:
        return self._first + len(self._samples)

    def _start(self, frame: int) -> int:
        """First sample of a frame."""
        return round(frame * self._hop) - self._n_fft // 2

    def _block(self) -> np.ndarray:
        """The next ``BLOCK`` frames."""
        starts = np.array([self._start(self._n_framed + k) for k in range(BLOCK)]) - self._first
        frames = self._samples[starts[:, None] + np.arange(self._n_fft)] * self._window  # (N, T)
        power = np.abs(np.fft.rfft(frames)) ** 2 @ self._weights  # (N, N_MELS + 1)
        db = 10 * np.log10(np.maximum(power, 10 ** (SILENCE_DB / 10)))
        peak_db = running_peak(db[:, -1], self._peak_db)
        self._peak_db = float(peak_db[-1])
        self._n_framed += BLOCK
        return np.concatenate([db, peak_db[:, None]], 1)


class VoiceCues:
    """Cues of a song that arrives in blocks; buffers some seconds of it.

    Args:
        sample_rate: Sample rate of voice and mixture in Hz.
        hop_sec: Hop between F0 rows in seconds.

    References:
        J. P. Bello et al., "A tutorial on onset detection in music signals", IEEE Trans. Speech and
        Audio Processing 13(5), 2005, section III (energy in bands, rather than of the whole).
    """

    def __init__(self, sample_rate: int, hop_sec: float) -> None:
        self._sample_rate = sample_rate
        self._step = HOP_SEC / hop_sec  # F0 rows per frame
        self._voice, self._mixture = MelFrames(sample_rate), MelFrames(sample_rate)
        self._downmix: StreamDownmix | None = None  # not known before the first samples
        self._with_mixture: bool | None = None
        self._bands = np.zeros((0, N_MELS + 2))  # of the voice, not yet joined with the others
        self._mixed = np.zeros((0, N_MELS + 2))
        self._pitch = np.zeros((0, 2))  # F0 rows: MIDI, log-odds of voicing
        self._n_dropped = 0  # of them
        self._n_joined = 0  # frames
        self._n_given = 0
        self._raw = np.zeros((0, N_RAW))  # from CONTEXT frames before the next output frame on
        self._level_db = np.zeros(0)  # from the next output frame on

    def push(self, pitch: np.ndarray, voice: np.ndarray, mixture: np.ndarray | None) -> np.ndarray:
        """Add pitch and samples; returns rows ``(N, 4)`` of the frames that are complete.

        Args:
            pitch: ``(rows, 2)`` MIDI semitones, log-odds of voicing re the model's threshold.
            voice: ``(n_channels, n_samples)``.
            mixture: The same samples of the mixture, or ``None``.

        Returns:
            Time in seconds, level of the voice in dB re full scale, log-odds of an onset, log-odds
            of being sung.
        """
        self._pitch = np.concatenate([self._pitch, pitch])
        if voice.shape[-1]:
            if self._downmix is None:
                self._with_mixture = mixture is not None
                self._downmix = StreamDownmix(len(voice), self._sample_rate)
            self._hear(*self._downmix.push(voice, mixture))
        self._join(last=False)
        return self._rows(last=False)

    def finish(self) -> np.ndarray:
        """Return the remaining frames, up to the last with its centre in the recording."""
        if self._downmix is not None:
            self._hear(*self._downmix.finish())
        self._bands = np.concatenate([self._bands, self._voice.finish()])
        self._mixed = np.concatenate([self._mixed, self._mixture.finish()])
        self._join(last=True)
        return self._rows(last=True)

    def _hear(self, voice: np.ndarray, mixture: np.ndarray) -> None:
        """Add ``(n_samples,)`` of either."""
        self._bands = np.concatenate([self._bands, self._voice.push(voice)])
        if self._with_mixture:
            self._mixed = np.concatenate([self._mixed, self._mixture.push(mixture)])

    def _join(self, last: bool) -> None:
        """Join bands and pitch of the frames that have both; keep the last pitch row."""
        n = len(self._bands)
        if self._with_mixture:
            n = min(n, len(self._mixed))
        if not n or not (len(self._pitch) or last):
            return
        rows = np.rint((self._n_joined + np.arange(n)) * self._step).astype(int) - self._n_dropped
        if not last:
            n = int(np.searchsorted(rows, len(self._pitch)))
        pitch = self._pitch if len(self._pitch) else np.zeros((1, 2))
        raw = np.full((n, N_RAW), SILENCE_DB)
        raw[:, VOICE] = self._bands[:n, :N_MELS]
        raw[:, VOICE_PEAK] = self._bands[:n, -1]
        if self._with_mixture:
            raw[:, MIXTURE] = self._mixed[:n, :N_MELS]
            raw[:, MIXTURE_PEAK] = self._mixed[:n, -1]
        raw[:, [MIDI, VOICING]] = pitch[rows[:n].clip(0, len(pitch) - 1)]
        if n and not self._n_joined:
            self._raw = np.repeat(raw[:1], CONTEXT, 0)
        self._level_db = np.concatenate([self._level_db, self._bands[:n, N_MELS]])
        self._raw = np.concatenate([self._raw, raw])
        self._bands, self._mixed = self._bands[n:], self._mixed[n:]
        self._n_joined += n
        keep = int(np.rint(self._n_joined * self._step)) - 1 - self._n_dropped
        drop = min(max(keep, 0), max(len(self._pitch) - 1, 0))
        self._pitch, self._n_dropped = self._pitch[drop:], self._n_dropped + drop

    def _rows(self, last: bool) -> np.ndarray:
        """Run the network on blocks with complete context; edge frames are repeated at the ends."""
        left = self._n_joined - self._n_given
        if last and left:
            after = np.repeat(self._raw[-1:], CONTEXT + BLOCK, 0)
            self._raw = np.concatenate([self._raw, after])
        rows = [np.zeros((0, 4))]
        while len(self._raw) >= BLOCK + 2 * CONTEXT and self._n_given < self._n_joined:
            read = features(self._raw[: BLOCK + 2 * CONTEXT]).T  # (D, N + 2 REACH)
            odds = load_cue_odds()(read.astype(np.float32)).T  # (N, 2)
            n = min(BLOCK, self._n_joined - self._n_given)
            times = (self._n_given + np.arange(n)) * HOP_SEC
            rows.append(np.column_stack([times, self._level_db[:n], odds[:n]]))
            self._raw, self._level_db = self._raw[n:], self._level_db[n:]
            self._n_given += n
        self._raw = self._raw.copy()  # a view would keep processed frames in memory
        return np.concatenate(rows)

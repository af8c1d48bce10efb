"""The singing voice: notes and a singer in, a waveform and its exact F0 out.

From top to bottom: phones with their times, F0, spectral envelope and aperiodicity, from which
WORLD synthesizes each phrase. The returned F0 is the array that WORLD received: frame ``i`` is at
``i * 5 ms``, 0 where unvoiced. A frame is voiced if its phone is and if its level is within 34 dB
of the loud frames.

References:
    M. Morise, F. Yokomori, K. Ozawa, "WORLD: a vocoder-based high-quality speech synthesis system",
    IEICE Trans. Inf. & Syst. E99-D(7), 2016.
    T. Saitou, M. Goto et al., "Speech-to-singing synthesis", WASPAA 2007: overshoot, vibrato and
    fine fluctuation as what makes a curve sound sung.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ...optional import optional
from .hts import ALPHA, FRAME_SEC, ORDER, VOICE_RATE, VOWELS, HTSVoice, Phone
from .melody import Note, phrases_of
from .singers import Singer

RATE = 44100  # Hz
N_FFT = 2048
PAD_SEC = 0.25  # silence around a phrase, for breath and decay
DB = np.log(10) / 20  # one decibel as natural logarithm of amplitude
MALE_TILT_DB = -3.0  # per octave; longer vocal folds close less abruptly
OWN_RANGE = (58, 76)  # MIDI, approximate range of the singing voice's training data
GATE_DB = 34.0  # below the loud frames; quieter frames are inaudible, hence unvoiced
POST_FILTER = 1.2  # sharpens the formants, which statistical envelopes smooth too much
VOICED_SEC, UNVOICED_SEC = (0.04, 0.075), (0.06, 0.11)  # length of consonants
NOISY = frozenset("z j v".split())  # voiced fricatives
UNVOICED_CONSONANTS = frozenset("f p s sh ts ch t k h".split())


@dataclass
class Sung:
    """A sung melody."""

    wav: np.ndarray  # (time,) at 44.1 kHz, loud frames near -20 dBFS
    f0_hz: np.ndarray  # (n_frames,) every 5 ms, 0 where unvoiced
    active: list[tuple[float, float]]  # start and end of each phrase without silence, seconds


def sing(
    rng: np.random.Generator,
    voice: HTSVoice,
    singer: Singer,
    notes: Sequence[Note],
    n_samples: int,
) -> Sung:
    """Sing a melody.

    Args:
        rng: Random generator.
        voice: The loaded ``singer.voice``.
        singer: Timbre, range and style.
        notes: The melody; it ends before the audio does.
        n_samples: Length of the audio.
    """
    n_frames = int(np.ceil(n_samples / RATE / FRAME_SEC))
    wav = np.zeros(n_samples + RATE)
    f0_hz = np.zeros(n_frames)
    active: list[tuple[float, float]] = []
    for phrase in phrases_of(notes):
        # even frames begin at integer samples: 10 ms are 441
        first = 2 * int(max(phrase[0].onset_sec - PAD_SEC - UNVOICED_SEC[1], 0.0) / FRAME_SEC / 2)
        start_sec = first * FRAME_SEC
        local = [_earlier(note, start_sec) for note in phrase]
        phones = phones_of(rng, local)
        samples, curve = _sing_phrase(rng, voice, singer, local, phones)
        at = first // 2 * 441
        wav[at : at + len(samples)] += samples[: len(wav) - at]
        curve = curve[: n_frames - first]
        f0_hz[first : first + len(curve)] = curve
        active.append((start_sec + phones[1].start_sec, start_sec + phones[-2].end_sec))
    return Sung(wav[:n_samples], f0_hz, active)


def _earlier(note: Note, by_sec: float) -> Note:
    return replace(note, onset_sec=note.onset_sec - by_sec, offset_sec=note.offset_sec - by_sec)


def phones_of(rng: np.random.Generator, notes: Sequence[Note]) -> list[Phone]:
    """Phones of a phrase: consonants before the beat, vowels up to the next phone."""
    phones: list[Phone] = []
    for i, note in enumerate(notes):
        start = note.onset_sec
        if note.consonant:
            unvoiced = note.consonant in UNVOICED_CONSONANTS
            wanted = rng.uniform(*(UNVOICED_SEC if unvoiced else VOICED_SEC))
            before = notes[i - 1].onset_sec if i else 0.0
            start = max(note.onset_sec - wanted, 0.6 * note.onset_sec + 0.4 * before)
        if phones:
            # the preceding vowel ends here, or earlier with its note
            gap = start - notes[i - 1].offset_sec
            end = start if gap < 0.03 else notes[i - 1].offset_sec
            phones[-1] = phones[-1]._replace(end_sec=end)
            if end < start:
                phones.append(Phone("pau", end, start))
        else:
            phones.append(Phone("sil", 0.0, start))
        if note.slurred:
            phones[-1] = phones[-1]._replace(end_sec=note.offset_sec)
            continue
        if note.consonant:
            phones.append(Phone(note.consonant, start, note.onset_sec, note.midi))
        phones.append(Phone(note.vowel, note.onset_sec, note.offset_sec, note.midi))
    end = phones[-1].end_sec
    return [*phones, Phone("sil", end, end + PAD_SEC)]


def _sing_phrase(
    rng: np.random.Generator,
    voice: HTSVoice,
    singer: Singer,
    notes: Sequence[Note],
    phones: Sequence[Phone],
) -> tuple[np.ndarray, np.ndarray]:
    """Waveform and F0 of one phrase."""
    pyworld = optional("pyworld", "corpus")
    # a male voice is the female one with lower formants, low in her range; outside of the range of
    # its training data, some phones burst
    man = singer.formant < 0.92
    low, high = OWN_RANGE
    own = [float(np.clip(phone.midi + (5 if man else 0), low, high)) for phone in phones]
    timbre = voice([p._replace(midi=pitch) for p, pitch in zip(phones, own, strict=True)])
    n_frames = len(timbre.cepstrum)
    sec = np.arange(n_frames) * FRAME_SEC
    midi = pitch_curve(rng, singer, notes, sec)
    cepstrum = timbre.cepstrum.copy()
    cepstrum[:, 2:] *= POST_FILTER
    cepstrum[:, 1:6] *= 1 + 0.06 * _wander(rng, n_frames, 2.0)[:, None]  # no vowel is static
    log_amplitude = cepstrum @ envelope_basis(singer.formant, timbre.own_f0_hz)
    log_amplitude += DB * (_tilt(singer.tilt_db, 500.0) + man * _tilt(MALE_TILT_DB, 100.0))
    spoken = [_phone_at(phones, t) for t in sec]
    phonation = np.array([phone.voiced for phone in spoken])
    sung_hz = 440 * 2 ** ((midi - 69) / 12)  # not by asteroid_joint.pitch, which imports torch
    level_db = _loudness(np.exp(2 * log_amplitude), np.where(phonation, sung_hz, 0.0))
    vowels = np.array([phone.name in VOWELS for phone in spoken])
    change_db = _evened(level_db, vowels) - level_db + _dynamics(rng, notes, sec)
    log_amplitude += DB * change_db[:, None]
    level_db += change_db
    loud_db = np.percentile(level_db[phonation], 95)
    voiced = phonation & (level_db > loud_db - GATE_DB)
    f0_hz = np.where(voiced, sung_hz, 0.0)
    aperiodicity = _aperiodicity(singer, spoken, voiced)
    _add_breath(rng, log_amplitude, phones, level_db, loud_db)
    # loud frames at -20 dBFS; WORLD expects power spectra
    power = np.exp(2 * log_amplitude) * 10 ** (-loud_db / 10)
    wav = pyworld.synthesize(f0_hz, power, aperiodicity, RATE, 1000 * FRAME_SEC)
    loud = np.sqrt(np.mean(wav[np.repeat(voiced, 221)[: len(wav)]] ** 2))
    return 0.1 / max(loud, 1e-9) * wav, f0_hz


def pitch_curve(
    rng: np.random.Generator, singer: Singer, notes: Sequence[Note], sec: np.ndarray
) -> np.ndarray:
    """Fractional MIDI pitch at ``sec``: overshooting glides, scoops, vibrato, drift."""
    from scipy import signal

    target = np.full(len(sec), float(notes[0].midi))
    for note in notes[1:]:
        # pitch moves in the unvoiced consonant, or from just before the vowel
        ahead = 0.06 if note.consonant in UNVOICED_CONSONANTS else 0.5 * singer.glide_sec
        target[sec >= note.onset_sec - ahead] = note.midi
    # second-order system with a rise time of about glide_sec
    omega = 2.2 / singer.glide_sec
    system = ([omega**2], [1, 2 * singer.damping * omega, omega**2])
    b, a, _ = signal.cont2discrete(system, FRAME_SEC)
    state = signal.lfilter_zi(b[0], a) * target[0]
    midi, _ = signal.lfilter(b[0], a, target, zi=state)
    cents = singer.drift_cents * _wander(rng, len(sec), 1.0) + 1.5 * _wander(rng, len(sec), 25.0)
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(
        singer.vibrato_hz * (1 + 0.05 * _wander(rng, len(sec), 1.5)) * FRAME_SEC
    )
    for i, note in enumerate(notes):
        since = sec - note.onset_sec
        scoop = singer.scoop_cents * rng.uniform(0.4, 1.2)
        if i == 0 or (not note.slurred and rng.random() < 0.15):
            # within a phrase the pitch first falls, over 100 ms
            below = 1.0 if i == 0 else np.clip(1 + since / 0.1, 0, 1)
            cents -= np.where(since < 0, below, np.exp(-np.maximum(since, 0) / 0.06)) * scoop
        length = note.offset_sec - note.onset_sec
        if length > 0.35:
            delay, depth = rng.uniform(0.15, 0.35), singer.vibrato_cents * rng.uniform(0.6, 1.2)
            here = (since >= delay) & (since < length)
            cents += here * np.clip((since - delay) / 0.25, 0, 1) * depth * np.sin(phase)
    if rng.random() < 0.15:  # the last note falls off
        fall = np.clip((sec - notes[-1].offset_sec + 0.12) / 0.12, 0, 1)
        cents -= 150 * fall**2
    return midi + cents / 100


@lru_cache(maxsize=64)
def envelope_basis(formant: float, own_f0_hz: float) -> np.ndarray:
    """``(35, n_bins)``: contribution of each mel-cepstral coefficient to each bin's log amplitude.

    The envelope is held constant below the voice's own F0, where it is not defined; otherwise low
    notes would lack their fundamental.
    """
    hz = np.fft.rfftfreq(N_FFT, 1 / RATE)
    own_hz = np.maximum(hz / formant, min(own_f0_hz, 400.0))
    omega = np.minimum(2 * np.pi * own_hz / VOICE_RATE, np.pi)
    warped = omega + 2 * np.arctan2(ALPHA * np.sin(omega), 1 - ALPHA * np.cos(omega))
    return np.cos(np.arange(ORDER)[:, None] * warped)


def _loudness(power: np.ndarray, sung_hz: np.ndarray) -> np.ndarray:
    """Level in dB of each frame; voiced frames have power at their harmonics only.

    Args:
        power: ``(n_frames, n_bins)``.
        sung_hz: ``(n_frames,)``, 0 where unvoiced.
    """
    level = power.mean(1)
    voiced = np.flatnonzero(sung_hz)
    harmonics = np.arange(1, 41) * sung_hz[voiced, None]
    bins = np.rint(harmonics * N_FFT / RATE).astype(int)
    inside = bins <= N_FFT // 2
    at_harmonics = np.where(inside, power[voiced[:, None], np.minimum(bins, N_FFT // 2)], 0.0)
    level[voiced] = at_harmonics.sum(1) * sung_hz[voiced] / (RATE / 2)
    return 10 * np.log10(level)


def _evened(level_db: np.ndarray, vowels: np.ndarray) -> np.ndarray:
    """Even out levels: phones far above the usual vowel level are lowered, weak vowels raised."""
    from scipy.ndimage import maximum_filter1d

    usual = float(np.median(level_db[vowels]))
    over = maximum_filter1d(np.maximum(level_db - usual - 2, 0), 9)  # including short bursts
    under = np.where(vowels, np.maximum(usual - 3 - level_db, 0), 0)
    smooth = np.hanning(9) / np.hanning(9).sum()  # 45 ms, against steps in the envelope
    change = np.convolve(np.pad(0.6 * under - 0.85 * over, 4, mode="edge"), smooth, "valid")
    return level_db + change


def _tilt(db_per_octave: float, from_hz: float) -> np.ndarray:
    """Gain per bin in dB of a spectral tilt above ``from_hz``."""
    hz = np.fft.rfftfreq(N_FFT, 1 / RATE)
    return db_per_octave * np.log2(np.maximum(hz, from_hz) / from_hz)


def _dynamics(rng: np.random.Generator, notes: Sequence[Note], sec: np.ndarray) -> np.ndarray:
    """Level changes in dB: an arc over the phrase, accents, a soft start and end."""
    start, end = notes[0].onset_sec, notes[-1].offset_sec
    place = np.clip((sec - start) / (end - start), 0, 1)
    db = rng.uniform(1, 4) * np.sin(np.pi * place)
    accents = np.zeros(len(sec))
    for note in notes:
        accents[sec >= note.onset_sec] = rng.normal(0, 1.2)
    smooth = np.hanning(15) / np.hanning(15).sum()
    db += np.convolve(np.pad(accents, 7, mode="edge"), smooth, "valid")
    release = rng.uniform(0.05, 0.12)
    return db - 30 * np.clip((sec - end + release) / release, 0, 1) ** 2


def _phone_at(phones: Sequence[Phone], sec: float) -> Phone:
    """The phone at the centre of a frame."""
    return next((p for p in phones if sec < p.end_sec - 1e-9), phones[-1])


def _aperiodicity(singer: Singer, spoken: Sequence[Phone], voiced: np.ndarray) -> np.ndarray:
    """Aperiodicity ``(n_frames, n_bins)``; 1 in unvoiced frames."""
    hz = np.fft.rfftfreq(N_FFT, 1 / RATE)

    def voiced_frame(from_hz: float, floor: float) -> np.ndarray:
        rise = 1 / (1 + np.exp(-(hz - from_hz) / 800))
        return np.clip(floor + (0.85 - floor) * rise, 0.001, 0.999)

    clean = voiced_frame(5200 - 15000 * singer.breath, singer.breath)
    noisy = voiced_frame(2500, 0.1)
    rough = np.array([phone.name in NOISY for phone in spoken])
    out = np.where(rough[:, None], noisy, clean)
    out[~voiced] = 1.0
    return out


def _add_breath(
    rng: np.random.Generator,
    log_amplitude: np.ndarray,
    phones: Sequence[Phone],
    level_db: np.ndarray,
    loud_db: float,
) -> None:
    """Silence the pauses and sometimes add an audible breath before the phrase."""
    sec = np.arange(len(log_amplitude)) * FRAME_SEC
    entry = phones[0].end_sec
    silent = np.array([_phone_at(phones, t).name == "sil" for t in sec])
    # statistical voices hum slightly in silence
    log_amplitude[silent] += DB * (loud_db - 75 - level_db[silent])[:, None]
    if rng.random() < 0.6 and entry > 0.2:
        length = min(rng.uniform(0.15, 0.3), entry - 0.04)
        gap = rng.uniform(0.02, 0.04)
        place = np.clip((sec - (entry - gap - length)) / length, 0, 1)
        gain_db = 75 - rng.uniform(30, 42) + 20 * np.log10(np.sin(np.pi * place) + 1e-3)
        log_amplitude[silent] += (
            DB * np.where((place > 0) & (place < 1), gain_db, 0.0)[silent, None]
        )


def _wander(rng: np.random.Generator, n: int, cutoff_hz: float) -> np.ndarray:
    """Noise below ``cutoff_hz`` with unit variance."""
    from scipy import signal

    cut = min(cutoff_hz * 2 * FRAME_SEC, 0.9)
    b, a = signal.butter(2, cut)
    impulse = np.zeros(4096)
    impulse[0] = 1
    scale = np.sqrt(np.sum(signal.lfilter(b, a, impulse) ** 2))
    warm = 400
    return signal.lfilter(b, a, rng.standard_normal(n + warm))[warm:] / scale

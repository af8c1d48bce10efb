"""Effects on batches of recordings as tensor code, for training that keeps its data on the device.

Each takes parameters per recording, so that the caller decides what is random. Recordings are
``(B, C, T)`` float32 tensors on any device.
"""

import math

import torch
from scipy.fft import next_fast_len

EQ_LOW_HZ = 40.0  # knots of the equaliser are spread evenly in log frequency from here to Nyquist
EQ_KNOTS = 9  # 0.96 octaves apart at 16 kHz
IMPULSE_SEC = 0.75  # length of a room's response
NOISE_SAMPLES = 1 << 18  # of the bank of noise that rooms are made of


def equalise(wav: torch.Tensor, gains_db: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Smooth gain over frequency without a change of phase.

    Random equalisation of stems before mixing is among the augmentations of S. Rouard et al.,
    "Hybrid Transformers for Music Source Separation" (2023), and of DCASE and speech recipes.

    Args:
        wav: ``(B, C, T)``.
        gains_db: ``(B, K)``, gains at ``K`` frequencies, evenly spread in log frequency from
            ``EQ_LOW_HZ`` to the Nyquist frequency and interpolated linearly in between, in dB.
        sample_rate: Hz.

    Returns:
        ``(B, C, T)``.
    """
    n_samples, n_knots = wav.shape[-1], gains_db.shape[1]
    nyquist = sample_rate / 2
    hz = torch.linspace(0, nyquist, n_samples // 2 + 1, device=wav.device).clamp_min(EQ_LOW_HZ)
    place = torch.log2(hz / EQ_LOW_HZ) / math.log2(nyquist / EQ_LOW_HZ) * (n_knots - 1)
    left = place.floor().clamp(0, n_knots - 2).long()
    part = place - left
    gain_db = gains_db[:, left] * (1 - part) + gains_db[:, left + 1] * part  # (B, F)
    return _filtered(wav, 10 ** (gain_db / 20))


def band_limit(wav: torch.Tensor, cut_hz: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """Remove what lies above a frequency per recording, as old recordings and low rates do.

    Args:
        wav: ``(B, C, T)``.
        cut_hz: ``(B,)``, Hz; the gain falls from 1 to 0 over the 5 % above it.
        sample_rate: Hz.

    Returns:
        ``(B, C, T)``.
    """
    hz = torch.linspace(0, sample_rate / 2, wav.shape[-1] // 2 + 1, device=wav.device)
    fallen = ((hz / cut_hz[:, None] - 1) / 0.05).clamp(0, 1)  # (B, F)
    return _filtered(wav, 0.5 + 0.5 * torch.cos(math.pi * fallen))


def _filtered(wav: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """Multiply the spectra of ``(B, C, T)`` by real gains ``(B, F)``."""
    return torch.fft.irfft(torch.fft.rfft(wav) * gain[:, None], n=wav.shape[-1])


def reverberate(
    wav: torch.Tensor,
    decay_sec: torch.Tensor,
    delay_sec: torch.Tensor,
    wet_db: torch.Tensor,
    noise: torch.Tensor,
    sample_rate: int,
) -> torch.Tensor:
    """Add the diffuse field of a room: noise that decays exponentially, after a delay.

    The model of J. Moorer, "About This Reverberation Business", Computer Music Journal 3 (1979).

    Args:
        wav: Dry recordings, ``(B, C, T)``.
        decay_sec: ``(B,)``, time in which the field falls by 60 dB.
        delay_sec: ``(B,)``, time before it begins.
        wet_db: ``(B,)``, energy of the response beyond the direct sound, in dB of the latter.
        noise: ``(B, C, N)`` white noise, a response per recording and channel.
        sample_rate: Hz.

    Returns:
        ``(B, C, T)``: direct sound and field; what rings on after the end is cut off.
    """
    n_samples, n_noise = wav.shape[-1], noise.shape[-1]
    time = torch.arange(n_noise, device=wav.device) / sample_rate
    envelope = torch.exp(-3 * math.log(10) * time / decay_sec[:, None])  # (B, N)
    envelope = torch.where(time < delay_sec[:, None], 0.0, envelope)
    response = noise * envelope[:, None]
    energy = response.square().sum(-1, keepdim=True).clamp_min(1e-12)
    response = response * (10 ** (wet_db / 20))[:, None, None] / energy.sqrt()
    n_fft = next_fast_len(n_samples + n_noise - 1, real=True)
    product = torch.fft.rfft(wav, n_fft) * torch.fft.rfft(response, n_fft)
    return wav + torch.fft.irfft(product, n=n_fft)[..., :n_samples]


def saturate(wav: torch.Tensor, drive: torch.Tensor) -> torch.Tensor:
    """Soft clipping of peaks, as by a tube or tape; the peak itself stays.

    The hyperbolic tangent is the memoryless curve in U. Zölzer (ed.), "DAFX", 2nd ed. (2011),
    section 4.3.

    Args:
        wav: ``(B, C, T)``.
        drive: ``(B,)``, above 0; the curve is that of ``tanh`` up to this argument.

    Returns:
        ``(B, C, T)``.
    """
    peak = wav.abs().amax((1, 2), keepdim=True).clamp_min(1e-9)
    drive = drive[:, None, None]
    return peak * torch.tanh(drive * wav / peak) / torch.tanh(drive)


def impulse_noise(
    bank: torch.Tensor, starts: torch.Tensor, n_channels: int, n_noise: int
) -> torch.Tensor:
    """Noise for :func:`reverberate` out of a bank that is made once.

    Args:
        bank: ``(M,)`` white noise, read as a circle.
        starts: ``(B,)`` int64, where each recording's noise begins.
        n_channels: Channels, which get different stretches.
        n_noise: Length.

    Returns:
        ``(B, C, N)``.
    """
    channel = torch.arange(n_channels, device=bank.device) * (len(bank) // 2 + 1)
    time = torch.arange(n_noise, device=bank.device)
    places = starts[:, None, None] + channel[:, None] + time  # (B, C, N)
    return bank[places % len(bank)]


def read_interpolated(
    store: torch.Tensor,
    first: torch.Tensor,
    length: torch.Tensor,
    start: torch.Tensor,
    step: torch.Tensor,
    n_samples: int,
) -> torch.Tensor:
    """Read recordings out of a store, each at its own speed, by band-limited interpolation.

    Windowed-sinc interpolation from a table: J. O. Smith, "Digital Audio Resampling", section on
    implementation. Where a recording is played faster, the band is narrowed against aliases.

    Args:
        store: ``(C, M)`` int16, recordings end to end, each with ``PADDING`` zeros around it.
        first: ``(K,)`` int64, where each recording begins in the store.
        length: ``(K,)`` int64, its samples; beyond them it is silent.
        start: ``(K,)`` int64, sample of the recording at which reading begins.
        step: ``(K,)`` int64 on the host, samples per sample read, times ``2 ** STEP_BITS``.
        n_samples: Samples to read.

    Returns:
        ``(K, C, T)`` float32, full scale 32768.
    """
    tables = _sinc_tables(step.double() / (1 << STEP_BITS)).to(store.device)  # (K, phases, taps)
    time = torch.arange(n_samples, device=store.device)
    at = step.to(store.device)[:, None] * time  # (K, T), fixed point
    places = _within(first, length, (at >> STEP_BITS) + start[:, None])
    phase = (at & ((1 << STEP_BITS) - 1)) >> (STEP_BITS - PHASE_BITS)
    out = torch.zeros(store.shape[0], *at.shape, device=store.device)  # (C, K, T)
    for tap in range(TAPS):
        weight = tables[:, :, tap].gather(1, phase)
        out += weight * store[:, places + (tap - BEFORE)]
    return out.transpose(0, 1)


def read_straight(
    store: torch.Tensor,
    first: torch.Tensor,
    length: torch.Tensor,
    start: torch.Tensor,
    n_samples: int,
) -> torch.Tensor:
    """:func:`read_interpolated` at the speed of the recordings, ``(K, C, T)``, exactly."""
    places = start[:, None] + torch.arange(n_samples, device=store.device)
    return store[:, _within(first, length, places)].transpose(0, 1).float()


def _within(first: torch.Tensor, length: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Places in the store of samples ``places`` ``(K, T)``; what lies outside is in the padding."""
    most = length[:, None] + BEFORE
    return first[:, None] + places.clamp_min(BEFORE - TAPS).minimum(most)


STEP_BITS = 24  # fixed point, so that positions are exact on every device and at any length
PHASE_BITS = 9
TAPS = 16
BEFORE = TAPS // 2 - 1  # of them, those before the place that is read
PADDING = TAPS  # samples of silence that a store has before and after every recording


def _sinc_tables(speed: torch.Tensor) -> torch.Tensor:
    """Kaiser-windowed sinc at all phases for each speed ``(K,)``, ``(K, phases, taps)`` float32.

    Each phase sums to one, so that a constant stays what it is.
    """
    phase = torch.arange(1 << PHASE_BITS, dtype=torch.float64) / (1 << PHASE_BITS)
    away = torch.arange(TAPS, dtype=torch.float64) - BEFORE - phase[:, None]  # (P, taps)
    edge = (1 - (away / (TAPS / 2)).square()).clamp_min(0).sqrt()
    window = torch.i0(7.0 * edge) / torch.i0(torch.tensor(7.0, dtype=torch.float64))
    band = 0.94 / speed.clamp_min(1.0)
    table = torch.sinc(band[:, None, None] * away) * window * band[:, None, None]
    return (table / table.sum(-1, keepdim=True)).float()

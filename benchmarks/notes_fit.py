"""Training of the network that hears notes: what ``python benchmarks/notes.py fit`` runs.

It learns from voices that models have separated, which bleed as voices do that it will get. So that
it fits other models, too, each example is changed: nearer to the true voice or with more of the
band in it, other timbres and levels, a room, a phone's noise, confidences of another scale, now and
then no mixture.
"""

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from notes_takes import Take
from scipy.signal import lfilter
from torch import nn

from asteroid_joint.inference.notes import cues
from asteroid_joint.inference.notes.cues import (
    CONTEXT,
    HOP_SEC,
    MIXTURE,
    N_FEATURES,
    N_MELS,
    VOICE,
)
from asteroid_joint.inference.notes.network import REACH, CueNet
from asteroid_joint.inference.notes.tracker import pitch_of

LENGTH = 300  # frames of an example
BATCH = 16  # examples
RATE = 4e-3  # greatest learning rate
DECAY = 5e-2  # of weights
REVERB_SEC = (0.2, 1.5)  # until a room is 60 dB quieter
STRETCH = (0.8, 1.25)  # speeds of examples
WARP = (0.88, 1.14)  # by which mel bands are moved
TINY = 1e-12  # power
AVERAGE = 0.995  # of the weights, from step to step
ONSET_WEIGHT = 4.0  # of frames with an onset: there are few
BESIDE = 0.35  # target of the frames on either side of an onset
REPORT = 200  # steps


@dataclass
class Song:
    """A track as the network gets it, frames of ``HOP_SEC``, and what it should say.

    Attributes:
        raw: ``(N + 2 * CONTEXT, N_RAW)``, the outermost frames repeated; see ``cues.features``.
        true: ``(N + 2 * CONTEXT, N_MELS)`` bands of the true voice, dB.
        target: ``(N, 2)`` onset and being sung, in [0, 1].
    """

    raw: np.ndarray
    true: np.ndarray
    target: np.ndarray


def mel_frames(wav: np.ndarray, rate: int) -> np.ndarray:
    """Bands, level and running peak in dB of ``(n_channels, n_samples)``."""
    frames = cues.MelFrames(rate)
    return np.concatenate([frames.push(wav.mean(0)), frames.finish()])


def make_song(take: Take, f0: np.ndarray, voice: np.ndarray, threshold: float) -> Song:
    """Collect a take.

    Args:
        take: The recording, whose notes are known.
        f0: ``(rows, 4)`` as the model gives it.
        voice: ``(n_channels, n_samples)`` as separated.
        threshold: The model's voicing threshold.
    """
    sung, mixed, true = (mel_frames(x, take.rate) for x in (voice, take.mixture, take.voice))
    n = min(map(len, (sung, mixed, true)))
    rows = np.rint(np.arange(n) * HOP_SEC / hop_sec(f0)).astype(int).clip(0, len(f0) - 1)
    columns = [x[:n] for x in (sung[:, :N_MELS], mixed[:, :N_MELS])]
    peaks = [x[:n, -1:] for x in (sung, mixed)]
    raw = np.concatenate([*columns, *peaks, pitch_of(f0, threshold)[rows]], 1)
    edges = ((CONTEXT, CONTEXT), (0, 0))
    target = target_of(take.notes, n)
    return Song(np.pad(raw, edges, "edge"), np.pad(true[:n, :N_MELS], edges, "edge"), target)


def target_of(notes: np.ndarray, n: int) -> np.ndarray:
    """What the network should say of notes, ``(n, 2)``."""
    target = np.zeros((n, 2))
    for onset, offset, _ in notes:
        at, end = (int(np.ceil(sec / HOP_SEC - 1e-9)) for sec in (onset, offset))
        target[at:end, 1] = 1  # the frames whose centre lies in the note
        for frame, value in ((at - 1, BESIDE), (at, 1.0), (at + 1, BESIDE)):
            if 0 <= frame < n:
                target[frame, 0] = max(target[frame, 0], value)
    return target


def hop_sec(f0: np.ndarray) -> float:
    """Between rows of F0."""
    return float(f0[-1, 0] - f0[0, 0]) / (len(f0) - 1)


def example(sets: list[list[Song]], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A changed cut of a song: features ``(D, LENGTH + 2 * REACH)`` and target ``(2, LENGTH)``."""
    songs = sets[rng.integers(len(sets))]
    song = songs[rng.integers(len(songs))]
    raw, true, target = _cut(song, rng, float(rng.uniform(*STRETCH)))
    power, mixed = (10 ** (raw[:, some] / 10) for some in (VOICE, MIXTURE))
    kind = rng.random()
    if kind < 0.25:  # a better separation
        share = rng.random()
        power = (1 - share) * power + share * true
    elif kind < 0.5:  # a worse one
        power = power + 10 ** (rng.uniform(-35, -12) / 10) * mixed
    elif kind < 0.75:  # with another band
        others = sets[rng.integers(len(sets))]
        other, other_true, _ = _cut(others[rng.integers(len(others))], rng, 1.0)
        band = np.maximum(10 ** (other[:, MIXTURE] / 10) - other_true, 0.0)
        band *= 10 ** (rng.uniform(-6, 6) / 10) * true.mean() / (band.mean() + TINY) + TINY
        mixed = power + band
        power = power + 10 ** (rng.uniform(-40, -15) / 10) * band
    power, mixed = _recorded(rng, power, mixed)
    timbre, warp = _curve(rng, 4.0), rng.uniform(*WARP)
    voice_db = _warped(10 * np.log10(power + TINY), warp) + timbre
    mixed_db = _warped(10 * np.log10(mixed + TINY), warp) + timbre + _curve(rng, 2.0)
    if rng.random() < 0.4:
        gone = int(rng.integers(N_MELS))
        gone_too = slice(gone, gone + int(rng.integers(1, 5)))
        voice_db[:, gone_too] = mixed_db[:, gone_too] = cues.SILENCE_DB
    for columns, peak, db in (
        (VOICE, cues.VOICE_PEAK, voice_db),
        (MIXTURE, cues.MIXTURE_PEAK, mixed_db),
    ):
        level = _level(db)
        before = float(raw[0, peak] + np.median(level - _level(raw[:, columns])))
        raw[:, peak] = cues.running_peak(level, before)
        raw[:, columns] = db
    if rng.random() < 0.2:
        raw[:, MIXTURE] = raw[:, [cues.MIXTURE_PEAK]] = cues.SILENCE_DB
    scale, shift = rng.uniform(0.75, 1.3), rng.normal(0, 0.5)
    raw[:, cues.VOICING] = scale * raw[:, cues.VOICING] + shift
    return cues.features(raw).T, target.T


def _recorded(
    rng: np.random.Generator, power: np.ndarray, mixed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Voice and mixture in a room, and through a noisy microphone, now and then."""
    if rng.random() < 0.25:
        decay = 10 ** (-6 * HOP_SEC / rng.uniform(*REVERB_SEC))
        wet = 10 ** (rng.uniform(-15, -4) / 10) * (1 - decay)
        power, mixed = (x + wet * lfilter([decay], [1, -decay], x, axis=0) for x in (power, mixed))
    if rng.random() < 0.3:
        floor = 10 ** ((rng.uniform(-50, -22) + _curve(rng, 6.0)) / 10) * mixed.max()
        noise = floor * rng.exponential(1.0, mixed.shape)
        power, mixed = power + noise * rng.random(), mixed + noise
    return power, mixed


def _cut(
    song: Song, rng: np.random.Generator, speed: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames of a song, faster or slower: raw, power of the true voice, target."""
    n = LENGTH + 2 * CONTEXT
    last = len(song.raw) - 1 - speed * n
    at = rng.uniform(0, max(last, 0)) + speed * np.arange(n)
    nearest = np.rint(at).astype(int).clip(0, len(song.raw) - 1)
    inner = at[CONTEXT:-CONTEXT] - CONTEXT
    frames = np.arange(len(song.target))
    target = np.stack([np.interp(inner, frames, column) for column in song.target.T], 1)
    return song.raw[nearest], 10 ** (song.true[nearest] / 10), target


def _warped(bands_db: np.ndarray, warp: float) -> np.ndarray:
    """Formants moved up or down: what a longer or shorter throat does."""
    at = (np.arange(N_MELS) * warp).clip(0, N_MELS - 1)
    below = np.floor(at).astype(int).clip(0, N_MELS - 2)
    share = at - below
    return (1 - share) * bands_db[:, below] + share * bands_db[:, below + 1]


def fit(
    sets: list[list[Song]],
    held_out: list[list[Song]],
    steps: int,
    seed: int = 0,
    hid_chan: int = 64,
) -> CueNet:
    """Train the network and print how it goes.

    Args:
        sets: What it learns from; each set is drawn equally often.
        held_out: Sets whose losses are printed.
        steps: Batches.
        seed: Of weights and examples.
        hid_chan: Channels of the hidden layers.

    Returns:
        The network in ``.eval()``, its weights averaged over the last steps.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = CueNet(N_FEATURES, hid_chan)
    mean = copy.deepcopy(network).requires_grad_(False)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    weight = torch.tensor([ONSET_WEIGHT, 1.0])[:, None]
    loss_of = nn.BCEWithLogitsLoss(pos_weight=weight)
    print(f"{sum(p.numel() for p in network.parameters())} parameters, {sum(map(len, sets))} songs")
    total, began = 0.0, time.process_time()
    for step in range(1, steps + 1):
        drawn = [example(sets, rng) for _ in range(BATCH)]
        read, target = (
            torch.tensor(np.stack(x), dtype=torch.float32) for x in zip(*drawn, strict=True)
        )
        network.train()
        loss = loss_of(network(read), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        with torch.no_grad():  # statistics of the normalisation are averaged as weights are
            keep = min(AVERAGE, step / (step + 10))
            states = (net.state_dict().values() for net in (mean, network))
            for old, new in zip(*states, strict=True):
                old.copy_(keep * old + (1 - keep) * new if old.is_floating_point() else new)
        if step % REPORT == 0 or step == steps:
            print(
                f"step {step:5d}  loss {total / ((step - 1) % REPORT + 1):.4f}  "
                f"held out {losses_of(mean, held_out, loss_of)}  "
                f"{time.process_time() - began:.0f} s of CPU",
                flush=True,
            )
            total = 0.0
    return mean.eval()


def losses_of(network: CueNet, sets: list[list[Song]], loss_of: nn.Module) -> str:
    """Losses of sets, as text."""
    return " ".join(f"{held_out_loss(network.eval(), songs, loss_of):.4f}" for songs in sets)


@torch.no_grad()
def held_out_loss(network: CueNet, songs: list[Song], loss_of: nn.Module) -> float:
    """Mean loss over whole songs."""
    losses = []
    for song in songs:
        read = torch.tensor(cues.features(song.raw).T[None], dtype=torch.float32)
        assert read.shape[-1] == len(song.target) + 2 * REACH, (read.shape, song.target.shape)
        target = torch.tensor(song.target.T[None], dtype=torch.float32)
        losses.append(float(loss_of(network(read), target)))
    return float(np.mean(losses)) if losses else float("nan")


def _level(bands_db: np.ndarray) -> np.ndarray:
    """Level of all bands together, dB, ``(N,)``."""
    return 10 * np.log10(np.sum(10 ** (bands_db / 10), 1) + TINY)


def _curve(rng: np.random.Generator, db: float) -> np.ndarray:
    """A smooth random equalizer, dB per band."""
    knots = rng.normal(0, db, 5)
    return np.interp(np.arange(N_MELS), np.linspace(0, N_MELS - 1, 5), knots)

"""Training of the network that hears notes: what ``python benchmarks/notes.py CORPUS --fit`` runs.

It learns from voices that models have separated, which bleed as voices do that it will get. So that
it fits other models, too, each example is changed: nearer to the true voice or with more of the
band in it, other timbres and levels, confidences of another scale, now and then no mixture.
"""

import copy
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from asteroid_joint.notes import cues
from asteroid_joint.notes.cues import CONTEXT, HOP_SEC, MIXTURE, N_FEATURES, N_MELS, VOICE
from asteroid_joint.notes.network import REACH, CueNet

LENGTH = 300  # frames of an example
BATCH = 16  # examples
RATE = 4e-3  # greatest learning rate
DECAY = 1e-2  # of weights
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


def make_song(
    pitch: np.ndarray,
    voice: np.ndarray,
    mixture: np.ndarray,
    truth: np.ndarray,
    rate: int,
    notes: np.ndarray,
) -> Song:
    """Collect a track.

    Args:
        pitch: ``(rows, 2)`` MIDI and log-odds of voicing re the threshold, frames of ``HOP_SEC``.
        voice: ``(n_channels, n_samples)`` as separated.
        mixture: The same of the mixture.
        truth: The same of the true voice.
        rate: Hz.
        notes: ``(n, 3)`` onset and offset in seconds, MIDI.
    """
    sung, mixed, true = (mel_frames(wav, rate) for wav in (voice, mixture, truth))
    n = min(map(len, (pitch, sung, mixed, true)))
    columns = [x[:n] for x in (sung[:, :N_MELS], mixed[:, :N_MELS])]
    peaks = [x[:n, -1:] for x in (sung, mixed)]
    raw = np.concatenate([*columns, *peaks, pitch[:n]], 1)
    target = np.zeros((n, 2))
    for onset, offset, _ in notes:
        at = round(onset / HOP_SEC)
        target[at : round(offset / HOP_SEC), 1] = 1
        for frame, value in ((at - 1, BESIDE), (at, 1.0), (at + 1, BESIDE)):
            if 0 <= frame < n:
                target[frame, 0] = max(target[frame, 0], value)
    edges = ((CONTEXT, CONTEXT), (0, 0))
    return Song(np.pad(raw, edges, "edge"), np.pad(true[:n, :N_MELS], edges, "edge"), target)


def example(song: Song, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A changed cut of a song: features ``(D, LENGTH + 2 * REACH)`` and target ``(2, LENGTH)``."""
    at = int(rng.integers(max(len(song.target) - LENGTH, 1)))
    cut = slice(at, at + LENGTH + 2 * CONTEXT)
    raw = song.raw[cut].copy()
    power, true = 10 ** (raw[:, VOICE] / 10), 10 ** (song.true[cut] / 10)
    mixed = 10 ** (raw[:, MIXTURE] / 10)
    kind = rng.random()
    if kind < 0.25:  # a better separation
        share = rng.random()
        power = (1 - share) * power + share * true
    elif kind < 0.5:  # a worse one
        power = power + 10 ** (rng.uniform(-35, -12) / 10) * mixed
    timbre = _curve(rng, 4.0)
    voice_db = 10 * np.log10(power + 1e-12) + timbre
    mixed_db = 10 * np.log10(mixed + 1e-12) + timbre + _curve(rng, 2.0)
    for columns, peak, db in (
        (VOICE, cues.VOICE_PEAK, voice_db),
        (MIXTURE, cues.MIXTURE_PEAK, mixed_db),
    ):
        change = _level(db) - _level(raw[:, columns])
        level = np.minimum(_level(raw[:, columns]), raw[:, peak]) + change
        before = float(raw[0, peak] + np.median(change))
        raw[:, peak] = cues.running_peak(level, before)
        raw[:, columns] = db
    if rng.random() < 0.2:
        raw[:, MIXTURE] = raw[:, cues.MIXTURE_PEAK] = cues.SILENCE_DB
    scale, shift = rng.uniform(0.75, 1.3), rng.normal(0, 0.5)
    raw[:, cues.VOICING] = scale * raw[:, cues.VOICING] + shift
    target = song.target[at : at + LENGTH]
    return cues.features(raw).T, target.T


def fit(
    songs: list[Song], held_out: list[Song], steps: int, seed: int = 0, hid_chan: int = 64
) -> CueNet:
    """Train the network and print how it goes.

    Args:
        songs: What it learns from.
        held_out: Songs whose loss is printed.
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
    print(f"{sum(p.numel() for p in network.parameters())} parameters, {len(songs)} songs")
    total, began = 0.0, time.process_time()
    for step in range(1, steps + 1):
        drawn = [example(songs[rng.integers(len(songs))], rng) for _ in range(BATCH)]
        read, target = (torch.tensor(np.stack(x), dtype=torch.float32) for x in zip(*drawn))
        network.train()
        loss = loss_of(network(read), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        with torch.no_grad():  # statistics of the normalisation are averaged as weights are
            keep = min(AVERAGE, step / (step + 10))
            for old, new in zip(mean.state_dict().values(), network.state_dict().values()):
                old.copy_(keep * old + (1 - keep) * new if old.is_floating_point() else new)
        if step % REPORT == 0 or step == steps:
            print(
                f"step {step:5d}  loss {total / ((step - 1) % REPORT + 1):.4f}  "
                f"held out {held_out_loss(mean.eval(), held_out, loss_of):.4f}  "
                f"{time.process_time() - began:.0f} s of CPU",
                flush=True,
            )
            total = 0.0
    return mean.eval()


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
    return 10 * np.log10(np.sum(10 ** (bands_db / 10), 1) + 1e-12)


def _curve(rng: np.random.Generator, db: float) -> np.ndarray:
    """A smooth random equalizer, dB per band."""
    knots = rng.normal(0, db, 5)
    return np.interp(np.arange(N_MELS), np.linspace(0, N_MELS - 1, 5), knots)

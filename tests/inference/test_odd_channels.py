"""Voices out of phase between channels, and DC: nothing sung is lost, nothing else is heard."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from fake_models import FourStems, Halves

from asteroid_joint import JointModel, JointOutput, PitchGrid
from asteroid_joint.apps.live.separator import LiveSeparator
from asteroid_joint.apps.page.view import _draw
from asteroid_joint.inference.picture import SongPicture
from asteroid_joint.inference.separate import separate_array, separate_at_once, separate_file

RATE = 44100
CENTRE, SIDE = np.float32([[1], [1]]), np.float32([[1], [-1]])


class Above(JointModel):
    """The voice is what lies above 1 kHz, its pitch bin 200 where there is any."""

    def __init__(self) -> None:
        super().__init__(16000, PitchGrid(320, 16000))

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        spectrum = torch.fft.rfft(wav[:, 0])
        spectrum[:, : round(1000 * wav.shape[-1] / 16000)] = 0
        voice = torch.fft.irfft(spectrum, wav.shape[-1])
        logits = torch.full((len(wav), self.pitch_grid.n_frames(wav.shape[-1]), 360), -9.0)
        logits[:, :, 200] = 9.0 * (2 * (voice.square().mean(-1, keepdim=True) > 1e-6) - 1)
        return JointOutput(torch.stack([voice, wav[:, 0] - voice], 1), logits)


def parts(seconds: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """A voice in notes above 1 kHz and a band below it, ``(1, T)``; 16-bit integers over 32768."""
    sec = np.arange(round(seconds * RATE)) / RATE
    sung = np.clip(3 * np.sin(2 * np.pi * sec), 0, 1)
    voice = sung * sum(0.08 * np.sin(2 * np.pi * hz * sec) for hz in (1500, 2250, 3000))
    band = sum(0.1 * np.sin(2 * np.pi * hz * sec) for hz in (110, 330, 550))
    whole = [np.rint(32768 * wav[None]).astype(np.float32) / 32768 for wav in (voice, band)]
    return whole[0], whole[1]


def sdr(truth: np.ndarray, estimate: np.ndarray) -> float:
    return float(10 * np.log10((truth**2).sum() / ((truth - estimate) ** 2).sum()))


MIXES = {
    "voice": lambda voice, band: (SIDE * voice, CENTRE * band),
    "all": lambda voice, band: (SIDE * voice, SIDE * band),
    "right": lambda voice, band: (SIDE * voice, np.concatenate([band, 0 * band])),
}


@pytest.mark.parametrize("mix", MIXES)
def test_a_voice_out_of_phase_is_found(mix):
    voice, band = parts()
    voice, band = MIXES[mix](voice, band)
    out = separate_array(Above(), voice + band, RATE)
    assert out.f0[:, 3].mean() == 1.0
    assert sdr(voice, out.stems[0]) > 50
    np.testing.assert_allclose(out.stems.sum(0), voice + band, atol=1e-6)


def test_a_right_channel_inverted_changes_nothing_but_its_sign():
    voice, band = parts()
    wav = CENTRE * voice + np.float32([[0.9], [0.5]]) * band
    plain, inverted = (separate_array(Above(), sign * wav, RATE) for sign in (CENTRE, SIDE))
    np.testing.assert_allclose(SIDE * inverted.stems, plain.stems, atol=1e-5)
    np.testing.assert_allclose(inverted.f0, plain.f0, atol=1e-5)


def test_a_live_voice_out_of_phase_is_heard():
    voice, band = parts()
    live = separate_at_once(LiveSeparator(Above(), RATE, 2), SIDE * voice + SIDE * band)
    after = slice(RATE, None)
    assert sdr((SIDE * voice)[:, after], live.stems[0][:, after]) > 20


def test_notes_of_a_voice_out_of_phase():
    voice, band = parts(6.0)
    plain, inverted = (
        Above().transcribe(sign * (voice + 0.3 * band), RATE) for sign in (CENTRE, SIDE)
    )
    assert plain.notes and len(plain.notes) == len(inverted.notes)
    for one, other in zip(plain.notes, inverted.notes, strict=True):
        assert one.onset_sec == other.onset_sec and abs(one.level_db - other.level_db) < 0.01


@pytest.mark.parametrize("audio_format", ["wav", "flac"])
@pytest.mark.parametrize("kind", ["DC", *MIXES])
def test_stems_add_up_to_the_file(tmp_path, audio_format, kind):
    voice, band = parts(2.0)
    wav = CENTRE * (voice + band) + 0.125 if kind == "DC" else sum(MIXES[kind](voice, band))
    path = tmp_path / "song.wav"
    sf.write(path, wav.T, RATE, subtype="PCM_16")
    folder = separate_file(Above(), path, tmp_path, audio_format=audio_format).folder
    stems = [read(folder / f"{name}.{audio_format}") for name in ("vocals", "accompaniment")]
    np.testing.assert_array_equal(sum(stems), read(path))


def read(path: Path) -> np.ndarray:
    return sf.read(path)[0]


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("rate", [16000, RATE])
def test_no_dc_in_the_voice(n_channels, rate):
    rng = np.random.default_rng(0)
    song = rng.uniform(-0.3, 0.3, (n_channels, 3 * rate)).astype(np.float32)
    song -= song.mean(1, keepdims=True)
    chunk = separate_array(Halves(), song + np.float32(0.1), rate)
    voice, accompaniment = chunk.stems
    assert np.abs(voice.mean(1)).max() < 1e-3
    np.testing.assert_allclose(accompaniment.mean(1), 0.1, atol=1e-3)
    np.testing.assert_allclose(chunk.stems.sum(0), chunk.mixture, atol=1e-6)
    without = separate_array(Halves(), song, rate).stems[0]
    assert np.abs(voice - without).max() < 0.01


def test_dc_of_a_model_without_accompaniment():
    rng = np.random.default_rng(0)
    song = rng.uniform(-0.3, 0.3, (2, 2 * RATE)).astype(np.float32)
    chunk = separate_array(FourStems(), song + np.float32(0.1), RATE)
    np.testing.assert_allclose(chunk.stems.sum(0), song + 0.1, atol=1e-5)
    np.testing.assert_allclose(chunk.stems.mean((1, 2)), [0, 0, 0.1, 0], atol=3e-3)


def test_live_dc_leaves_the_voice_after_a_while():
    rng = np.random.default_rng(0)
    song = rng.uniform(-0.3, 0.3, (1, 4 * 16000)).astype(np.float32)
    live = separate_at_once(LiveSeparator(Halves(), 16000, 1), song + np.float32(0.1))
    assert abs(live.stems[0, :, 32000:].mean()) < 2e-3


def test_a_voice_out_of_phase_is_drawn(tmp_path):
    """In the picture and on the page, as bright as the same voice in phase."""
    voice = 0.3 * np.sin(2 * np.pi * 440 / RATE * np.arange(RATE)).astype(np.float32)
    powers, pages = [], []
    for name, sides in (("centre", CENTRE), ("side", SIDE)):
        stems = np.stack([sides * voice, 0.1 * sides * voice])  # (S, C, T)
        picture = SongPicture(RATE, ("vocals", "accompaniment"))
        picture.push(stems, np.zeros((0, 4)))
        powers.append(picture._power.values())
        (tmp_path / name).mkdir()
        for source, stem in zip(("vocals", "accompaniment"), stems, strict=True):
            sf.write(tmp_path / name / f"{source}.wav", stem.T, RATE)
        paths = [tmp_path / name / f"{s}.wav" for s in ("vocals", "accompaniment")]
        _draw(tmp_path / name, paths)
        pages.append((tmp_path / name / "overview.png").read_bytes())
    assert powers[0].max() > 1e-4
    np.testing.assert_allclose(powers[1], powers[0], rtol=1e-4, atol=1e-9)
    assert pages[0] == pages[1]

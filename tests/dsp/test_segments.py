"""Values that follow a stream: DC and downmix."""

import numpy as np
import pytest

from asteroid_joint.dsp.downmix import DownmixFollower, downmix
from asteroid_joint.dsp.offset import OffsetFollower
from asteroid_joint.dsp.segments import SegmentStream

RATE = 16000
SEGMENT = RATE // 4


def noise(n_channels: int, seconds: float, level: float = 0.3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    shape = n_channels, round(seconds * RATE)
    return rng.uniform(-level, level, shape).astype(np.float32)


def tones(*hz: float, seconds: float = 4.0) -> np.ndarray:
    """Sines, ``(T,)``."""
    sec = np.arange(round(seconds * RATE)) / RATE
    return sum(0.1 * np.sin(2 * np.pi * f * sec) for f in hz).astype(np.float32)


def followed(wav: np.ndarray, follower: object, look_ahead: int = 4, step: int = 5000):
    """A stream in pieces: its samples and values."""
    stream = SegmentStream(len(wav), RATE, [follower], look_ahead)
    parts = [stream.push(wav[:, at : at + step]) for at in range(0, wav.shape[1], step)]
    out = np.concatenate([*parts, stream.finish()], 1)
    np.testing.assert_array_equal(out[: len(wav)], wav)
    return out[len(wav) :]


class Count:
    """Its value is the number of segments that it has seen."""

    def __init__(self) -> None:
        self.n = 0

    def observe(self, segment: np.ndarray) -> None:
        self.n += 1

    def values(self) -> np.ndarray:
        return np.array([float(self.n)])


def test_values_are_ramps_to_what_was_seen():
    live = followed(noise(1, 1.0), Count(), look_ahead=0)[0]
    ramp = np.arange(1, SEGMENT + 1) / SEGMENT
    np.testing.assert_allclose(live.reshape(4, -1), [0 * ramp, ramp, 1 + ramp, 2 + ramp], atol=1e-6)
    ahead = followed(noise(1, 1.1), Count(), look_ahead=3)[0]
    expected = [3 + 0 * ramp, 3 + ramp, 4 + ramp, 5 + 0 * ramp, 5 + 0 * ramp[:1600]]
    np.testing.assert_allclose(ahead, np.concatenate(expected)[: len(ahead)], atol=1e-6)


@pytest.mark.parametrize("look_ahead", [0, 1, 4])
@pytest.mark.parametrize("n_samples", [0, 1, SEGMENT - 1, SEGMENT, 3 * SEGMENT + 7])
def test_the_division_does_not_matter(look_ahead, n_samples):
    wav = noise(2, 1.0)[:, :n_samples]
    once, often = (followed(wav, Count(), look_ahead, step) for step in (10**6, 997))
    np.testing.assert_array_equal(once, often)


def test_a_live_stream_is_not_held_back_and_memory_does_not_grow():
    wav = noise(2, 3.0)
    for look_ahead, most in ((0, 0), (4, 5 * SEGMENT)):
        stream = SegmentStream(2, RATE, [Count()], look_ahead)
        n_pushed = n_taken = 0
        for at in range(0, wav.shape[1], 160):
            n_taken += stream.push(wav[:, at : at + 160]).shape[1]
            n_pushed += 160
            assert 0 <= n_pushed - n_taken <= most
            assert stream._held.shape[1] <= most + SEGMENT


# Downmix

CENTRE, LEFT, RIGHT, SIDE = (np.float32(x)[:, None] for x in ([1, 1], [1, 0], [0, 1], [1, -1]))
BAND, VOICE = tones(330, 415, 550), tones(700, 1400, 2100)


@pytest.mark.parametrize(
    "wav",
    [
        noise(2, 4.0),
        noise(1, 4.0) * CENTRE,
        noise(1, 4.0) * LEFT,
        np.stack([BAND, VOICE]),
        CENTRE * VOICE + noise(2, 4.0, 0.1),
        CENTRE * VOICE + RIGHT * BAND + 0.1 * SIDE * BAND,
        0 * noise(2, 4.0),
        1e-6 * SIDE * VOICE,
        noise(6, 4.0),
        np.stack([VOICE, 0 * VOICE, 0 * VOICE, BAND, BAND, BAND]),
    ],
    ids=["wide", "mono", "left", "panned", "usual", "side of right", "silent", "faint", "6", "5.1"],
)
@pytest.mark.parametrize("look_ahead", [0, 4])
def test_usual_recordings_keep_the_mean_to_the_bit(wav, look_ahead):
    weights = followed(wav, DownmixFollower(len(wav), RATE), look_ahead)
    assert np.array_equal(weights, np.full_like(wav, 1 / len(wav)))
    np.testing.assert_array_equal(downmix(wav, weights)[0], wav.mean(0))


def test_all_out_of_phase():
    wav = SIDE * noise(1, 4.0)
    weights = followed(wav, DownmixFollower(2, RATE))
    np.testing.assert_array_equal(downmix(wav, weights)[0], wav[0])
    weights = followed(wav, DownmixFollower(2, RATE), look_ahead=0)
    np.testing.assert_array_equal(downmix(wav, weights)[0, 2 * SEGMENT :], wav[0, 2 * SEGMENT :])


@pytest.mark.parametrize("level", [0.5, 1.0, 2.0])
def test_a_voice_out_of_phase_beside_a_band_in_the_centre(level):
    wav = SIDE * VOICE * level + CENTRE * BAND
    weights = followed(wav, DownmixFollower(2, RATE))
    np.testing.assert_array_equal(downmix(wav, weights)[0], wav[0])


def test_the_other_channel_where_the_first_is_silent():
    surround = np.stack([0 * VOICE, VOICE, -VOICE, 0 * VOICE])
    weights = followed(surround, DownmixFollower(4, RATE))
    np.testing.assert_array_equal(downmix(surround, weights)[0], VOICE)


def test_back_to_the_mean():
    usual = CENTRE * VOICE + RIGHT * BAND
    wav = np.concatenate([usual, SIDE * VOICE, usual, usual, usual], 1)
    weights = followed(wav, DownmixFollower(2, RATE))
    out = weights[:, SEGMENT::RATE].T  # once a second
    assert (out[:3] == 0.5).all() and (out[4:8] != [0.5, 0.5]).any(1).all()
    assert (out[-4:] == 0.5).all()
    assert np.abs(np.diff(weights)).max() < 1.5 / SEGMENT  # faded


def test_a_wrong_cable_is_no_matter_to_what_comes_out():
    usual = CENTRE * VOICE + RIGHT * BAND + noise(2, 4.0, 0.05)
    wrong = SIDE * usual
    weights = followed(wrong, DownmixFollower(2, RATE))
    np.testing.assert_allclose(downmix(wrong, weights)[0], usual.mean(0), atol=1e-7)


# DC


@pytest.mark.parametrize("n_channels", [1, 2])
def test_a_constant_part_is_found(n_channels):
    truth = np.float32([0.1, -0.05])[:n_channels, None]
    found = followed(noise(n_channels, 5.0) + truth, OffsetFollower(n_channels))
    np.testing.assert_allclose(found, np.broadcast_to(truth, found.shape), atol=0.005)


@pytest.mark.parametrize(
    "wav",
    [
        noise(1, 4.0),
        8 * tones(45)[None],
        noise(1, 4.0) + 0.015,
        0.3 * (np.arange(4 * RATE)[None] > 2 * RATE)[:, : 2 * RATE + 100],
        np.full((1, RATE // 2), 0.5),
    ],
    ids=["noise", "bass", "little", "a beginning", "short"],
)
def test_no_constant_part(wav):
    assert not followed(wav.astype(np.float32), OffsetFollower(1)).any()

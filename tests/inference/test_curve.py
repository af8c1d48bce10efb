"""The pitch curve at other hops: inside voiced runs only, in log frequency."""

import numpy as np
import pytest

from asteroid_joint.errors import ConfigError
from asteroid_joint.inference.curve import PitchCurve, RestBridge, StreamSampler

HOP = 0.02


def curve(hz, voiced=None) -> PitchCurve:
    hz = np.array(hz, float)
    voiced = hz > 0 if voiced is None else np.array(voiced, bool)
    return PitchCurve(HOP * np.arange(len(hz)), hz, voiced * 0.9, voiced)


def random_curve(n: int = 400, seed: int = 0) -> PitchCurve:
    rng = np.random.default_rng(seed)
    hz = 220 * 2 ** np.cumsum(rng.normal(0, 0.02, n))
    return curve(hz, np.repeat(rng.random(n // 8) < 0.6, 8))


def test_at_its_own_hop_it_is_the_curve():
    own = random_curve()
    np.testing.assert_array_equal(own.at(HOP, len(own)), np.where(own.voiced, own.hz, 0))
    nan = own.at(HOP, len(own), "nan")
    assert np.isnan(nan[~own.voiced]).all() and not np.isnan(nan[own.voiced]).any()


def test_a_glide_is_straight_in_log_frequency():
    octave = curve(220 * 2 ** (np.arange(51) / 50))
    at = np.arange(334) * 0.003
    np.testing.assert_allclose(octave.at(0.003, 334), 220 * 2**at, rtol=1e-9)


def test_never_towards_the_guess_of_an_unvoiced_frame():
    """The guesses in between are octaves off, and appear nowhere."""
    hz = [220.0, 220.0, 55.0, 880.0, 55.0, 330.0, 330.0]
    found = curve(hz, [1, 1, 0, 0, 0, 1, 1]).at(0.005, 29)
    assert set(found.tolist()) == {0.0, 220.0, 330.0}
    times = 0.005 * np.arange(29)
    np.testing.assert_array_equal(found == 220, times <= 0.03 + 1e-9)  # half a frame more
    np.testing.assert_array_equal((found == 330), (times >= 0.09 - 1e-9) & (times <= 0.13 + 1e-9))


def test_rests_are_bridged_and_ends_held():
    song = curve([0.0, 220.0, 0.0, 0.0, 0.0, 440.0, 0.0])
    found = song.at(HOP, 9, "interpolate")
    expected = 220 * 2 ** np.array([0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1])
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert not curve([0.0, 0.0]).at(HOP, 3, "interpolate").any()


@pytest.mark.parametrize("unvoiced", ["zero", "interpolate", "nan"])
def test_one_frame_none_and_beyond(unvoiced):
    empty = curve([]).at(0.01, 4, unvoiced)
    assert empty.shape == (4,) and not np.nan_to_num(empty).any()
    assert curve([220.0]).at(0.01, 0, unvoiced).shape == (0,)
    assert curve([220.0]).at(0.01, 1, unvoiced).tolist() == [220.0]
    assert curve([220.0, 220.0]).at(0.01, 3, unvoiced).tolist() == [220.0] * 3


@pytest.mark.parametrize("call", [(0.0, 3), (-0.01, 3), (np.nan, 3), (0.01, -1), (0.01, 3, "hold")])
def test_times_that_are_none(call):
    with pytest.raises(ConfigError, match="^Expected "):
        curve([220.0]).at(*call)


def test_confidence_between_frames():
    song = curve([220.0, 0.0, 220.0])
    np.testing.assert_allclose(song.confidence_at(0.01, 6), [0.9, 0.45, 0, 0.45, 0.9, 0.9])
    assert curve([]).confidence_at(0.01, 2).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("hop", [0.01, 0.0116, 0.05])
def test_in_parts_it_is_the_same(hop):
    whole = random_curve()
    n = int(whole.times[-1] / hop) + 3
    for step in (1, 7, 400):
        sampler = StreamSampler(hop)
        rows = whole.rows()
        parts = [sampler.push(rows[k : k + step]) for k in range(0, len(rows), step)]
        np.testing.assert_allclose(np.concatenate([*parts, sampler.finish(n)]), whole.at(hop, n))


def test_rests_in_parts():
    whole, bridge = random_curve(seed=3), RestBridge()
    frames = list(zip(whole.hz.tolist(), whole.voiced.tolist(), strict=True))
    found = [*bridge.push(frames[:33]), *bridge.push(frames[33:]), *bridge.finish()]
    np.testing.assert_allclose(found, whole.at(HOP, len(whole), "interpolate"), rtol=1e-9)
    assert [*bridge.finish()] == []

"""The gate: what opens it, that nothing sung is cut, that sums and streams stay exact."""

import numpy as np
import pytest
import soundfile as sf
import torch

from asteroid_joint.dsp.gate import Gate, GateRules
from asteroid_joint.errors import ConfigError
from asteroid_joint.inference.separate import separate_array, separate_file
from asteroid_joint.inference.stream import StreamSeparator
from asteroid_joint.models.base import JointModel, JointOutput
from asteroid_joint.pitch import PitchGrid

RATE, HOP = 16000, 320
RULES = GateRules(on=0.6, off=0.3, reach_sec=1.0, margin_sec=0.5)


def opened(probability, rules=RULES):
    gate = Gate(rules, HOP, RATE)
    gate.push(np.asarray(probability, float), last=True)
    return gate.is_open(0, len(probability))


def spans(*parts):
    """Probabilities: pairs of a value and seconds."""
    return np.concatenate([np.full(round(sec * 50), value) for value, sec in parts])


def test_opens_within_the_margin_of_what_is_sung():
    open_ = opened(spans((0, 2), (0.9, 1), (0, 2)))
    assert np.flatnonzero(open_).tolist() == list(range(100 - 25, 150 + 25))


def test_a_fading_note_is_held_and_what_never_reaches_on_is_not():
    assert opened(spans((0, 2), (0.9, 0.5), (0.35, 0.8), (0, 2)))[100:165].all()
    assert not opened(spans((0, 2), (0.5, 3), (0, 2))).any()


def test_what_stays_between_off_and_on_counts_for_so_long_only():
    open_ = opened(spans((0.9, 1), (0.4, 5)))
    assert np.flatnonzero(open_)[-1] == 50 - 1 + 50 + 25
    open_ = opened(spans((0.4, 5), (0.9, 1)))
    assert np.flatnonzero(open_)[0] == 250 - 50 - 25


def test_a_rest_cuts_the_reach():
    open_ = opened(spans((0.9, 1), (0.2, 0.04), (0.4, 3)), GateRules(0.6, 0.3, 1.0, 0.1))
    assert np.flatnonzero(open_)[-1] == 49 + 5


def test_sung_frames_are_fully_open_and_ramps_are_smooth():
    probability = spans((0, 2), (0.9, 1), (0, 2))
    gate = Gate(RULES, HOP, RATE)
    gate.push(probability, last=True)
    gain = gate.gain(0, len(probability) * HOP)
    assert (gain[100 * HOP : 149 * HOP + 1] == 1).all()
    assert gain[: 70 * HOP].max() == pytest.approx(1e-3) == gain[180 * HOP :].max()
    assert np.abs(np.diff(gain)).max() < 2e-3
    assert (np.diff(gain[: 110 * HOP]) >= -1e-7).all()


def test_decisions_do_not_depend_on_how_the_stream_is_cut():
    rng = np.random.default_rng(0)
    probability = np.clip(np.convolve(rng.uniform(-0.5, 1.2, 3000), np.ones(9) / 9, "same"), 0, 1)
    whole = Gate(RULES, HOP, RATE)
    whole.push(probability, last=True)
    gain = whole.gain(0, 3000 * HOP)
    assert 0.2 < whole.is_open(0, 3000).mean() < 0.98
    cut, at, done, gains = Gate(RULES, HOP, RATE), 0, 0, []
    while at < 3000:
        n = int(rng.integers(0, 200))
        cut.push(probability[at : at + n], last=at + n >= 3000)
        at += n
        until = 3000 * HOP if at >= 3000 else cut.n_samples
        if until > done:
            gains.append(cut.gain(done, until - done))
            done = until
    np.testing.assert_array_equal(cut.is_open(0, 3000), whole.is_open(0, 3000))
    np.testing.assert_allclose(np.concatenate(gains), gain, atol=1e-6)


@pytest.mark.parametrize("bad", [{"on": 0.2}, {"off": 0}, {"reach_sec": -1}, {"floor_db": 3}])
def test_rules_out_of_range_are_refused(bad):
    with pytest.raises(ConfigError):
        GateRules(**bad)


class SingsWhenLoud(JointModel):
    """Half of the mixture is the voice; voiced where the mixture is loud."""

    def __init__(self):
        super().__init__(RATE, PitchGrid(HOP, RATE))

    def estimate(self, wav):
        n = wav.shape[-1]
        n_frames = self.pitch_grid.n_frames(n)
        padded = torch.nn.functional.pad(wav[:, 0], (0, n_frames * HOP - n))
        loud = padded.unflatten(-1, (n_frames, HOP)).abs().amax(-1) > 0.2  # (B, N)
        logits = torch.full((*loud.shape, 360), -8.0)
        logits[..., 200] = torch.where(loud, 8.0, -8.0)
        return JointOutput(torch.cat([wav / 2, wav / 2], 1), logits)


def song(n_channels=2, rate=44100):
    rng = np.random.default_rng(1)
    quiet, loud = (level * rng.standard_normal((n_channels, rate * 4)) for level in (0.01, 0.2))
    return np.clip(np.concatenate([quiet, loud, quiet], 1), -1, 1).astype(np.float32)


def test_the_voice_is_silent_where_nobody_sings_and_the_sum_is_exact():
    wav = song()
    gated = separate_array(SingsWhenLoud(), wav, 44100, gate=True)
    plain = separate_array(SingsWhenLoud(), wav, 44100, gate=False)
    np.testing.assert_allclose(gated.stems.sum(0), wav, atol=1e-7)
    middle = slice(int(4.2 * 44100), int(7.8 * 44100))
    np.testing.assert_allclose(gated.stems[0, :, middle], plain.stems[0, :, middle], atol=1e-5)
    early = slice(0, 3 * 44100)
    assert np.abs(plain.stems[0, :, early]).max() > 0.01
    assert np.abs(gated.stems[0, :, early]).max() < 1e-4
    assert len(gated.f0) == len(plain.f0) and gated.stems.shape == plain.stems.shape


def test_pitch_is_unvoiced_where_the_gate_is_closed():
    class Always(SingsWhenLoud):
        """Its pitch is just above the threshold everywhere, and sure where the mixture is loud."""

        def estimate(self, wav):
            out = super().estimate(wav)
            return JointOutput(out.sources, out.pitch_logits.clamp_min(0.1))

    gated = separate_array(Always(), song(), 44100, gate=True)
    plain = separate_array(Always(), song(), 44100, gate=False)
    assert plain.f0[:, 3].all()
    times, voiced = gated.f0[:, 0], gated.f0[:, 3]
    assert voiced[(times > 4) & (times < 8)].all()
    assert not voiced[(times < 2.4) | (times > 9.6)].any()
    np.testing.assert_array_equal(gated.f0[:, :3], plain.f0[:, :3])


@pytest.mark.parametrize("two_pass", [False, True])
def test_files_add_up_bit_for_bit_with_the_gate(tmp_path, two_pass):
    path = tmp_path / "song.wav"
    sf.write(path, song().T, 44100, subtype="PCM_16")
    done = separate_file(
        SingsWhenLoud(), path, tmp_path / "out", gate=True, two_pass_viterbi=two_pass
    )
    stems = [
        sf.read(done.folder / f"{s}.wav", dtype="int32")[0] for s in ("vocals", "accompaniment")
    ]
    np.testing.assert_array_equal(sum(stems), sf.read(path, dtype="int32")[0])
    assert done.voiced == pytest.approx(4 / 12, abs=0.02)
    assert not (np.abs(stems[0][: 3 * 44100]) > 2**31 * 1e-4).any()


def test_blocks_of_any_size_give_the_same():
    wav, results = song(1, RATE), []
    for size in (1000, 77777):
        stream = StreamSeparator(SingsWhenLoud(), RATE, 1, gate=RULES)
        chunks = [stream.push(wav[:, i : i + size]) for i in range(0, wav.shape[1], size)]
        chunks.append(stream.finish())
        results.append(np.concatenate([c.stems for c in chunks], -1))
    np.testing.assert_allclose(results[0], results[1], atol=1e-6)

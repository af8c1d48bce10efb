"""Weights on hard samples: the formulas, what they leave alone, and what has no label."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT

from asteroid_joint import DJCM, JointOutput, PitchGrid
from asteroid_joint.data.batch import Collate, JointExample
from asteroid_joint.engine.training.config import parse_recipe_args
from asteroid_joint.engine.training.train import train
from asteroid_joint.errors import ConfigError
from asteroid_joint.losses import (
    WEIGHTINGS,
    HardSampleWeights,
    JointLoss,
    PitchLoss,
    SDRLoss,
    WaveformLoss,
    build_loss,
    hard_sample_weights,
)
from asteroid_joint.losses.difficulty import pitch_difficulty, separation_difficulty
from asteroid_joint.losses.weighting import FrameWeights, batch_quality
from asteroid_joint.registry import Registry

GRID = PitchGrid(320, 16000)
N_SAMPLES = 3333  # no multiple of the hop
N_FRAMES = GRID.n_frames(N_SAMPLES)


class Model:
    """All that losses and difficulties ask a model for."""

    pitch_grid = GRID
    mixture_scale = 1.0


def batch(*labels: str, seed: int = 0, **quality: object) -> dict:
    """One example per argument; its letters say which labels it has: s, f. Half are unvoiced."""
    rng = np.random.default_rng(seed)
    examples = []
    for has in labels:
        sources = 0.1 * rng.standard_normal((2, 1, N_SAMPLES)).astype(np.float32)
        f0_hz = np.where(np.arange(N_FRAMES) % 2, 220.0, 0.0).astype(np.float32)
        examples.append(
            JointExample(
                sources.sum(0),
                sources if "s" in has else None,
                f0_hz if "f" in has else None,
                name=has,
                **quality,
            )
        )
    return Collate(2, 320)(examples)


def estimate(given: dict, noise: float = 0.05, seed: int = 1) -> JointOutput:
    """Sources with an error and pitch at random, both with a gradient."""
    generator = torch.Generator().manual_seed(seed)
    n = len(given["name"])
    error = noise * torch.randn((n, 2, N_SAMPLES), generator=generator)
    sources = (given["sources"][:, :, 0].nan_to_num() + error).requires_grad_()
    return JointOutput(
        sources, torch.randn((n, N_FRAMES, 360), generator=generator).requires_grad_()
    )


TERMS = {"waveform": 1.0, "sdr": 0.1, "pitch": 20.0}


def losses(given: dict, output: JointOutput, weighting: str, **arguments: object) -> dict:
    options = {"waveform_per_frame": True}
    return build_loss(TERMS, options, weighting, arguments)(output, given, Model())


# ------------------------------------------------------------------ how hard


def test_pitch_is_hard_where_the_right_bin_is_not_active():
    true_bin = round(GRID.hz_to_bin(220.0))
    logits = torch.full((1, 5, 360), -20.0)
    logits[0, 0, true_bin + 2] = 20.0  # near enough
    logits[0, 1, true_bin + 3] = 20.0  # not
    logits[0, 3, 7] = 0.0  # half an activation where nobody sings
    logits[0, 4] = 20.0  # nothing is known
    f0_hz = torch.tensor([[220.0, 220.0, 0.0, 0.0, math.nan]])
    hard = pitch_difficulty(logits, f0_hz, GRID)
    torch.testing.assert_close(hard, torch.tensor([[0.0, 1.0, 0.0, 0.5, 0.0]]))


def test_pitch_beyond_the_grid_is_hard_and_finite():
    f0_hz = torch.tensor([[10.0, 9000.0]])
    assert pitch_difficulty(torch.full((1, 2, 360), -20.0), f0_hz, GRID).tolist() == [[1.0, 1.0]]


def test_separation_is_hard_where_the_error_is_large():
    given = batch("s", "s", "s", "")
    given["sources"][1, 0] = 0.0  # silence: against a tenth of the mixture
    given["mixture"][1] = given["sources"][1].sum(0)
    sources = given["sources"][:, :, 0].nan_to_num().clone()
    sources[1, 0] += 0.01 * sources[1, 1]
    sources[2] *= -3.0  # magnitudes only: an error of twice the voice
    sources[2, 0, : N_SAMPLES // 2] = given["sources"][2, 0, 0, : N_SAMPLES // 2]
    hard = separation_difficulty(JointOutput(sources), given, Model())
    assert hard.shape == (4, N_FRAMES)
    assert hard[0].max() == 0.0 and hard[3].max() == 0.0  # perfect; unknown
    assert hard[1].mean() == pytest.approx(0.01 / 0.1, rel=0.05)
    assert hard[2, :3].max() < 0.01 and hard[2, -3:].min() == 1.0


def test_an_input_shorter_than_the_window_has_difficulties_too():
    sources = np.random.default_rng(0).standard_normal((2, 1, 500)).astype(np.float32)
    given = Collate(2, 320)([JointExample(sources.sum(0), sources)])
    hard = separation_difficulty(JointOutput(0 * given["sources"][:, :, 0]), given, Model())
    assert hard.shape == (1, 2) and bool((hard > 0.5).all())


# ------------------------------------------------------------------ the formulas


def weights_of(d_pitch: list, d_sources: list, q_pitch=None, q_sources=None, **options):
    known = torch.ones(1, len(d_pitch))
    quality = [known if q is None else torch.tensor([q]) for q in (q_pitch, q_sources)]
    difficulty = FrameWeights(torch.tensor([d_pitch]), torch.tensor([d_sources]))
    found = hard_sample_weights(difficulty, FrameWeights(*quality), **options)
    return found.pitch[0], found.sources[0]


def test_weights_against_the_formula():
    pitch, sources = weights_of([0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0, 1.0], beta_sources=2.0)
    raw_pitch, raw_sources = np.array([1.0, 2.0, 1.0, 1.0]), np.array([1.0, 1.0, 3.0, 2.0])
    np.testing.assert_allclose(pitch, raw_pitch / raw_pitch.mean(), rtol=1e-6)
    np.testing.assert_allclose(sources, raw_sources / raw_sources.mean(), rtol=1e-6)
    # easy, hard pitch, propagated error, hard separation: who has to learn
    assert pitch[1] > pitch[0] == pitch[2] and sources[2] > sources[3] > sources[0]


def test_the_mean_is_1_whatever_the_scale_of_quality():
    rng = torch.Generator().manual_seed(0)
    d_pitch, d_sources = torch.rand(2, 50, generator=rng).tolist()
    quality = (0.5 + 0.5 * torch.rand(50, generator=rng)).tolist()
    for scale in (1.0, 1e-3):
        found = weights_of(d_pitch, d_sources, [scale * q for q in quality], quality)
        for weights in found:
            assert float(weights.mean()) == pytest.approx(1.0, abs=1e-5)
            assert 0.2 < float(weights.min()) < float(weights.max()) < 3.0


def test_weights_are_bounded_and_low_quality_weighs_little():
    quality = [1.0] + [0.001] * 19
    pitch, _ = weights_of([0.0] * 20, [0.0] * 20, quality)
    assert float(pitch[0]) == 3.0 and float(pitch[1]) == pytest.approx(0.1)
    half, _ = weights_of([0.0] * 4, [0.0] * 4, [1.0, 1.0, 0.5, 0.5])
    assert half[2] == pytest.approx(half[0] / 2)


def test_unlabelled_frames_weigh_nothing_and_do_not_count_in_the_mean():
    pitch, sources = weights_of([0.0, 1.0, 1.0], [0.0] * 3, [1.0, 1.0, 0.0], [0.0] * 3)
    np.testing.assert_allclose(pitch, [1 / 1.5, 2 / 1.5, 0.0], rtol=1e-6)
    assert not sources.any()


# ------------------------------------------------------------------ in a loss


def test_without_betas_and_with_true_labels_the_loss_is_the_naive_one():
    given = batch("sf", "s", "f", "sf")
    output = estimate(given)
    naive, ours = (
        losses(given, output, name, **arguments)
        for name, arguments in (("fixed", {}), ("dwhs", {"beta_pitch": 0, "beta_sources": 0}))
    )
    assert naive.keys() == ours.keys()
    for name, value in naive.items():
        assert float(value.detach()) == float(ours[name].detach()), name


def test_hard_frames_count_more():
    given = batch("sf", "sf")
    output = estimate(given)
    with torch.no_grad():
        output.sources[0] = given["sources"][0, :, 0]  # the first is hard for pitch alone
        logits = torch.full_like(output.pitch_logits, -6.0)
        logits[1, 1::2, round(GRID.hz_to_bin(220.0))] = 6.0
        output.pitch_logits.copy_(logits)
    naive, ours = losses(given, output, "fixed"), losses(given, output, "dwhs")
    for name in TERMS:
        assert float(ours[name].detach()) > 1.05 * float(naive[name].detach()), name


def test_single_frames_of_the_waveform_term_get_their_own_weight():
    given = batch("s")
    output = estimate(given, 0.0)
    with torch.no_grad():
        noise = torch.randn(2 * 320, generator=torch.Generator().manual_seed(0))
        output.sources[0, :, 2 * 320 : 4 * 320] += 0.3 * noise
    strategy = HardSampleWeights()
    terms = {"w": WaveformLoss(per_frame=True)(output, given, Model())}
    weights = strategy.weigh_samples(terms, output, given, Model())["w"].weights
    assert weights.shape == (1, 2, N_FRAMES)
    assert weights[0, 0, 3] > 1.2 * weights[0, 0, 8] and torch.equal(weights[0, 0], weights[0, 1])
    clip = {"w": WaveformLoss()(output, given, Model())}
    assert strategy.weigh_samples(clip, output, given, Model())["w"].weights.shape == (1, 2)


def test_the_waveform_term_per_frame_has_the_same_mean():
    given = batch("s", "", "s")
    output = estimate(given)
    whole, framed = (WaveformLoss(per)(output, given, Model()) for per in (False, True))
    torch.testing.assert_close(whole.mean(), framed.mean())
    first = (output.sources - given["sources"][:, :, 0]).abs()[..., :320].mean(-1)
    torch.testing.assert_close(framed.values[[0, 2], :, 0], first[[0, 2]])
    assert not framed.weights[1].any()


def test_weights_carry_no_gradient():
    given = batch("sf", "sf")
    output = estimate(given)
    strategy = HardSampleWeights()
    terms = {"p": PitchLoss()(output, given, Model()), "s": SDRLoss()(output, given, Model())}
    weighed = strategy.weigh_samples(terms, output, given, Model())
    for name, term in weighed.items():
        assert not term.weights.requires_grad and term.values.requires_grad
        assert term.values is terms[name].values
        assert not torch.equal(term.weights, terms[name].weights)


@pytest.mark.parametrize("case", ["silent", "unlabelled", "rejected"])
def test_batches_with_nothing_to_learn_are_finite(case):
    given = batch("sf", "sf") if case != "unlabelled" else batch("", "")
    if case == "silent":
        for key in ("mixture", "sources", "f0_hz"):
            given[key] = torch.zeros_like(given[key])
    if case == "rejected":
        given = batch("sf", "sf", sources_quality=0.0, f0_quality=np.zeros(N_FRAMES))
    output = estimate(given)
    parts = losses(given, output, "dwhs")
    parts["loss"].backward()
    assert all(torch.isfinite(value) for value in parts.values())
    for field in output[:2]:
        assert torch.isfinite(field.grad).all()
        if case != "silent":
            assert not field.grad.any()
    if case != "silent":
        assert float(parts["loss"].detach()) == 0.0


def test_quality_weighs_with_every_strategy():
    given = batch("sf", "sf")
    output = estimate(given)
    quality = np.where(np.arange(N_FRAMES) < 4, 0.25, 0.0)
    low = batch("sf", "sf", sources_quality=0.5, f0_quality=quality)
    low["q_sources"][0] = 1.0
    term = PitchLoss()(output, low, Model())
    assert term.weights[0].tolist() == pytest.approx(quality.tolist())
    sdr = SDRLoss()(output, low, Model())
    assert sdr.weights.tolist() == [[1.0, 1.0], [0.5, 0.5]]
    expected = PitchLoss()(output, given, Model()).values[:, :4].mean()
    torch.testing.assert_close(term.mean(), expected)
    found = batch_quality(low)
    assert found.sources[:, 0].tolist() == [1.0, 0.5] and torch.equal(found.pitch, term.weights)
    plain = {key: value for key, value in given.items() if not key.startswith("q_")}
    torch.testing.assert_close(batch_quality(plain), batch_quality(given))


def test_activity_is_left_alone():
    given = batch("sf")
    given["activity"], given["has_activity"] = torch.ones(1, N_FRAMES), torch.tensor([True])
    output = estimate(given)._replace(activity_logits=torch.randn(1, N_FRAMES))
    naive, ours = (
        build_loss({"activity": 1.0}, {}, name)(output, given, Model())
        for name in ("fixed", "dwhs")
    )
    assert float(naive["activity"].detach()) == float(ours["activity"].detach())


def test_validation_reports_the_plain_losses():
    given = batch("sf", "sf")
    output = estimate(given)
    loss = build_loss(TERMS, {}, "dwhs")
    with torch.no_grad():
        plain = loss(output, given, Model())
    assert loss.weighting._calls == 0
    naive = losses(given, output, "fixed")
    torch.testing.assert_close(plain["pitch"], naive["pitch"].detach())


def test_the_first_calls_warm_up():
    given = batch("sf", "sf")
    output = estimate(given)
    loss = build_loss(TERMS, {}, "dwhs", {"warmup_calls": 1})
    first, second = (float(loss(output, given, Model())["pitch"].detach()) for _ in range(2))
    naive = float(losses(given, output, "fixed")["pitch"].detach())
    assert first == naive != second


# ------------------------------------------------------------------ names and options


def test_strategies_are_registered():
    assert isinstance(WEIGHTINGS, Registry) and {"fixed", "dwa", "dwhs"} <= set(WEIGHTINGS)
    loss = build_loss({"pitch": 1.0}, {}, "dwhs", {"beta_pitch": 2.0})
    assert isinstance(loss, JointLoss) and loss.weighting.beta_pitch == 2.0
    with pytest.raises(ConfigError, match="'dwhs' takes beta_pitch, .*; weighting_args has beta"):
        build_loss({"pitch": 1.0}, {}, "dwhs", {"beta": 2.0})
    with pytest.raises(ConfigError, match="'fixed' takes no arguments"):
        build_loss({"pitch": 1.0}, {}, "fixed", {"window": 2.0})
    with pytest.raises(ConfigError, match="must not be negative"):
        HardSampleWeights(beta_pitch=-1.0)


def test_the_focal_loss_lowers_what_is_right_already():
    given = batch("f")
    output = estimate(given)
    plain = PitchLoss(alpha=1.0)(output, given, Model()).values
    focal = PitchLoss(alpha=1.0, focal_gamma=2.0)(output, given, Model()).values
    active = output.pitch_logits.detach().sigmoid()  # (B, N, P)
    expected = -(active**2 * torch.log1p(-active)).mean(-1)
    torch.testing.assert_close(focal.detach()[0, 0], expected[0, 0])  # unvoiced: all targets 0
    assert bool((focal < plain).all())


def test_a_training_run_weighs_samples_and_goes_on(mir1k_dir, tmp_path):
    before = torch.get_num_threads()
    argv = ["--overlay", "debug", "--data_dir", mir1k_dir, "--weighting", "dwhs"]
    argv += ["--exp_dir", tmp_path, "--epochs", "1", "--valid_clips", "1"]
    conf = parse_recipe_args(ROOT / "recipes/mir1k/DJCM", [str(x) for x in argv])
    conf["weighting_args"] = {"beta_sources": 2.0}
    train(conf)
    torch.set_num_threads(before)
    (path,) = Path(tmp_path / "checkpoints").glob("last.ckpt")
    state = torch.load(path, weights_only=True)["weighting_state"]
    assert state["_calls"] == 2 and state["beta_sources"] == 2.0
    assert yaml.safe_load((tmp_path / "conf.yml").read_text())["training"]["weighting"] == "dwhs"
    assert isinstance(DJCM.from_pretrained(tmp_path / "best_model.pth"), DJCM)

"""Loss terms against numbers that can be worked out by hand."""

import math

import numpy as np
import pytest
import torch

from asteroid_joint.data import Collate, JointExample
from asteroid_joint.losses import (
    ActivityLoss,
    DynamicWeightAverage,
    FixedWeights,
    JointLoss,
    PitchLoss,
    SDRLoss,
    Term,
    WaveformLoss,
    build_loss,
)
from asteroid_joint.models import JointOutput
from asteroid_joint.pitch import PitchGrid


class Model:
    """All that a loss term asks a model for."""

    pitch_grid = PitchGrid(320, 16000)


N_SAMPLES, N_FRAMES = 3200, 10
F0_220 = 220.0


def batch(*labels: str) -> dict:
    """One example per argument; its letters say which labels it has: s, f, a."""
    rng = np.random.default_rng(0)
    examples = []
    for has in labels:
        sources = rng.standard_normal((2, 1, N_SAMPLES)).astype(np.float32)
        examples.append(
            JointExample(
                sources.sum(0),
                sources if "s" in has else None,
                np.full(N_FRAMES, F0_220, np.float32) if "f" in has else None,
                np.ones(N_FRAMES, np.float32) if "a" in has else None,
            )
        )
    return Collate(2, 320)(examples)


def output(n: int, requires_grad: bool = False) -> JointOutput:
    generator = torch.Generator().manual_seed(0)
    fields = [
        torch.randn(shape, generator=generator).requires_grad_(requires_grad)
        for shape in ((n, 2, N_SAMPLES), (n, N_FRAMES, 360), (n, N_FRAMES))
    ]  # as JointOutput orders them
    return JointOutput(*fields)


# ------------------------------------------------------------------ values


def test_waveform_is_the_mean_absolute_error():
    given = batch("s")
    estimate = given["sources"][:, :, 0] + torch.tensor([0.25, -0.5])[None, :, None]
    term = WaveformLoss()(JointOutput(estimate), given, Model())
    torch.testing.assert_close(term.values, torch.tensor([[0.25, 0.5]]))
    assert term.mean() == pytest.approx(0.375)


def test_sdr_in_decibels_and_its_floor():
    given = batch("s")
    mixture = given["mixture"][0, 0]
    error = 0.1 * mixture  # -20 dB against the mixture
    estimate = given["sources"][:, :, 0].clone()
    estimate[:, 0] += error
    values = SDRLoss(floor=1e-3)(JointOutput(estimate), given, Model()).values[0]
    assert values[0] == pytest.approx(10 * math.log10(1e-2 + 1e-3), abs=1e-3)
    assert values[1] == pytest.approx(-30, abs=1e-3)  # perfect: the floor


def test_pitch_is_a_weighted_cross_entropy_over_all_bins():
    logits = torch.full((1, N_FRAMES, 360), -2.0)
    given = batch("f")
    given["f0_hz"][0, :4] = 0.0  # unvoiced
    values = PitchLoss(alpha=10.0)(JointOutput(None, logits), given, Model()).values[0]
    off, on = math.log1p(math.exp(-2)), math.log1p(math.exp(2))
    expected = [off] * 4 + [(359 * off + 10 * on) / 360] * 6
    torch.testing.assert_close(values, torch.tensor(expected))


def test_pitch_prefers_the_right_bin():
    grid = Model.pitch_grid
    given = batch("f")
    right = round(grid.hz_to_bin(F0_220))
    losses = []
    for bin_ in (right - 1, right, right + 1):
        logits = torch.full((1, N_FRAMES, 360), -9.0)
        logits[..., bin_] = 9.0
        losses.append(float(PitchLoss()(JointOutput(None, logits), given, Model()).mean()))
    assert losses[1] < 0.01 < min(losses[0], losses[2])


def test_activity_is_a_cross_entropy():
    logits = torch.tensor([[2.0] * N_FRAMES])
    given = batch("a")
    given["activity"][0, 0] = 0.0
    given["activity"][0, 1] = math.nan
    term = ActivityLoss()(JointOutput(None, None, logits), given, Model())
    expected = torch.full((N_FRAMES,), math.log1p(math.exp(-2)))
    expected[0] = math.log1p(math.exp(2))
    known = torch.arange(N_FRAMES) != 1
    torch.testing.assert_close(term.values[0, known], expected[known])
    assert term.weights[0].tolist() == known.float().tolist()


# ------------------------------------------------------------------ missing labels

TERMS = {"waveform": (WaveformLoss, 0), "sdr": (SDRLoss, 0)}
TERMS |= {"pitch": (PitchLoss, 1), "activity": (ActivityLoss, 2)}
LETTER = {"waveform": "s", "sdr": "s", "pitch": "f", "activity": "a"}


@pytest.mark.parametrize("name", TERMS)
def test_a_missing_label_weighs_nothing(name):
    loss, field = TERMS[name][0](), TERMS[name][1]
    others = "sfa".replace(LETTER[name], "")
    given = batch("sfa", others)
    estimate = output(2, requires_grad=True)
    value = loss(estimate, given, Model()).mean()
    value.backward()
    gradient = estimate[field].grad
    assert gradient[0].any()
    assert not gradient[1].any()
    alone = loss(JointOutput(*(f[:1] for f in estimate[:3])), batch("sfa"), Model()).mean()
    torch.testing.assert_close(value, alone)


@pytest.mark.parametrize("name", TERMS)
def test_no_label_at_all_is_zero_and_never_nan(name):
    loss, field = TERMS[name][0](), TERMS[name][1]
    estimate = output(2, requires_grad=True)
    value = loss(estimate, batch("", ""), Model()).mean()
    value.backward()
    assert float(value.detach()) == 0.0
    assert torch.isfinite(estimate[field].grad).all()
    assert not estimate[field].grad.any()


def test_unknown_frames_weigh_nothing():
    given = batch("f")
    given["f0_hz"][0, 5:] = math.nan
    estimate = output(1, requires_grad=True)
    PitchLoss()(estimate, given, Model()).mean().backward()
    assert estimate.pitch_logits.grad[0, :5].any()
    assert not estimate.pitch_logits.grad[0, 5:].any()


def test_a_term_without_an_output_to_work_on_says_so():
    with pytest.raises(ValueError, match="pitch term but the model has no pitch output"):
        PitchLoss()(JointOutput(torch.zeros(1, 2, N_SAMPLES)), batch("f"), Model())
    with pytest.raises(ValueError, match="activity term but the model has no activity output"):
        ActivityLoss()(JointOutput(torch.zeros(1, 2, N_SAMPLES)), batch("a"), Model())


# ------------------------------------------------------------------ the sum


def constant(value: float):
    return lambda _output, _batch, _model: Term(torch.tensor([[value]]), torch.ones(1, 1))


def test_weighted_sum_with_every_part_by_name():
    loss = JointLoss({"a": constant(2.0), "b": constant(3.0)}, {"a": 0.5, "b": 10.0})
    parts = loss(None, None, None)
    assert {name: float(value) for name, value in parts.items()} == {
        "loss": 31.0,
        "a": 2.0,
        "b": 3.0,
    }


def test_weighting_strategy_scales_the_parts():
    loss = JointLoss(
        {"a": constant(2.0), "b": constant(3.0)},
        {"a": 1.0, "b": 1.0},
        lambda terms: {"a": 0.5, "b": 2.0},
    )
    assert float(loss(None, None, None)["loss"]) == 7.0


def test_build_loss_takes_options_and_leaves_out_weight_zero():
    loss = build_loss(
        {"waveform": 0.0, "pitch": 2.0}, {"pitch_alpha": 3.0, "waveform_unused_here": 1}, "dwa"
    )
    assert list(loss.terms) == ["pitch"]
    assert loss.terms["pitch"].alpha == 3.0
    assert isinstance(loss.weighting, DynamicWeightAverage)
    assert isinstance(build_loss({"pitch": 1.0}).weighting, FixedWeights)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (({"wave": 1.0},), "Unknown loss term 'wave': choose one of .*waveform"),
        (({"pitch": 1.0}, {"sdr_floor": 1.0}), "sdr_floor.*belong to none of the terms"),
        (({"pitch": 1.0}, {}, "best"), "Unknown weighting 'best': choose one of .*dwa"),
    ],
)
def test_build_loss_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_loss(*arguments)


def test_terms_and_weights_must_have_the_same_names():
    with pytest.raises(ValueError, match="differ"):
        JointLoss({"a": constant(1.0)}, {"b": 1.0})


# ------------------------------------------------------------------ dynamic weight average


def feed(strategy, **values: float) -> dict[str, float]:
    return strategy({n: Term(torch.tensor([v]), torch.ones(1)) for n, v in values.items()})


def test_dynamic_weight_average_against_the_formula():
    strategy = DynamicWeightAverage(temperature=2.0, window=2)
    assert feed(strategy, a=4.0, b=1.0) == {"a": 1.0, "b": 1.0}
    assert feed(strategy, a=2.0, b=1.0) == {"a": 1.0, "b": 1.0}  # first window: means 3, 1
    assert feed(strategy, a=1.0, b=0.5) == {"a": 1.0, "b": 1.0}
    factors = feed(strategy, a=2.0, b=1.5)  # second window: means 1.5, 1
    rates = np.array([1.5 / 3.0, 1.0 / 1.0])
    expected = 2 * np.exp(rates / 2.0) / np.exp(rates / 2.0).sum()
    assert list(factors.values()) == pytest.approx(list(expected), rel=1e-6)
    assert factors["b"] > factors["a"]  # b did not fall


def test_validation_does_not_move_the_weights():
    strategy = DynamicWeightAverage(window=1)
    with torch.no_grad():
        for value in (1.0, 2.0, 3.0):
            assert feed(strategy, a=value, b=1.0) == {"a": 1.0, "b": 1.0}
    assert strategy._history == []

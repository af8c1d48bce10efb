"""Loss of the X-scheme against slow loops, and against numbers of the authors' released code."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch

from asteroid_joint.data import Collate, JointExample
from asteroid_joint.dsp.stft import STFT, magnitude
from asteroid_joint.losses import CombinationLoss, MultiDomainLoss, build_loss, subsets
from asteroid_joint.losses.multi_domain import frequency_loss, time_loss
from asteroid_joint.models import JointOutput

N_SAMPLES = 44032
GAINS = (1.0, 0.5, 0.25, 0.7)
N_FFT, HOP = 256, 64


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def sources(n_src: int = 4, n_channels: int = 2, n_samples: int = N_SAMPLES) -> torch.Tensor:
    """``(2, n_src, n_channels, n_samples)`` of white noise."""
    gains = torch.tensor(GAINS[:n_src])[None, :, None, None]
    return gains * noise(2, n_src, n_channels, n_samples)


def spectra(wav: torch.Tensor) -> torch.Tensor:
    return magnitude(STFT(N_FFT, HOP)(wav))


def index_sets(n_src: int, combination: bool) -> list[tuple[int, ...]]:
    sizes = range(1, max(n_src, 2)) if combination else (1,)
    return [j for size in sizes for j in itertools.combinations(range(n_src), size)]


def slow_time_loss(e: np.ndarray, y: np.ndarray, x: np.ndarray, combination: bool) -> float:
    """Row by row in double precision."""
    eps, rows = 1e-10, []
    for subset in index_sets(y.shape[1], combination):
        for b, c in np.ndindex(y.shape[0], y.shape[2]):
            yj = sum(y[b, s, c].astype(float) for s in subset)
            ej = sum(e[b, s, c].astype(float) for s in subset)
            n, m = x[b, c] - yj, x[b, c] - ej
            a = yj @ yj / (yj @ yj + n @ n + eps)
            good = yj @ ej / (math.sqrt(eps + yj @ yj) * math.sqrt(eps + ej @ ej) + eps)
            rest = n @ m / (math.sqrt(eps + n @ n) * math.sqrt(eps + m @ m) + eps)
            rows.append(-a * good - (1 - a) * rest)
    return 1 + float(np.mean(rows))


def slow_frequency_loss(e: np.ndarray, y: np.ndarray, combination: bool) -> float:
    """Subset by subset in double precision."""
    errors = []
    for subset in index_sets(y.shape[1], combination):
        diff = sum(e[:, s].astype(float) for s in subset) - sum(y[:, s] for s in subset)
        errors.append(np.mean(diff**2))
    return float(np.mean(errors))


# ------------------------------------------------------------------ sums of sources


@pytest.mark.parametrize("n_src", [1, 2, 3, 4, 5])
def test_subsets_by_size_without_the_whole(n_src):
    matrix = subsets(n_src)
    assert matrix.shape == ({1: 1}.get(n_src, 2**n_src - 2), n_src)
    assert [tuple(np.flatnonzero(row)) for row in matrix] == index_sets(n_src, True)
    assert set(matrix.unique().tolist()) <= {0.0, 1.0}


def test_no_source_has_no_subsets():
    with pytest.raises(ValueError, match="n_src=0"):
        subsets(0)


@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 5, 7)])
@pytest.mark.parametrize("n_src", [1, 3, 4])
def test_combination_is_a_loop_over_combinations(n_src, shape):
    estimates, targets = noise(2, n_src, *shape), noise(2, n_src, *shape, seed=1)
    got = CombinationLoss(torch.nn.L1Loss())(estimates, targets)
    expected = [
        (estimates[:, j].sum(1) - targets[:, j].sum(1)).abs().mean()
        for j in map(list, index_sets(n_src, True))
    ]
    torch.testing.assert_close(got, torch.stack(expected).mean())


def test_combination_hands_on_arguments_and_keeps_precision():
    def base(estimates, targets, factor, offset=0.0):
        return factor * (estimates - targets) + offset

    estimates, targets = noise(1, 3, 4).double(), noise(1, 3, 4, seed=1).double()
    got = CombinationLoss(base)(estimates, targets, 2.0, offset=3.0)
    assert got.shape == (1, 6, 4) and got.dtype == torch.float64
    torch.testing.assert_close(got[:, 3], 2 * (estimates - targets)[:, :2].sum(1) + 3)


def test_two_sources_warn_once_and_change_nothing():
    loss = CombinationLoss(torch.nn.L1Loss())
    estimates, targets = noise(2, 2, 5), noise(2, 2, 5, seed=1)
    with pytest.warns(UserWarning, match="With two sources"):
        value = loss(estimates, targets)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(estimates, targets) == value
        for n_src in (1, 3):
            CombinationLoss(torch.nn.L1Loss())(noise(2, n_src, 5), noise(2, n_src, 5))
    torch.testing.assert_close(value, torch.nn.L1Loss()(estimates, targets))


# ------------------------------------------------------------------ time

# estimate from the targets y and the mixture x; value with and without combination
FACTS = {
    "perfect": (lambda y, x: y.clone(), 0.0, 0.0),
    "mixture": (lambda y, x: x[:, None].expand_as(y), 0.8096, 0.8468),
    "silence": (lambda y, x: torch.zeros_like(y), 0.6025, 0.3336),
    "half": (lambda y, x: 0.5 * y, 0.0408, 0.0274),
}


@pytest.mark.parametrize("combination", [True, False])
@pytest.mark.parametrize("estimate", FACTS)
def test_time_loss_of_the_released_code(estimate, combination):
    make, *values = FACTS[estimate]
    y = sources()
    x = y.sum(1)
    e = make(y, x)
    loss = MultiDomainLoss(combination, coefficient=1.0, frequency=False)
    got = loss(e, y, x)
    assert got.shape == (2, 14 if combination else 4)
    assert float(got.mean()) == pytest.approx(values[not combination], abs=3e-3)
    expected = slow_time_loss(e.numpy(), y.numpy(), x.numpy(), combination)
    assert float(got.mean()) == pytest.approx(expected, abs=1e-5)
    if estimate == "perfect":
        assert got.abs().max() < 1e-6
    torch.testing.assert_close(loss(e, y), got)  # the sum of the targets is the default


@pytest.mark.parametrize("n_src", [1, 3, 4])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_any_sources_and_channels(n_src, n_channels):
    y = sources(n_src, n_channels, 2000)
    e, x = y + noise(*y.shape, seed=1), y.sum(1) + 0.1 * noise(2, n_channels, 2000, seed=2)
    both = MultiDomainLoss(combination=True)(e, y, x, spectra(e), spectra(y))
    slow = slow_frequency_loss(spectra(e).numpy(), spectra(y).numpy(), True)
    slow += 10 * slow_time_loss(e.numpy(), y.numpy(), x.numpy(), True)
    assert both.shape == (2, len(subsets(n_src)))
    assert float(both.mean()) == pytest.approx(slow, rel=1e-5)


def test_a_channel_more_changes_nothing():
    mono = sources(4, 1, 2000)
    e = mono + noise(*mono.shape, seed=1)
    loss = MultiDomainLoss(combination=True)
    values = []
    for n in (1, 2, 5):
        wavs = [x.expand(2, 4, n, -1) for x in (e, mono)]
        values.append(loss(*wavs, None, *map(spectra, wavs)))
    for value in values[1:]:
        torch.testing.assert_close(value, values[0])


def test_every_domain_alone_and_both():
    y = sources(3, 2, 2000)
    e = y + noise(*y.shape, seed=1)
    args = (e, y, None, spectra(e), spectra(y))
    frequency = MultiDomainLoss(time=False)(None, None, None, *args[3:])
    torch.testing.assert_close(frequency, frequency_loss(*args[3:]))
    time = MultiDomainLoss(frequency=False)(*args[:3])
    torch.testing.assert_close(time, 10 * time_loss(e, y, y.sum(1)))
    torch.testing.assert_close(MultiDomainLoss()(*args), frequency + time)
    half = MultiDomainLoss(coefficient=5.0)(*args)
    torch.testing.assert_close(half, frequency + time / 2)


def test_the_reference_of_a_sum_is_the_sum_of_magnitudes():
    """Two targets that cancel: their magnitudes do not."""
    y = noise(1, 1, 1, 2000) * torch.tensor([1.0, -1.0, 0.0])[None, :, None, None]
    loss = MultiDomainLoss(combination=True, time=False)
    assert float(loss(None, None, None, spectra(y), spectra(y)).max()) == 0.0
    value = loss(None, None, None, 0 * spectra(y), spectra(y))
    torch.testing.assert_close(value[0, 3], 4 * value[0, 0])  # subset (0, 1)


def test_trim_and_unequal_lengths():
    y = sources(3, 2, 2000)
    e, x = y + noise(*y.shape, seed=1), y.sum(1)
    trimmed = MultiDomainLoss(frequency=False, trim=200)(e, y, x)
    inner = MultiDomainLoss(frequency=False)(*(w[..., 200:-200] for w in (e, y, x)))
    torch.testing.assert_close(trimmed, inner)
    short = MultiDomainLoss()(
        e[..., :1900], y, x, spectra(e)[..., :-2, :], spectra(y)
    )  # as an inverse STFT without a length leaves it
    cut = (w[..., :1900] for w in (e, y, x))
    same = MultiDomainLoss()(*cut, spectra(e)[..., :-2, :], spectra(y)[..., :-2, :])
    torch.testing.assert_close(short, same)


@pytest.mark.parametrize("combination", [True, False])
def test_gradients_are_finite_in_silence(combination):
    y = sources(4, 2, 2000)
    y[:, 1] = 0
    y[1] = 0  # a whole example, hence its mixture
    for scale in (0.0, 1e-12, 1.0):
        e = (scale * noise(*y.shape, seed=1)).requires_grad_()
        value = MultiDomainLoss(combination)(e, y, None, spectra(e), spectra(y))
        value.mean().backward()
        assert torch.isfinite(value).all() and torch.isfinite(e.grad).all()


def test_gradient_against_differences():
    y = sources(3, 1, 12).double()[:1]
    e = (y + noise(*y.shape, seed=1)).requires_grad_()
    loss = MultiDomainLoss(combination=True)
    assert torch.autograd.gradcheck(lambda e: loss(e, y, None, e.square(), y.square()), (e,))


def test_mixed_precision_changes_nothing():
    y = sources(4, 2, 2000)
    e = y + noise(*y.shape, seed=1)
    loss = MultiDomainLoss(combination=True)
    args = (e, y, y.sum(1), spectra(e), spectra(y))
    expected = loss(*args)
    with torch.autocast("cpu", torch.bfloat16):
        got = loss(*args)
    assert torch.equal(got, expected)
    low = loss(e.bfloat16(), *args[1:3], spectra(e).bfloat16(), args[4])
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, expected, rtol=0.02, atol=0.0)


@pytest.mark.parametrize(
    ("options", "tensors", "message"),
    [
        ({"frequency": False, "time": False}, (), "needs a domain"),
        ({"trim": -1}, (), "received -1"),
        ({}, (torch.zeros(1, 3, 1, 9),) * 2, "needs magnitudes of both"),
        ({"frequency": False}, (torch.zeros(1, 3, 1, 9), torch.zeros(1, 3, 2, 9)), "same sources"),
        ({"frequency": False, "trim": 5}, (torch.zeros(1, 3, 1, 9),) * 2, "leaves nothing"),
    ],
)
def test_what_does_not_go(options, tensors, message):
    with pytest.raises(ValueError, match=message):
        MultiDomainLoss(**options)(*(tensors or (None, None)))


# ------------------------------------------------------------------ as a term of a joint model


class Model:
    """All that the term asks a model for."""

    mixture_scale = 1.0

    def __init__(self, **arguments: int) -> None:
        self.arguments = arguments

    def get_model_args(self) -> dict:
        return self.arguments


MODEL = Model(n_fft=N_FFT, hop_length=HOP)


def batch(*has: bool, n_src: int = 4, n_channels: int = 2, gain: float = 1.0, n: int = 2000):
    """One example per argument, which says whether it has sources."""
    examples = []
    for k, known in enumerate(has):
        wavs = noise(n_src, n_channels, n, seed=k).numpy()
        examples.append(JointExample(gain * wavs.sum(0), wavs if known else None))
    return Collate(n_src, HOP)(examples)


def term(**options):
    named = {f"multi_domain_{name}": value for name, value in options.items()}
    return build_loss({"multi_domain": 1.0}, named)


def estimate(given, seed: int = 9) -> torch.Tensor:
    return noise(*given["sources"].shape, seed=seed)


@pytest.mark.parametrize("combination", [False, True])
@pytest.mark.parametrize("domains", [(True, True), (True, False), (False, True)])
def test_cells_of_the_ablation_by_configuration(combination, domains):
    frequency, time = domains
    given = batch(True, True)
    e, y, x = estimate(given), given["sources"], given["mixture"]
    loss = term(combination=combination, frequency=frequency, time=time)
    value = loss(JointOutput(e), given, MODEL)["multi_domain"]
    expected = 0.0
    if frequency:
        expected += slow_frequency_loss(spectra(e).numpy(), spectra(y).numpy(), combination)
    if time:
        expected += 10 * slow_time_loss(e.numpy(), y.numpy(), x.numpy(), combination)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_values_are_unreduced():
    given = batch(True, True, True)
    found = term(combination=True).terms["multi_domain"](JointOutput(estimate(given)), given, MODEL)
    assert found.values.shape == found.weights.shape == (3, 14)


@pytest.mark.parametrize("combination", [False, True])
def test_missing_sources_weigh_nothing(combination):
    given, loss = batch(True, False), term(combination=combination)
    e = estimate(given).requires_grad_()
    value = loss(JointOutput(e), given, MODEL)["loss"]
    value.backward()
    assert e.grad[0].any() and not e.grad[1].any()
    alone = loss(JointOutput(e[:1]), batch(True), MODEL)["loss"]
    torch.testing.assert_close(value, alone)
    none = loss(JointOutput(e), batch(False, False), MODEL)["loss"]
    e.grad = None
    none.backward()
    assert float(none.detach()) == 0.0 and not e.grad.any()


def test_magnitudes_are_the_models_where_it_has_all():
    given = batch(True)
    e = estimate(given)
    loss = term(time=False)

    def value(magnitudes, model=MODEL, with_loss=loss):
        return float(with_loss(JointOutput(e, magnitudes=magnitudes), given, model)["loss"])

    own, true = 1.5 * spectra(given["sources"]), spectra(given["sources"])
    expected = float((0.5 * true).square().mean())
    assert value(own) == pytest.approx(expected)
    assert value(own[..., :-1, :]) == pytest.approx(
        float((0.5 * true[..., :-1, :]).square().mean())
    )
    of_waveforms = value(None)
    assert value(own[:, :2]) == of_waveforms != pytest.approx(expected)
    other = term(time=False, n_fft=128)  # not comparable with the model's
    assert value(own, with_loss=other) == value(None, with_loss=other)
    with pytest.raises(ValueError, match="same sources, channels and frequencies"):
        value(own[..., :-1])


def test_magnitudes_of_a_mono_model():
    given = batch(True, n_src=3, n_channels=1)
    true = spectra(given["sources"])
    output = JointOutput(given["sources"][:, :, 0], magnitudes=2 * true[:, :, 0])
    value = term(time=False)(output, given, MODEL)["loss"]
    torch.testing.assert_close(value, true.square().mean())


def test_where_window_and_hop_come_from():
    resolution = term().terms["multi_domain"]._resolution
    assert resolution(Model()) == (4096, 1024, True)
    assert resolution(MODEL) == (N_FFT, HOP, True)
    attribute = Model(n_fft=1)
    attribute.n_fft, attribute.hop_length = 512, 128
    assert resolution(attribute) == (512, 128, True)
    resolution = term(n_fft=512, hop_length=HOP).terms["multi_domain"]._resolution
    assert resolution(MODEL) == (512, HOP, False)
    assert resolution(Model()) == (512, HOP, True)


def test_the_mixture_follows_the_models_convention():
    plain, halved = batch(True), batch(True, gain=0.5)
    e = estimate(plain)
    model = Model()
    model.mixture_scale = 2.0
    loss = term(frequency=False)
    expected = loss(JointOutput(e), plain, MODEL)["loss"]
    torch.testing.assert_close(loss(JointOutput(e), halved, model)["loss"], expected)
    assert loss(JointOutput(e), halved, MODEL)["loss"] != expected
    targets = term(frequency=False, mixture_of_targets=True)
    torch.testing.assert_close(targets(JointOutput(e), halved, MODEL)["loss"], expected)


def test_shorter_than_a_window():
    given = batch(True, n=100)
    e = estimate(given).requires_grad_()
    value = term(combination=True)(JointOutput(e), given, MODEL)["loss"]
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(e.grad).all()


def test_term_under_mixed_precision():
    given = batch(True)
    output, loss = JointOutput(estimate(given)), term(combination=True)
    expected = loss(output, given, MODEL)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss(output, given, MODEL)["loss"], expected)


def test_descent_on_the_time_loss_finds_the_sources():
    given = batch(True, n=500)
    e = estimate(given).requires_grad_()
    loss, optimizer = term(combination=True, frequency=False), torch.optim.Adam([e], 0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss(JointOutput(e), given, MODEL)["loss"].backward()
        optimizer.step()
    error = (e.detach() - given["sources"]).square().mean() / given["sources"].square().mean()
    assert float(error) < 0.01


def test_a_model_of_this_package():
    """Mono, two sources, magnitudes of the voice alone: all of it comes from the waveforms."""
    from asteroid_joint import DJCM

    torch.manual_seed(0)
    model = DJCM.from_preset("tiny")
    given = batch(True, n_src=2, n_channels=1, n=6400)
    loss = term()
    value = loss(model.forward_joint(given["mixture"]), given, model)["loss"]
    value.backward()
    stft = loss.terms["multi_domain"]._stft
    assert (stft.n_fft, stft.hop_length) == (2048, 320)
    assert any(p.grad is not None and p.grad.any() for p in model.separator.parameters())

"""Batches that are spread over threads give what they give in one."""

import copy

import pytest
import torch

from asteroid_joint import DJCM
from asteroid_joint.inference.fast.fuse import optimize_for_inference
from asteroid_joint.inference.load import spread_batches


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_outputs_agree(two_threads, batch):
    torch.manual_seed(0)
    model = optimize_for_inference(DJCM.from_preset("tiny"))
    wav = torch.randn(batch, 9000)
    spread = spread_batches(copy.deepcopy(model))
    with torch.inference_mode():
        for _ in range(2):
            for got, want in zip(spread.forward_joint(wav), model.forward_joint(wav), strict=True):
                assert (got is None) == (want is None)
                assert want is None or torch.allclose(got, want, atol=1e-5)
    assert torch.get_num_threads() == 2
    assert spread.sources == model.sources


def test_one_thread_changes_nothing():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model = spread_batches(DJCM.from_preset("tiny").eval())
        assert "estimate" not in vars(model)
    finally:
        torch.set_num_threads(before)


def test_errors_arrive(two_threads):
    model = DJCM.from_preset("tiny").eval()

    class Broken(type(model)):
        def estimate(self, wav):
            raise RuntimeError("broken")

    model.__class__ = Broken
    with pytest.raises(RuntimeError, match="broken"):
        spread_batches(model, 2).forward_joint(torch.zeros(2, 9000))

"""What a machine may lack: libraries and a GPU."""

from pathlib import Path

import pytest
import torch

import asteroid_joint
from asteroid_joint.errors import UserError
from asteroid_joint.inference.load import ready_model
from asteroid_joint.optional import optional, pick_device

PACKAGE = Path(asteroid_joint.__file__).parent


def test_a_missing_library_is_named_with_its_extra():
    with pytest.raises(UserError, match=r"no_such_library is not installed: .*joint\[eval\]"):
        optional("no_such_library.part", "eval")
    assert optional("os.path", "eval").join("a", "b")


@pytest.mark.parametrize("has_gpu", [False, True])
def test_auto_is_the_gpu_where_there_is_one(monkeypatch, has_gpu):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_gpu)
    assert pick_device("auto") == torch.device("cuda" if has_gpu else "cpu")
    assert pick_device("cpu") == torch.device("cpu")


def test_a_gpu_that_is_not_there_is_missed_in_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    sentence = "^torch finds no CUDA device here: use --device cpu.$"
    for name in ("cuda", "cuda:1"):
        with pytest.raises(UserError, match=sentence):
            pick_device(name)
    with pytest.raises(UserError, match=sentence):  # before the model is loaded
        ready_model("no such model", "cuda")


def test_nobody_else_asks_for_a_gpu():
    asking = [p for p in PACKAGE.rglob("*.py") if "cuda.is_available" in p.read_text("utf-8")]
    assert asking == [PACKAGE / "optional.py"]

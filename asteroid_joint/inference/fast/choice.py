"""Whatever is given as a model, as what runs it."""

from typing import TYPE_CHECKING

from .runner import Runner

if TYPE_CHECKING:
    from ...models.base import JointModel


def as_runner(model: "Runner | JointModel") -> Runner:
    """A runner as it is, or what runs a joint model in PyTorch, on the device of its weights."""
    if isinstance(model, Runner):
        return model
    from .torch_runner import TorchRunner

    return TorchRunner(model)

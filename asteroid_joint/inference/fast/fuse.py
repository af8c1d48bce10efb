"""Make a trained model faster on a CPU, with the plain model's results up to rounding.

Example:
    >>> from asteroid_joint import DJCM
    >>> from asteroid_joint.inference.fast.fuse import optimize_for_inference
    >>> model = optimize_for_inference(DJCM.from_preset("tiny"))  # a copy, in .eval()

The copy has the interface of the original (``forward_joint``, ``sources``, ``pitch_grid``, ...);
inside, every ``UNetEncoder``, ``UNetDecoder``, ``TFCTDFNet`` and linear layer is replaced. It is
for inference on the CPU by one caller at a time (on any number of cores), and cannot be saved: save
the original.

Optimisations, in order of gain:

* 3x3 convolutions with many channels run tiled along time with 4/9 of the multiplications
  (:mod:`~asteroid_joint.inference.fast.conv`), the others with packed weights;
* maps stay in channels-last memory, where a 1x1 convolution is a matrix product, and so is a
  transposed convolution whose stride is its kernel, followed by a view;
* BatchNorm after a convolution is folded into it; elsewhere it is applied together with its
  activation in chunks that stay in the cache, and writes its outputs side by side, which replaces
  a concatenation;
* blocks whose maps are larger than the cache run as a stream of frames
  (:mod:`~asteroid_joint.inference.fast.tfc_tdf`);
* activations and additions are part of the convolution or done in place;
* memory is reused.
"""

import copy
import logging
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

from ...masknn.residual_unet import UNetDecoder, UNetEncoder
from ...masknn.tfc_tdf import TFCTDFNet
from .conv import PackedLinear, Workspace, have_bfloat16
from .tfc_tdf import FusedTFCTDFNet
from .unet import FusedDecoder, FusedEncoder

logger = logging.getLogger(__name__)
Module = TypeVar("Module", bound=nn.Module)


def optimize_for_inference(model: Module, dtype: torch.dtype | None = None) -> Module:
    """A faster copy of ``model`` for inference on the CPU.

    Args:
        model: Any module; those with a residual U-Net gain most.
        dtype: ``torch.bfloat16`` computes the U-Nets at half the precision and twice the speed if
            the processor supports it (otherwise a warning is logged); ``None`` keeps float32.

    Returns:
        A deep copy in ``.eval()``, without gradients.

    Raises:
        ValueError: If ``dtype`` is another type.
    """
    if dtype not in (None, torch.float32, torch.bfloat16):
        raise ValueError(f"Expected dtype None, float32 or bfloat16, received {dtype}.")
    if dtype == torch.bfloat16 and not have_bfloat16():
        logger.warning("This processor has no bfloat16 arithmetic: computing in float32.")
        dtype = None
    model = copy.deepcopy(model).eval().requires_grad_(False)
    if any(parameter.device.type != "cpu" for parameter in model.parameters()):
        return model
    workspace = Workspace()
    with torch.no_grad():
        for name, module in list(model.named_modules()):
            replace, known = REPLACEMENTS.get(type(module), (None, None))
            if replace is None or not name or known != set(dict(module.named_children())):
                continue  # an unknown part would be dropped silently
            try:
                parent = model.get_submodule(name.rpartition(".")[0])
            except AttributeError:
                continue  # inside a replaced module
            setattr(parent, name.rpartition(".")[2], replace(module, dtype, workspace))
    if hasattr(model, "serialize"):
        setattr(model, "serialize", _refuse_to_save)  # noqa: B010
    return model


def _refuse_to_save() -> None:
    """Replace ``serialize``: the folded weights would not fit the model's own class."""
    raise RuntimeError("A model optimised for inference cannot be saved: save the original.")


class FusedLinear(nn.Linear):
    """A linear layer on oneDNN: PyTorch's own takes twice as long on some processors."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype | None, workspace: Workspace) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.weight, self.bias = linear.weight, linear.bias
        self.fast = PackedLinear(linear.weight, linear.bias, linear.weight.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See :class:`torch.nn.Linear`."""
        if x.dtype != self.weight.dtype or torch.is_autocast_enabled("cpu"):
            return super().forward(x)
        return self.fast(x.contiguous())


REPLACEMENTS: dict[type, tuple[Callable[..., nn.Module], set[str]]] = {
    UNetEncoder: (FusedEncoder, {"blocks"}),
    UNetDecoder: (
        FusedDecoder,
        {"latent", "paths", "frames", "ups", "blocks", "after", "out"},
    ),
    TFCTDFNet: (
        FusedTFCTDFNet,
        {"first", "encoder", "downs", "bottom", "paths", "ups", "decoder", "last"},
    ),
    nn.Linear: (FusedLinear, set()),
}

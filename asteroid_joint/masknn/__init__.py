"""Building blocks of the models."""

from .residual_unet import ResidualUNet, UNetDecoder, UNetEncoder

__all__ = ["ResidualUNet", "UNetDecoder", "UNetEncoder"]

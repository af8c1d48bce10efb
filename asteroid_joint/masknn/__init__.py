"""Blocks the systems are made of."""

from .residual_unet import ResidualUNet, UNetDecoder, UNetEncoder

__all__ = ["ResidualUNet", "UNetDecoder", "UNetEncoder"]

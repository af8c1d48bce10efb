"""Sharing models: the Hugging Face hub in Asteroid's convention, ONNX files, model cards."""

from .hub import push_to_hub, write_folder

__all__ = ["push_to_hub", "write_folder"]

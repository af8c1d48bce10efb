"""Defaults that ``--help`` names; here so that it need not import torch to do so."""

DEFAULT_MODEL = "djcm_pop"  # shipped weights
BATCH = 2  # windows that a model gets at a time
DECODER = "argmax"

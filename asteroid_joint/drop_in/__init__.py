"""Interfaces that programs already call, with the models of this package behind them.

One module per library, named like it: ``torchcrepe``, ``rmvpe``, ``swift_f0``, ``ddsp_svc``,
``diffsinger``, ``audio_separator``, ``demucs``. A program changes its import and, where a class
asks for a model file, nothing else: see ``docs/drop_in.md``. Trackers expect a separated voice, as
the originals do; :func:`use_model` chooses another model.
"""

from .pitch import use_model

__all__ = ["use_model"]

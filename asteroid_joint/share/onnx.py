"""A joint model as one ONNX file: waveform in, stems and pitch out, nothing else needed.

The transforms are part of the graph, as matrix products, for runtimes without an STFT. The file's
metadata, all of it text, describe how to use it:

=======================  ===========================================================================
``sources``              names of the stems, in order, separated by commas
``sample_rate``          sample rate in Hz
``n_channels``           channels of the input
``window_samples``       usual length of the input
``least_samples``        shortest input; without this entry all inputs have the usual length
``context_samples``      samples to discard at either end of a window that has a neighbour
``fade_samples``         length of the cross-fade between what two windows keep; 0: butt-joined
``start_multiple``       windows start at multiples of this many samples
``voicing_threshold``    a frame is voiced if its ``confidence`` is above
``hop_samples``          hop between frames; frame ``n`` is centred at sample ``n * hop_samples``
``n_bins``               pitch bins; bin ``b`` is ``bin_0_cents + b * cents_per_bin`` cents above
                         10 Hz
``reach_samples``        samples on either side that an output depends on, if that is bounded
``shift_multiple``       shifts of the input by multiples of this shift the outputs alike
``efficient_samples``    inputs below this are inefficient
``own_activity``         1 if ``activity`` is an output of the model, 0 if it follows from the pitch
``weights_sha256``       checksum of the file of the weights
``licence``              licence of the weights, if the model file states it
=======================  ===========================================================================

Pad a shorter recording with zeros. Outputs, as far as the model has them:

* ``sources`` ``(1, n_src, n_channels, samples)``, stems that add up to the input if the
  model's do;
* ``pitch_logits`` ``(1, frames, n_bins)``; their sigmoid is the activation of each bin;
* ``f0_hz`` and ``confidence`` ``(1, frames)``, decoded by argmax and local average;
* ``activity`` ``(1, frames)``, probability that somebody sings.

``DJCM``, ``JointCascade``, ``JointXConvTasNet``, ``JointXUMX`` and ``VocalDetectionUNet`` were
exported and compared, and the pitch part of a DJCM alone; ``benchmarks/onnx_models.py`` checks any
model. A Wiener filter cannot be exported. Constants that half precision holds exactly are stored
that way (:mod:`.onnx_size`).
"""

import copy
import logging
import os
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..dsp.overlap_add import WindowPlan
from ..dsp.real_stft import RealSTFT
from ..dsp.stft import STFT
from ..errors import ConfigError, UserError
from ..files import atomic_write
from ..inference.load import weights_digest
from ..inference.options import WINDOW_SEC
from ..inference.stream import plan_windows
from ..inference.voice_pitch import VoicePitch, pitch_part
from ..masknn.residual_unet import FrequencyFold
from ..models.base import JointModel
from ..models.djcm import DJCM
from ..models.estimators.djcm import DJCMPitch
from ..models.pretrained import full_name, load, model_path
from ..optional import optional
from ..registry import OPERATIONS
from ..version import __version__
from .facts import describe_weights
from .onnx_layers import GraphFold, GraphLSTM
from .onnx_size import make_small

OPSET = 20
LONGEST_SEC = 60.0  # of a window: tracing time and the runtime's memory grow with it


class ExportGraph(nn.Module):
    """The exported graph: a copy of a model, with real-valued transforms and decoded pitch.

    Args:
        model: Any joint model.
        any_length: Whether the graph is to take inputs of any length; it then computes nothing
            before it is exported.
    """

    def __init__(self, model: JointModel, any_length: bool = False) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
        for name, module in list(self.model.named_modules()):
            if isinstance(module, nn.RNNBase):
                module.dropout = 0.0  # only for training, but the exporter refuses it
            if isinstance(module, STFT):
                self._put(name, RealSTFT(module))
            elif any_length and isinstance(module, FrequencyFold):
                self._put(name, GraphFold(module.fold, module.time_factor))
            elif any_length and GraphLSTM.fits(module):
                self._put(name, GraphLSTM(module))

    def _put(self, name: str, layer: nn.Module) -> None:
        """Replace a layer of the model."""
        parent = self.model.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], layer)

    def forward(self, wav: torch.Tensor) -> dict[str, torch.Tensor]:
        """``(1, C, T)`` to named outputs, as the module documents them."""
        model = self.model
        out = model.forward_joint(wav)
        named = {"sources": out.stems() / model.mixture_scale}
        if out.pitch_logits is not None:
            f0_hz, confidence, _ = model.decode_pitch(out.pitch_logits)
            named.update(pitch_logits=out.pitch_logits, f0_hz=f0_hz, confidence=confidence)
        activity = model.sung_probability(out)
        if activity is not None:
            named["activity"] = activity
        return named


@OPERATIONS.register("export_onnx")
def export_onnx(
    model: JointModel,
    path: str | os.PathLike,
    *,
    window_sec: float = WINDOW_SEC,
    licence: str = "",
    weights: str | os.PathLike | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a model as an ONNX file; see the module for inputs, outputs and metadata.

    Args:
        model: Any joint model; it is not changed.
        path: File to write, ``.onnx``.
        window_sec: Length of the graph's input in seconds; rounded up to frames.
        licence: Licence of the weights, for the metadata.
        weights: File of the weights, by which the graph knows them again.
        overwrite: Replace an existing file.

    Returns:
        The path.

    Raises:
        UserError: If onnx or onnxscript is not installed, the file exists already or cannot be
            written, or the model uses operations that ONNX lacks.
        ConfigError: If ``window_sec`` is not between 0 and 60.

    Example:
        >>> import asteroid_joint, tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "model.onnx")
        >>> model = asteroid_joint.DJCM.from_preset("tiny")
        >>> export_onnx(model, path, window_sec=0.5).name  # doctest: +SKIP
        'model.onnx'
    """
    for module in ("onnx", "onnxscript"):
        optional(module, "onnx")
    path = Path(path)
    _check(path, window_sec, overwrite)
    plan = plan_windows(model, window_sec)
    wav = torch.zeros(1, int(model.in_channels), plan.length)
    any_length = takes_any_length(model)
    graph = ExportGraph(model, any_length)
    with torch.no_grad():
        names = list(graph(wav))
        own_activity = graph.model.forward_joint(wav).activity_logits is not None
    program = _export(graph, wav, names, any_length)
    facts = _metadata(model, plan, licence) | {"own_activity": int(own_activity)}
    if any_length:
        facts["least_samples"] = least_samples(model)
    if weights is not None:
        facts["weights_sha256"] = weights_digest(Path(weights))
    for key, value in facts.items():
        if value != "":
            program.model.metadata_props[key] = str(value)
    try:
        with atomic_write(path) as part:
            program.save(str(part))
    except OSError as err:
        raise UserError(f"{path} cannot be written: {err.strerror or err}.") from err
    return path


def export_named(
    name: str,
    path: str | os.PathLike,
    *,
    pitch_only: bool = False,
    window_sec: float = WINDOW_SEC,
    overwrite: bool = False,
) -> Path:
    """Write a model by its name, so that the graph knows its weights and their licence.

    Args:
        name: What :func:`asteroid_joint.load` accepts.
        path: File to write, ``.onnx``.
        pitch_only: Write the part that estimates the pitch of a voice that is separate already.
        window_sec: See :func:`export_onnx`, as for errors.
        overwrite: Replace an existing file.
    """
    model = load(name)
    weights = Path(model_path(full_name(name)))
    licences = describe_weights(name)["licences"]
    return export_onnx(
        pitch_part(model) if pitch_only else model,
        path,
        window_sec=window_sec,
        licence="; ".join(f"{x['title']}: {x['licence']}" for x in licences),
        weights=weights if weights.is_file() else None,
        overwrite=overwrite,
    )


def takes_any_length(model: JointModel) -> bool:
    """Whether the graph of a model takes inputs of any length."""
    return type(model) is DJCM or (
        isinstance(model, VoicePitch) and isinstance(model.estimator, DJCMPitch)
    )


def least_samples(model: JointModel) -> int:
    """Shortest input of a graph that takes inputs of any length."""
    return max(model.min_samples, 2)


def _check(path: Path, window_sec: float, overwrite: bool) -> None:
    """Refuse what cannot be written, before the model is traced."""
    if not 0 < window_sec <= LONGEST_SEC:
        raise ConfigError(
            f"A window of {window_sec:g} s cannot be exported: give seconds up to {LONGEST_SEC:g}."
        )
    if path.is_dir() or not path.parent.is_dir():
        raise UserError(f"{path} cannot be written: give a file name in an existing folder.")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists already: give --overwrite to replace it.")


def _metadata(model: JointModel, plan: WindowPlan, licence: str) -> dict[str, Any]:
    """What a program must know, as the module lists it."""
    return {
        "sources": ",".join(model.sources),
        "sample_rate": int(model.sample_rate),
        "n_channels": int(model.in_channels),
        "window_samples": plan.length,
        "context_samples": plan.outer,
        "fade_samples": plan.fade,
        "start_multiple": plan.multiple,
        "voicing_threshold": round(float(model.voicing_threshold), 6),
        "hop_samples": model.pitch_grid.hop_length,
        "n_bins": model.pitch_grid.n_bins,
        "cents_per_bin": model.pitch_grid.cents_per_bin,
        "bin_0_cents": model.pitch_grid.bin_0_cents,
        "model": type(model).__name__,
        "reach_samples": "" if model.context_samples is None else model.context_samples,
        "shift_multiple": model.window_multiple,
        "efficient_samples": model.window_samples,
        "licence": licence,
        "producer": f"asteroid-joint {__version__}",
    }


@torch.no_grad()
def _export(graph: ExportGraph, wav: torch.Tensor, names: list[str], any_length: bool) -> Any:
    """Trace, without the exporter's messages, on which a user cannot act."""
    chatter = logging.getLogger("torch.onnx")
    level = chatter.level
    chatter.setLevel(logging.ERROR)
    shapes = None
    if any_length:
        most = int(LONGEST_SEC * graph.model.sample_rate)
        length = torch.export.Dim("n_samples", min=least_samples(graph.model), max=most)
        shapes = {"wav": {2: length}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                (wav,),
                input_names=["wav"],
                output_names=names,
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=shapes,
                optimize=False,  # its rules treat "+ 1e-12" as "+ 0" and drop it
                verbose=False,
            )
            assert program is not None  # it is None only with a file name
            optimizer = optional("onnxscript.optimizer", "onnx")
            optimizer.fold_constants(program.model)
            optimizer.remove_unused_nodes(program.model)
            make_small(program.model.graph)
            return program
    except (torch.onnx.errors.OnnxExporterError, RuntimeError, TypeError, ValueError) as err:
        raise UserError(
            f"{type(graph.model).__name__} cannot be exported: it uses operations that ONNX, or "
            "torch's exporter, does not have."
        ) from err
    finally:
        chatter.setLevel(level)

"""The one Lightning system: any joint model, any loss terms, any dataset."""

from typing import Any

import numpy as np
import torch
from asteroid.engine import System

from ..compat import flat_hparams, loader_or_empty, log_hp_metric
from ..data.batch import Batch
from ..metrics.melody import melody_metrics
from ..metrics.separation import sdr

PART_METRICS = ("nsdr", "rpa", "oa")


class JointSystem(System):
    """Asteroid's ``System`` for joint models.

    ``loss_func`` is a :class:`~asteroid_joint.losses.JointLoss`: its terms are logged under their
    names (``val_`` before them in validation). Validation also measures, per clip and with what
    labels the clip has, ``val_nsdr``, ``val_rpa``, ``val_oa`` and ``val_score``, the sum of NSDR in
    dB and RPA in percent, by which the authors of DJCM select. Clips of a blend also count for the
    part that stands before the slash in their names: ``val_nsdr_<part>`` and so on.
    """

    def common_step(self, batch: Batch, batch_nb: int, train: bool = True) -> Any:
        """Loss terms of a batch; the output too, for validation."""
        output = self.model.forward_joint(batch["mixture"])
        return self.loss_func(output, batch, self.model), output

    def on_fit_start(self) -> None:
        """Weights that came from a file are in evaluation mode: train them nevertheless."""
        self.model.train()

    def training_step(self, batch: Batch, batch_nb: int) -> torch.Tensor:
        """One optimisation step."""
        parts, _ = self.common_step(batch, batch_nb, train=True)
        if not torch.isfinite(parts["loss"]):
            raise RuntimeError(
                f"The loss is {float(parts['loss'])} in step {self.global_step} "
                f"({', '.join(batch['name'])}): lower the learning rate or check these clips."
            )
        self.log_dict(parts, batch_size=len(batch["name"]), prog_bar=True)
        return parts["loss"]

    def validation_step(self, batch: Batch, batch_nb: int) -> None:
        """Loss terms and metrics of a batch of whole clips."""
        parts, output = self.common_step(batch, batch_nb, train=False)
        logs = {f"val_{name}": value for name, value in parts.items()}
        metrics = clip_metrics(self.model, output, batch)
        logs.update({f"val_{k}": v for k, v in metrics.items()})
        part, slash, _ = batch["name"][0].partition("/")
        if slash:
            logs.update({f"val_{k}_{part}": metrics[k] for k in PART_METRICS if k in metrics})
        self.log_dict(logs, on_epoch=True, prog_bar=True, sync_dist=True, batch_size=1)

    def on_validation_epoch_end(self) -> None:
        """Asteroid's ``hp_metric``, where there is a logger."""
        log_hp_metric(self)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> Any:
        """Keep what a weighting strategy has learnt, so that a resumed run weighs alike."""
        checkpoint["weighting_state"] = dict(vars(self.loss_func.weighting))
        return super().on_save_checkpoint(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Counterpart of :meth:`on_save_checkpoint`."""
        vars(self.loss_func.weighting).update(checkpoint.get("weighting_state", {}))

    def val_dataloader(self) -> Any:
        """Validation loader, or none."""
        return loader_or_empty(self.val_loader)

    @staticmethod
    def config_to_hparams(dic: dict[str, Any]) -> dict[str, Any]:
        """Flat, with plain values."""
        return flat_hparams(dic)


def clip_metrics(model: Any, output: Any, batch: Batch) -> dict[str, float]:
    """NSDR of the first source, RPA, OA and their score for one clip, as far as it has labels."""
    logs: dict[str, float] = {}
    if bool(batch["has_sources"][0]):
        mixture = batch["mixture"][0].float().cpu().numpy()  # (C, T)
        voice = batch["sources"][0, 0].cpu().numpy()
        if np.any(voice):
            estimate = output.stems()[0, 0].float().cpu().numpy()  # (C, T)
            logs["nsdr"] = sdr(voice, estimate) - sdr(voice, mixture)
    if bool(batch["has_f0_hz"][0]) and output.pitch_logits is not None:
        f0_hz, _, voiced = model.decode_pitch(output.pitch_logits[0])
        scores = melody_metrics(
            batch["f0_hz"][0].cpu().numpy(), f0_hz.cpu().numpy(), voiced.cpu().numpy()
        )
        logs["oa"] = scores["oa"]
        if bool((batch["f0_hz"][0] > 0).any()):  # where nobody sings there is no pitch to hit
            logs["rpa"] = scores["rpa"]
    logs["score"] = logs.get("nsdr", 0.0) + 100 * logs.get("rpa", 0.0)
    return logs

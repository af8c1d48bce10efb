"""The one Lightning system: any joint model, any loss terms, any dataset."""

import logging
from typing import Any

import numpy as np
import torch
from asteroid.engine import System

from ...compat import flat_hparams, loader_or_empty, log_hp_metric
from ...data.batch import Batch
from ...data.blend import part_of
from ...errors import DataError
from ...metrics.detection import auc
from ...metrics.melody import melody_metrics
from ...metrics.separation import sdr

logger = logging.getLogger(__name__)

PART_METRICS = ("nsdr", "rpa", "oa")


class JointSystem(System):
    """Asteroid's ``System`` for joint models.

    ``loss_func`` is a :class:`~asteroid_joint.losses.JointLoss`, whose terms are logged by name
    (prefixed with ``val_`` in validation). Validation also measures, per clip and as far as the
    clip has labels, ``val_nsdr``, ``val_rpa``, ``val_oa`` and ``val_score``, the sum of NSDR in dB
    and RPA in percent, by which the authors of DJCM select. Clips of a blend also count for the
    part before the slash in their names: ``val_nsdr_<part>`` and so on. If model and clips have
    vocal activity, ``val_auc`` is the area under the ROC curve of all frames together.

    A training batch may be a list with a batch of each of several sets: see :mod:`.sets`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._frames: list[tuple[np.ndarray, np.ndarray]] = []  # activity and its logits, per clip

    def common_step(self, batch: Batch, batch_nb: int, train: bool = True) -> Any:
        """Unreduced loss terms of a batch, and the output, for validation."""
        output = self.model.forward_joint(batch["mixture"])
        return self.loss_func.unreduced(output, batch, self.model), output

    def on_fit_start(self) -> None:
        """Set training mode: models loaded from a file are in evaluation mode."""
        self.model.train()

    def training_step(self, batch: Batch | list[Batch], batch_nb: int) -> torch.Tensor:
        """One optimisation step, on a batch of every set."""
        batches = batch if isinstance(batch, list) else [batch]
        terms = [self.common_step(each, batch_nb, train=True)[0] for each in batches]
        parts = self.loss_func.reduce(terms)
        names = [name for each in batches for name in each["name"]]
        if not torch.isfinite(parts["loss"]):
            raise RuntimeError(
                f"The loss is {float(parts['loss'])} in step {self.global_step} "
                f"({', '.join(names)}): lower the learning rate or check these clips."
            )
        self.log_dict(parts, batch_size=len(names), prog_bar=True)
        return parts["loss"]

    def on_validation_epoch_start(self) -> None:
        """Clear the frames of the previous validation."""
        self._frames = []

    def validation_step(self, batch: Batch, batch_nb: int) -> None:
        """Log loss terms and metrics of a batch of whole clips, without terms that lack labels."""
        terms, output = self.common_step(batch, batch_nb, train=False)
        known = {name for name, term in terms.items() if bool((term.weights > 0).any())}
        parts = self.loss_func.reduce([terms])
        logs: dict[str, Any] = {
            f"val_{name}": value for name, value in parts.items() if name in {"loss", *known}
        }
        metrics = clip_metrics(self.model, output, batch)
        logs.update({f"val_{k}": v for k, v in metrics.items()})
        if part := part_of(batch["name"][0]):
            logs.update({f"val_{k}_{part}": metrics[k] for k in PART_METRICS if k in metrics})
        self.log_dict(logs, on_epoch=True, prog_bar=True, sync_dist=True, batch_size=1)
        if output.activity_logits is not None and bool(batch["has_activity"][0]):
            frames = (batch["activity"][0], output.activity_logits[0].float())
            self._frames.append(tuple(x.cpu().numpy() for x in frames))  # type: ignore[arg-type]

    def on_validation_epoch_end(self) -> None:
        """Log ``val_auc``, ``val_score`` and Asteroid's ``hp_metric``.

        Raises:
            DataError: If the run monitors a metric that validation did not give.
        """
        if self._frames:
            labels, scores = (np.concatenate(x) for x in zip(*self._frames, strict=True))
            area = auc(labels, scores)
            if np.isnan(area):
                logger.warning("val_auc is undefined: validation has frames of one class only.")
            else:
                self.log("val_auc", area, prog_bar=True, sync_dist=True)
        # of the means, as clips may lack one label or the other
        means = self.trainer.callback_metrics
        nsdr_db, rpa = means.get("val_nsdr"), means.get("val_rpa")
        if nsdr_db is not None or rpa is not None:
            score = (nsdr_db or 0.0) + 100 * (rpa or 0.0)
            self.log("val_score", score, prog_bar=True, sync_dist=True)
        log_hp_metric(self)
        self._check_monitors()

    def _check_monitors(self) -> None:
        training = self.config.get("training", {})
        measured = self.trainer.callback_metrics
        for key in ("monitor", "also_monitor"):
            name = training.get(key)
            if name and name not in measured:
                raise DataError(
                    f"Validation gave no {name}, which the run monitors: choose another --{key} "
                    f"({', '.join(sorted(k for k in measured if k.startswith('val_')))}), or "
                    "validation data with the labels it needs."
                )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> Any:
        """Store the state of the weighting strategy, for resuming."""
        checkpoint["weighting_state"] = dict(vars(self.loss_func.weighting))
        return super().on_save_checkpoint(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the state that :meth:`on_save_checkpoint` stored."""
        vars(self.loss_func.weighting).update(checkpoint.get("weighting_state", {}))

    def val_dataloader(self) -> Any:
        """Validation loader, or an empty one."""
        return loader_or_empty(self.val_loader)

    @staticmethod
    def config_to_hparams(dic: dict[str, Any]) -> dict[str, Any]:
        """Flat hyperparameters with plain values."""
        return flat_hparams(dic)


def clip_metrics(model: Any, output: Any, batch: Batch) -> dict[str, float]:
    """NSDR of the first source, RPA and OA of one clip, as far as it has labels."""
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
        if bool((batch["f0_hz"][0] > 0).any()):  # RPA needs voiced frames
            logs["rpa"] = scores["rpa"]
    return logs

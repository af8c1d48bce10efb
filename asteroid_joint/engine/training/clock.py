"""Runs that end by the clock, and checkpoints within an epoch."""

import os
import time
from pathlib import Path
from typing import Any

from pytorch_lightning.callbacks import Callback


class Clock(Callback):
    """Stops training after a given time and tells the schedule how much of it has passed.

    All processes follow the clock of the first one, so their learning rates agree. Time of earlier
    starts of the same run counts.

    Args:
        max_minutes: Time after which training stops; the last validation comes on top. 0 = never.
        save_minutes: Time between two checkpoints within an epoch; 0 = none.
        last: File of these checkpoints, from which a run resumes.

    Attributes:
        share: Share of ``max_minutes`` that will have passed after the next step, 0 without a
            limit. No step begins that would end later.
    """

    def __init__(self, max_minutes: float, save_minutes: float, last: Path) -> None:
        self.max_sec, self.save_sec, self.last = 60 * max_minutes, 60 * save_minutes, last
        self.share = 0.0
        self._before = 0.0  # seconds of earlier starts
        self._next_end = 0.0  # when the next step will have ended
        self._began = self._saved = self._step = time.monotonic()

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Start the clock."""
        self._began = self._saved = time.monotonic()

    def on_train_batch_start(self, trainer: Any, *args: Any) -> None:
        """Note when a step begins."""
        self._step = time.monotonic()

    def on_before_optimizer_step(self, trainer: Any, *args: Any) -> None:
        """Measure, before the schedule sets the rate of the next step."""
        if self.max_sec:
            next_end = self._elapsed() + time.monotonic() - self._step
            self._next_end = trainer.strategy.broadcast(next_end)
            self.share = min(self._next_end / self.max_sec, 1.0)

    def on_train_batch_end(self, trainer: Any, *args: Any) -> None:
        """Stop and save."""
        if self.max_sec and self._next_end > self.max_sec:
            trainer.should_stop = True
        elif self.save_sec:
            since_saved = trainer.strategy.broadcast(time.monotonic() - self._saved)
            if since_saved >= self.save_sec:
                self._save(trainer)

    def _save(self, trainer: Any) -> None:
        """Write the checkpoint, whole or not at all."""
        partial = self.last.with_name(f".{self.last.name}")
        trainer.save_checkpoint(partial)
        if trainer.is_global_zero:
            os.replace(partial, self.last)
        self._saved = time.monotonic()

    def _elapsed(self) -> float:
        return self._before + time.monotonic() - self._began

    def state_dict(self) -> dict[str, Any]:
        """Time so far, stored in a checkpoint."""
        return {"elapsed_sec": self._elapsed()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` gave."""
        self._before = float(state_dict["elapsed_sec"])
        if self.max_sec:
            self.share = min(self._before / self.max_sec, 1.0)

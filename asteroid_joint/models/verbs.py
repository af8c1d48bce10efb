"""What every joint model can be asked to do, beyond being a model: one line each."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..transcription import Transcription
    from .base import JointModel


class ModelVerbs:
    """Mixed into :class:`~asteroid_joint.models.base.JointModel`."""

    def transcribe(  # type: ignore[misc]
        self: "JointModel",
        audio: Any,
        sample_rate: float | None = None,
        **options: Any,
    ) -> "Transcription":
        """Stems, pitch and notes of a song; see :func:`asteroid_joint.transcription.transcribe`.

        Args:
            audio: A file; or samples ``(n_samples,)`` or ``(n_channels, n_samples)``.
            sample_rate: Of the samples, Hz.
            **options: ``decoder``, ``notes``, ``batch_size``, ``window_sec``, ``title``.

        Raises:
            AudioError: One sentence on why the file or the samples cannot be used.
        """
        from ..transcription import transcribe

        return transcribe(self, audio, sample_rate, **options)

    def push_to_hub(  # type: ignore[misc]
        self: "JointModel",
        repo_id: str,
        **options: Any,
    ) -> str:
        """Share the model on the Hugging Face hub; see :func:`asteroid_joint.share.push_to_hub`.

        Args:
            repo_id: ``"user/name"``.
            **options: ``facts``, ``private``, ``token``, ``message``.

        Returns:
            Address of the model's page.
        """
        from ..share.hub import push_to_hub

        return push_to_hub(self, repo_id, **options)

    def export_onnx(  # type: ignore[misc]
        self: "JointModel",
        path: str | os.PathLike,
        **options: Any,
    ) -> Path:
        """Write the model as an ONNX file; see :func:`asteroid_joint.share.onnx.export_onnx`.

        Args:
            path: File to write.
            **options: ``window_sec``, ``licence``, ``overwrite``.
        """
        from ..share.onnx import export_onnx

        return export_onnx(self, path, **options)

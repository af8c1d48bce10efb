"""``RMVPE.infer_from_audio``, for voice conversion (RVC and its relatives) and DiffSinger.

References:
    RVC-Project, ``infer/lib/rmvpe.py``; openvpi/DiffSinger, ``modules/pe/rmvpe/inference.py``
    (calls, frames every 10 ms, 0 where unvoiced).
"""

from typing import Any

import numpy as np

from .diffsinger import PitchExtractor
from .pitch import mono, rescaled, track

SAMPLE_RATE = 16000  # Hz
HOP_SEC = 0.01
THRESHOLD = 0.03  # what programs give as ``thred``


class RMVPE(PitchExtractor):
    """RMVPE's class without its weights.

    Args:
        model_path: Accepted and not read, like ``is_half`` and further arguments.
        is_half: See ``model_path``.
        device: Where to compute.
        **kwargs: See ``model_path``.
    """

    def __init__(
        self, model_path: Any = None, is_half: Any = False, device: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(device)

    def infer_from_audio(
        self,
        audio: Any,
        thred: float = THRESHOLD,
        *,
        sample_rate: int = SAMPLE_RATE,
        device: Any = None,
        use_viterbi: bool = False,
    ) -> np.ndarray:
        """Pitch every 10 ms.

        Args:
            audio: ``(n_samples,)``, array or tensor.
            thred: Least confidence of a voiced frame; 0.03 is the model's own threshold.
            sample_rate: Hz.
            device: Where to compute, if not where the class does.
            use_viterbi: Accepted and without effect.

        Returns:
            ``(1 + n_samples // 160,)`` at 16 kHz, Hz, 0 where unvoiced.

        Raises:
            ConfigError: If the audio cannot be used.
        """
        samples = mono(audio)
        curve, threshold = track(samples, sample_rate, device or self.device)
        if thred != THRESHOLD:
            sure = rescaled(curve.confidence, threshold, THRESHOLD)
            curve = type(curve)(curve.times, curve.hz, curve.confidence, sure > thred)
        n_frames = 1 + int(len(samples) * 100 / sample_rate + 1e-6)
        return curve.at(HOP_SEC, n_frames).astype(np.float32)

"""Joint vocal detection and separation: one U-Net, a head per task, a set of data per task.

References:
    D. Stoller, S. Ewert, S. Dixon, "Jointly Detecting and Separating Singing Voice: A Multi-Task
    Approach", LVA/ICA 2018, https://arxiv.org/abs/1804.01650.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from ..dsp.griffin_lim import reach, refine_phase
from ..dsp.stft import STFT, apply_gains
from ..masknn.harmonic import LocalPitchHead
from ..masknn.valid_unet import ValidUNet, reflected
from ..pitch import PitchGrid
from .base import JointModel, JointOutput, check_sources, register_model

EXCERPT = 512  # frames at a time, to limit memory; an excerpt may be slightly longer


class Heads(NamedTuple):
    """Outputs of the heads.

    Attributes:
        masks: ``(B, S, N, F)`` in [0, 1].
        activity_logits: ``(B, N)``.
        salience: ``(B, 1, N, F)``, non-negative input of the pitch head; or ``None``.
    """

    masks: torch.Tensor
    activity_logits: torch.Tensor
    salience: torch.Tensor | None


@register_model
class VocalDetectionUNet(JointModel):
    """Mixture -> U-Net -> a mask per source, and whether somebody sings.

    The separation head is a 1x1 convolution, the detection head one filter over all frequencies;
    all other layers are shared. A batch with sources only trains the one, a batch with activity
    only the other.

    The network needs ``network.context`` frames (46 in the paper) on either side of its output:
    the recording, mirrored at its ends (OURS), so an output is as long as its input. Excerpts are
    concatenated where their poolings agree, at multiples of ``network.multiple`` frames (OURS:
    the paper's 130 is not, so every other excerpt would be pooled differently). Hence the result
    does not depend on how a recording is cut.

    Training segments of ``network.out_size(...)`` frames, 130 = 8 * 16 + 2 in the paper, are one
    pass without wasted frames: ``segment_sec = 130 * hop_length / sample_rate``, which is 1.51 s
    in ``paper`` and 2.6 s in ``small``. One frame less costs the same, one more as much as 16 more.

    Args:
        sample_rate: Hz.
        n_fft: STFT window in samples.
        hop_length: Samples per frame of activity and pitch.
        channels: Features of the first convolution, then of the one after each pooling.
        sources: Names of the stems, vocals first.
        pitch: Whether there is a pitch head: a separate mask on the normalised magnitude, read by a
            :class:`~asteroid_joint.masknn.harmonic.LocalPitchHead` (OURS: the paper suggests
            pitch curves as a further label).
        pitch_head: Arguments of the pitch head, over its defaults.
        griffin_lim_iterations: Iterations for the phase in evaluation mode; training uses the
            mixture's.
        mixture_scale: Sum of the sources over the mixture.

    References:
        arXiv 1804.01650, section 3.2 and figure 1; sigmoid masks are OURS.

    Example:
        >>> model = VocalDetectionUNet.from_preset("tiny").eval()
        >>> out = model.forward_joint(torch.zeros(1, 16000))
        >>> out.sources.shape, out.activity_logits.shape
        (torch.Size([1, 2, 16000]), torch.Size([1, 50]))
    """

    presets = {
        "paper": {},
        "small": {
            "sample_rate": 16000,
            "n_fft": 640,
            "hop_length": 320,
            "channels": (8, 8, 16, 32, 64),
        },
        "tiny": {
            "sample_rate": 16000,
            "n_fft": 640,
            "hop_length": 320,
            "channels": (2, 3, 4, 5, 6),
            "pitch": True,
            "pitch_head": {"harmonics": (1, 2, 3), "channels": (4,), "context_chan": 8},
            "griffin_lim_iterations": 2,
        },
    }

    def __init__(
        self,
        sample_rate: int = 22050,
        n_fft: int = 512,
        hop_length: int = 256,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        sources: Sequence[str] = ("vocals", "accompaniment"),
        pitch: bool = False,
        pitch_head: Mapping[str, Any] | None = None,
        griffin_lim_iterations: int = 10,
        mixture_scale: float = 1.0,
    ) -> None:
        check_sources(sources)
        grid = PitchGrid(hop_length, sample_rate)
        super().__init__(sample_rate, grid, has_pitch=pitch)
        self.sources = tuple(sources)
        self.mixture_scale = mixture_scale
        self.griffin_lim_iterations = griffin_lim_iterations
        self.min_samples = n_fft // 2 + 1  # reflect padding
        self.n_bins = n_fft // 2 + 1
        self.stft = STFT(n_fft, hop_length)
        self.network = net = ValidUNet(channels, self.n_bins)
        self.mask_head = nn.Conv2d(net.out_chan, len(self.sources), 1)
        self.activity_head = nn.Conv2d(net.out_chan, 1, (1, net.out_freqs))
        self.salience_head = nn.Conv2d(net.out_chan, 1, 1) if pitch else None
        self.pitch_head = (
            LocalPitchHead(n_fft, self.n_bins, grid, **(pitch_head or {})) if pitch else None
        )
        # one frame more: the one that has no mask of its own
        frames = net.reach + 1 + (self.pitch_head.reach if self.pitch_head else 0)
        self.window_multiple = net.multiple * hop_length
        self.context_samples = (
            reach(self.stft, griffin_lim_iterations) + frames * hop_length + n_fft // 2
        )

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        """See :meth:`JointModel.forward_joint`; ``magnitudes`` are those of all sources."""
        n_samples = wav.shape[-1]
        n_frames = self.pitch_grid.n_frames(n_samples)
        length = n_frames * self.stft.hop_length
        # up to the centre of one more frame, or the last samples would lie in one frame's tail
        wav = functional.pad(wav[:, 0].float(), (0, length - n_samples))  # (B, T)
        spec = self.stft(wav)  # (B, N + 1, F)
        mixture = spec.abs()
        heads = self.heads(torch.log1p(mixture[:, :n_frames]))
        masks = torch.cat([heads.masks, heads.masks[:, :, -1:]], 2)  # (B, S, N + 1, F)
        magnitudes = self.mixture_scale * masks * mixture[:, None]
        if self.griffin_lim_iterations and not self.training:
            phase = spec.angle()[:, None].expand_as(magnitudes)
            sources = refine_phase(
                magnitudes, phase, self.stft, length, self.griffin_lim_iterations
            )
        else:
            sources = self.stft.inverse(apply_gains(self.mixture_scale * masks, spec), length)
        logits = None
        if self.pitch_head is not None:
            logits = self.pitch_head(heads.salience)  # (B, N, P)
        return JointOutput(
            sources[..., :n_samples], logits, heads.activity_logits, magnitudes[:, :, :n_frames]
        )

    def heads(self, x: torch.Tensor) -> Heads:
        """Normalised magnitudes ``(B, N, F)`` of any number of frames to :class:`Heads`."""
        net, n_frames = self.network, x.shape[1]
        high = net.in_freqs - net.context - self.n_bins
        masks, activity, salience = [], [], []
        for start, count in self._excerpts(n_frames):
            n_context = net.out_size(count) + 2 * net.context
            index = reflected(start - net.context, n_context, n_frames).to(x.device)
            excerpt = functional.pad(x[:, index], (net.context, high))  # (B, N', F')
            features = net(excerpt[:, None])[:, :, :count]  # (B, D, N, F'')
            masks.append(self._mask(self.mask_head, features))
            activity.append(self.activity_head(features)[:, 0, :, 0].float())  # (B, N)
            if self.salience_head is not None:
                mask = self._mask(self.salience_head, features)
                salience.append(mask * x[:, None, start : start + count])
        return Heads(
            torch.cat(masks, 2),
            torch.cat(activity, 1),
            torch.cat(salience, 2) if salience else None,
        )

    def _mask(self, head: nn.Module, features: torch.Tensor) -> torch.Tensor:
        """Features ``(B, D, N, F')`` to masks of the bins there are, ``(B, K, N, F)``."""
        return torch.sigmoid(head(features).float())[..., : self.n_bins]

    def _excerpts(self, n_frames: int) -> Iterator[tuple[int, int]]:
        """First frame and number of frames of each, on the grid of the poolings."""
        multiple = self.network.multiple
        step = max(1, EXCERPT // multiple) * multiple
        start = 0
        while start < n_frames:
            # as many as one pass of the network gives: the last one may take those too
            count = step if n_frames - start > self.network.out_size(step) else n_frames - start
            yield start, count
            start += count

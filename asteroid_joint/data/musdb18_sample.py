"""The sample of MUSDB18: seven seconds of each of its songs, free to download.

``musdb.DB(root=<data_dir>, download=True)`` of the package musdb gets it:

    <data_dir>/{train,test}/<artist> - <title>.stem.mp4

Folders of stems instead of files, and a folder ``valid``, are read as well: see
:mod:`.multitrack`. So is the complete MUSDB18 in this format.

References:
    Z. Rafii et al., "The MUSDB18 corpus for music separation", 2017,
    https://doi.org/10.5281/zenodo.1117371
"""

from ..registry import DATASETS
from .licences import musdb18_infos
from .multitrack import MUSDB18, Multitrack


@DATASETS.register("musdb18_sample")
class MUSDB18Sample(Multitrack):
    """One side of the sample of MUSDB18; the mixture is the sum of the stems.

    Args:
        data_dir: Folder that contains ``train`` and ``test``.
        side, sample_rate, n_channels, sources, accompaniment, labels_dir: See
            :class:`.multitrack.Multitrack`.
        valid_tracks: Tracks in ``train`` for validation, if there is no folder ``valid``; by
            default the published ones, as far as the sample has them.

    Raises:
        DataError: As there.
    """

    partial = True
    infos = musdb18_infos("MUSDB18, the 7-second sample", "https://doi.org/10.5281/zenodo.1117371")

    def __init__(
        self,
        data_dir: str,
        side: str,
        sample_rate: int | None = None,
        n_channels: int | None = None,
        sources: tuple[str, ...] = ("vocals", "accompaniment"),
        valid_tracks: list[str] | str | None = MUSDB18,
        labels_dir: str | None = None,
        accompaniment: tuple[str, ...] = (),
    ) -> None:
        super().__init__(
            data_dir,
            side,
            sample_rate=sample_rate,
            n_channels=n_channels,
            sources=sources,
            valid_tracks=valid_tracks,
            labels_dir=labels_dir,
            accompaniment=accompaniment,
        )

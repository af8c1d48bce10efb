"""Songs of two stems: the voice and all that accompanies it.

    <data_dir>/[train|valid|test/]<song>/{vocals,accompaniment}.wav, and vocals_f0.csv if known

Any format that :mod:`.multitrack` reads, each song at a rate of its own. The shorter stem is silent
after its end, and the mixture is their sum.
"""

from ..registry import DATASETS
from .licences import dataset_infos
from .multitrack import Multitrack


@DATASETS.register("two_stems")
class TwoStems(Multitrack):
    """One side of a folder of songs of two stems.

    Args:
        data_dir: Folder of the sides, or of the songs if all are for ``whole_side``.
        side, sample_rate, n_channels, whole_side, ...: See :class:`.multitrack.Multitrack`.

    Raises:
        DataError: As there.
    """

    one_rate = False
    infos = dataset_infos(
        "folder of songs of two stems",
        author="see the folder",
        license="see the folder",
        title="Songs of two stems",
    )

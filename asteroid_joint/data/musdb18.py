"""MUSDB18-HQ beside MedleyDB: without the songs that both have.

A third of MUSDB18 came from MedleyDB. Where one of the two is learnt from and the other tested on,
these songs would be on both sides; they are told by artist and title.

References:
    Z. Rafii et al., "MUSDB18-HQ - an uncompressed version of MUSDB18", 2019,
    https://doi.org/10.5281/zenodo.3338373
"""

import re
import unicodedata
from pathlib import Path

from ..errors import DataError
from ..registry import DATASETS
from .licences import dataset_infos
from .medleydb import titles
from .multitrack import MUSDB18 as PUBLISHED
from .multitrack import Multitrack


@DATASETS.register("musdb18")
class MUSDB18(Multitrack):
    """One side of MUSDB18-HQ, for its stems; see :class:`.multitrack.Multitrack`.

    Args:
        data_dir: Folder that holds ``train`` and ``test``.
        side: ``"train"``, ``"valid"`` or ``"test"``.
        sample_rate: Hz that tracks are resampled to; ``None`` is the rate on disk.
        n_channels: 1 mixes the channels down to their mean; ``None`` leaves them as on disk.
        sources: Stems in the order of the model.
        valid_tracks: Folders in ``train`` for validation; the 14 published ones by default.
        accompaniment: Stems that make up the accompaniment in a remix.
        medleydb_dir: Folder of MedleyDB, whose songs are left out on every side, whichever side of
            MedleyDB they are on; none are if empty.
        exclude: Further tracks to be left out, ``<artist> - <title>`` or ``<Artist_Title>``.

    Raises:
        DataError: See there; also if MedleyDB is not in its folder, or no track is left.
    """

    infos = dataset_infos(
        "MUSDB18-HQ",
        author="Zafar Rafii, Antoine Liutkus, Fabian-Robert Stöter, Stylianos Ioannis Mimilakis "
        "and Rachel Bittner",
        license="for non-commercial research, mostly CC BY-NC-SA 4.0",
        title_link="https://doi.org/10.5281/zenodo.3338373",
        author_link="https://sigsep.github.io/datasets/musdb.html",
        license_link="https://sigsep.github.io/datasets/musdb.html",
        non_commercial=True,
    )

    def __init__(
        self,
        data_dir: str,
        side: str,
        sample_rate: int | None = None,
        n_channels: int | None = None,
        sources: tuple[str, ...] = ("vocals", "accompaniment"),
        valid_tracks: list[str] | str | None = PUBLISHED,
        accompaniment: tuple[str, ...] = (),
        medleydb_dir: str = "",
        exclude: tuple[str, ...] = (),
    ) -> None:
        others = titles(medleydb_dir) if medleydb_dir else set()
        self._unwanted = {plain(name) for name in (*others, *exclude)}
        self.left_out: list[str] = []
        super().__init__(
            data_dir,
            side,
            sample_rate,
            n_channels,
            sources,
            valid_tracks,
            accompaniment=accompaniment,
        )

    def _wanted(self, folders: list[Path]) -> list[Path]:
        """Tracks that MedleyDB does not have."""
        self.left_out = [f.name for f in folders if plain(f.name) in self._unwanted]
        kept = [folder for folder in folders if folder.name not in self.left_out]
        if not kept:
            raise DataError(
                f"All {len(folders)} MUSDB18 tracks in {self.root} are also in MedleyDB: "
                "leave medleydb_dir empty, or provide all of MUSDB18."
            )
        return kept


def plain(name: str) -> str:
    """Letters and digits of a name, without accents, by which two spellings of it are one.

    Example:
        >>> plain("Music Delta - 80s Rock") == plain("MusicDelta_80sRock")
        True
    """
    letters = unicodedata.normalize("NFKD", name).casefold()
    return re.sub("[^a-z0-9]", "", letters)

"""MUSDB18-HQ without the songs that it shares with MedleyDB.

A third of MUSDB18 comes from MedleyDB. If one is used for training and the other for testing, these
songs would be on both sides; they are recognised by artist and title.

References:
    Z. Rafii et al., "MUSDB18-HQ - an uncompressed version of MUSDB18", 2019,
    https://doi.org/10.5281/zenodo.3338373
"""

import re
import unicodedata
from pathlib import Path

from ..errors import DataError
from ..registry import DATASETS
from .licences import musdb18_infos
from .medleydb import titles
from .multitrack import MUSDB18 as PUBLISHED
from .multitrack import Multitrack


@DATASETS.register("musdb18")
class MUSDB18(Multitrack):
    """One side of MUSDB18-HQ, for its stems.

    Args:
        data_dir: Folder that contains ``train`` and ``test``.
        side, sample_rate, n_channels, sources, accompaniment: See :class:`.multitrack.Multitrack`.
        valid_tracks: Folders in ``train`` for validation; the 14 published ones by default.
        medleydb_dir: Folder of MedleyDB, whose songs, of any side, are left out on every side; if
            empty, none are.
        exclude: Further tracks to leave out, ``<artist> - <title>`` or ``<Artist_Title>``.

    Raises:
        DataError: As there; also if MedleyDB is not in its folder, or no track is left.
    """

    infos = musdb18_infos("MUSDB18-HQ", "https://doi.org/10.5281/zenodo.3338373")

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
            sample_rate=sample_rate,
            n_channels=n_channels,
            sources=sources,
            valid_tracks=valid_tracks,
            accompaniment=accompaniment,
        )

    def _wanted(self, folders: list[Path]) -> list[Path]:
        """Tracks that are not in MedleyDB."""
        self.left_out = [f.name for f in folders if plain(f.name) in self._unwanted]
        kept = [folder for folder in folders if folder.name not in self.left_out]
        if not kept:
            raise DataError(
                f"All {len(folders)} MUSDB18 tracks in {self.root} are also in MedleyDB: "
                "leave medleydb_dir empty, or provide all of MUSDB18."
            )
        return kept


def plain(name: str) -> str:
    """Letters and digits of a name, without accents, to recognise different spellings.

    Example:
        >>> plain("Music Delta - 80s Rock") == plain("MusicDelta_80sRock")
        True
    """
    letters = unicodedata.normalize("NFKD", name).casefold()
    return re.sub("[^a-z0-9]", "", letters)

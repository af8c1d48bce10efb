"""Files of F0 in the sets of MedleyDB that mirdata knows.

mirdata lists files by an index that it downloads once for each set:
``python -c "import mirdata; mirdata.initialize('medleydb_melody').download(['index'])"``.

References:
    R. Bittner et al., "mirdata: Software for Reproducible Usage of Datasets", ISMIR 2019,
    https://mirdata.readthedocs.io
"""

from pathlib import Path

from ..errors import DataError
from ..optional import optional

F0_FILES = {"medleydb_melody": "melody1_path", "medleydb_pitch": "pitch_path"}


def f0_files(name: str, data_home: str | Path) -> dict[str, Path]:
    """Track to file of F0, for the tracks whose file is there.

    Args:
        name: Of the set: ``"medleydb_melody"`` (F0 of the predominant source of a song) or
            ``"medleydb_pitch"`` (of a stem).
        data_home: Folder of the set, as mirdata asks for it.

    Raises:
        UserError: If mirdata is not installed.
        DataError: If it has no index of the set, or the folder none of the files.
    """
    mirdata = optional("mirdata", "medleydb")
    home = Path(data_home).expanduser()
    dataset = mirdata.initialize(name, data_home=str(home))
    try:
        tracks = {id_: dataset.track(id_) for id_ in dataset.track_ids}
    except FileNotFoundError as err:
        raise DataError(
            f'mirdata has no index of {name}: download it with python -c "import mirdata; '
            f"mirdata.initialize('{name}').download(['index'])\"."
        ) from err
    paths = {id_: getattr(track, F0_FILES[name]) for id_, track in tracks.items()}
    found = {id_: Path(path) for id_, path in paths.items() if path and Path(path).is_file()}
    if not found:
        raise DataError(
            f"{home} contains no files of {name}: unpack the dataset there as mirdata documents."
        )
    return found

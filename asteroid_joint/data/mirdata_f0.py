"""F0 files of MedleyDB's datasets in mirdata.

mirdata lists files by an index that it downloads once for each dataset:
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
    """Track to F0 file, for the tracks whose file exists.

    Args:
        name: ``"medleydb_melody"`` (F0 of the predominant source of a song) or
            ``"medleydb_pitch"`` (F0 of a stem).
        data_home: Folder of the dataset, mirdata's ``data_home``.

    Raises:
        UserError: If mirdata is not installed.
        DataError: If mirdata's index or all files are missing.
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

"""``Separator`` of audio-separator, for karaoke makers.

References:
    A. Beveridge, python-audio-separator, ``audio_separator/separator/separator.py`` (calls), and
    ``common_separator.py`` (names of stems and files).
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .pitch import chosen_model

AUDIO = frozenset(".wav .flac .mp3 .ogg .opus .m4a .aiff .ac3".split())
TITLES = {"vocals": "Vocals", "accompaniment": "Instrumental"}
FORMATS = ("wav", "flac", "mp3", "ogg")


class Separator:
    """audio-separator's class: voice and instrumental of songs, by the model of this package.

    Args:
        log_level: Level of the logger.
        log_formatter: Accepted and without effect, like all arguments not listed.
        model_file_dir: See ``log_formatter``.
        output_dir: Folder of the stems; the current one by default.
        output_format: ``"WAV"``, ``"FLAC"``, ``"MP3"`` or ``"OGG"``.
        output_single_stem: ``"Vocals"`` or ``"Instrumental"`` for one of them only.
        **kwargs: See ``log_formatter``.

    Raises:
        ConfigError: If there is no such format or stem.
    """

    def __init__(
        self,
        log_level: int = logging.INFO,
        log_formatter: Any = None,
        model_file_dir: Any = None,
        output_dir: str | os.PathLike | None = None,
        output_format: str | None = "WAV",
        output_bitrate: Any = None,
        *args: Any,
        output_single_stem: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.logger = logging.getLogger(__name__)
        self.logger.setLevel(log_level)
        self.output_dir = os.fspath(output_dir) if output_dir is not None else os.getcwd()
        self.output_format = output_format or "WAV"
        self.output_single_stem = output_single_stem
        self.model_name: str | None = None
        if self.output_format.lower() not in FORMATS:
            raise ConfigError(
                f"There is no format {self.output_format!r} here: choose one of "
                f"{', '.join(name.upper() for name in FORMATS)}."
            )
        self._stems()

    def load_model(self, model_filename: str | os.PathLike = "", *args: Any, **kwargs: Any) -> None:
        """Accept the name of a model, which stays in the names of files.

        Args:
            model_filename: Name of the model that is replaced; by default the one that does it.
            *args: Accepted and without effect.
            **kwargs: See ``args``.
        """
        self.model_name = Path(model_filename).stem if model_filename else chosen_model()
        self.logger.info("%s separates instead of %s.", chosen_model(), self.model_name)

    def separate(
        self,
        audio_file_path: str | os.PathLike | Sequence[str | os.PathLike],
        custom_output_names: Mapping[str, str] | None = None,
    ) -> list[str]:
        """Separate songs.

        Args:
            audio_file_path: A file, a folder of songs, or a list of them.
            custom_output_names: Stem (``"Vocals"``, ``"Instrumental"``) to file name without its
                extension; by default ``<song>_(<stem>)_<model>``.

        Returns:
            Names of the files in ``output_dir``; of each song the instrumental first.

        Raises:
            UserError: One sentence on why a song cannot be separated.
        """
        if self.model_name is None:
            raise ConfigError("No model is loaded: call load_model() before separate().")
        given = (
            [audio_file_path] if isinstance(audio_file_path, str | os.PathLike) else audio_file_path
        )
        return [
            name
            for path in given
            for song in _songs(Path(path))
            for name in self._separate(song, custom_output_names or {})
        ]

    def _separate(self, song: Path, custom: Mapping[str, str]) -> list[str]:
        from .stems import write_stems

        names = {
            stem: custom.get(title)
            or custom.get(title.lower())
            or f"{song.stem}_({title})_{self.model_name}"
            for stem, title in TITLES.items()
        }
        stems, kind = self._stems(), self.output_format.lower()
        files = write_stems(song, Path(self.output_dir), stems, kind, names.__getitem__)
        return [files[stem].name for stem in stems]

    def _stems(self) -> list[str]:
        wanted = self.output_single_stem
        found = [
            stem
            for stem in ("accompaniment", "vocals")
            if wanted is None or TITLES[stem].lower() == wanted.lower()
        ]
        if not found:
            raise ConfigError(f"There is no stem {wanted!r} here: give Vocals or Instrumental.")
        return found


def _songs(path: Path) -> list[Path]:
    """A file, or the songs below a folder."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.suffix.lower() in AUDIO)

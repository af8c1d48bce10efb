"""Decoding by libsndfile: WAV, FLAC, Ogg, AIFF and others."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .links import FileSlice
from .source import CannotDecode, Source, native_path

READ_SAMPLES = 1 << 12  # per call of libsndfile; lost at an error in a damaged file
INTEGER_SUBTYPES = {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "ALAC_16", "ALAC_20", "ALAC_24"}
SAMPLE_BYTES = {"PCM_S8": 1, "PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4}
SAMPLE_BYTES |= {"FLOAT": 4, "DOUBLE": 8, "ULAW": 1, "ALAW": 1}
LONGEST = 1 << 48  # samples; libsndfile announces 2**63 - 1 where it does not know


class SndfileSource(Source):
    """A file that libsndfile decodes.

    Args:
        file: Its path, or a part of a file.

    Attributes:
        container: libsndfile's name of the format: ``"WAV"``, ``"FLAC"``, ``"OGG"``, ...
        frame_bytes: Bytes per sample of all channels, at most; 0 where that is not known.

    Raises:
        CannotDecode: If it does not know the format.
    """

    def __init__(self, file: Path | FileSlice) -> None:
        import soundfile

        self._error = soundfile.LibsndfileError
        self._where = file
        try:
            self._file = soundfile.SoundFile(native_path(file) if isinstance(file, Path) else file)
        except soundfile.LibsndfileError as err:
            raise CannotDecode from err
        self.sample_rate = self._file.samplerate
        self.n_channels = self._file.channels
        self.subtype = "PCM_24" if self._file.subtype in INTEGER_SUBTYPES else "FLOAT"
        announced = max(self._file.frames, self._in_header())
        self.announced = announced if announced < LONGEST else None
        self.container: str = self._file.format
        self.frame_bytes = SAMPLE_BYTES.get(self._file.subtype, 0) * self.n_channels

    def _in_header(self) -> int:
        """Samples according to the header of a truncated WAV file, otherwise 0.

        libsndfile corrects the count silently but logs the original. Sizes near the end of the
        32-bit range come from programs that did not know the length yet.
        """
        found = re.search(r"^data\s*: (\d+) \(should be (\d+)\)", self._file.extra_info, re.M)
        if found is None or int(found[1]) >= 0x7FFF0000 or int(found[2]) == 0:
            return 0
        return self._file.frames * int(found[1]) // int(found[2])

    def decode(self) -> Iterator[np.ndarray]:
        try:
            while len(part := self._file.read(READ_SAMPLES, "float32", always_2d=True)):
                yield part  # (T, C)
        except self._error:
            self.damaged = True

    def close(self) -> None:
        self._file.close()
        if not isinstance(self._where, Path):
            self._where.close()

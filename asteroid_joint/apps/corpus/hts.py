"""Singing timbre from statistical voices: timed phones in, spectral envelopes out.

The HTS engine (part of pyopenjtalk's extension module) converts labels to the smooth mel-cepstra
that a voice was trained to produce; its vocoder and its pitch are not used.

Two voices: ``nitech_jp_song070_f001``, trained on real singing, comes with this package (CC BY 3.0,
Nagoya Institute of Technology); ``mei_normal``, a speaking voice, comes with pyopenjtalk (CC BY
3.0, same authors). Both produce mel-cepstra of order 34 (alpha 0.55) at 48 kHz every 5 ms.

References:
    HTS Working Group, "hts_engine API", http://hts-engine.sourceforge.net/.
    K. Tokuda et al., "Mel-generalized cepstral analysis", ICSLP 1994.
"""

import ctypes
import importlib.util
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ...errors import UserError

FRAME_SEC = 0.005  # seconds per frame
ORDER = 35  # mel-cepstral coefficients, c_0 among them
ALPHA = 0.55  # frequency warping
VOICE_RATE = 48000  # Hz, of the voices
PER_SEC = 10_000_000  # label times are in units of 100 ns
ENGINE_BYTES = 1 << 14  # buffer for the engine's structure of 600 bytes
CEPSTRUM, LOG_F0 = 0, 1  # streams
NO_DATA = -1e9  # the F0 stream is below this in unvoiced frames

SUNG, SPOKEN = "nitech_jp_song070_f001", "mei_normal"
VOWELS = frozenset("aiueo")
UNVOICED = frozenset("f p py s sh ts ch t ty k ky h hy cl".split())
SILENT = frozenset({"sil", "pau"})
NOTE_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")


class Phone(NamedTuple):
    """A phone with its times in seconds from the start of the phrase."""

    name: str  # in the Japanese phone set of the voices: "a", "sh", "sil", ...
    start_sec: float
    end_sec: float
    midi: float = 60.0  # pitch of its note; the sung voice's timbre depends on it

    @property
    def voiced(self) -> bool:
        """Whether the phone is voiced."""
        return self.name not in UNVOICED and self.name not in SILENT


class Timbre(NamedTuple):
    """Timbre of a phrase.

    Attributes:
        cepstrum: ``(n_frames, 35)`` mel-cepstra, natural logarithm of amplitude.
        own_f0_hz: Mean over voiced frames of the F0 that the voice itself would have used; its
            envelope is undefined below.
    """

    cepstrum: np.ndarray
    own_f0_hz: float


class HTSVoice:
    """One voice in the engine; not thread-safe, but a process may use several.

    Args:
        name: ``SUNG`` or ``SPOKEN``.

    Raises:
        UserError: If pyopenjtalk is not installed or a voice file cannot be read.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._lib = _library()
        self._engine = ctypes.create_string_buffer(ENGINE_BYTES)
        self._lib.HTS_Engine_initialize(self._engine)
        path = str(_voice_file(name)).encode()
        if not self._lib.HTS_Engine_load(self._engine, (ctypes.c_char_p * 1)(path), 1):
            raise UserError(f"{path.decode()} cannot be read: reinstall the package.")
        # use the times in the labels instead of durations predicted by the voice
        self._lib.HTS_Engine_set_phoneme_alignment_flag(self._engine, 1)

    def __call__(self, phones: Sequence[Phone]) -> Timbre:
        """Timbre of a phrase, which begins and ends with a silent phone."""
        make = sung_label if self.name == SUNG else spoken_label
        lines = [
            f"{round(p.start_sec * PER_SEC)} {round(p.end_sec * PER_SEC)} {make(phones, i)}"
            for i, p in enumerate(phones)
        ]
        lib, engine = self._lib, self._engine
        labels = (ctypes.c_char_p * len(lines))(*[line.encode() for line in lines])
        done = (
            lib.HTS_Engine_generate_state_sequence_from_strings(engine, labels, len(lines))
            and lib.HTS_Engine_generate_parameter_sequence(engine)
            and lib.HTS_Engine_generate_sample_sequence(engine)  # makes the parameters readable
        )
        if not done:
            raise RuntimeError(f"{self.name} refused a phrase of {len(phones)} phones.")
        n_frames = lib.HTS_Engine_get_total_frame(engine)
        read = lib.HTS_Engine_get_generated_parameter
        cepstrum = np.array(
            [[read(engine, CEPSTRUM, n, m) for m in range(ORDER)] for n in range(n_frames)]
        )
        log_f0 = np.array([read(engine, LOG_F0, n, 0) for n in range(n_frames)])
        lib.HTS_Engine_refresh(engine)
        voiced = log_f0[log_f0 > NO_DATA]
        own_f0_hz = float(np.exp(voiced.mean())) if voiced.size else 250.0
        return Timbre(cepstrum, own_f0_hz)


def sung_label(phones: Sequence[Phone], i: int) -> str:
    """Context label of the singing voice: neighbouring phones, pitch and length of the note.

    All other contexts are ``xx``, unknown: the voice's decision trees answer them with no.
    """
    phone = phones[i]
    kind = "s" if phone.name in SILENT else "v" if phone.name in VOWELS else "c"
    around = f"{kind}@{_at(phones, i - 2)}^{_at(phones, i - 1)}-{phone.name}"
    around += f"+{_at(phones, i + 1)}={_at(phones, i + 2)}_xx%xx^xx_xx~xx-xx!xx[xx$xx]xx"
    name, tenths = "xx", "xx"
    if kind != "s":
        pitch = round(phone.midi)
        name = f"{NOTE_NAMES[pitch % 12]}{pitch // 12 - 1}"
        tenths = str(max(1, round(10 * (phone.end_sec - phone.start_sec))))
    note = f"{name}]xx^xx=xx~xx!xx@{tenths}#xx+xx]xx$xx|xx[xx&xx]xx=xx^xx~xx#xx_xx;xx$xx&xx%xx[xx"
    note += "|xx]xx-xx^xx+xx~xx=xx@xx$xx!xx%xx#xx|xx|xx-xx&xx&xx+xx[xx;xx]xx;xx~xx~xx^xx^xx@xx[xx"
    note += "#xx=xx!xx~xx+xx!xx^xx"
    return (
        f"{around}/A:xx-xx-xx@xx~xx/B:xx_xx_xx@xx|xx/C:xx+xx+xx@xx&xx"
        f"/D:xx!xx#xx$xx%xx|xx&xx;xx-xx/E:{note}/F:xx#xx#xx-xx$xx$xx+xx%xx;xx"
        "/G:xx_xx/H:xx_xx/I:xx_xx/J:xx~xx@xx"
    )


def spoken_label(phones: Sequence[Phone], i: int) -> str:
    """Context label of the speaking voice: neighbouring phones; all else is unknown."""
    return (
        f"{_at(phones, i - 2)}^{_at(phones, i - 1)}-{phones[i].name}"
        f"+{_at(phones, i + 1)}={_at(phones, i + 2)}/A:xx+xx+xx/B:xx-xx_xx/C:xx_xx+xx/D:xx+xx_xx"
        "/E:xx_xx!xx_xx-xx/F:xx_xx#xx_xx@xx_xx|xx_xx/G:xx_xx%xx_xx_xx/H:xx_xx"
        "/I:xx-xx@xx+xx&xx-xx|xx+xx/J:xx_xx/K:xx+xx-xx"
    )


def _at(phones: Sequence[Phone], i: int) -> str:
    return phones[i].name if 0 <= i < len(phones) else "xx"


def _voice_file(name: str) -> Path:
    ours = Path(__file__).parent / "voices" / f"{name}.htsvoice"
    return ours if ours.is_file() else _pyopenjtalk() / "htsvoice" / f"{name}.htsvoice"


def _pyopenjtalk() -> Path:
    """Folder of pyopenjtalk, which is not imported: its text front end is not needed."""
    spec = importlib.util.find_spec("pyopenjtalk")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("pyopenjtalk is not installed: pip install 'asteroid-joint[corpus]'.")
    return Path(spec.submodule_search_locations[0])


def _library() -> ctypes.CDLL:
    """Load the engine and declare the types of the functions used here."""
    folder = _pyopenjtalk()
    paths = [*sorted(folder.glob("htsengine*.so")), *sorted(folder.glob("htsengine*.pyd"))]
    if not paths:
        raise UserError("pyopenjtalk lacks its engine: reinstall 'asteroid-joint[corpus]'.")
    lib = ctypes.CDLL(os.fspath(paths[0]))
    size, engine, strings = ctypes.c_size_t, ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p)
    signatures: dict[str, tuple[list, type | None]] = {
        "initialize": ([engine], None),
        "load": ([engine, strings, size], ctypes.c_char),
        "set_phoneme_alignment_flag": ([engine, ctypes.c_char], None),
        "generate_state_sequence_from_strings": ([engine, strings, size], ctypes.c_char),
        "generate_parameter_sequence": ([engine], ctypes.c_char),
        "generate_sample_sequence": ([engine], ctypes.c_char),
        "get_total_frame": ([engine], size),
        "get_generated_parameter": ([engine, size, size, size], ctypes.c_double),
        "refresh": ([engine], None),
    }
    for name, (arguments, result) in signatures.items():
        function = getattr(lib, f"HTS_Engine_{name}")
        function.argtypes, function.restype = arguments, result
    return lib

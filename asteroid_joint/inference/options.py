"""Options of separation; without torch, as ``--help`` quotes the defaults.

A new option takes two additions: a field here, with its line in the docstring, and in
``apps/commands/separate.py`` an ``add_argument`` whose ``dest`` is the field's name. The command,
the manifest and ``separate_file`` read it from the field.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..version import DEFAULT_MODEL
from .activity import SegmentRules
from .knobs import PitchKnobs
from .notes.formats import BEND_SEMITONES, TEMPO_BPM
from .stem_names import STEM

BATCH = 2  # windows per batch
DECODER = "argmax"
WINDOW_SEC = 10.0  # seconds
RUNTIMES = ("auto", "torch", "onnx")  # what runs a model
GATE = True  # whether there is silence where nobody sings
SAME_RESULTS = "same_results"  # marks a field that results do not depend on
USUAL_NOTES = ("midi", "csv")  # what ``notes`` writes
NO_FLAG = "no_flag"  # marks a field that only the Python API has


@dataclass(frozen=True)
class SeparateOptions(PitchKnobs):
    """What to produce from a song; its pitch and notes as :class:`PitchKnobs` say.

    Attributes:
        stems: Names of the stems to write; all of the model's by default.
        audio_format: Format of the stems, a name in ``AUDIO_FORMATS``. FLAC always rounds to 24
            bits.
        f0_formats: Formats of the F0 curve, names in ``PITCH_FORMATS``; one file each.
        stem_name: Names of the stem files: a pattern of ``{song}``, ``{stem}``, ``{Stem}`` and
            ``{model}``, or ``"demucs"`` or ``"audio-separator"`` for theirs.
        notes: Whether to write notes as ``midi`` and ``csv`` (extra: notes).
        notes_formats: Further formats of notes, names in ``NOTES_FORMATS``; one file each.
        tempo: Beats per minute of the notes' grid; ``"auto"`` is 120, which is said.
        bend_semitones: Range of the pitch bend of MIDI, either way.
        plot: Whether to draw a picture (extra: demo).
        activity: What counts as a segment of ``activity.csv``; ``None`` omits the file.
        gate: Whether the voice is silent, and its pitch unvoiced, where nobody sings for a while.
        decoder: Name in ``DECODERS``: how activations become pitch.
        two_pass_viterbi: Decode the pitch by Viterbi over the whole song, instead of ``decoder``;
            temporarily needs 260 MB of disk per hour of audio in the output folder.
        batch_size: Windows per batch; a smaller batch needs less memory.
        window_sec: Window length in seconds.
        title: What files call the song, if not by its file's name.
    """

    stems: Sequence[str] | None = None
    audio_format: str = "wav"
    f0_formats: Sequence[str] = ("csv",)
    stem_name: str = STEM
    notes: bool = False
    notes_formats: Sequence[str] = ()
    tempo: float | str = TEMPO_BPM
    bend_semitones: int = BEND_SEMITONES
    plot: bool = False
    activity: SegmentRules | None = None
    gate: bool = GATE
    decoder: str = DECODER
    two_pass_viterbi: bool = False
    batch_size: int = field(default=BATCH, metadata={SAME_RESULTS: True})
    window_sec: float = field(default=WINDOW_SEC, metadata={NO_FLAG: True})
    title: str | None = field(default=None, metadata={NO_FLAG: True})

    def results(self) -> dict[str, Any]:
        """Plain values of all fields that results depend on, to recognise outdated results."""
        same = {known.name for known in fields(self) if known.metadata.get(SAME_RESULTS)}
        return {name: value for name, value in asdict(self).items() if name not in same}


@dataclass(frozen=True)
class RunOptions:
    """How to process a collection of songs.

    Attributes:
        out: Output folder.
        overwrite: Replace earlier results.
        model: Name of shipped weights, or a model file.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
        bf16: Whether to multiply in bfloat16, where the device does it in hardware.
        runtime: What runs the model, one of ``RUNTIMES``.
        plugins: Modules that register further models, separated by commas.
        resume: Skip songs that the manifest lists as done, or as failed because of the input; redo
            those that have changed since. Remove leftovers of killed runs.
        retry: With ``resume``, retry all failed songs.
        engine: Where songs are separated: ``"local"``, or another name in ``ENGINES``.
        address: Address of a cluster; by default the engine starts one on this machine.
        workers: Number of cluster workers, each with a model; as many as fit by default.
        debug: Print tracebacks.
    """

    out: Path
    overwrite: bool = False
    model: str = DEFAULT_MODEL
    device: str = "auto"
    bf16: bool = False
    runtime: str = "auto"
    plugins: str = ""
    resume: bool = False
    retry: bool = False
    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    debug: bool = False

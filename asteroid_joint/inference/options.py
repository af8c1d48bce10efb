"""What may be asked for when songs are separated; without torch, as ``--help`` quotes it.

A new option is two places: a field here, with its line of docstring, and in
``apps/commands/separate.py`` an ``add_argument`` whose ``dest`` is the field's name. The command,
the manifest and ``separate_file`` take it from the field; what obeys it reads it from there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..version import DEFAULT_MODEL
from .activity import SegmentRules

BATCH = 2  # windows that a model gets at a time
DECODER = "argmax"
WINDOW_SEC = 10.0  # seconds
SAME_RESULTS = "same_results"  # marks a field that results do not depend on
NO_FLAG = "no_flag"  # marks a field that only the Python API has


@dataclass(frozen=True)
class SeparateOptions:
    """What is made of a song.

    Attributes:
        stems: Names of the stems to write; all that the model has by default.
        audio_format: Format of the stems, a name in ``AUDIO_FORMATS``. FLAC rounds to 24 bits
            whatever the input is.
        f0_formats: Formats of the F0 curve, names in ``PITCH_FORMATS``, each a file.
        notes: Whether to write notes (extra: notes).
        plot: Whether to draw a picture (extra: demo).
        activity: What counts as a segment of ``activity.csv``; ``None`` leaves the file out.
        decoder: Name in ``DECODERS``: how activations become pitch.
        two_pass_viterbi: Find the pitch by Viterbi over the whole song, in place of the decoder;
            needs 260 MB of disk an hour in the output folder while it runs.
        batch_size: Windows that the model gets at a time; fewer need less memory.
        window_sec: Length of a window, seconds.
    """

    stems: Sequence[str] | None = None
    audio_format: str = "wav"
    f0_formats: Sequence[str] = ("csv",)
    notes: bool = False
    plot: bool = False
    activity: SegmentRules | None = None
    decoder: str = DECODER
    two_pass_viterbi: bool = False
    batch_size: int = field(default=BATCH, metadata={SAME_RESULTS: True})
    window_sec: float = field(default=WINDOW_SEC, metadata={NO_FLAG: True})

    def results(self) -> dict[str, Any]:
        """Plain values of all fields that results depend on: what tells old results from new."""
        same = {known.name for known in fields(self) if known.metadata.get(SAME_RESULTS)}
        return {name: value for name, value in asdict(self).items() if name not in same}


@dataclass(frozen=True)
class RunOptions:
    """How a run over songs goes about it.

    Attributes:
        out: Folder for the results.
        overwrite: Replace earlier results.
        model: Name of shipped weights, or a model file.
        device: ``"auto"``, ``"cpu"`` or ``"cuda"``.
        plugins: Modules that register further models, separated by commas.
        resume: Leave out what the manifest says is done, and what failed through its own fault;
            do again what has changed since. Remove what killed runs have left.
        retry: With ``resume``, try again whatever failed.
        engine: Where songs are separated: ``"local"``, or another name in ``ENGINES``.
        address: Address of a cluster; by default the engine starts one on this machine.
        workers: Number of workers of a cluster, each with a model; as many as fit by default.
        debug: Print tracebacks.
    """

    out: Path
    overwrite: bool = False
    model: str = DEFAULT_MODEL
    device: str = "auto"
    plugins: str = ""
    resume: bool = False
    retry: bool = False
    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    debug: bool = False

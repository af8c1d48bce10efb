"""``model.transcribe`` and its result: stems, F0 curve, notes, a picture, notebook players.

The whole song is held in memory: for hours of audio, use
:func:`asteroid_joint.inference.separate.separate_file`.
"""

import html
import io
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..audio import open_audio
from ..audio.arrays import check_array
from ..audio.writing import channels_text
from ..dsp.gate import GateRules
from ..dsp.roles import COMPLEMENT, VOICE
from ..errors import AudioError, ConfigError, UserError
from ..optional import optional
from ..registry import DECODERS, OPERATIONS
from .curve import PitchCurve
from .fast.choice import as_runner
from .fast.runner import Runner
from .knobs import PitchKnobs, knobbed_rows, note_rules, shift_notes, tuned_runner
from .notes import NOTES_FORMATS, Note, NoteRules, NoteTracker, SongFacts
from .notes.formats import TEMPO_AUTO, TEMPO_BPM, check_tempo, tempo_bpm, untracked
from .options import BATCH, DECODER, GATE, USUAL_NOTES, WINDOW_SEC
from .pitch_files import PITCH_FORMATS, PitchWriter
from .separate import separate_at_once
from .song_files import PICTURE_FILE, NoteFiles, StemFiles
from .stream import StreamSeparator

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from ..models.base import JointModel

PARTS = ("stems", "f0", "notes", "picture")  # what save can write
PLAYER_SEC = 60.0  # of each stem in a notebook, which would otherwise grow by megabytes
PLAYER_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)  # Hz, of MP3
PLAYER_RATE = 44100  # Hz, for all other rates


@dataclass(frozen=True, eq=False, repr=False)
class Transcription:
    """Stems, pitch and notes of a song.

    Attributes:
        stems: Name to ``(n_channels, n_samples)`` float32, in the model's order, with the song's
            length, channels and sample rate.
        mixture: The song itself, ``(n_channels, n_samples)``.
        sample_rate: Hz.
        f0: Pitch of the voice; without frames if the model estimates none.
        notes: Notes of the voice.
        activity: ``(frames, 2)`` time in seconds and probability that somebody sings.
        title: Name of the song.
        subtype: How ``save`` stores samples: ``"PCM_24"`` for songs with integer samples, whose
            stems add up bit for bit; else ``"FLOAT"``.

    Example:
        >>> import asteroid_joint
        >>> model = asteroid_joint.DJCM.from_preset("tiny").eval()
        >>> song = model.transcribe(np.zeros((2, 22050), np.float32), 22050)
        >>> song.stems["vocals"].shape, len(song.f0), song.notes
        ((2, 22050), 50, [])
    """

    stems: dict[str, np.ndarray]
    mixture: np.ndarray
    sample_rate: int
    f0: PitchCurve
    notes: list[Note]
    activity: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    title: str = "song"
    subtype: str = "FLOAT"

    @property
    def seconds(self) -> float:
        """Length of the song."""
        return self.mixture.shape[1] / self.sample_rate

    def plot(self, path: str | os.PathLike | None = None) -> Any:
        """Draw spectrogram, pitch and notes of the voice over the waveforms of all stems.

        Args:
            path: PNG file to write as well.

        Returns:
            A ``matplotlib.figure.Figure``, which notebooks display.

        Raises:
            UserError: If matplotlib is not installed.
        """
        from .picture import SongPicture

        voice = _voice(self.stems)
        names = [voice, *(name for name in self.stems if name != voice)]
        picture = SongPicture(self.sample_rate, names, self.title)
        stems = np.stack([self.stems[name] for name in names])  # (S, C, T)
        picture.push(stems, self.f0.rows(), self.notes)
        figure = picture.figure()
        # without this, notebooks only display figures of their own backend
        figure._repr_png_ = lambda: _png(figure)
        if path is not None:
            try:
                figure.savefig(path, dpi=100, format="png")
            except OSError as err:
                raise UserError(f"{path} cannot be written: {err.strerror or err}.") from err
        return figure

    def save(
        self,
        folder: str | os.PathLike,
        parts: Sequence[str] = PARTS,
        *,
        overwrite: bool = False,
        f0_formats: Sequence[str] = ("csv",),
        notes_formats: Sequence[str] = USUAL_NOTES,
        tempo: float | str = TEMPO_BPM,
    ) -> Path:
        """Write the files that ``asteroid-joint separate --notes --plot`` writes.

        By default these are ``<stem>.wav``, ``f0.csv``, ``notes.csv`` and ``notes.mid``,
        ``picture.png``; F0 and notes only if the model estimates pitch. Files get their final names
        when complete.

        Args:
            folder: Output folder, created if necessary.
            parts: Any of ``"stems"``, ``"f0"``, ``"notes"``, ``"picture"``.
            overwrite: Replace files of the same names.
            f0_formats: Formats of F0, names in ``PITCH_FORMATS``.
            notes_formats: Formats of notes, names in ``NOTES_FORMATS``.
            tempo: Beats per minute of the notes' grid; ``"auto"`` is 120, with a warning.

        Returns:
            The folder.

        Raises:
            ConfigError: If there is no such part or format, or the tempo is out of range.
            UserError: If a library is not installed, a file exists already, or the folder is not
                writable.
        """
        if isinstance(parts, str) or not set(parts) <= set(PARTS):
            raise ConfigError(
                f"There are no such parts as {parts!r}: give some of {', '.join(PARTS)}."
            )
        folder = Path(folder)
        check_tempo(tempo)
        writers = [PITCH_FORMATS[name] for name in f0_formats]
        for known in (NOTES_FORMATS[name] for name in notes_formats):
            if "notes" in parts and known.library is not None:
                optional(known.library, "notes")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(prefix=".part-", dir=folder) as hidden:
                self._write(Path(hidden), parts, writers, notes_formats, tempo)
                files = sorted(Path(hidden).iterdir())
                there = [folder / file.name for file in files if (folder / file.name).exists()]
                if there and not overwrite:
                    raise UserError(
                        f"{there[0]} exists already: give overwrite=True to replace it."
                    )
                for file in files:
                    file.replace(folder / file.name)
        except OSError as err:
            raise UserError(f"{folder} cannot be written to: {err.strerror or err}.") from err
        return folder

    def _write(
        self,
        folder: Path,
        parts: Sequence[str],
        writers: Sequence[type[PitchWriter]],
        notes_formats: Sequence[str],
        tempo: float | str,
    ) -> None:
        with ExitStack() as stack:
            if "stems" in parts:
                form = self.sample_rate, len(self.mixture), self.subtype, self.mixture.shape[1]
                files = StemFiles(folder, list(self.stems), *form, stack)
                files.write(self.mixture, np.stack(list(self.stems.values())))  # (S, C, T)
            if "f0" in parts and len(self.f0):
                for writer in writers:
                    curve = stack.enter_context(writer(folder / writer.file_name, self.sample_rate))
                    curve.write(self.f0.rows())
                    curve.close(self.seconds)
            if "notes" in parts and len(self.f0):
                notes = NoteFiles(folder, stack, notes_formats, self._facts(parts, tempo))
                notes.write(self.notes)
                notes.close(self.seconds)
        if "picture" in parts:
            self.plot(folder / PICTURE_FILE)

    def _facts(self, parts: Sequence[str], tempo: float | str) -> SongFacts:
        """What files of notes say besides notes."""
        if tempo == TEMPO_AUTO:
            logger.warning(untracked(self.title, "tempo"))
        file = {name: f"{name}.wav" for name in self.stems} if "stems" in parts else {}
        return SongFacts(
            title=self.title,
            audio=f"{self.title}.wav",
            vocals=file.get(VOICE),
            instrumental=file.get(COMPLEMENT),
            tempo_bpm=tempo_bpm(tempo),
        )

    def __repr__(self) -> str:
        return f"<Transcription of {self.title!r}: {self._summary()}>"

    def _summary(self) -> str:
        form = channels_text(len(self.mixture))
        sung = f", {100 * self.f0.voiced.mean():.0f} % voiced" if len(self.f0) else ""
        notes = f", {len(self.notes)} notes" if len(self.f0) else ""
        return f"{self.seconds:.1f} s, {self.sample_rate} Hz, {form}{sung}{notes}"

    def _repr_html_(self) -> str:
        """Players and the picture, for notebooks."""
        from base64 import b64encode

        parts = [f"<p><b>{html.escape(self.title)}</b>: {self._summary()}</p>"]
        for name, wav in self.stems.items():
            data = b64encode(_mp3(wav, self.sample_rate)).decode()
            label = html.escape(name)
            if self.seconds > PLAYER_SEC:
                label += f", the first {PLAYER_SEC:.0f} s"
            parts.append(
                f'<p>{label}<br><audio controls aria-label="{label}" '
                f'src="data:audio/mpeg;base64,{data}"></audio></p>'
            )
        try:
            data = b64encode(_png(self.plot())).decode()
        except UserError as err:  # no matplotlib: show the players nevertheless
            parts.append(f"<p>No picture: {html.escape(str(err))}</p>")
        else:
            parts.append(
                '<img style="max-width: 100%" alt="Spectrogram of the voice with its pitch and '
                f'notes, waveforms of the stems" src="data:image/png;base64,{data}">'
            )
        return "\n".join(parts)


@OPERATIONS.register("transcribe")
def transcribe(
    model: "Runner | JointModel",
    audio: Any,
    sample_rate: float | None = None,
    *,
    decoder: str = DECODER,
    notes: NoteRules | None = None,
    batch_size: int = BATCH,
    window_sec: float = WINDOW_SEC,
    gate: bool = GATE,
    title: str | None = None,
    **knobs: Any,
) -> Transcription:
    """Stems, pitch and notes of a song.

    Args:
        model: Any joint model, which runs in evaluation mode on the device of its weights, or a
            runner.
        audio: A file that libsndfile or FFmpeg decodes; or an array or tensor of samples,
            ``(n_samples,)`` or ``(n_channels, n_samples)``: int16, int32, or floats with full
            scale at 1.0.
        sample_rate: Sample rate of an array in Hz; a file specifies its own.
        decoder: Name in ``DECODERS``: how activations become pitch.
        notes: What counts as a note; ``VOICE_RULES`` by default.
        batch_size: Windows per batch.
        window_sec: Window length in seconds.
        gate: Whether the voice is silent, and its pitch unvoiced, where nobody sings for a while.
        title: Title of the picture; the file's name by default.
        **knobs: Fields of :class:`~asteroid_joint.inference.knobs.PitchKnobs` to set, for example
            ``fmin_hz=80`` or ``hop_ms=10``; those of notes change ``notes``.

    Raises:
        AudioError: One sentence on why the file or the samples cannot be used.
        ConfigError: If there is no such decoder, or a knob is out of range.
    """
    DECODERS[decoder]  # raises one sentence
    asked = PitchKnobs(**knobs)
    tuned_runner(model, asked)  # so does this, before anything is read
    if isinstance(audio, str | os.PathLike):
        if sample_rate is not None:
            raise AudioError("An audio file specifies its own sample rate: leave sample_rate out.")
        with open_audio(audio) as reader:
            wav = np.concatenate(list(reader.blocks()), 1)  # (C, T)
            rate, subtype = reader.sample_rate, reader.subtype
        title = Path(audio).stem if title is None else title
    else:
        wav, rate, subtype = check_array(audio, sample_rate)
    runner = tuned_runner(_fast(model), asked)
    stream = StreamSeparator(
        runner,
        rate,
        len(wav),
        decoder=decoder,
        batch_size=batch_size,
        window_sec=window_sec,
        gate=GateRules() if gate else None,
    )
    chunk = separate_at_once(stream, wav)
    stems = dict(zip(runner.sources, chunk.stems, strict=True))
    found: list[Note] = []
    if len(chunk.f0):
        threshold, hop_sec = runner.voicing_threshold, float(runner.pitch_grid.hop)
        tracker = NoteTracker(hop_sec, threshold, rate, notes)
        tracker.rules = note_rules(tracker.rules, asked)
        activity = chunk.activity if stream.own_activity else None
        voice = stems[_voice(stems)]
        found = [*tracker.push(chunk.f0, voice, activity, chunk.mixture), *tracker.finish()]
    return Transcription(
        stems=stems,
        mixture=wav,
        sample_rate=rate,
        f0=PitchCurve.from_rows(knobbed_rows(chunk.f0, asked, wav.shape[1] / rate)),
        notes=shift_notes(found, asked.octave),
        activity=chunk.activity,
        title="song" if title is None else title,
        subtype=subtype,
    )


def _fast(model: "Runner | JointModel") -> Runner:
    """A runner as it is; a joint model on the CPU optimised anew: its weights may have changed."""
    if isinstance(model, Runner):
        return model
    if model.voicing_threshold.device.type != "cpu":
        return as_runner(model)
    from .fast.fuse import optimize_for_inference

    return as_runner(optimize_for_inference(model))


def _voice(stems: dict[str, np.ndarray]) -> str:
    return VOICE if VOICE in stems else next(iter(stems))


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100, format="png")
    return buffer.getvalue()


def _mp3(wav: np.ndarray, sample_rate: int) -> bytes:
    """The beginning of ``(C, T)`` as MP3, which every browser plays."""
    import soundfile
    import soxr

    wav = wav[:, : int(PLAYER_SEC * sample_rate)]
    samples = wav.T if len(wav) <= 2 else wav.mean(0)[:, None]  # (T, C)
    if sample_rate not in PLAYER_RATES:
        samples, sample_rate = soxr.resample(samples, sample_rate, PLAYER_RATE), PLAYER_RATE
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.clip(-1, 1), sample_rate, format="MP3")
    return buffer.getvalue()

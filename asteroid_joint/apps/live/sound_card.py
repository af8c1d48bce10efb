"""Sound cards through PortAudio (extra ``live``)."""

import threading
from typing import Any

import numpy as np

from ...errors import AudioError, UserError
from ...optional import optional
from .feed import Feed, Gap
from .pcm import PcmKind

PERIOD_SEC = 0.01  # seconds between two callbacks
QUEUE_SEC = 5.0  # seconds; a full queue drops sound until it is empty again


def sound_library() -> Any:
    """Import ``sounddevice``.

    Raises:
        UserError: If it or PortAudio is not installed.
    """
    try:
        return optional("sounddevice", "live")
    except OSError as err:  # raised without PortAudio
        raise UserError(
            "sounddevice cannot find PortAudio: install it, on Debian and Ubuntu with "
            "apt install libportaudio2."
        ) from err


def list_devices() -> str:
    """List the devices that can record, one per line: number, name, channels, rate.

    Raises:
        UserError: If no sound card is available.
    """
    sd = sound_library()
    try:
        devices = [d for d in sd.query_devices() if d["max_input_channels"] > 0]
        default = sd.default.device[0]
    except sd.PortAudioError as err:
        raise UserError(f"PortAudio cannot list the sound cards: {err}.") from err
    if not devices:
        raise UserError("There is no sound card to record from: pipe sound in with --input -.")
    lines = [
        f"{d['index']:>3} {'*' if d['index'] == default else ' '} {d['name']}  "
        f"({d['max_input_channels']} channels, {d['default_samplerate']:.0f} Hz)"
        for d in devices
    ]
    return "\n".join([*lines, "(* marks --input default)"])


class SoundCard:
    """A device that records.

    Sound that finds the queue full is lost: it is counted and replaced by a gap of the same length,
    which keeps the times correct. Few long gaps do less harm than many short ones: after a loss,
    everything is dropped until the queue is empty.

    Args:
        device: Number or part of a name, as printed by ``--list-devices``, or ``"default"``.
        sample_rate: Hz; ``None`` for the device's default.
        n_channels: Number of channels; ``None`` for one.

    Attributes:
        kind: Rate and channels; samples are float32.
        feed: Queue of the sound.
        n_lost: Samples lost because the queue was full.
        n_overruns: Losses of unknown length that PortAudio reported.

    Raises:
        UserError: If there is no such device, or it does not support the rate or the channels.
    """

    warning = None
    hint = "choose another device or --rate"

    def __init__(
        self, device: str, sample_rate: int | None = None, n_channels: int | None = None
    ) -> None:
        self._sd = sd = sound_library()
        number: int | str | None = int(device) if device.isdecimal() else device
        if device == "default":
            number = None
        try:
            info = sd.query_devices(number, "input")
        except (sd.PortAudioError, ValueError) as err:
            raise UserError(
                f"There is no sound card {device!r} to record from ({_one_line(err)}): choose one "
                "of asteroid-joint stream --list-devices, or pipe sound in."
            ) from err
        self.name = str(info["name"])
        rate = sample_rate or int(info["default_samplerate"])
        self.kind = PcmKind(rate, n_channels or 1, "f32le")
        period = max(round(PERIOD_SEC * rate), 1)
        self.feed = Feed(int(QUEUE_SEC / PERIOD_SEC))
        self.n_lost = self.n_overruns = 0
        self._owed = 0  # lost samples without a gap so far
        self._stopping = threading.Event()
        try:
            self._stream = sd.InputStream(
                device=number,
                samplerate=rate,
                channels=self.kind.n_channels,
                dtype="float32",
                blocksize=period,
                latency="low",
                callback=self._callback,
                finished_callback=self._finished,
            )
        except sd.PortAudioError as err:
            raise UserError(
                f"{self.name} does not record {self.kind.n_channels} channels at {rate} Hz "
                f"({_one_line(err)}): try up to {info['max_input_channels']} channels and "
                f"{info['default_samplerate']:.0f} Hz."
            ) from err

    def start(self) -> None:
        """Start recording.

        Raises:
            UserError: If the device refuses.
        """
        try:
            self._stream.start()
        except self._sd.PortAudioError as err:
            raise UserError(f"Recording from {self.name} failed: {_one_line(err)}.") from err

    def close(self) -> None:
        """Stop recording."""
        self._stopping.set()
        self.feed.close()
        self._stream.close()

    def _callback(self, sound: np.ndarray, n_samples: int, _time: Any, status: Any) -> None:
        """Receive ``(T, C)`` from PortAudio, in a thread of its own that must not wait."""
        if status.input_overflow:
            self.n_overruns += 1
        if self._owed and self.feed.idle:
            self.feed.offer(Gap(self._owed))
            self._owed = 0
        if self._owed or not self.feed.offer(np.array(sound.T)):  # a copy: the buffer is reused
            self._owed += n_samples
            self.n_lost += n_samples

    def _finished(self) -> None:
        """PortAudio has stopped: on request, or because the device is gone."""
        if not self._stopping.is_set():
            self.feed.end(AudioError(f"{self.name} has stopped recording: is it unplugged?"))


def _one_line(err: Exception) -> str:
    return " ".join(str(err).split())

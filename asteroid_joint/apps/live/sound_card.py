"""Sound cards, through PortAudio (extra ``live``)."""

import threading
from typing import Any

import numpy as np

from ...errors import AudioError, UserError
from ...optional import optional
from .feed import Feed, Gap
from .pcm import PcmKind

PERIOD_SEC = 0.01  # seconds between two calls of the card
QUEUE_SEC = 5.0  # seconds that may wait; what comes then is lost, until nothing waits any more


def sound_library() -> Any:
    """The module ``sounddevice``.

    Raises:
        UserError: If it, or PortAudio, is not installed.
    """
    try:
        return optional("sounddevice", "live")
    except OSError as err:  # what it raises without the library that it wraps
        raise UserError(
            "sounddevice finds no PortAudio: install it, on Debian and Ubuntu by "
            "apt install libportaudio2."
        ) from err


def list_devices() -> str:
    """A line for each device that can record: number, name, channels, rate.

    Raises:
        UserError: If sound cards cannot be reached.
    """
    sd = sound_library()
    try:
        devices = [d for d in sd.query_devices() if d["max_input_channels"] > 0]
        default = sd.default.device[0]
    except sd.PortAudioError as err:
        raise UserError(f"Sound cards cannot be listed: {err}.") from err
    if not devices:
        raise UserError("There is no sound card to record from: pipe sound in, with --input -.")
    lines = [
        f"{d['index']:>3} {'*' if d['index'] == default else ' '} {d['name']}  "
        f"({d['max_input_channels']} channels, {d['default_samplerate']:.0f} Hz)"
        for d in devices
    ]
    return "\n".join([*lines, "(* is what --input default takes)"])


class SoundCard:
    """A device that records.

    It does not wait: what nobody takes in time is lost. It is counted, and a gap of the same length
    is put in its place, so that times stay true. Few long gaps do less harm than many short ones:
    once behind, all is lost until all that waits is worked on.

    Args:
        device: Number, or part of a name, as ``--list-devices`` prints them; ``"default"``.
        sample_rate: Hz; ``None`` for the device's own.
        n_channels: ``None`` for one.

    Attributes:
        kind: Rate and channels; samples are float32.
        feed: Where the sound arrives.
        n_lost: Samples that found no room in the queue.
        n_overruns: Times that PortAudio says sound was lost before it came here; it does not say
            how much.

    Raises:
        UserError: If there is no such device, or it cannot record so.
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
            reason = " ".join(str(err).split())
            raise UserError(
                f"There is no sound card {device!r} to record from ({reason}): choose one of "
                "asteroid-joint stream --list-devices, or pipe sound in."
            ) from err
        self.name = str(info["name"])
        rate = sample_rate or int(info["default_samplerate"])
        self.kind = PcmKind(rate, n_channels or 1, "f32le")
        period = max(round(PERIOD_SEC * rate), 1)
        self.feed = Feed(int(QUEUE_SEC / PERIOD_SEC))
        self.n_lost = self.n_overruns = 0
        self._owed = 0  # lost samples that no gap stands for yet
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
                f"({' '.join(str(err).split())}): it has {info['max_input_channels']} channels "
                f"and {info['default_samplerate']:.0f} Hz."
            ) from err

    def start(self) -> None:
        """Begin to record.

        Raises:
            UserError: If the device refuses.
        """
        try:
            self._stream.start()
        except self._sd.PortAudioError as err:
            reason = " ".join(str(err).split())
            raise UserError(f"{self.name} cannot be recorded from: {reason}.") from err

    def close(self) -> None:
        """Stop recording."""
        self._stopping.set()
        self.feed.close()
        self._stream.close()

    def _callback(self, sound: np.ndarray, n_samples: int, _time: Any, status: Any) -> None:
        """PortAudio's call, ``(T, C)``; it runs in a thread of its own and must not wait."""
        if status.input_overflow:
            self.n_overruns += 1
        if self._owed and self.feed.idle:
            self.feed.offer(Gap(self._owed))
            self._owed = 0
        if self._owed or not self.feed.offer(np.array(sound.T)):  # a copy: the buffer is reused
            self._owed += n_samples
            self.n_lost += n_samples

    def _finished(self) -> None:
        """PortAudio's last call: asked for, or the device is gone."""
        if not self._stopping.is_set():
            self.feed.fail(AudioError(f"{self.name} has stopped recording: is it unplugged?"))

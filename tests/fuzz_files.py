"""Audio files that went wrong, made from valid ones of every container by a number.

Run as a program, it reads ``COUNT`` of them from number ``FIRST`` on, and prints what it finds::

    python tests/fuzz_files.py FIRST COUNT FOLDER
"""

import io
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import soundfile as sf

RATE = 16000
MOST_SEC = 10.0  # longer is a hang
TOLERANCE_SEC = 0.1  # loss that needs no word
SNDFILE = {  # name: container, subtype
    "pcm.wav": ("WAV", "PCM_16"),
    "float.wav": ("WAV", "FLOAT"),
    "adpcm.wav": ("WAV", "IMA_ADPCM"),
    "alaw.wav": ("WAV", "ALAW"),
    "w64": ("W64", "PCM_24"),
    "rf64": ("RF64", "PCM_16"),
    "aiff": ("AIFF", "PCM_24"),
    "au": ("AU", "PCM_16"),
    "caf": ("CAF", "ALAC_16"),
    "flac": ("FLAC", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", "MPEG_LAYER_III"),
}
FFMPEG = {  # name: container, codec
    "m4a": ("ipod", "aac"),
    "alac.m4a": ("ipod", "alac"),
    "mkv": ("matroska", "flac"),
    "webm": ("webm", "libopus"),
    "mp2": ("mp2", "mp2"),
    "ac3": ("ac3", "ac3"),
    "aac": ("adts", "aac"),
    "tta": ("tta", "tta"),
    "wv": ("wv", "wavpack"),
    "avi": ("avi", "pcm_s16le"),
}


@cache
def valid(name: str, seed: int) -> bytes:
    """A file of 1.0 to 1.5 s, mono or stereo, at one of two rates."""
    rng = np.random.default_rng(seed)
    rate, n_channels = [(RATE, 2), (RATE, 1), (2 * RATE, 2)][seed % 3]
    wav = rng.uniform(-0.3, 0.3, (int(rate * rng.uniform(1.0, 1.5)), n_channels))
    buffer = io.BytesIO()
    if name in SNDFILE:
        container, subtype = SNDFILE[name]
        rate = 48000 if subtype == "OPUS" else rate
        sf.write(buffer, wav, rate, format=container, subtype=subtype)
    else:
        _encode(buffer, wav, rate, *FFMPEG[name])
    return buffer.getvalue()


def _encode(buffer: io.BytesIO, wav: np.ndarray, rate: int, container: str, codec: str) -> None:
    import av

    rate = {"libopus": 48000, "ac3": 48000, "mp2": 44100}.get(codec, rate)
    layout = ["mono", "stereo"][wav.shape[1] - 1]
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        stream.codec_context.open()
        size = stream.codec_context.frame_size or 1024
        convert = av.AudioResampler(stream.codec_context.format, layout, rate, size)
        samples = np.ascontiguousarray(wav.T.astype(np.float32))
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for part in [*convert.resample(frame), *convert.resample(None)]:
            out.mux(stream.encode(part))
        out.mux(stream.encode(None))


def overwrite(data: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes in a random place."""
    n = int(rng.choice([1, 4, 40, 400]))
    at = int(rng.integers(0, max(len(data) - n, 1)))
    return data[:at] + rng.bytes(n) + data[at + n :]


def silence(data: bytes, rng: np.random.Generator) -> bytes:
    """Zeros, as of a disk that lost a sector."""
    n = int(rng.choice([64, 512, 4096, len(data) // 2]))
    at = int(rng.integers(0, max(len(data) - n, 1)))
    return data[:at] + bytes(n) + data[at + n :]


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    """Without its end, or its beginning."""
    at = int(rng.integers(1, len(data)))
    return data[:at] if rng.random() < 0.8 else data[at:]


def drop(data: bytes, rng: np.random.Generator) -> bytes:
    """Without something in the middle."""
    at = int(rng.integers(0, len(data)))
    return data[:at] + data[at + int(rng.integers(1, 2000)) :]


def lie(data: bytes, rng: np.random.Generator) -> bytes:
    """A number in the header that is zero, huge or another one."""
    at, n = int(rng.integers(4, 100)), int(rng.choice([1, 2, 4, 8]))
    number = [bytes(n), b"\xff" * n, b"\x7f" + b"\xff" * (n - 1), rng.bytes(n)][rng.integers(4)]
    return data[:at] + number + data[at + n :]


FAULTS: tuple[Callable[[bytes, np.random.Generator], bytes], ...]
FAULTS = (overwrite, silence, cut, drop, lie)


def make(number: int) -> tuple[str, bytes]:
    """The file of a number: its extension, and what is in it."""
    rng = np.random.default_rng(number)
    names = [*SNDFILE, *FFMPEG]
    name = names[number % len(names)]
    data = valid(name, int(rng.integers(3)))
    kind = int(rng.integers(len(FAULTS) + 1))
    if kind == len(FAULTS):  # joined with another one, of the same kind mostly
        other = name if rng.random() < 0.7 else names[rng.integers(len(names))]
        return name, data + valid(other, int(rng.integers(3)))
    for _ in range(int(rng.integers(1, 3))):
        data = FAULTS[kind](data, rng)
    return name, data


def ffmpeg_seconds(path: Path) -> float:
    """What FFmpeg decodes of it by itself, passing over errors."""
    import av

    from asteroid_joint.audio.ffmpeg import REFERRING

    formats = ",".join(sorted(av.formats_available - REFERRING))
    seconds = 0.0
    try:
        with av.open(f"file:{path}", options={"format_whitelist": formats}) as container:
            stream = container.streams.best("audio")
            packets = iter(container.demux(stream) if stream else ())
            while True:
                try:
                    for frame in next(packets).decode():
                        seconds += frame.samples / max(frame.sample_rate, 1)
                except (StopIteration, EOFError):
                    return seconds
                except av.FFmpegError:
                    continue
    except (av.FFmpegError, ValueError):
        return seconds


def fault_of(path: Path) -> str:
    """What is wrong with how a file is read; empty if nothing is."""
    from asteroid_joint.audio import open_audio
    from asteroid_joint.errors import AudioError

    start, said, seconds = time.monotonic(), None, 0.0
    try:
        with open_audio(path) as reader:
            for block in reader.blocks():
                seconds += block.shape[1] / reader.sample_rate
            said = reader.warning()
    except AudioError as err:
        said = str(err)
        if "can decode" not in said and "no samples" not in said:
            seconds = np.inf  # refused for another reason, which is named
    except Exception as err:
        return f"{type(err).__name__}: {err}"
    elapsed = time.monotonic() - start
    if elapsed > MOST_SEC:
        return f"took {elapsed:.1f} s"
    there = ffmpeg_seconds(path)
    if there > seconds + TOLERANCE_SEC and (said is None or seconds == 0):
        return f"{there:.2f} s are there, {seconds:.2f} s were read, and it says {said!r}"
    return ""


def faults(numbers: range, folder: Path) -> Iterator[str]:
    """A line about every file that is not read as it should be."""
    for number in numbers:
        name, data = make(number)
        path = folder / f"{number}.{name}"
        path.write_bytes(data)
        print(number, end=" ", file=sys.stderr, flush=True)  # the last is the one that crashed
        found = fault_of(path)
        if found:
            yield f"{number}.{name}: {found}"
        else:
            path.unlink()


if __name__ == "__main__":
    first, count = int(sys.argv[1]), int(sys.argv[2])
    Path(sys.argv[3]).mkdir(parents=True, exist_ok=True)
    for line in faults(range(first, first + count), Path(sys.argv[3])):
        print(line, flush=True)

"""The length that an MP3 file states, which FFmpeg mixes with guesses.

Without a Xing (or Info) header, or where it does not fit the size of the file, FFmpeg extrapolates
from the bit rate of the first frame.
"""

import re
from pathlib import Path

ID3 = b"ID3"  # a tag before the first frame
FRAME = re.compile(rb"\xff[\xe0-\xff]")  # what a frame of MP3 begins with, or of AAC as such
SAMPLES_PER_FRAME = {3: 1152, 2: 576, 0: 576}  # by the two version bits: MPEG 1, 2, 2.5
SEARCHED = 4096  # bytes after the tags: more than a frame
HAS_FRAMES = 1  # flag: the number of frames is stated


def stated_length(path: Path) -> int | None:
    """Samples per channel, encoder's padding included, that the Xing header states.

    Args:
        path: An MP3 file.

    Returns:
        ``None`` if there is no such header.
    """
    with open(path, "rb") as file:
        tag = file.read(10)
        skip = 0
        if tag.startswith(ID3):  # its size is stored in four times seven bits
            skip = 10 + sum(byte << 7 * k for k, byte in enumerate(reversed(tag[6:10])))
        file.seek(skip)
        data = file.read(SEARCHED)
    frame = FRAME.search(data[:-2])
    at = max(data.find(b"Xing"), data.find(b"Info"))
    if frame is None or at < frame.start() or len(data) < at + 12:
        return None
    if not int.from_bytes(data[at + 4 : at + 8], "big") & HAS_FRAMES:
        return None
    version = data[frame.start() + 1] >> 3 & 3
    n_frames = int.from_bytes(data[at + 8 : at + 12], "big")
    return n_frames * SAMPLES_PER_FRAME.get(version, 1152)

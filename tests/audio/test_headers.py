"""What the headers of Ogg, FLAC and MP3 files say."""

import numpy as np
import soundfile as sf

from asteroid_joint.audio.links import FileSlice, Link, find_links
from asteroid_joint.audio.mp3_header import stated_length

RATE = 16000


def noise(seconds: float, rate: int = RATE) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.3, 0.3, round(seconds * rate))


def test_pages_are_found_again_after_damage(tmp_path):
    path = tmp_path / "radio.ogg"
    sf.write(path, noise(1.0), RATE)
    path.write_bytes(2 * path.read_bytes())
    links = find_links(path)
    assert len(links) == 2 and links[0].start == 0 and links[1].stop == path.stat().st_size
    data = bytearray(path.read_bytes())
    middle = links[0].stop // 2
    page = data.find(b"OggS", middle)
    data[page : page + 27] = bytes(27)
    path.write_bytes(data)
    assert find_links(path) == links


def test_a_part_of_a_file_reads_as_a_file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))
    with FileSlice(path, Link(10, 20)) as part:
        assert part.read() == bytes(range(10, 20)) and part.read() == b""
        assert part.seek(-3, 2) == 7 and part.read(2) == bytes([17, 18]) and part.tell() == 9
        assert part.again().read(1) == bytes([10])


def test_what_an_mp3_states(tmp_path):
    sf.write(tmp_path / "a.mp3", noise(2.0, 44100), 44100)
    assert 0 <= stated_length(tmp_path / "a.mp3") - 2 * 44100 < 3 * 1152
    data = (tmp_path / "a.mp3").read_bytes()
    tag = b"ID3\x04\x00\x00\x00\x00\x02\x00" + b"Info" * 64  # 256 bytes after ten
    (tmp_path / "b.mp3").write_bytes(tag + data)
    assert stated_length(tmp_path / "b.mp3") == stated_length(tmp_path / "a.mp3")
    (tmp_path / "c.mp3").write_bytes(data[2000:])
    assert stated_length(tmp_path / "c.mp3") is None

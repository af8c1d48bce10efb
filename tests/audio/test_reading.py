"""Files that no single decoder reads to their end: all is read, or what is lost is named."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from asteroid_joint.audio import open_audio

RATE = 16000


def noise(seconds: float, rate: int = RATE, n_channels: int = 2, seed: int = 0) -> np.ndarray:
    """Integer samples of 16 bits, ``(T, C)``."""
    rng = np.random.default_rng(seed)
    return rng.integers(-9000, 9000, (round(seconds * rate), n_channels)).astype(np.int16)


def read(path: Path) -> tuple[np.ndarray, str | None]:
    """Samples ``(T, C)`` and the warning."""
    with open_audio(path) as reader:
        wav = np.concatenate(list(reader.blocks()), 1).T
        assert len(wav) == reader.n_read and wav.dtype == np.float32
        return wav, reader.warning()


def join(path: Path, *parts: tuple[np.ndarray, int], **form: str) -> list[np.ndarray]:
    """Files one after the other in one file; what each decodes to."""
    one, data, decoded = path.with_name("part" + path.suffix), b"", []
    for wav, rate in parts:
        sf.write(one, wav, rate, **form)
        data += one.read_bytes()
        decoded.append(sf.read(one, dtype="float32", always_2d=True)[0])
    path.write_bytes(data)
    return decoded


@pytest.mark.parametrize(("suffix", "subtype"), [("ogg", "VORBIS"), ("opus", "OPUS")])
def test_all_links_of_a_chained_ogg_are_read(tmp_path, suffix, subtype):
    path = tmp_path / f"radio.{suffix}"
    parts = (noise(1.5), RATE), (noise(1.0, seed=1), RATE), (noise(0.5, seed=2), RATE)
    truth = join(path, *parts, format="OGG", subtype=subtype)
    wav, warning = read(path)
    assert np.array_equal(wav, np.concatenate(truth)) and warning is None
    with open_audio(path) as reader:
        assert reader.announced == 3 * RATE


def test_links_with_other_rate_and_channels_become_like_the_first(tmp_path):
    path = tmp_path / "radio.ogg"
    tone = np.sin(2 * np.pi * 300 * np.arange(2 * RATE) / RATE)[:, None]
    first, _ = join(path, (noise(1.0), RATE), (0.3 * tone, 2 * RATE))
    wav, warning = read(path)
    assert warning is None and wav.shape == (2 * RATE, 2)
    assert np.array_equal(wav[:RATE], first)
    expected = 0.3 * np.sin(2 * np.pi * 600 * np.arange(RATE) / RATE)
    error = wav[RATE:] - expected[:, None]
    assert np.abs(error[2000:-2000]).max() < 0.03  # Vorbis is lossy


def test_a_link_without_sound_is_told(tmp_path):
    path = tmp_path / "radio.ogg"
    (truth, _) = join(path, (noise(1.0), RATE), (noise(1.0), RATE))
    data = bytearray(path.read_bytes())
    second = data.find(b"\x01vorbis", 100)  # what it says about its codec
    data[second : second + 30] = bytes(30)
    path.write_bytes(data)
    wav, warning = read(path)
    assert np.array_equal(wav, truth) and "is damaged" in warning


@pytest.mark.parametrize("at", [0.25, 0.6])
def test_after_a_damaged_frame_of_flac_everything_is_in_its_place(tmp_path, at):
    path, truth = tmp_path / "song.flac", noise(6.0, 44100)
    sf.write(path, truth, 44100)
    data = bytearray(path.read_bytes())
    start = int(at * len(data))
    data[start : start + 40] = np.random.default_rng(0).bytes(40)
    path.write_bytes(data)
    wav, warning = read(path)
    assert wav.shape == truth.shape
    wrong = np.flatnonzero((wav * 32768 != truth).any(1))
    assert len(wrong) <= 8192 and not wav[wrong].any()
    seconds, first = len(wrong) / 44100, wrong[0] / 44100
    assert warning == (
        f"{path} is damaged: {seconds:.2f} s of it cannot be decoded and are silent, the first at "
        f"{first:.2f} s."
    )


def test_damage_up_to_the_end_is_not_called_cut_off(tmp_path):
    path, truth = tmp_path / "song.flac", noise(6.0, 44100)
    sf.write(path, truth, 44100)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + bytes(len(data) // 2))
    wav, warning = read(path)
    assert 2.8 * 44100 < len(wav) <= 3 * 44100
    assert "is damaged: its header announces 6.00 s, the " in warning


def test_joined_flac_files_are_read_to_the_end(tmp_path):
    path = tmp_path / "song.flac"
    truth = join(path, (noise(2.0), RATE), (noise(1.0, seed=1), RATE))
    wav, warning = read(path)
    assert np.array_equal(wav, np.concatenate(truth)) and warning is None


@pytest.mark.parametrize(("rate", "n_channels"), [(RATE, 2), (RATE, 1), (2 * RATE, 2)])
def test_joined_mp3_files_are_read_to_the_end(tmp_path, rate, n_channels):
    path = tmp_path / "song.mp3"
    join(path, (noise(2.0), RATE), (noise(1.0, rate, n_channels), rate))
    wav, warning = read(path)
    assert abs(len(wav) / RATE - 3.0) < 0.15  # the encoder's padding between them
    assert np.abs(wav[-RATE // 2 :]).max(0).min() > 0.1
    assert warning is None  # and not: "is cut off"


def test_the_second_mp3_may_be_louder_in_bits(tmp_path):
    """FFmpeg extrapolates from the bit rate of the first, which today's header says is wrong."""
    path = tmp_path / "song.mp3"
    quiet = (noise(2.0, n_channels=1) // 9000).astype(np.int16)
    join(path, (quiet, RATE), (noise(2.0), RATE))
    wav, warning = read(path)
    assert abs(len(wav) / RATE - 4.0) < 0.15 and warning is None


def test_a_wav_of_a_killed_recorder(tmp_path):
    path, truth = tmp_path / "take.wav", noise(1.5)
    sf.write(path, truth, RATE)
    data = bytearray(path.read_bytes())
    data[40:44] = bytes(4)  # the size of the data
    path.write_bytes(data)
    wav, warning = read(path)
    assert np.array_equal(wav * 32768, truth) and warning is None
    with open_audio(path) as reader:
        assert reader.subtype == "PCM_24" and reader.announced == len(truth)


@pytest.mark.parametrize("container", ["WAV", "AIFF", "AU", "CAF", "W64", "RF64", "FLAC", "OGG"])
@pytest.mark.parametrize("n_samples", [1, 777, 3 * RATE])
def test_a_sound_file_is_read_as_libsndfile_reads_it(tmp_path, container, n_samples):
    path = tmp_path / "song"
    sf.write(path, noise(3.0)[:n_samples], RATE, format=container)
    with open(path, "ab") as file:  # tags that other programs append
        file.write(b"TAG" + bytes(20000 if container in ("WAV", "AIFF") else 0))
    expected = sf.read(path, dtype="float32")[0]
    wav, warning = read(path)
    assert np.array_equal(wav, expected) and warning is None


def test_a_film_with_flac_is_read_as_ffmpeg_reads_it(tmp_path):
    """Its positions are in milliseconds: no sample is lost or invented for that."""
    import av

    path, truth = tmp_path / "film.mkv", noise(3.0, 44100)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("flac", rate=44100, layout="stereo")
        for at in range(0, len(truth), 4096):
            samples = truth[None, at : at + 4096].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 44100, at
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    wav, warning = read(path)
    assert np.array_equal(wav * 32768, truth) and warning is None


def test_flac_whose_checksums_are_all_wrong_is_still_read(tmp_path):
    path, truth = tmp_path / "song.flac", noise(3.0)
    sf.write(path, truth, RATE)
    data = bytearray(path.read_bytes())
    start = data.find(b"\xff\xf8", 42)
    frames = [k for k in range(start, len(data) - 1) if data[k : k + 4] == data[start : start + 4]]
    for after in [*frames[1:], len(data)]:
        data[after - 1] ^= 0xFF  # the last byte of a frame is of its checksum
    path.write_bytes(data)
    wav, warning = read(path)
    assert len(wav) > RATE and "is damaged" in warning


def test_flac_that_states_too_few_samples(tmp_path):
    path, truth = tmp_path / "song.flac", noise(3.0)
    sf.write(path, truth, RATE)
    data = bytearray(path.read_bytes())
    data[21:26] = bytes([data[21] & 0xF0, 0, 0, 8, 0])  # 36 bits, here 2048
    path.write_bytes(data)
    wav, warning = read(path)
    assert abs(len(wav) - len(truth)) <= 1600

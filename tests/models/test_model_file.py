"""Files that are no model end in one sentence, whatever is in them."""

import io
import pickle
import random
import struct
import wave
import zipfile
from pathlib import Path

import pytest
import torch

from asteroid_joint import load_model
from asteroid_joint.errors import CheckpointError
from asteroid_joint.models.model_file import read_model_file

# what pickle's opcodes are, so that chance gets further than the first byte
OPCODES = b"(.0123456789ABCDEFGHIJKLMNOPQRSTUVXZ]abcdeghijlopqrstu}\x80\x81\x85\x86\x87\x88\x89\x8a"


def wav_file() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((2, 2, 44100, 0, "NONE", ""))
        wav.writeframes(bytes(8000))
    return file.getvalue()


def zip_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"RIFF")
    return file.getvalue()


def random_heads(rng: random.Random) -> list[bytes]:
    """One beginning for each first byte, others of opcodes, of formats and of real pickles."""
    good = pickle.dumps(
        {"model_name": "DJCM", "state_dict": {}, "model_args": {"a": [1.5, "b"]}}, 2
    )
    heads = [bytes([first]) + rng.randbytes(rng.randrange(300)) for first in range(256)]
    heads += [bytes([first]) * 40 for first in OPCODES]
    for _ in range(250):
        heads.append(bytes(rng.choice(OPCODES) for _ in range(rng.randrange(1, 60))))
        damaged = bytearray(good)
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.choice(OPCODES)
        heads.append(bytes(damaged[: rng.randrange(2, len(damaged))]))
    heads += [wav_file(), zip_file(), b"PK\x03\x04", struct.pack("<Q", 1 << 40) + b"{}", b"\n", b""]
    return heads


@pytest.mark.filterwarnings("ignore")  # of torch about what it is given
def test_random_heads(tmp_path):
    path = tmp_path / "model.pth"
    for head in random_heads(random.Random(0)):
        path.write_bytes(head)
        with pytest.raises(CheckpointError, match="model file"):
            read_model_file(str(path))


@pytest.mark.parametrize("key", ["model_name", "model_args", "state_dict", "infos"])
@pytest.mark.parametrize("value", [None, 7, "x", [1], {"x": [1]}, {1: 2}, torch.zeros(3)])
def test_a_model_file_of_odd_values(weights, tmp_path, key, value):
    path = tmp_path / "model.pth"
    torch.save({**torch.load(weights, weights_only=True), key: value}, path)
    if key == "infos":
        assert load_model(path).sources  # nothing is needed of it
        return
    with pytest.raises(CheckpointError):
        load_model(path)


@pytest.mark.parametrize(
    "arguments",
    [{"n_freqs": 0}, {"n_freqs": "many"}, {"n_freqs": -1}, {"n_freqs": 10**12}, {"unknown": 1}],
)
def test_a_model_file_of_odd_arguments(weights, tmp_path, arguments):
    path = tmp_path / "model.pth"
    stored = torch.load(weights, weights_only=True)
    torch.save({**stored, "model_args": {**stored["model_args"], **arguments}}, path)
    with pytest.raises(CheckpointError, match="do not fit DJCM"):
        load_model(path)


def test_a_song_given_as_a_model(tmp_path: Path):
    path = tmp_path / "x.wav"
    path.write_bytes(wav_file())
    with pytest.raises(CheckpointError, match="x.wav cannot be read as a model file"):
        load_model(path)

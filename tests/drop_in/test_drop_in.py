"""Interfaces of other programs: the very calls that their users make, found in public sources."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import child_env
from test_knobs import Octaves

from asteroid_joint.drop_in import use_model
from asteroid_joint.drop_in.pitch import chosen_model, mono, rescaled
from asteroid_joint.errors import ConfigError, UserError
from asteroid_joint.inference.voice_pitch import pitch_part

SECONDS, SILENT = 3.0, (1.2, 1.8)  # of a voice, and its rest


def sung_hz(time: np.ndarray) -> np.ndarray:
    """Vibrato about 220 Hz; 0 in the rest."""
    hz = 220 * 2 ** (0.5 * np.sin(2 * np.pi * 5 * time) / 12)
    return np.where((time >= SILENT[0]) & (time < SILENT[1]), 0.0, hz)


def voice(rate: int, seconds: float = SECONDS) -> np.ndarray:
    """A voice of eleven harmonics."""
    time = np.arange(int(seconds * rate)) / rate
    hz = sung_hz(time)
    phase = 2 * np.pi * np.cumsum(hz) / rate
    wav = sum(np.sin(k * phase) / k for k in range(1, 12)) * (hz > 0)
    return (0.1 * wav).astype("f4")


def check(hz: np.ndarray, time: np.ndarray, zero: bool = True) -> None:
    """Frames away from the ends of notes are right to a quarter of a semitone."""
    edges = np.array([0.0, *SILENT, SECONDS])
    clear = np.abs(time[:, None] - edges).min(1) > 0.06
    true = sung_hz(time)
    on = clear & (true > 0)
    assert np.mean(np.abs(12 * np.log2(hz[on] / true[on])) < 0.25) > 0.97
    rest = clear & (true == 0)
    assert rest.any() and ((hz[rest] == 0).mean() > 0.95) == zero


# torchcrepe


def test_torchcrepe_as_rvc_calls_it():
    """RVC-Project, infer/modules/vc/pipeline.py, get_f0 with method crepe."""
    from asteroid_joint.drop_in import torchcrepe

    x, sr, window, device = voice(16000), 16000, 160, torch.device("cpu")
    f0_min, f0_max, model, batch_size = 50, 1100, "full", 512
    audio = torch.tensor(np.copy(x))[None].float()
    f0, pd = torchcrepe.predict(
        audio,
        sr,
        window,
        f0_min,
        f0_max,
        model,
        batch_size=batch_size,
        device=device,
        return_periodicity=True,
    )
    assert f0.shape == pd.shape == (1, 1 + len(x) // 160) and f0.dtype == torch.float32
    pd = torchcrepe.filter.median(pd, 3)
    f0 = torchcrepe.filter.mean(f0, 3)
    f0[pd < 0.1] = 0
    f0 = f0[0].cpu().numpy()
    check(f0, 0.01 * np.arange(len(f0)))


def test_torchcrepe_as_ddsp_svc_calls_it():
    """yxlllc/DDSP-SVC, ddsp/vocoder.py: 5 ms, and its thresholds."""
    from asteroid_joint.drop_in import torchcrepe

    wav = torch.FloatTensor(4 * voice(16000)).unsqueeze(0)  # louder than -60 dB(A)
    f0, pd = torchcrepe.predict(
        *(wav, 16000, 80, 65, 800),
        pad=True,
        model="full",
        batch_size=512,
        device="cpu",
        return_periodicity=True,
    )
    # there it is 4, with which torchcrepe 0.0.24 itself gives a frame too many
    pd = torchcrepe.filter.median(pd, 3)
    pd = torchcrepe.threshold.Silence(-60.0)(pd, wav, 16000, 80)
    f0 = torchcrepe.threshold.At(0.05)(f0, pd)
    f0 = torch.where(torch.isnan(f0), torch.full_like(f0, 0), f0).squeeze(0).numpy()
    check(f0, 0.005 * np.arange(len(f0)))


def test_torchcrepe_alone():
    from asteroid_joint.drop_in import torchcrepe

    audio = torch.from_numpy(voice(44100))[None]
    f0 = torchcrepe.predict(audio, 44100, fmin=300.0, fmax=400.0)
    assert f0.shape == (1, 1 + audio.shape[1] // 441)
    assert f0.min() >= 300 and f0.max() <= 400
    unpadded = torchcrepe.predict(audio, 44100, 441, pad=False)
    assert unpadded.shape[1] == pytest.approx(f0.shape[1] - 6, abs=1)
    for wrong in ({"hop_length": 0}, {"fmin": 500.0, "fmax": 400.0}):
        with pytest.raises(ConfigError):
            torchcrepe.predict(audio, 44100, **wrong)
    with pytest.raises(ConfigError, match="^Expected one channel of samples, received shape"):
        torchcrepe.predict(torch.zeros(2, 1000), 44100)


def test_torchcrepe_looks_for_pitch_in_its_range_only(monkeypatch):
    """As the library: an octave error out of range gives way to the pitch in range."""
    from asteroid_joint.drop_in import torchcrepe

    monkeypatch.setattr(
        "asteroid_joint.drop_in.pitch._pitch_part", lambda *_: pitch_part(Octaves())
    )
    audio = torch.ones(1, 16000) / 10
    for fmin, hz in ((50.0, 110.0), (150.0, 220.0)):
        found, sure = torchcrepe.predict(audio, 16000, fmin=fmin, return_periodicity=True)
        np.testing.assert_allclose(found, hz, rtol=0.01)
        assert (sure > 0.1).all()
    with pytest.raises(ConfigError, match="^This model finds no pitch at 3000 to 4000 Hz"):
        torchcrepe.predict(audio, 16000, fmin=3000.0, fmax=4000.0)


def test_torchcrepe_without_the_library(monkeypatch):
    from asteroid_joint.drop_in import torchcrepe

    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    with pytest.raises(UserError, match=r"torchcrepe is not installed: pip install .*\[eval\]"):
        _ = torchcrepe.filter


# RMVPE


@pytest.mark.parametrize("n_samples", [47999, 48000])
def test_rmvpe_as_rvc_calls_it(n_samples):
    """RVC-Project, infer/modules/train/extract/extract_f0_print.py."""
    from asteroid_joint.drop_in.rmvpe import RMVPE

    x = voice(16000)[:n_samples]
    model_rmvpe = RMVPE("assets/rmvpe/rmvpe.pt", is_half=False, device="cpu")
    f0 = model_rmvpe.infer_from_audio(x, thred=0.03)
    assert isinstance(f0, np.ndarray) and f0.shape == (n_samples // 160 + 1,)
    check(f0, 0.01 * np.arange(len(f0)))
    assert not model_rmvpe.infer_from_audio(x, thred=1.0).any()


# DiffSinger, DDSP-SVC


@pytest.mark.parametrize("interp_uv", [True, False])
def test_get_pitch_as_diffsinger_calls_it(interp_uv):
    """openvpi/DiffSinger, preprocessing/acoustic_binarizer.py; and the call of older versions."""
    from asteroid_joint.drop_in.diffsinger import get_pitch, initialize_pe

    hparams = {"audio_sample_rate": 44100, "hop_size": 512, "f0_min": 65, "f0_max": 1100}
    waveform = voice(44100)
    length = len(waveform) // 512
    pitch_extractor = initialize_pe()
    f0, uv = pitch_extractor.get_pitch(
        waveform,
        samplerate=hparams["audio_sample_rate"],
        length=length,
        hop_size=hparams["hop_size"],
        f0_min=hparams["f0_min"],
        f0_max=hparams["f0_max"],
        interp_uv=interp_uv,
    )
    assert f0.shape == uv.shape == (length,) and uv.dtype == bool and not uv.all()
    check(np.where(uv, 0, f0), np.arange(length) * 512 / 44100)
    assert (f0 > 0).all() == interp_uv
    older = pitch_extractor.get_pitch(waveform, length, hparams, interp_uv=interp_uv)
    plain = get_pitch(waveform, 44100, length, 512, interp_uv)
    for again in (older, plain):
        np.testing.assert_array_equal(again[0], f0)
        np.testing.assert_array_equal(again[1], uv)
    with pytest.raises(ConfigError, match="^get_pitch needs length and hop_size: give both.$"):
        pitch_extractor.get_pitch(waveform, 44100, length)


def test_f0_extractor_as_ddsp_svc_calls_it():
    """yxlllc/DDSP-SVC, preprocess.py and main.py."""
    from asteroid_joint.drop_in.ddsp_svc import F0_Extractor

    audio = voice(44100)
    f0_extractor = F0_Extractor("rmvpe", 44100, 512, 65, 800)
    f0 = f0_extractor.extract(audio, uv_interp=False)
    assert f0.shape == (len(audio) // 512 + 1,)
    check(f0, np.arange(len(f0)) * 512 / 44100)
    f0 = f0_extractor.extract(audio, uv_interp=True, device="cpu", silence_front=0.5)
    check(f0[50:], np.arange(50, len(f0)) * 512 / 44100, zero=False)
    assert f0.min() >= 65


# SwiftF0


def test_swift_f0_as_its_users_call_it(tmp_path):
    """Versions 0.1: arrays and files, ``voicing``; later ones: ``detect`` and ``detect_file``."""
    from asteroid_joint.drop_in.swift_f0 import SwiftF0

    y, sr = voice(22050), 22050
    result = SwiftF0(fmin=47.0, fmax=2093.0).detect_from_array(np.asarray(y, np.float32), sr)
    assert np.allclose(result.timestamps, 0.016 * np.arange(len(y) * 16000 // sr // 256))
    sizes = {len(getattr(result, name)) for name in ("pitch_hz", "confidence", "voicing")}
    assert sizes == {len(result.timestamps)} and result.voicing.dtype == bool
    check(np.where(result.voicing, result.pitch_hz, 0), result.timestamps)
    assert ((result.confidence > 0.9) == result.voicing).all()
    strict = SwiftF0(confidence_threshold=0.35).detect_from_array(y, sr)
    np.testing.assert_array_equal(strict.confidence > 0.35, strict.voicing)
    sf.write(tmp_path / "voice.wav", np.stack([y, y], 1), sr, subtype="FLOAT")
    later = SwiftF0(threads=1, spin=False).detect_file(tmp_path / "voice.wav")
    np.testing.assert_allclose(later.pitch_hz, result.pitch_hz, rtol=1e-4)
    np.testing.assert_array_equal(later.confidence >= 0.5, result.voicing)
    opposite = SwiftF0(fmin=47.0, fmax=2093.0).detect_from_array(np.stack([y, -y], 1), sr)
    np.testing.assert_array_equal(opposite.voicing, result.voicing)
    integers = SwiftF0().detect((y * 32767).astype(np.int16)[:, None], sr, fmin=100.0)
    assert np.mean(integers.voicing == result.voicing) > 0.98
    with pytest.raises(ConfigError, match="^confidence_threshold is 2: give one between"):
        SwiftF0(confidence_threshold=2)


# audio-separator


@pytest.fixture
def song(tmp_path) -> Path:
    """A voice over noise, stereo, 16 bits."""
    band = np.random.default_rng(0).normal(0, 0.02, (2, 22050)).astype("f4")
    sf.write(tmp_path / "My song.wav", (voice(22050, 1.0) + band).T, 22050, subtype="PCM_16")
    return tmp_path / "My song.wav"


def test_separator_as_karaoke_gen_calls_it(song, tmp_path, monkeypatch):
    """nomadkaraoke/karaoke-gen, karaoke_gen/audio_processor.py, separate_audio."""
    import logging

    from asteroid_joint.drop_in.audio_separator import Separator

    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    model_name = "model_bs_roformer_ep_317_sdr_12.9755.ckpt"
    separator = Separator(
        log_level=logging.INFO,
        log_formatter=logging.Formatter("%(message)s"),
        model_file_dir="/nowhere/models",
        output_format="FLAC",
    )
    separator.load_model(model_filename=model_name)
    output_files = separator.separate(os.fspath(song))
    for file in output_files:
        if "(Vocals)" in file:
            shutil.move(file, tmp_path / "vocals.flac")
        elif "(Instrumental)" in file:
            shutil.move(file, tmp_path / "instrumental.flac")
    assert output_files == [
        "My song_(Instrumental)_model_bs_roformer_ep_317_sdr_12.9755.flac",
        "My song_(Vocals)_model_bs_roformer_ep_317_sdr_12.9755.flac",
    ]
    assert list((tmp_path / "work").iterdir()) == []
    mix, _ = sf.read(song, dtype="int32")
    parts = [sf.read(tmp_path / f"{n}.flac", dtype="int32")[0] for n in ("vocals", "instrumental")]
    np.testing.assert_array_equal(parts[0] + parts[1], mix)


def test_separator_with_names_and_one_stem(song, tmp_path):
    from asteroid_joint.drop_in.audio_separator import Separator

    separator = Separator(output_dir=tmp_path / "a", output_single_stem="Vocals")
    with pytest.raises(ConfigError, match=r"^No model is loaded: call load_model\(\)"):
        separator.separate(song)
    separator.load_model()
    assert separator.separate([str(song)]) == [f"My song_(Vocals)_{chosen_model()}.wav"]
    separator = Separator(output_dir=str(tmp_path / "b"))
    separator.load_model()
    names = {"Vocals": "v", "instrumental": "i"}
    assert separator.separate(str(tmp_path / "a"), custom_output_names=names) == ["i.wav", "v.wav"]
    assert sorted(os.listdir(tmp_path / "b")) == ["i.wav", "v.wav"]
    with pytest.raises(UserError, match="There is no file"):
        separator.separate(str(tmp_path / "none.wav"))
    for wrong in ({"output_format": "M4A"}, {"output_single_stem": "Drums"}):
        with pytest.raises(ConfigError, match="^There is no (format|stem) "):
            Separator(**wrong)


# Demucs


def test_demucs_as_ultrasinger_calls_it(song, tmp_path):
    """rakuri255/UltraSinger, src/modules/Audio/separation.py, separate_audio."""
    from asteroid_joint.drop_in import demucs

    device, output_folder, input_file_path = "cpu", tmp_path / "cache", song
    demucs.separate.main(
        [
            *("--two-stems", "vocals"),
            *("-d", f"{device}"),
            "--float32",
            *("-n", "htdemucs"),
            *("--out", f"{os.path.join(output_folder, 'separated')}"),
            f"{input_file_path}",
        ]
    )
    folder = tmp_path / "cache" / "separated" / "htdemucs" / "My song"
    assert sorted(os.listdir(folder)) == ["no_vocals.wav", "vocals.wav"]
    assert sorted(os.listdir(folder.parent)) == ["My song"]


def test_demucs_with_other_options(song, tmp_path):
    from asteroid_joint.drop_in.demucs.separate import main

    call = ["--two-stems=vocals", "-o", str(tmp_path / "o"), "--mp3", "--mp3-bitrate", "320"]
    main([*call, "--filename", "{track} {stem}.{ext}", "-j", "2", str(song)])
    expected = ["My song no_vocals.mp3", "My song vocals.mp3"]
    assert sorted(os.listdir(tmp_path / "o" / "htdemucs")) == expected
    for wrong, sentence in {
        (str(song),): "Only the voice is separated: give --two-stems vocals.",
        ("--two-stems", "drums", str(song)): "Only the voice is separated",
        (*call, "--filename", "../{stem}.{ext}", str(song)): "The pattern .* leaves the folder",
        (*call, "--filename", "{title}", str(song)): "The pattern .* is not valid: correct it.",
        (*call, str(tmp_path / "none.wav")): "There is no file .*none.wav",
    }.items():
        with pytest.raises(UserError, match=f"^{sentence}"):
            main(list(wrong))


# What they share


def test_samples_of_any_kind():
    assert mono(np.array([16384], np.int16)).tolist() == [0.5]
    assert mono(torch.ones(1, 3)).shape == (3,)
    for wrong in (np.zeros(0), np.zeros((2, 3)), 1.0):
        with pytest.raises(ConfigError, match="^Expected one channel"):
            mono(wrong)


def test_confidence_keeps_its_order():
    own = np.linspace(0, 1, 11)
    theirs = rescaled(own, 0.72, 0.03)
    assert (np.diff(theirs) > 0).all() and theirs[[0, -1]].tolist() == [0.0, 1.0]
    np.testing.assert_array_equal(own > 0.72, theirs > 0.03)


def test_another_model(weights):
    from asteroid_joint.drop_in.rmvpe import RMVPE

    before = chosen_model()
    try:
        use_model("no such model")
        with pytest.raises(UserError, match="^There is no model 'no such model'"):
            RMVPE().infer_from_audio(voice(16000, 0.1))
        use_model(weights)
        assert RMVPE().infer_from_audio(voice(16000, 0.1)).shape == (11,)
    finally:
        use_model(before)


def test_importing_them_does_not_load_torch():
    code = (
        "import sys\n"
        "from asteroid_joint.drop_in import audio_separator, ddsp_svc, diffsinger, rmvpe\n"
        "from asteroid_joint.drop_in import swift_f0, torchcrepe\n"
        "print('torch' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, env=child_env(), capture_output=True, text=True, timeout=100)
    assert done.stdout.strip() == "False", done.stderr

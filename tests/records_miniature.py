"""The sets of the recipe on records in little; nothing is downloaded."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf

RATE = 16000
STEM_RATE = 44100
BAND = ("drums", "bass", "other")


def write_stem_mp4(path: Path, seed: int, seconds: float = 1.0) -> None:
    """A file as MUSDB18 has them: five streams of AAC, the first a mixture of its own."""
    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream("aac", rate=STEM_RATE, layout="stereo") for _ in range(5)]
        for n, stream in enumerate(streams):
            sec = np.arange(int(seconds * STEM_RATE)) / STEM_RATE
            tone = 0.1 * np.sin(2 * np.pi * 220 * (n + 1) * sec + rng.uniform(0, 6))
            wav = np.stack([tone, 0.5 * tone]).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(wav, "fltp", "stereo")
            frame.sample_rate = STEM_RATE
            for packet in [*stream.encode(frame), *stream.encode(None)]:
                container.mux(packet)


def write_song(folder: Path, seed: int, stems: tuple[str, ...], suffix: str = ".wav") -> None:
    """A folder of a file per stem, without a mixture."""
    from conftest import play, sing  # which imports this module

    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    voice, f0_at = sing(rng, RATE)
    for name in stems:
        sf.write(folder / f"{name}{suffix}", voice if name == "vocals" else play(rng, RATE), RATE)
    times = 0.02 * np.arange(50)
    rows = [f"{sec:.2f},{hz:.2f}\n" for sec, hz in zip(times, f0_at(times), strict=True)]
    rows[7] = "0.14,nan\n"
    (folder / "vocals_f0.csv").write_text("time,f0_hz\n" + "".join(rows))


@pytest.fixture(scope="session")
def records_dir(made_once, mir1k_dir, corpus_dir) -> Path:
    """The sets of the recipe on records; to be read only."""

    def make(root: Path) -> None:
        root.mkdir()
        (root / "mir1k").symlink_to(mir1k_dir)
        (root / "corpus").symlink_to(corpus_dir)
        for seed, name in enumerate(("train/A - One", "train/B - Two", "valid/C - Three")):
            write_song(root / "musdb7" / name, seed, ("vocals", *BAND), ".ogg")
        for seed, name in enumerate(("D - Four", "E - Five")):
            write_stem_mp4(root / f"musdb7/test/{name}.stem.mp4", seed)
            (root / f"musdb7/test/{name}_f0.csv").write_text("time,f0_hz\n0,0\n0.5,1100\n")
        for seed, name in enumerate(("eir", "mt5")):
            write_song(root / name / "song", seed, ("vocals", "accompaniment"))
        for seed, name in enumerate(("csd", "ssvd")):
            write_song(root / name, seed, ("vocals",), ".ogg")
        for seed, name in enumerate(("train", "valid", "test")):
            write_song(root / "music" / name, seed, ("other",))
            (root / "music" / name / "vocals_f0.csv").unlink()

    return made_once("records", make)

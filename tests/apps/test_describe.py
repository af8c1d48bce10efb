"""The report on sets of songs: known balance, level and share of singing; layouts; files."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import MIR1K_CLIPS, TRACKS, write_track

from asteroid_joint.apps.describe import measure
from asteroid_joint.apps.describe.measure import SongFacts, measure_set
from asteroid_joint.apps.describe.report import MEASURES, draw, summary
from asteroid_joint.apps.describe.sets import find_sets
from asteroid_joint.cli import main
from asteroid_joint.data.base import Clip, JointDataset
from asteroid_joint.errors import ConfigError, DataError

RATE = 8000


class InMemory(JointDataset):
    """Stereo clips that are given; remembers how much was read at a time."""

    sample_rate = RATE
    n_channels = 2

    def __init__(self, songs: dict[str, np.ndarray]) -> None:
        self.wavs = list(songs.values())  # (S, C, T) each
        self.clips = [
            Clip(name, name.split("/")[0], "", wav.shape[-1]) for name, wav in songs.items()
        ]
        self.longest = 0

    def read(self, index: int, start: int = 0, n_samples: int | None = None):
        stop = None if n_samples is None else start + n_samples
        sources = self.wavs[index][..., start:stop].astype(np.float32)
        self.longest = max(self.longest, sources.shape[-1])
        return sources.sum(0), sources


def song(sung_sec: float, seconds: float, vocals: float = 0.2, rest: float = 0.1) -> np.ndarray:
    """Square waves (``rms`` = amplitude) in different octaves: energies add up exactly."""
    sec = np.arange(round(seconds * RATE)) / RATE
    voice = vocals * np.sign(np.sin(2 * np.pi * (1000 * sec + 1 / 16))) * (sec < sung_sec - 1e-9)
    band = rest * np.sign(np.sin(2 * np.pi * (250 * sec + 1 / 64)))
    return np.stack([voice, band])[:, None].repeat(2, 1)


def test_a_song_with_known_answers():
    (facts,) = measure_set("x", [InMemory({"a": song(3.0, 12.0)})])
    assert facts[:3] == ("x", "a", 12.0)
    # four times the power in a quarter of the time
    assert facts.vocals_db == pytest.approx(0.0, abs=1e-5)
    assert facts.level_db == pytest.approx(10 * np.log10(0.25 * 0.05 + 0.75 * 0.01), abs=1e-5)
    assert facts.vocal_share == 0.25
    (louder,) = measure_set("x", [InMemory({"a": 2 * song(3.0, 12.0, rest=0.05)})])
    assert louder.vocals_db == pytest.approx(20 * np.log10(2), abs=1e-5)


@pytest.mark.parametrize(("level", "share"), [(4.9e-4, 0.0), (5.1e-4, 0.5)])
def test_the_threshold_of_vocals(level, share):
    (facts,) = measure_set("x", [InMemory({"a": song(1.0, 2.0, vocals=level)})])
    assert facts.vocal_share == share


def test_clips_of_a_song_and_sides_count_together():
    clips = {"a/1": song(1.0, 1.0), "b/1": song(0.0, 1.0)}
    datasets = [InMemory(clips), InMemory({"a/2": song(0.0, 3.0)})]
    seen = []
    a, b = measure_set("x", datasets, lambda: seen.append(1))
    assert (a.song, a.seconds, a.vocal_share) == ("a", 4.0, 0.25) and len(seen) == 3
    assert a.vocals_db == pytest.approx(0.0, abs=1e-5)
    assert (b.song, b.vocals_db, b.vocal_share) == ("b", None, 0.0)  # nobody sings in b


def test_long_songs_are_read_in_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    wav = 0.1 * rng.standard_normal((2, 2, 100 * RATE + 37)) * (rng.random(100 * RATE + 37) > 0.5)
    wav[0, :, 20 * RATE : 70 * RATE] = 0
    dataset = InMemory({"a": wav})
    (facts,) = measure_set("x", [dataset])
    assert dataset.longest == measure.BLOCK_SEC * RATE
    monkeypatch.setattr(measure, "BLOCK_SEC", 1000)
    (whole,) = measure_set("x", [dataset])
    assert facts.vocal_share == whole.vocal_share == pytest.approx(0.5, abs=0.01)
    assert facts[3:5] == pytest.approx(whole[3:5])


def test_what_has_no_answer_is_left_out_and_said():
    facts = measure_set("x", [InMemory({"a": song(0, 1.0, rest=0.0), "b": song(1.0, 1.0)})])
    assert facts[0] == SongFacts("x", "a", 1.0, None, None, 0.0)
    text = summary({"x": facts})
    assert "1 of 2 songs have no vocals over accompaniment" in text
    assert "1 of 2 songs have no level" in text
    assert text.splitlines()[2].endswith(
        "| 6.0 (6.0 to 6.0) | -13.0 (-13.0 to -13.0) | 50.0 (25.0 to 75.0) |"
    )


# Layouts


def test_layouts_are_known_by_their_content(mir1k_dir, tracks):
    mir1k, multitrack = find_sets([str(mir1k_dir), f"mine={tracks}"])
    assert mir1k.name == "MIR-1K" and sum(map(len, mir1k.datasets)) == len(MIR1K_CLIPS)
    assert multitrack.name == "mine" and [len(d) for d in multitrack.datasets] == [3, 2]
    songs = measure_set(mir1k.name, mir1k.datasets)
    assert [s.song for s in songs] == sorted({c.rsplit("_", 1)[0] for c in MIR1K_CLIPS})
    wav, _ = sf.read(mir1k_dir / "Wavfile" / "bug_1_01.wav")  # left accompaniment, right voice
    expected = 10 * np.log10(np.square(wav[:, 1]).sum() / np.square(wav[:, 0]).sum())
    bug = next(s for s in songs if s.song == "bug_1")
    assert bug.vocals_db == pytest.approx(expected, abs=1e-4)
    one = measure_set("mine", multitrack.datasets)[-2]
    assert len(measure_set("mine", multitrack.datasets)) == len(sum(TRACKS.values(), ()))
    assert one.seconds == pytest.approx(2.2, abs=0.2) and 0.8 < one.vocal_share < 0.9


def test_parts(mir1k_dir, tracks):
    names = ["m:first_half", "m:second_half", "m:valid"]
    halves = find_sets([f"{name}={mir1k_dir}" for name in names])
    clips = [{clip.name for clip in one.datasets[0].clips} for one in halves]
    assert [one.name for one in halves] == names and not clips[0] & clips[1]
    assert clips[0] | clips[1] == {"amy_1_01", "amy_1_02", "amy_2_01", "fdps_1_01"}
    assert clips[2] == {"bug_1_01", "bug_2_01", "jmzen_1_01"}
    (test,) = find_sets([f"t:test={tracks}"])
    assert [clip.name for clip in test.datasets[0].clips] == ["five", "four"]
    for call, error in (
        (f"t:valid={tracks}", "There are no tracks in"),
        (f"t:third={tracks}", "no part 'third'"),
        (f"t:first_half={tracks}", "not MIR-1K"),
        (f"={tracks}", "has no name before"),
    ):
        with pytest.raises((ConfigError, DataError), match=error):
            find_sets([call])


def test_sets_with_labels_only_have_level_and_share(tmp_path):
    root = tmp_path / "songs=loud"  # a folder may have = in its name
    (root / "train").mkdir(parents=True)
    for name, rows in (("a", "1,2\n"), ("b", "")):
        sf.write(root / "train" / f"{name}.wav", np.full(4 * RATE, 0.1), RATE, subtype="FLOAT")
        (root / "train" / f"{name}.activity.csv").write_text("start,end\n" + rows)
    sf.write(root / "train" / "c.wav", np.full(4 * RATE, 0.1), RATE, subtype="FLOAT")
    (one,) = find_sets([str(root)])
    assert one.name == "songs=loud"
    a, b, c = measure_set(one.name, one.datasets)
    assert [s.vocal_share for s in (a, b, c)] == [0.25, 0.0, None]
    assert a.vocals_db is None and a.level_db == pytest.approx(-20.0, abs=1e-4)


def test_sets_of_mixed_formats_are_measured_in_one(tmp_path):
    for name, rate, shape in (("a", RATE, (1,)), ("b", 2 * RATE, (1,)), ("c", RATE, (1, 2))):
        path = tmp_path / "labels" / "train" / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, np.full((4 * rate, *shape[1:]), 0.1), rate, subtype="FLOAT")
        path.with_name(f"{name}.activity.csv").write_text("1,2\n")
    (one,) = find_sets([str(tmp_path / "labels")])
    assert "converted to 44100 Hz and mono. labels: " in one.note  # there are no other sides
    for facts in measure_set(one.name, one.datasets):
        assert (facts.seconds, facts.vocal_share) == (4.0, 0.25)
        assert facts.level_db == pytest.approx(-20.0, abs=0.05)
    for index, name in enumerate("xy"):
        write_track(tmp_path / "tracks" / "train" / name, index)
    for path in (tmp_path / "tracks" / "train" / "x").glob("*.wav"):
        wav, rate = sf.read(path)
        sf.write(path, wav[:, 0], rate)
    (one,) = find_sets([str(tmp_path / "tracks")])
    assert one.note == "tracks: tracks differ in channels, so all were mixed down to mono."
    assert [len(d) for d in one.datasets] == [2] and one.datasets[0].n_channels == 1
    write_track(tmp_path / "tracks" / "train" / "z", 2, rate=22050)
    with pytest.raises(DataError, match="at different sample rates: .* asteroid_joint.data.resam"):
        find_sets([str(tmp_path / "tracks")])


# The command


def test_the_command_writes_table_summary_and_picture(mir1k_dir, tracks, tmp_path, capsys):
    out = tmp_path / "new" / "report"
    assert main(["describe", str(mir1k_dir), f"tracks={tracks}", "-o", str(out)]) == 0
    said = capsys.readouterr()
    assert said.err == "" and said.out.splitlines()[-1] == str(out)
    assert (out / "summary.md").read_text() in said.out
    assert sorted(path.name for path in out.iterdir()) == [
        "describe.png",
        "songs.csv",
        "summary.md",
    ]
    with open(out / "songs.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["dataset"] for row in rows} == {"MIR-1K", "tracks"}
    shares = sorted(float(r["vocal_share"]) for r in rows if r["dataset"] == "tracks")
    assert f"| {100 * shares[2]:.1f} (" in (out / "summary.md").read_text()  # the median
    assert (out / "describe.png").read_bytes()[:4] == b"\x89PNG"


def test_the_picture_is_wide_and_shows_each_set_in_its_color(tmp_path):
    from matplotlib.colors import to_rgb
    from matplotlib.image import imread

    from asteroid_joint.apps.describe.report import COLORS

    rng = np.random.default_rng(0)
    songs = {
        f"set {i}": [
            SongFacts(f"set {i}", str(k), 60.0, rng.normal(-5 * i), rng.normal(-20), rng.random())
            for k in range(n)
        ]
        for i, n in enumerate((200, 8, 1))
    }
    songs["no stems"] = [SongFacts("no stems", "a", 60.0, None, -20.0, None)]
    draw(tmp_path / "describe.png", songs)
    image = imread(tmp_path / "describe.png")[..., :3]  # (height, width, 3)
    assert image.shape[1] == 1200
    for color in COLORS[:4]:  # the medians are drawn in full
        assert (np.abs(image - to_rgb(color)).max(-1) < 0.01).sum() > 50
    assert len(MEASURES) == 3


@pytest.mark.parametrize("fault", ["none", "file", "empty", "twice", "damaged", "out"])
def test_errors_are_one_sentence(fault, tracks, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    sets = {
        "none": [str(tmp_path / "nowhere")],
        "file": [__file__],
        "empty": [str(tmp_path / "empty")],
        "twice": [f"x={tracks}", f"x={tracks}"],
        "damaged": [str(tmp_path / "set")],
        "out": [str(tracks)],
    }[fault]
    message = {
        "none": "There is no folder",
        "file": "There is no folder",
        "empty": "does not contain a known set of songs: expected Wavfile",
        "twice": "Two sets are called x",
        "damaged": "vocals.wav is missing or not an audio file",
        "out": "cannot be written to",
    }[fault]
    if fault == "damaged":
        write_track(tmp_path / "set" / "train" / "one", 0)
        (tmp_path / "set" / "train" / "one" / "vocals.wav").write_bytes(b"RIFF")
    if fault == "out":
        out.write_text("a file")
    assert main(["describe", *sets, "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said
    assert fault == "out" or not out.exists()


def test_a_report_replaces_an_earlier_one(tracks, tmp_path):
    copy, out = Path(shutil.copytree(tracks, tmp_path / "set")), tmp_path / "out"
    assert main(["describe", str(copy), "-o", str(out)]) == 0
    before = len((out / "songs.csv").read_text().splitlines())
    shutil.rmtree(copy / "train" / "one")
    assert main(["describe", str(copy), "-o", str(out)]) == 0
    assert len((out / "songs.csv").read_text().splitlines()) == before - 1 == 5

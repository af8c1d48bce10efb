"""The report on a corpus: numbers of known signals, and of a small corpus."""

import json
import shutil

import numpy as np
import pytest
import soundfile as sf

from asteroid_joint.apps.corpus.describe import (
    describe_corpus,
    evenly,
    stratified,
    vibrato,
)
from asteroid_joint.apps.corpus.make import CorpusOptions, make_corpus
from asteroid_joint.apps.corpus.singers import SINGERS
from asteroid_joint.errors import DataError, UserError


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """Three tracks of five seconds; to be read only."""
    return make_corpus(tmp_path_factory.mktemp("corpus") / "c", CorpusOptions(3, 5.0))


@pytest.fixture(scope="module")
def described(corpus, tmp_path_factory):
    """Markdown, numbers and folder of the report without torchcrepe."""
    out = tmp_path_factory.mktemp("report") / "new" / "folder"
    text = describe_corpus(corpus, out, "none")
    return text, json.loads((out / "report.json").read_text()), out


@pytest.fixture
def one_track(corpus, tmp_path):
    """A corpus of the test side alone, to be changed."""
    shutil.copytree(corpus / "test", tmp_path / "c" / "test")
    shutil.copy(corpus / "corpus.json", tmp_path / "c")
    return tmp_path / "c"


def test_files_are_written_and_complete(described, corpus):
    text, numbers, out = described
    tracks = [row["track"] for row in numbers["tracks"]]
    assert {path.name for path in out.iterdir()} == {
        *("report.md", "report.json", "report.png"),
        *(f"{track}.png" for track in tracks),
    }
    assert {track.split("_")[0] for track in tracks} == {"train", "valid", "test"}
    assert (out / "report.md").read_text() == text
    for path in out.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG") and path.stat().st_size > 20_000
    assert all(f"![{track}]({track}.png)" in text for track in tracks)
    assert "torchcrepe" not in text.split("## Definitions")[0]


def test_numbers_of_a_corpus(described, corpus):
    _, numbers, _ = described
    assert numbers["whole"] and numbers["stratified"]
    assert numbers["sides"]["all"]["exact_sums"] == 3
    for row in numbers["tracks"]:
        meta = json.loads((corpus / row["side"] / row["track"] / "meta.json").read_text())
        singer = SINGERS[row["singer"]]
        low, high = (440 * 2 ** ((k - 69) / 12) for k in (singer.low_midi, singer.high_midi))
        # scoops and overshoot leave the range by less than three semitones
        assert 2 ** (-3 / 12) * low < row["f0_min_hz"] < row["f0_median_hz"] < high
        assert row["f0_max_hz"] < 2 ** (3 / 12) * high
        assert row["voiced_share"] == pytest.approx(meta["voiced_share"], abs=1e-3)
        assert row["voiced_share"] < row["singing_share"] < 1
        assert row["voice_db"] == pytest.approx(meta["voice_db"], abs=0.2)
        # over rests too, where only the band plays
        assert row["mixture_sdr"] < row["voice_db"]
        counts = numbers["sides"][row["side"]]["f0_frames_by_midi"]
        assert min(map(int, counts)) >= singer.low_midi - 3
        assert max(map(int, counts)) <= singer.high_midi + 3
        assert sum(counts.values()) == round(row["voiced_share"] * row["seconds"] / 0.005)


def test_a_sample_off_is_no_exact_sum(one_track, tmp_path):
    path = next(one_track.glob("test/*/bass.wav"))
    wav, rate = sf.read(path, dtype="int16")
    wav[1000, 1] += 1
    sf.write(path, wav, rate, subtype="PCM_16")
    text = describe_corpus(one_track, tmp_path / "r", "none")
    assert "| 0 of 1 tracks | all |" in text
    assert "Measured: 1 of 3 tracks." in text and "not checked on a part" in text


def test_a_loud_consonant_is_uneven(described, one_track, tmp_path):
    path = next(one_track.glob("test/*/vocals.wav"))
    wav, rate = sf.read(path)
    f0_hz = np.loadtxt(path.with_name("vocals_f0.csv"), delimiter=",", skiprows=1)
    start = int(f0_hz[np.flatnonzero(f0_hz[:, 1])[20], 0] * rate)
    wav *= 0.01
    wav[start : start + rate // 20] *= 100
    sf.write(path, wav, rate, subtype="PCM_16")
    describe_corpus(one_track, tmp_path / "r", "none")
    row = json.loads((tmp_path / "r" / "report.json").read_text())["tracks"][0]
    before = next(r for r in described[1]["tracks"] if r["track"] == row["track"])
    assert row["evenness_db"] < -15 < -10 < before["evenness_db"]


def sung(rate_hz, cents, sec=1.0, glide=60.0):
    t = np.arange(round(sec / 0.005)) * 0.005
    return 220 * 2 ** ((cents * np.sin(2 * np.pi * rate_hz * t + 0.7) + glide * t) / 1200)


@pytest.mark.parametrize("rate_hz, cents, sec", [(5.5, 50, 1.0), (4.6, 20, 0.5), (7.1, 80, 3.0)])
def test_vibrato_of_a_known_curve(rate_hz, cents, sec):
    found_hz, found_cents = vibrato(sung(rate_hz, cents, sec))
    assert found_hz == pytest.approx(rate_hz, abs=0.1)
    assert found_cents == pytest.approx(cents, abs=5)


def test_what_is_no_vibrato():
    rng = np.random.default_rng(0)
    assert vibrato(sung(5.5, 50, sec=0.2)) is None  # less than a cycle of 4 Hz
    assert vibrato(sung(0, 0)) is None
    assert vibrato(sung(1.5, 50, sec=2.0)) is None
    assert vibrato(sung(14.0, 50)) is None
    assert vibrato(220 * 2 ** (rng.normal(0, 20, 200) / 1200)) is None
    assert vibrato(np.zeros(0)) is None


def test_levels_in_one_step_each_are_spread_evenly():
    rows = [{"side": "train", "voice_db": x} for x in (1.0, -4.0, -2.0)]  # steps of 7 / 3 dB
    rows += [{"side": side, "voice_db": -1.0} for side in ("valid", "test")]
    assert stratified(rows)
    rows[0]["voice_db"] = -0.6
    assert not stratified(rows)


def test_torchcrepe_agrees_on_the_clean_voice(one_track, tmp_path):
    np.random.seed(5)
    expected = np.random.RandomState(5).random_sample(3)
    text = describe_corpus(one_track, tmp_path / "r", "tiny")
    np.testing.assert_array_equal(np.random.random_sample(3), expected)  # left as it was
    row = json.loads((tmp_path / "r" / "report.json").read_text())["tracks"][0]
    assert row["clean_rpa"] > 0.85
    assert row["clean_rca"] >= row["clean_rpa"]
    assert row["clean_vr"] > 0.85 and row["clean_vfa"] < 0.2
    # with the band, frames that nobody sings sound pitched
    assert row["mixture_vfa"] > row["clean_vfa"] + 0.1
    assert f"| test | {row['clean_rpa']:.3f} |" in text


def test_tracks_are_chosen_evenly():
    assert evenly(9, 3) == [0, 4, 8]
    assert evenly(5, 0) == [0, 1, 2, 3, 4]
    assert evenly(2, 9) == [0, 1]
    assert evenly(7, 1) == [0]


@pytest.mark.parametrize("content", [None, "no json", "[]", '{"settings": {}}'])
def test_what_is_no_corpus_is_said_in_one_sentence(content, tmp_path):
    if content is not None:
        (tmp_path / "corpus.json").write_text(content)
    with pytest.raises(DataError, match="is not a corpus: give|is damaged: make") as caught:
        describe_corpus(tmp_path, tmp_path / "r", "none")
    assert str(tmp_path) in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_a_corpus_without_tracks(corpus, tmp_path):
    shutil.copy(corpus / "corpus.json", tmp_path)
    with pytest.raises(DataError, match="contains no tracks"):
        describe_corpus(tmp_path, tmp_path / "r", "none")


def test_wrong_arguments(corpus, tmp_path):
    with pytest.raises(UserError, match="give full, tiny or none"):
        describe_corpus(corpus, tmp_path / "r", "huge")
    with pytest.raises(UserError, match="--tracks -1"):
        describe_corpus(corpus, tmp_path / "r", "none", n_tracks=-1)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        describe_corpus(corpus, tmp_path / "file", "none")

"""When somebody sings: probabilities of a model, segments of them, the file that holds these."""

import tracemalloc

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import write_track
from fake_models import FourStems, Halves

from asteroid_joint import DJCM, JointModel, JointOutput, PitchGrid
from asteroid_joint.cli import main
from asteroid_joint.data.multitrack import Multitrack
from asteroid_joint.engine.evaluation.systems import NativeEstimator
from asteroid_joint.errors import ConfigError
from asteroid_joint.inference.activity import SegmentRules, SegmentTracker, segments
from asteroid_joint.inference.separate import separate_array, separate_file

HOP = 0.02  # seconds


class Loud(JointModel):
    """Sings where it is loud: the activity logit is known from the sample at a frame's centre."""

    def __init__(self, sample_rate: int = 16000) -> None:
        super().__init__(sample_rate, PitchGrid(sample_rate // 50, sample_rate), has_pitch=False)

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        level = wav[:, 0, :: self.pitch_grid.hop_length].abs()  # (B, N)
        return JointOutput(torch.cat([wav, wav], 1) / 2, activity_logits=20 * (level - 0.25))


def frames(*parts: tuple[float, float]) -> np.ndarray:
    """Probabilities that last for so many seconds each."""
    return np.concatenate([np.full(round(sec / HOP), value) for value, sec in parts])


def found(*parts: tuple[float, float], **rules: float) -> list[list[float]]:
    probability = frames(*parts)
    times = HOP * (0.5 + np.arange(len(probability)))  # a frame covers [n, n + 1) hops
    return segments(probability, times, SegmentRules(**rules)).round(6).tolist()


# Segments


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([(0.0, 1.0)], []),
        ([(1.0, 1.0)], [[0.0, 1.0]]),
        ([(0.1, 1.0), (0.9, 1.0), (0.1, 1.0)], [[1.0, 2.0]]),
        # above `off` alone is nothing; together with what reaches `on` it counts, on both sides
        ([(0.4, 3.0)], []),
        ([(0.1, 1.0), (0.4, 0.5), (0.5, 0.1), (0.4, 0.5), (0.1, 1.0)], [[1.0, 2.1]]),
        ([(0.1, 1.0), (0.9, 1.0), (0.34, 1.0), (0.4, 1.0)], [[1.0, 2.0]]),
        # a gap of 0.3 s parts, a shorter one does not
        ([(0.9, 1.0), (0.1, 0.28), (0.9, 1.0)], [[0.0, 2.28]]),
        ([(0.9, 1.0), (0.1, 0.3), (0.9, 1.0)], [[0.0, 1.0], [1.3, 2.3]]),
        # shorter than 0.2 s is nothing, unless short gaps make it longer
        ([(0.1, 1.0), (0.9, 0.18), (0.1, 1.0)], []),
        ([(0.1, 1.0), (0.9, 0.2), (0.1, 1.0)], [[1.0, 1.2]]),
        ([(0.1, 1.0), (0.9, 0.1), (0.1, 0.1), (0.9, 0.1), (0.1, 1.0)], [[1.0, 1.3]]),
        ([(0.9, 0.1), (0.1, 1.0), (0.9, 0.1)], []),
        # a stretch that reaches `on` only long after it began joins from its beginning
        ([(0.9, 1.0), (0.1, 0.2), (0.4, 2.0), (0.9, 0.1), (0.1, 1.0)], [[0.0, 3.3]]),
        ([(0.9, 1.0), (0.1, 0.2), (0.4, 2.0), (0.1, 1.0)], [[0.0, 1.0]]),
        ([(0.9, 1.0), (np.nan, 1.0), (0.9, 1.0)], [[0.0, 1.0], [2.0, 3.0]]),
    ],
)
def test_segments_of_sequences_with_known_answers(parts, expected):
    assert found(*parts) == expected


def test_the_rules_are_those_that_are_given():
    parts = [(0.1, 1.0), (0.45, 0.1), (0.1, 0.5), (0.45, 0.1), (0.1, 1.0)]
    assert found(*parts) == []
    loose = {"on": 0.45, "off": 0.2, "min_sec": 0.0}
    assert found(*parts, **loose) == [[1.0, 1.1], [1.6, 1.7]]
    assert found(*parts, **loose, gap_sec=0.6) == [[1.0, 1.7]]
    for wrong in ({"on": 0.3}, {"off": 0.0}, {"on": 1.1}, {"gap_sec": -1.0}, {"min_sec": np.nan}):
        with pytest.raises(ConfigError):
            SegmentRules(**wrong)
    with pytest.raises(ValueError, match="as many times"):
        segments(np.zeros(3), np.zeros(2))


def by_definition(probability: np.ndarray, rules: SegmentRules) -> list[list[float]]:
    """The same with the whole sequence at hand: components, then gaps, then lengths."""
    padded = np.concatenate([[False], probability >= rules.off, [False]]).astype(int)
    edges = np.flatnonzero(np.diff(padded)).reshape(-1, 2)
    kept = [HOP * edge for edge in edges if probability[slice(*edge)].max() >= rules.on]
    joined: list[list[float]] = []
    for start, end in kept:
        if joined and start - joined[-1][1] < rules.gap_sec - 1e-9:
            joined[-1][1] = end
        else:
            joined.append([start, end])
    return [[s, e] for s, e in joined if e - s >= rules.min_sec - 1e-9]


@pytest.mark.parametrize("seed", range(8))
def test_online_is_the_definition_and_mirrors_in_time(seed):
    rng = np.random.default_rng(seed)
    smooth = np.convolve(rng.standard_normal(3000), np.hanning(9 + 6 * seed), "same")
    probability = 1 / (1 + np.exp(-smooth))
    times = HOP * (0.5 + np.arange(3000))
    rules = SegmentRules()
    expected = by_definition(probability, rules)
    assert len(expected) > 3
    np.testing.assert_allclose(segments(probability, times, rules), expected, atol=1e-9)
    mirrored = 60 - segments(probability[::-1], times, rules)[::-1, ::-1]
    np.testing.assert_allclose(mirrored, expected, atol=1e-9)
    tracker, parts, at = SegmentTracker(rules, HOP), [], 0
    while at < 3000:
        n = int(rng.integers(0, 90))
        parts.append(tracker.push(times[at : at + n], probability[at : at + n]))
        at += n
    whole = np.concatenate([*parts, tracker.finish()])
    np.testing.assert_allclose(whole, expected, atol=1e-9)
    assert sum(map(len, parts)) >= len(expected) - 1  # decided as soon as they can be


def test_a_tracker_does_not_grow():
    tracker = SegmentTracker(SegmentRules(), HOP)
    probability = frames((0.9, 1.0), (0.1, 1.0))
    tracemalloc.start()
    for second in range(0, 1200, 2):
        tracker.push(second + HOP * np.arange(100), probability)
        if second == 200:
            before, _ = tracemalloc.get_traced_memory()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 5_000  # bytes; the segments alone would be 8 000


def test_nothing_lies_outside_the_recording():
    times = HOP * np.arange(100)  # the first frame's centre is at 0
    assert segments(np.ones(100), times, end_sec=1.985).tolist() == [[0.0, 1.985]]
    late = np.where(np.arange(100) > 70, 0.9, 0.1)
    assert segments(late, times, end_sec=1.4).tolist() == []
    # from 1.41 s on: long enough until the recording ends in the middle of it
    assert segments(late, times, end_sec=1.6).tolist() == []
    np.testing.assert_allclose(segments(late, times, end_sec=1.62), [[1.41, 1.62]])


# Models


def test_activity_comes_from_its_own_output_where_there_is_one():
    model = DJCM.from_preset("tiny")
    logits = torch.tensor([[0.0, 2.0]])
    both = JointOutput(torch.zeros(1, 2, 9), torch.zeros(1, 2, 360), logits)
    torch.testing.assert_close(model.sung_probability(both), logits.sigmoid())
    assert model.sung_probability(JointOutput(torch.zeros(1, 2, 9))) is None


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.5, 0.93, 1.0])
def test_pitch_confidence_becomes_activity_with_the_threshold_at_one_half(threshold):
    model = DJCM.from_preset("tiny")
    model.voicing_threshold.fill_(threshold)
    confidence = torch.linspace(0.001, 0.999, 501)
    logits = torch.full((1, 501, 360), -20.0)
    logits[0, :, 77] = confidence.logit()
    output = JointOutput(torch.zeros(1, 2, 9), logits)
    activity = model.sung_probability(output)[0]
    assert (activity.diff() > 0).all() and activity.min() >= 0 and activity.max() <= 1
    _, _, voiced = model.decode_pitch(logits)
    torch.testing.assert_close(activity > 0.5, voiced[0])
    if 0 < threshold < 1:
        at = JointOutput(output.sources, torch.tensor(threshold).logit().expand(1, 1, 360))
        assert float(model.sung_probability(at)) == pytest.approx(0.5, abs=1e-5)


# Streams


def recording(seconds: float, rate: int = 16000) -> tuple[np.ndarray, np.ndarray]:
    """Loud and quiet stretches ``(1, T)``, and the true segments."""
    rng = np.random.default_rng(3)
    edges = np.cumsum(rng.choice([0.6, 0.8, 1.1], int(2 * seconds)))
    edges = edges[edges < seconds - 0.6]
    edges = edges[: len(edges) // 2 * 2].reshape(-1, 2)
    sec = np.arange(int(seconds * rate)) / rate
    sung = sum((sec >= start) & (sec < end) for start, end in edges)
    return np.where(sung, 0.5, 0.01).astype(np.float32)[None], edges


def test_windows_do_not_show_and_frames_have_their_times():
    wav, edges = recording(30.0)
    model = Loud()
    out = separate_array(model, wav, 16000, window_sec=2.56)
    with torch.no_grad():
        expected = model.sung_probability(model.forward_joint(torch.from_numpy(wav)))[0].numpy()
    np.testing.assert_array_equal(out.activity[:, 0], model.pitch_grid.times(len(expected)))
    np.testing.assert_allclose(out.activity[:, 1], expected, atol=1e-6)
    assert len(out.f0) == 0
    np.testing.assert_allclose(segments(*out.activity.T[::-1]), edges, atol=0.011)


def test_pitch_gives_activity_in_step_with_it():
    wav = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 90000)).astype(np.float32)
    model = Halves()
    out = separate_array(model, wav, 16000, window_sec=1.28)
    np.testing.assert_allclose(out.activity[:, 0], out.f0[:, 0])
    np.testing.assert_array_equal(out.activity[:, 1] > 0.5, out.f0[:, 3] > 0)
    silent = separate_array(model, 0 * wav, 16000, window_sec=1.28)
    assert len(silent.activity) == len(out.activity) and not silent.activity[:, 1].any()
    stereo = np.zeros((2, 44100), np.float32)
    assert separate_array(FourStems(), stereo, 44100).activity.shape == (0, 2)


@pytest.mark.parametrize("rate", [16000, 44100])
def test_native_evaluation_has_activity_on_the_frames_of_the_labels(rate):
    from asteroid_joint.data.batch import JointExample

    wav, edges = recording(8.0, rate)
    estimator = NativeEstimator(Loud(), torch.device("cpu"), rate)
    estimate = estimator(JointExample(wav))
    times = estimator.grid.times(estimator.grid.n_frames(wav.shape[1]))
    truth = sum((times >= start) & (times < end) for start, end in edges) > 0
    assert estimate.f0_hz is None and estimate.activity.shape == times.shape
    assert np.mean((estimate.activity > 0.5) == truth) > 0.97


# Files


def test_the_file_is_what_a_dataset_reads(tmp_path):
    wav, edges = recording(9.0, 44100)
    path = tmp_path / "song.wav"
    sf.write(path, wav[0], 44100)
    folder = separate_file(Loud(), path, tmp_path / "out", activity=SegmentRules()).folder
    text = (folder / "activity.csv").read_text()
    rows = np.array([[float(x) for x in line.split(",")] for line in text.splitlines()[1:]])
    assert text.splitlines()[0] == "start,end" and len(text.splitlines()) == len(edges) + 1
    np.testing.assert_allclose(rows, edges, atol=0.021)
    track = tmp_path / "set" / "train" / "song"
    write_track(track, 0)
    for name in ("vocals.wav", "mixture.wav"):
        sf.write(track / name, np.repeat(wav.T, 2, 1), 44100)
    (track / "vocals_activity.csv").write_text(text)
    dataset = Multitrack(str(tmp_path / "set"), "train")
    grid = NativeEstimator(Loud(), torch.device("cpu"), 44100).grid
    times = grid.times(grid.n_frames(wav.shape[1]))
    activity = separate_array(Loud(), wav, 44100).activity[: len(times), 1]
    np.testing.assert_array_equal(dataset.activity_at(0, times), activity > 0.5)


def test_a_song_without_a_voice_has_a_file_without_segments(tmp_path):
    path = tmp_path / "song.wav"
    sf.write(path, np.full(16000, 0.01), 16000)
    folder = separate_file(Loud(), path, tmp_path, activity=SegmentRules()).folder
    assert (folder / "activity.csv").read_text() == "start,end\n"
    assert not (folder / "f0.csv").exists()


def test_the_command_writes_it_when_asked(tmp_path, weights, capsys):
    path, out = tmp_path / "song.wav", tmp_path / "out"
    sf.write(path, np.random.default_rng(0).uniform(-0.5, 0.5, 22050), 22050)
    call = ["separate", str(path), "-o", str(out), "--model", str(weights), "--device", "cpu"]
    assert main(call) == 0
    assert not (out / "song" / "activity.csv").exists()
    (out / "song" / "activity.csv").write_text("mine")
    for name in ("vocals.wav", "accompaniment.wav", "f0.csv"):
        (out / "song" / name).unlink()
    assert main([*call, "--activity"]) == 1  # somebody else's file
    assert "activity.csv exists already" in capsys.readouterr().err
    assert main([*call, "--activity", "--overwrite"]) == 0
    assert (out / "song" / "activity.csv").read_text().startswith("start,end\n")
    assert not list(out.glob(".*"))


def test_a_model_that_cannot_tell_is_refused_before_anything_is_written(
    tmp_path, monkeypatch, capsys
):
    path, out = tmp_path / "song.wav", tmp_path / "out"
    sf.write(path, np.zeros((800, 2)), 44100)
    with pytest.raises(ConfigError, match="neither an activity output nor a pitch output"):
        separate_file(FourStems(), path, out, activity=SegmentRules())
    assert not out.exists()
    monkeypatch.setattr("asteroid_joint.inference.collection.run.load", lambda *args: FourStems())
    assert main(["separate", str(path), "-o", str(out), "--activity"]) == 2
    assert "FourStems has neither an activity output" in capsys.readouterr().err
    assert list(out.iterdir()) == []

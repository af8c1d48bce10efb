"""F0 formats: what each reader makes of the file is what was written, however it came."""

import json
import re
import xml.etree.ElementTree as ET

import mir_eval
import numpy as np
import pytest

from asteroid_joint.errors import ConfigError
from asteroid_joint.inference.curve import PitchCurve
from asteroid_joint.inference.pitch_files import MODEL_WIDTH, PITCH_FORMATS

RATE = 44100


def curve(n: int = 500) -> np.ndarray:
    """Rows with voiced and unvoiced stretches, ``(n, 4)``, rounded as files round them."""
    rng = np.random.default_rng(0)
    time = (0.02 * np.arange(n)).round(6)
    hz = 220 * 2 ** (np.sin(3 * time) / 2)
    confidence = rng.uniform(0, 1, n)
    voiced = np.sin(5 * time) > -0.3
    return np.stack([time, hz.round(3), confidence.round(6), voiced], 1)


def write(kind: str, folder, rows: np.ndarray, step: int = 37, **close):
    writer = PITCH_FORMATS[kind](folder / PITCH_FORMATS[kind].file_name, RATE)
    for at in range(0, len(rows), step):
        writer.write(rows[at : at + step])
        writer.write(rows[:0])
    writer.close(**close)
    return folder / PITCH_FORMATS[kind].file_name


def read_praat(text: str) -> list[float]:
    """Free-standing numbers, all that Praat reads of a text file after its first two lines."""
    body = text.split("\n", 2)[2]
    return [float(word) for word in re.findall(r"(?<=\s)-?\d+(?:\.\d+)?(?=\s)", body)]


@pytest.mark.parametrize("kind", sorted(PITCH_FORMATS))
def test_chunks_do_not_show_and_an_empty_curve_is_a_file(kind, tmp_path):
    pieces = write(kind, tmp_path, curve()).read_bytes()
    assert write(kind, tmp_path, curve(), 10_000).read_bytes() == pieces
    with PITCH_FORMATS[kind](tmp_path / "empty", RATE) as writer:
        writer.write(np.zeros((0, 4)))
    if PITCH_FORMATS[kind].binary:
        assert np.load(tmp_path / "empty").ndim == 1
        return
    text = (tmp_path / "empty").read_text()
    if kind == "jams":
        assert json.loads(text)["annotations"][0]["data"] == []
    if kind == "svl":
        assert ET.fromstring(text).findall("data/dataset/point") == []
    if kind == "ds":
        assert json.loads(text)[0]["f0_seq"] == ""
    if kind == "praat":
        assert read_praat(text) == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("kind", sorted(PITCH_FORMATS))
def test_memory_does_not_grow_and_names_differ(kind, tmp_path):
    rows, writer = curve(2000), PITCH_FORMATS[kind](tmp_path / "f0", RATE)
    writer.write(rows)
    held = sum(len(str(value)) for value in vars(writer).values())
    for _ in range(5):
        writer.write(rows)
    assert sum(len(str(value)) for value in vars(writer).values()) < held + 100
    writer.close()
    writer.close()  # a second time does nothing
    names = [name for known in PITCH_FORMATS.values() for name in known.file_names()]
    assert len(set(names)) == len(names)


def test_csv_is_what_separate_has_always_written(tmp_path):
    from asteroid_joint.data.files import read_f0

    path = write("csv", tmp_path, curve())
    assert path.read_text().splitlines()[0] == "time,frequency,confidence,voiced"
    np.testing.assert_array_equal(np.loadtxt(path, delimiter=",", skiprows=1), curve())
    times, f0_hz = read_f0(path)
    np.testing.assert_allclose(times, curve()[:, 0])
    assert f0_hz.shape == times.shape


def test_mir_eval_reads_pitch_and_voicing(tmp_path):
    rows = curve()
    rows[3, 1] = rows[3, 3] = 0.0  # a frame without even a guess
    path = write("mir_eval", tmp_path, rows)
    assert "-0.000" not in path.read_text()
    times, signed = mir_eval.io.load_time_series(path)
    hz, voicing = mir_eval.melody.freq_to_voicing(signed)
    np.testing.assert_allclose(times, rows[:, 0])
    np.testing.assert_array_equal(hz, rows[:, 1])
    np.testing.assert_array_equal(voicing, rows[:, 3])
    scores = mir_eval.melody.evaluate(times, np.where(rows[:, 3], rows[:, 1], 0), times, signed)
    assert scores["Overall Accuracy"] == 1.0


def test_svl_is_a_layer_whose_points_and_model_agree(tmp_path):
    rows = curve()
    text = write("svl", tmp_path, rows, duration_sec=12.5).read_text()
    assert text.startswith('<?xml version="1.0" encoding="UTF-8"?>\n<!DOCTYPE sonic-visualiser>')
    root = ET.fromstring(text)
    assert root.tag == "sv"
    model, dataset, layer = (root.find(x) for x in ("data/model", "data/dataset", "display/layer"))
    assert list(root.find("data")) == [model, dataset]  # the model announces its data
    assert model.get("dataset") == dataset.get("id") and layer.get("model") == model.get("id")
    assert {k: model.get(k) for k in ("type", "dimensions", "units", "sampleRate", "end")} == {
        **{"type": "sparse", "dimensions": "2", "units": "Hz"},
        **{"sampleRate": str(RATE), "end": str(round(12.5 * RATE))},
    }
    assert dataset.get("dimensions") == "2" and layer.get("type") == "timevalues"
    assert int(model.get("resolution")) == 882
    points = [(int(p.get("frame")), float(p.get("value"))) for p in dataset]
    sung = rows[rows[:, 3] > 0]
    np.testing.assert_array_equal([f for f, _ in points], np.rint(sung[:, 0] * RATE))
    np.testing.assert_array_equal([hz for _, hz in points], sung[:, 1])
    assert float(model.get("minimum")) == sung[:, 1].min()
    assert float(model.get("maximum")) == sung[:, 1].max()
    with PITCH_FORMATS["svl"](tmp_path / "long", 384000) as writer:  # a day: the tag has room
        writer.write(np.array([[0.0, 2005.5, 0.5, 1.0], [86400.0, 31.7, 0.5, 1.0]]))
    root = ET.parse(tmp_path / "long").getroot()
    assert root.find("data/model").get("end") == str(86400 * 384000)
    assert MODEL_WIDTH < 300


def test_jams_has_the_fields_its_schema_asks_for(tmp_path):
    rows = curve()
    jam = json.loads(write("jams", tmp_path, rows, duration_sec=10.0).read_text())
    assert jam["file_metadata"]["duration"] == 10.0 and jam["sandbox"] == {}
    (annotation,) = jam["annotations"]
    assert set(annotation) == {
        *("namespace", "data", "annotation_metadata", "time", "duration", "sandbox")
    }
    assert annotation["namespace"] == "pitch_contour"
    data = annotation["data"]
    assert all(set(d) == {"time", "duration", "value", "confidence"} for d in data)
    assert all(
        type(d["value"]["index"]) is int and type(d["value"]["voiced"]) is bool for d in data
    )
    read = [
        [d["time"], d["value"]["frequency"], d["confidence"], d["value"]["voiced"]] for d in data
    ]
    np.testing.assert_allclose(np.array(read, float), rows, atol=1e-9)


def test_npy_is_hz_or_zero_per_frame(tmp_path):
    rows = curve()
    hz = np.load(write("npy", tmp_path, rows))
    assert hz.dtype == np.float32 and hz.shape == (len(rows),)
    np.testing.assert_array_equal(hz, np.where(rows[:, 3] > 0, rows[:, 1], 0).astype("f4"))


def coarse_by_rvc(f0):
    """Steps of RVC's training, as ``extract_f0_print.py`` describes them, for one frequency."""
    low, high = (1127 * np.log(1 + hz / 700) for hz in (50.0, 1100.0))
    step = (1127 * np.log(1 + f0 / 700) - low) * 254 / (high - low) + 1 if f0 > 0 else 1
    return int(np.rint(min(max(step, 1), 255)))


@pytest.mark.parametrize("seconds", [9.98, 10.0, 10.013])
def test_rvc_has_the_two_arrays_of_its_training(tmp_path, seconds):
    rows = curve()
    coarse = np.load(write("rvc", tmp_path, rows, duration_sec=seconds))
    fine = np.load(tmp_path / "f0_fine.npy")
    n_frames = int(seconds * 16000) // 160 + 1  # of its RMVPE
    assert coarse.dtype == np.int64 and fine.dtype == np.float32
    assert coarse.shape == fine.shape == (n_frames,)
    assert coarse.min() == 1 and coarse.max() <= 255
    assert coarse.tolist() == [coarse_by_rvc(hz) for hz in fine.astype(float)]
    sung = rows[:, 3] > 0
    np.testing.assert_array_equal(fine[::2][: len(rows)][sung], rows[sung, 1].astype("f4"))
    assert not fine[::2][: len(rows)][~sung].any()
    np.testing.assert_allclose(fine, PitchCurve.from_rows(rows).at(0.01, n_frames), rtol=1e-6)


def test_an_array_of_rvc_that_cannot_be_written_leaves_no_open_file(tmp_path):
    (tmp_path / "f0_fine.npy").mkdir()
    with pytest.raises(OSError):
        PITCH_FORMATS["rvc"](tmp_path / "f0_coarse.npy", RATE)


def test_ds_is_read_as_diffsinger_reads_it(tmp_path):
    rows = curve()
    rows[:4, 3] = 0  # silence first
    (segment,) = json.loads(write("ds", tmp_path, rows).read_text())
    hz = np.array(segment["f0_seq"].split(), np.float32)  # as its ds_acoustic.py does
    assert float(segment["f0_timestep"]) == pytest.approx(0.02, abs=1e-9)
    assert float(segment["offset"]) == 0.0
    sung = rows[:, 3] > 0
    np.testing.assert_array_equal(hz[sung], rows[sung, 1].astype("f4"))
    assert (hz[:4] == hz[4]).all() and hz.min() > 100
    whole = PitchCurve.from_rows(rows).at(0.02, len(rows), "interpolate")
    np.testing.assert_allclose(hz, whole, atol=0.001)


def test_praat_finds_a_point_per_voiced_frame(tmp_path):
    rows = curve()
    text = write("praat", tmp_path, rows, duration_sec=12.5).read_text()
    assert text.splitlines()[:2] == ['File type = "ooTextFile"', 'Object class = "PitchTier"']
    start, end, size, *points = read_praat(text)
    sung = rows[rows[:, 3] > 0]
    assert (start, end, size) == (0.0, 12.5, len(sung))
    np.testing.assert_array_equal(np.reshape(points, (-1, 2)), sung[:, :2])
    assert re.findall(r"points \[(\d+)\]:", text) == [str(n + 1) for n in range(len(sung))]


def test_an_unknown_format_and_an_error_while_writing(tmp_path):
    with pytest.raises(ConfigError, match="Unknown F0 format 'mp3': choose one of csv, ds, jams"):
        PITCH_FORMATS["mp3"]
    with pytest.raises(OSError):
        PITCH_FORMATS["csv"](tmp_path / "missing" / "f0.csv", RATE)
    with pytest.raises(ZeroDivisionError), PITCH_FORMATS["jams"](tmp_path / "x", RATE) as writer:
        raise ZeroDivisionError
    assert writer._file.closed and not (tmp_path / "x").read_text().endswith("}\n")

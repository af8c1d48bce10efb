"""Pseudo labels: how they are judged, kept, refused, served, audited; two stages of training."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
import torch
from conftest import ROOT

from asteroid_joint import (
    DJCM,
    MODELS,
    JointCascade,
    JointModel,
    JointOutput,
    PitchGrid,
    load_model,
)
from asteroid_joint.data import MIR1K, MIRST500, DrawnExamples, Hidden, PseudoLabelled
from asteroid_joint.data.pseudo_files import (
    Header,
    cut,
    missing_label,
    read_header,
    read_piece,
)
from asteroid_joint.engine.pseudo.audit import audit_table, audit_valid, count_pitch
from asteroid_joint.engine.pseudo.make import Teacher, main, make_labels
from asteroid_joint.engine.pseudo.rules import (
    HeardPitch,
    HeardVoice,
    PitchLabels,
    Rules,
    Thresholds,
    ValidPiece,
    choose_thresholds,
    hear_voice,
    judge_pitch,
    judge_voice,
    leak_db,
    read_rules,
    refine_notes,
)
from asteroid_joint.engine.training.build import build_dataset, check_fit
from asteroid_joint.engine.training.config import parse_recipe_args
from asteroid_joint.engine.training.loaders import build_loaders
from asteroid_joint.engine.training.sets import further_sets
from asteroid_joint.engine.training.train import train
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.models.model_file import write_model_file

RECIPE = ROOT / "recipes/mir1k/JointCascade"
GRID = PitchGrid(320, 16000)
HOP_SEC = 0.02


class Ear(JointModel):
    """A teacher that can do what it says: the strongest comb of harmonics is the voice."""

    presets = {"tiny": {}}

    def __init__(self, hop_length: int = 320, gate: float = 3.0):
        super().__init__(16000, PitchGrid(hop_length, 16000))
        self.gate, self.min_samples = gate, 8192
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def estimate(self, wav: torch.Tensor) -> JointOutput:
        hop = self.pitch_grid.hop_length
        options = {"hop_length": hop, "win_length": 2048, "window": torch.hann_window(2048)}
        spec = torch.stft(wav[:, 0], 8192, **options, return_complex=True)  # (B, F, N)
        mag = spec.abs()
        hz = self.pitch_grid.bin_to_hz(torch.arange(360.0))
        in_range = (hz > 130) & (hz < 560)
        place = (hz * 8192 / 16000).round().long()
        salience = sum(mag[:, k * place] / k for k in (1, 2, 3)) * in_range[:, None]  # (B, P, N)
        peak, best = salience.max(1)  # (B, N)
        loud = 2.0 * (peak - self.gate)
        logits = 30 * (salience / (peak[:, None] + 1e-9) - 1) + loud.clamp(-6, 6)[:, None]
        freqs = torch.arange(mag.shape[1]) * 16000 / 8192  # (F,)
        f0 = hz[best][:, None]  # (B, 1, N)
        near = (freqs[:, None] - (freqs[:, None] / f0).round() * f0).abs() < 25
        mask = near & (freqs[:, None] > 0.5 * f0) & (loud[:, None] > 0)
        voice = torch.istft(spec * mask, 8192, **options, length=wav.shape[-1])
        n_frames = self.pitch_grid.n_frames(wav.shape[-1])
        logits = logits.transpose(1, 2)[:, :n_frames]  # (B, N, P)
        return JointOutput(torch.stack([voice, wav[:, 0] - voice], 1), logits + self.weight)


@pytest.fixture
def ear(tmp_path, monkeypatch) -> Path:
    """A model file of :class:`Ear`, which is known for the length of a test."""
    monkeypatch.setitem(MODELS, "Ear", Ear)
    write_model_file(Ear().serialize(), tmp_path / "ear.pth")
    return tmp_path / "ear.pth"


def config(data_dir: Path, labels: object = "", *options: object, overlays: str = "stage2,debug"):
    argv = ["--overlay", overlays, "--data_dir", data_dir, "--pseudo_dir", labels, *options]
    return parse_recipe_args(RECIPE, [str(x) for x in argv])


@pytest.fixture
def labelled(ear, mir1k_dir, tmp_path) -> tuple[dict, Path, str]:
    """Configuration, folder and report of finished labels."""
    folder = tmp_path / "labels"
    conf = config(mir1k_dir, folder)
    return conf, folder, make_labels(Teacher(ear), conf, folder, Rules(good_sdr_db=3.0))


# ------------------------------------------------------------------ frames


def heard(n: int = 20, **fields: object) -> HeardPitch:
    """A loud, certain voice of 220 Hz, heard alike both ways, but for ``fields``."""
    values = {"hz": 220.0, "confidence": 0.9, "second": 0.0, "other_hz": 220.0, "level_db": -20.0}
    arrays = {name: np.full(n, float(value)) for name, value in values.items()}
    for name, changes in fields.items():
        for frames, value in changes:
            arrays[name][frames] = value
    return HeardPitch(**arrays)


def judge(given: HeardPitch, **rules: float) -> PitchLabels:
    return judge_pitch(given, Rules(**rules), Thresholds(), HOP_SEC)


def test_a_certain_voice_is_labelled():
    labels = judge(heard())
    np.testing.assert_array_equal(labels.f0_hz, np.full(20, 220.0))
    np.testing.assert_allclose(labels.quality, 0.9)
    assert labels.accepted


@pytest.mark.parametrize(
    ("change", "f0_hz", "quality"),
    [
        ({"confidence": [(5, 0.5)]}, np.nan, 0.0),  # neither one nor the other
        ({"confidence": [(5, 0.1)]}, 0.0, 0.9),
        ({"level_db": [(5, -61.0)]}, 0.0, 1.0),  # the gates, whatever the teacher hears
        ({"level_db": [(slice(None), -10.0), (5, -50.5)]}, 0.0, 1.0),
        ({"other_hz": [(5, 440.0)]}, np.nan, 0.0),  # an octave either way
        ({"other_hz": [(5, 110.0 * 2 ** (90 / 1200))]}, np.nan, 0.0),
        ({"other_hz": [(5, 330.0)]}, 220.0, 0.45),
        ({"other_hz": [(5, 220.0 * 2 ** (49 / 1200))]}, 220.0, 0.9),
        ({"other_hz": [(5, 220.0 * 2 ** (51 / 1200))]}, 220.0, 0.45),
        ({"second": [(5, 0.51)]}, np.nan, 0.0),  # two voices
    ],
)
def test_every_gate(change, f0_hz, quality):
    labels = judge(heard(**change))
    np.testing.assert_equal(labels.f0_hz[5], f0_hz)
    assert labels.quality[5] == pytest.approx(quality)
    others = np.arange(20) != 5
    assert (labels.f0_hz[others] == 220.0).all() and (labels.quality[others] > 0.8).all()


def test_short_runs_are_unknown():
    quiet = [(slice(0, 20), 0.1), (slice(2, 4), 0.9), (slice(8, 11), 0.9), (slice(18, 20), 0.9)]
    labels = judge(heard(confidence=quiet))
    assert np.flatnonzero(np.isnan(labels.f0_hz)).tolist() == [2, 3, 18, 19]  # below 60 ms
    assert np.flatnonzero(labels.f0_hz > 0).tolist() == [8, 9, 10]


def test_a_piece_of_doubtful_frames_is_refused():
    for doubtful, accepted in ((8, True), (9, False)):  # at least 60 % of 20 frames
        labels = judge(heard(confidence=[(slice(0, doubtful), 0.5)]))
        assert labels.accepted is accepted
    silence = judge(heard(level_db=[(slice(None), -100.0)]))
    assert silence.accepted and not silence.f0_hz.any() and (silence.quality == 1).all()


# ------------------------------------------------------------------ voices


def test_voices_are_checked_against_their_notes():
    f0_hz = np.array([0.0, 220.0, 220.0, 220.0, np.nan])
    hz = np.array([99.0, 220.0, 220.0 * 2 ** (99 / 1200), 440.0, 7.0])
    voice = np.ones((1, 5 * 320))
    assert hear_voice(hz, f0_hz, voice, Rules(), GRID).note_share == pytest.approx(2 / 3)
    nobody = hear_voice(hz, np.zeros(5), voice, Rules(), GRID)
    assert np.isnan(nobody.note_share) and judge_voice(nobody, Thresholds()) == (0.0, False)
    for share, leak, result in (
        (0.8, 30.0, (0.8, True)),
        (0.79, 99.0, (0.0, False)),
        (1.0, 29.0, (0.0, False)),
        (0.9, np.inf, (0.9, True)),
    ):
        assert judge_voice(HeardVoice(share, leak), Thresholds()) == result


def test_leakage_is_heard_in_long_rests_only():
    f0_hz = np.full(100, 220.0)
    f0_hz[10:30] = 0.0  # 0.4 s
    wav = np.ones((2, 32000))
    assert leak_db(wav, f0_hz, Rules(), GRID) == np.inf
    f0_hz[50:76] = 0.0  # 0.52 s
    wav[:, 50 * 320 - 160 : 76 * 320 - 160] = 0.01
    assert leak_db(wav, f0_hz, Rules(), GRID) == pytest.approx(40.0, abs=0.01)
    wav[:, 10 * 320 : 29 * 320] = 0.3  # the short one does not matter but to the notes
    assert leak_db(wav, f0_hz, Rules(), GRID) == pytest.approx(40.0, abs=0.01)


# ------------------------------------------------------------------ thresholds


def valid_piece(seed: int = 0, n: int = 2000, **fields: object) -> ValidPiece:
    """Frames whose estimate is right with the probability of its confidence."""
    rng = np.random.default_rng(seed)
    confidence = rng.random(n)
    voiced = rng.random(n) < 0.5
    confidence = np.where(voiced, confidence, confidence**3)
    right = rng.random(n) < np.minimum(confidence * 1.3, 1.0)
    f0_hz = np.where(voiced, 220.0, 0.0)
    pitch = heard(n)._replace(confidence=confidence, hz=np.where(right, 220.0, 300.0))
    values = {"song": f"song {seed}", "voice": HeardVoice(0.9, 40.0), "sdr": 8.0}
    values |= {"mixture_sdr": 0.0, "true_leak_db": 50.0, **fields}
    return ValidPiece(f0_hz=f0_hz, pitch=pitch, **values)


def test_thresholds_keep_their_promise_and_are_the_most_generous():
    piece = valid_piece()
    for precision in (0.6, 0.8):
        rules = Rules(precision=precision)
        chosen = choose_thresholds([piece], rules)
        confidence, right = piece.pitch.confidence, piece.pitch.hz == piece.f0_hz
        assert right[confidence >= chosen.voiced].mean() >= precision
        assert right[confidence >= chosen.voiced - 0.01].mean() < precision
        if chosen.unvoiced < chosen.voiced:
            assert np.mean(piece.f0_hz[confidence <= chosen.unvoiced] == 0) >= precision
    assert choose_thresholds([piece], Rules(precision=0.6)).voiced < chosen.voiced


def test_the_defaults_stand_without_validation_and_the_strictest_where_nothing_does(caplog):
    assert choose_thresholds([], Rules()) == Thresholds(0.8, 0.2, 0.8, 30.0)
    bad = valid_piece()._replace(f0_hz=np.full(2000, 500.0))
    chosen = choose_thresholds([bad._replace(sdr=0.0, true_leak_db=12.0)], Rules())
    assert chosen == Thresholds(0.98, 0.02, 0.95, 12.0)  # leak: no more than true voices keep
    assert [record.args[0] for record in caplog.records[1:]] == [
        "voiced frames", "unvoiced frames", "separated voices"
    ]  # fmt: skip


def test_a_teacher_that_cannot_keep_the_promise_is_as_precise_as_it_can(caplog):
    """A tenth of the frames is an octave too high, however sure it is."""
    piece = valid_piece(n=20000)
    confidence = piece.pitch.confidence
    octave = np.arange(20000) % 10 == 0
    right = np.where(octave, 440.0, np.where(confidence > 0.7, 220.0, 300.0))
    piece = piece._replace(pitch=piece.pitch._replace(hz=right), f0_hz=np.full(20000, 220.0))
    chosen = choose_thresholds([piece], Rules())
    assert 0.6 < chosen.voiced < 0.72  # not 0.98, where it is no better
    assert caplog.records[0].getMessage().endswith("0.98 on validation: the best is 0.90.")


def test_unvoiced_never_reaches_beyond_voiced():
    piece = valid_piece()
    piece.pitch.hz[:] = 220.0
    perfect = piece._replace(f0_hz=np.where(piece.pitch.confidence > 0.4, 220.0, 0.0))
    chosen = choose_thresholds([perfect], Rules(precision=0.9))
    assert chosen.unvoiced <= chosen.voiced <= 0.41


def test_the_share_of_notes_is_that_from_which_voices_are_good():
    pieces = [
        valid_piece(seed, 50, voice=HeardVoice(share, np.inf), sdr=10 * share)
        for seed, share in enumerate(np.linspace(0.305, 0.985, 35))
    ]
    shares = [choose_thresholds(pieces, Rules(good_sdr_db=db)).note_share for db in (3.0, 6.0, 9.0)]
    assert shares == pytest.approx([0.5, 0.55, 0.9])


def test_leakage_is_heard_as_sharply_as_good_voices_need():
    """What leaks more than 20 dB below the notes is bad here, and true voices have 25."""
    pieces = [
        valid_piece(seed, 50, voice=HeardVoice(0.9, leak), sdr=leak / 4, true_leak_db=25.0)
        for seed, leak in enumerate(np.arange(5.5, 40.0))
    ]
    chosen = choose_thresholds(pieces, Rules())
    accepted = [p.sdr >= 5.0 for p in pieces if judge_voice(p.voice, chosen)[1]]
    assert chosen.note_share == 0.5 and 17.0 <= chosen.leak_db <= 19.0
    assert 0.9 <= np.mean(accepted) < 1.0 and len(accepted) == 22
    lenient = choose_thresholds(pieces, Rules(good_share=0.0))
    assert lenient.leak_db == 0.0
    strict = choose_thresholds(pieces, Rules(good_sdr_db=6.0, good_share=1.0))
    assert strict.leak_db == 24.0
    never = choose_thresholds(pieces, Rules(good_sdr_db=99.0))
    assert never.leak_db == 25.0 and never.note_share == 0.95


def test_unknown_and_silent_frames_do_not_count():
    piece = valid_piece()
    wrong = piece.pitch.hz != piece.f0_hz
    expected = choose_thresholds([piece], Rules()).voiced
    for cleaned in (
        piece._replace(f0_hz=np.where(wrong, np.nan, piece.f0_hz)),
        piece._replace(pitch=piece.pitch._replace(level_db=np.where(wrong, -99.0, -20.0))),
    ):
        assert choose_thresholds([cleaned], Rules()).voiced == 0.02 < expected


def test_rules_are_checked():
    assert read_rules(["precision=0.9", "gap_sec=1"]) == Rules(precision=0.9, gap_sec=1.0)
    for given, message in (
        (["precision=high"], "name=number"),
        (["no_such=1"], "no rule 'no_such': choose from piece_sec"),
        (["precision=2"], "expected 0 to 1"),
        (["run_sec=-1"], "at least 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_rules(given)


# ------------------------------------------------------------------ the audit


def test_counts_of_an_audit():
    f0_hz = np.array([220.0, 220.0, 0.0, 0.0, 220.0, np.nan])
    hz = np.array([220.0, 300.0, 220.0, 220.0, 220.0, 220.0])
    confidence = np.array([0.9, 0.9, 0.9, 0.1, 0.4, 0.9])
    given = np.array([220.0, np.nan, np.nan, 0.0, np.nan, 220.0])
    labels = PitchLabels(given, np.where(np.isnan(given), 0.0, 1.0), True)
    counts = count_pitch(labels, hz, confidence, 0.5, f0_hz)
    assert counts._asdict() == {
        "accepted": 1, "frames": 5, "kept": 2,
        "voiced": 1, "voiced_right": 1, "unvoiced": 1, "unvoiced_right": 1,
        "all_voiced": 3, "all_voiced_right": 1, "all_unvoiced": 2, "all_unvoiced_right": 1,
    }  # fmt: skip
    refused = count_pitch(labels._replace(accepted=False), hz, confidence, 0.5, f0_hz)
    assert refused.kept == refused.voiced == refused.accepted == 0 and refused.all_voiced == 3


def test_halves_of_validation_judge_each_other():
    pieces = [valid_piece(seed) for seed in range(4)]
    rules = Rules(precision=0.8, kept_share=0.0, run_sec=0.0)
    rows = audit_valid(pieces, rules, 0.5, HOP_SEC)
    pitch, voice = rows
    assert pitch["voiced_precision"] > pitch["voiced_precision_unfiltered"]
    assert voice["sdr_accepted"] == 8.0 and np.isnan(voice["sdr_refused"])
    table = audit_table(rows)
    assert len({line.count("|") for line in table.splitlines()}) == 1 and "nan" not in table
    assert audit_valid(pieces[:1], Rules(), 0.5, HOP_SEC) == []
    # the one half's thresholds come from the other: a hopeless half is given no frame by itself
    pieces[1].pitch.hz[:] = 300.0
    pieces[3].pitch.hz[:] = 300.0
    crossed = audit_valid(pieces, rules, 0.5, HOP_SEC)[0]
    assert crossed["voiced_precision"] < 0.5


# ------------------------------------------------------------------ labels on disk


def test_labels_are_made_audited_and_good(labelled):
    conf, folder, report = labelled
    assert "set stems: 3 pieces labelled" in report and "set pitch: 1 pieces labelled" in report
    rows = {
        (row["set"], row["label"]): row for row in json.loads((folder / "audit.json").read_text())
    }
    assert set(rows) == {
        ("stems", "F0"), ("pitch", "voice"),
        ("validation, halves", "F0"), ("validation, halves", "voice"),
    }  # fmt: skip
    stems = rows["stems", "F0"]
    assert stems["voiced_precision"] > 0.95 and stems["pieces_accepted"] == 1.0
    assert stems["frames_accepted"] > 0.6
    assert rows["pitch", "voice"]["sdr_unfiltered"] > 3.0
    assert (folder / "audit.md").read_text().strip() in report
    header = read_header(folder)
    assert header.thresholds.keys() == set(Thresholds._fields)
    assert header.settings["good_sdr_db"] == 3.0 and header.pitch_grid == GRID
    assert not list(folder.rglob("*.part*"))


def test_the_sets_get_what_they_lack_and_keep_what_they_have(labelled, mir1k_dir):
    conf, folder, _ = labelled
    true = MIR1K(str(mir1k_dir), "train")
    place = {clip.name: i for i, clip in enumerate(true.clips)}
    stems, pitch = (build_dataset(one, "train") for one in further_sets(conf).values())
    assert isinstance(stems, PseudoLabelled) and isinstance(pitch, PseudoLabelled)
    assert not isinstance(build_dataset(conf, "train"), PseudoLabelled)  # lacks nothing
    assert not isinstance(build_dataset(conf, "valid"), PseudoLabelled)
    for index, clip in enumerate(stems.clips):
        example, other = (d.example(i, GRID) for d, i in ((stems, index), (true, place[clip.name])))
        np.testing.assert_array_equal(example.sources, other.sources)
        both = (example.f0_hz > 0) & (other.f0_hz > 0)
        cents = 1200 * np.abs(np.log2(example.f0_hz[both] / other.f0_hz[both]))
        assert both.sum() > 30 and np.median(cents) < 15
        assert example.sources_quality == 1.0
        assert ((example.f0_quality > 0) == ~np.isnan(example.f0_hz)).all()
        assert 0 < example.f0_quality.max() <= 1.0
    (clip,) = pitch.clips
    example, other = pitch.example(0, GRID), true.example(place[clip.name], GRID)
    np.testing.assert_array_equal(example.f0_hz, other.f0_hz)
    assert example.f0_quality is None and 0.5 <= example.sources_quality <= 1.0
    np.testing.assert_allclose(example.sources.sum(0), example.mixture, atol=1e-6)
    assert np.corrcoef(example.sources[0, 0], other.sources[0, 0])[0, 1] > 0.8
    mixture, part = pitch.read(0, 1000, 500)
    np.testing.assert_array_equal(part, example.sources[..., 1000:1500])
    batch = next(iter(build_loaders(conf, DJCM.from_preset("tiny")).train))[0]
    assert [bool(x["has_sources"].all() & x["has_f0_hz"].all()) for x in batch] == [True] * 3
    assert batch[0]["q_sources"].tolist() == [1.0] * 4 and float(batch[2]["q_sources"].max()) < 1.01


def test_unfiltered_labels_are_all_labels(labelled):
    conf, folder, _ = labelled
    conf["data"]["pseudo_filter"] = False
    stems, pitch = (build_dataset(one, "train") for one in further_sets(conf).values())
    example = stems.example(0, GRID)
    assert not np.isnan(example.f0_hz).any() and example.f0_quality is None
    assert pitch.sources_quality(0) == 1.0 and pitch.example(0, GRID).sources is not None


def test_interrupted_it_goes_on_with_the_same_bytes(labelled, ear):
    conf, folder, first = labelled
    files = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    gone = sorted(path for path in files if path.suffix == ".npz")[1]
    gone.unlink()
    broken = sorted(path for path in files if path.suffix == ".npz")[0]
    broken.write_bytes(files[broken][:100])
    again = make_labels(Teacher(ear), conf, folder, Rules(good_sdr_db=3.0))
    assert "set stems: 1 pieces labelled, 2 were there" in again or "2 pieces labelled" in again
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == files


def test_labels_of_another_teacher_grid_or_rule_are_refused(labelled, tmp_path):
    conf, folder, _ = labelled
    rules = Rules(good_sdr_db=3.0)
    for changed, message in (
        (Ear(gate=2.5), "by another teacher"),
        (Ear(hop_length=160), "by another teacher|on another pitch grid"),
    ):
        write_model_file(changed.serialize(), tmp_path / "other.pth")
        with pytest.raises(DataError, match=message):
            make_labels(Teacher(tmp_path / "other.pth"), conf, folder, rules)
    with pytest.raises(DataError, match="made by other rules"):
        make_labels(Teacher(tmp_path / "ear.pth"), conf, folder, Rules())
    conf["data"]["pseudo_teacher"] = str(tmp_path / "other.pth")
    with pytest.raises(DataError, match="come from another teacher than .*other.pth"):
        build_loaders(conf, DJCM.from_preset("tiny"))
    conf["data"]["pseudo_teacher"] = str(tmp_path / "ear.pth")
    build_loaders(conf, DJCM.from_preset("tiny"))
    with pytest.raises(DataError, match="the pitch grid is .*160"):
        one = next(iter(further_sets(conf).values()))
        dataset = build_dataset(one, "train")
        dataset.label_grid = PitchGrid(160, 16000)
        check_fit(DJCM.from_preset("tiny"), dataset)
    # a piece from elsewhere between the others
    header = read_header(folder)
    (path, *_) = sorted(folder.rglob("*.npz"))
    with pytest.raises(DataError, match="comes from another teacher or other settings than"):
        read_piece(path.with_suffix(""), replace(header, teacher="somebody"))
    write_model_file(Ear(gate=2.5).serialize(), tmp_path / "other.pth")
    report = make_labels(Teacher(tmp_path / "other.pth"), conf, folder, rules, relabel=True)
    assert "3 pieces labelled, 0 were there" in report


def test_missing_and_damaged_labels_are_one_sentence(labelled, mir1k_dir, tmp_path):
    conf, folder, _ = labelled
    one = further_sets(conf)["stems"]
    path = next(iter(sorted(folder.glob("mir1k/amy*.npz"))))
    path.unlink()
    with pytest.raises(DataError, match="missing from .*: run .* again to resume"):
        build_dataset(one, "train")
    (folder / "pseudo.json").write_text("{}")
    with pytest.raises(DataError, match="damaged or of another version"):
        build_dataset(one, "train")
    with pytest.raises(DataError, match="no pseudo labels in .*: make them with"):
        build_dataset(further_sets(config(mir1k_dir, tmp_path / "nothing"))["stems"], "train")


def test_pieces_cover_clips_and_are_served_where_they_are(ear, mir1k_dir, tmp_path):
    conf = config(mir1k_dir, tmp_path / "labels")
    make_labels(Teacher(ear), conf, tmp_path / "labels", Rules(piece_sec=0.8, good_sdr_db=3.0))
    one = further_sets(conf)["pitch"]
    conf["data"]["pseudo_filter"] = one["data"]["pseudo_filter"] = False
    pieces = build_dataset(one, "train")
    whole = Hidden(MIR1K(str(mir1k_dir), "train", singers="60%-100%"), ["activity"])
    example = whole.example(0, GRID)
    assert [c.name for c in pieces.clips] == ["fdps_1_01@0", "fdps_1_01@1", "fdps_1_01@2"]
    parts = [pieces.example(i, GRID) for i in range(3)]
    mixture = np.concatenate([part.mixture for part in parts], -1)
    np.testing.assert_array_equal(mixture, example.mixture)
    f0_hz = np.concatenate([part.f0_hz for part in parts])
    np.testing.assert_array_equal(f0_hz, example.f0_hz)
    stems = np.concatenate([part.sources for part in parts], -1)
    assert stems.shape == example.sources.shape
    assert pieces.voice_weights.sum() == pytest.approx(whole.voice_weights.sum())
    draws = DrawnExamples(pieces, GRID, 8000, speed_semitones=0.0)
    assert all(draws[i].mixture.shape == (1, 8000) for i in range(6))
    lengths = [(p.start % 320, p.n_samples) for p in cut(whole, 0.8, GRID)]
    assert all(start == 0 for start, _ in lengths)


def test_labels_are_never_interpolated_across_unknown_or_unvoiced_frames(labelled):
    conf, folder, _ = labelled
    stems = build_dataset(further_sets(conf)["stems"], "train")
    times = np.arange(0.0, 1.5, 0.001)
    given, fine = stems.f0_at(0, GRID.times(76)), stems.f0_at(0, times)
    frames = GRID.sec_to_frame(times)
    low, high = given[np.floor(frames).astype(int)], given[np.ceil(frames).astype(int)]
    between = (low > 0) & (high > 0)
    assert (fine[~between & (fine > 0)][:, None] == given[None]).any(1).all()
    inside = fine[between]
    assert (inside >= np.minimum(low, high)[between] - 1e-3).all()
    assert (inside <= np.maximum(low, high)[between] + 1e-3).all()


def test_what_has_both_labels_or_none_is_not_labelled(mir1k_dir, ear, tmp_path):
    whole = MIR1K(str(mir1k_dir), "train")
    assert missing_label(whole, 0) is None
    assert missing_label(Hidden(whole, ["sources", "f0"]), 0) is None
    assert missing_label(Hidden(whole, ["sources"]), 0) == "sources"
    conf = config(mir1k_dir, tmp_path / "labels", overlays="stage1,debug")
    with pytest.raises(DataError, match="nothing to be labelled"):
        make_labels(Teacher(ear), conf, tmp_path / "labels", Rules())


def test_no_file_of_the_test_side_is_read(ear, mir1k_dir, tmp_path):
    copy = Path(shutil.copytree(mir1k_dir, tmp_path / "MIR-1K"))
    for name in ("abjones", "ariel", "stool"):
        for path in copy.glob(f"*/{name}_*"):
            path.write_bytes(b"not to be read")
    conf = config(copy, tmp_path / "labels")
    assert "thresholds: voiced" in make_labels(Teacher(ear), conf, tmp_path / "labels", Rules())
    with pytest.raises(sf.LibsndfileError):
        build_dataset(conf, "test")


# ------------------------------------------------------------------ two stages


def test_nothing_accepted_stops_stage_two_with_a_sentence(weights, mir1k_dir, tmp_path):
    """Random weights: no label of theirs is any good."""
    folder = tmp_path / "labels"
    conf = config(mir1k_dir, folder, "--exp_dir", tmp_path / "exp")
    rules = Rules(kept_share=1.0, floor_db=-200.0, gate_db=200.0)
    report = make_labels(Teacher(weights), conf, folder, rules)
    assert "| stems | F0 | 0.0 % |" in report
    with pytest.raises(DataError, match="None of the 3 pseudo labels for mir1k in .* accepted: "):
        train(conf)
    assert not (tmp_path / "exp" / "best_model.pth").exists()


@pytest.mark.slow
def test_two_stages(mir1k_dir, tmp_path, capsys):
    threads = torch.get_num_threads()
    options = ["--epochs", 1, "--draws_per_epoch", 4, "--valid_clips", 1, "--exp_dir"]
    first = train(config(mir1k_dir, "", *options, tmp_path / "one", overlays="stage1,debug"))
    folder = tmp_path / "labels"
    argv = ["--recipe", RECIPE, "--data_dir", mir1k_dir, "--overlay", "stage2,debug"]
    argv += ["--pseudo_dir", folder]
    main([str(x) for x in (tmp_path / "one", *argv)])
    assert (folder / "audit.md").read_text() in capsys.readouterr().out
    options += [tmp_path / "two", "--init_from", first, "--pseudo_teacher", first]
    conf = config(mir1k_dir, folder, *options, overlays="stage2,dwhs,debug")
    conf["weighting_args"]["warmup_calls"] = 0
    conf["data"]["pseudo_filter"] = False  # this teacher knows next to nothing
    second = train(conf)
    torch.set_num_threads(threads)
    facts = torch.load(second, weights_only=True)["infos"]["training_config"]
    assert facts["data"]["pseudo_dir"] == str(folder) and facts["training"]["weighting"] == "dwhs"
    before, after = (load_model(path).state_dict() for path in (first, second))
    assert all(torch.isfinite(x).all() for x in after.values())
    assert any(not torch.equal(before[key], after[key]) for key in before if "weight" in key)


STUB = """#!/bin/bash
if [[ $1 == -c ]]; then echo 12345678; exit; fi
echo "called: $*"
"""


def test_stages_in_order(tmp_path, run):
    recipes = Path(shutil.copytree(ROOT / "recipes", tmp_path / "recipes"))
    script, stub = recipes / "mir1k/JointCascade/stages.sh", tmp_path / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    options = [
        "--data_dir",
        "/a b",
        "--python_path",
        stub,
        "--overlay",
        "debug",
        "--preset",
        "tiny",
    ]
    only = "cascade_1 labels_1 longer_1 masked_1 unfiltered_1 filtered_dwhs_1 mildlabels_1"
    done = run("bash", script, *options, env={"only": only})
    assert done.returncode == 0, done.stdout + done.stderr
    calls = [x for x in done.stdout.splitlines() if x.startswith("called:") and "eval.py" not in x]
    teacher = "exp/train_jointcascade_cascade_1/best_model.pth"
    rows = ("stage1", "", "stage2,stage1", "stage2", "stage2,unfiltered", "stage2,dwhs", "")
    for name, call, row in zip(only.split(), calls, rows, strict=True):
        labels = name in ("unfiltered_1", "filtered_dwhs_1")
        assert ("--pseudo_dir exp/labels_1" in call) == (labels or name == "labels_1"), call
        assert ("--pseudo_dir exp/mildlabels_1" in call) == (name == "mildlabels_1")
        assert ("--rule precision=0.85" in call) == (name == "mildlabels_1")
        assert (f"--pseudo_teacher {teacher}" in call) == labels
        assert (f"--init_from {teacher}" in call) == row.startswith("stage2")
        assert "--data_dir /a b" in call and call.endswith("--preset tiny")
        if name == "labels_1":
            wanted = f"called: -m asteroid_joint.engine.pseudo {teacher} --recipe ."
            assert call.startswith(f"{wanted} --overlay stage2,debug")
        elif name != "mildlabels_1":
            assert f"--overlay {row},debug --seed 1" in call
            assert f"--exp_dir exp/train_jointcascade_{name}" in call
    finished = script.parent / "exp/train_jointcascade_cascade_1/final_metrics.json"
    finished.touch()
    again = run("bash", script, *options, env={"only": "cascade_1"})
    assert "cascade_1 is done" in again.stdout and "called:" not in again.stdout
    wrong = run("bash", script, env={"only": "nothing_0"})
    assert wrong.returncode == 2 and "there is no run 'nothing_0'" in wrong.stderr


def test_errors_of_the_command_are_one_sentence(mir1k_dir, tmp_path, weights):
    argv = [str(weights), "--recipe", str(RECIPE), "--data_dir", str(mir1k_dir)]
    for more, message in (
        ([], "pseudo: There is no folder for the labels: give --pseudo_dir FOLDER"),
        (["--pseudo_dir", str(tmp_path), "--rule", "x=1"], "pseudo: There is no rule 'x'"),
    ):
        with pytest.raises(SystemExit, match=message):
            main([*argv, *more])
    with pytest.raises(SystemExit, match="pseudo: There is no model file"):
        main([str(tmp_path / "no.pth"), *argv[1:], "--pseudo_dir", str(tmp_path / "l")])


@pytest.mark.parametrize("model_class", [JointCascade, DJCM])
def test_a_cascade_hears_true_voices_without_separating_them(tmp_path, model_class):
    torch.manual_seed(0)
    model = model_class.from_preset("tiny").eval()
    write_model_file(model.serialize(), tmp_path / "teacher.pth")
    teacher = Teacher(tmp_path / "teacher.pth", "cpu")
    voice = 0.1 * np.random.default_rng(0).standard_normal((1, 16000)).astype(np.float32)
    heard, separated = teacher.listen(voice), teacher(voice).melody
    same = all(np.array_equal(a, b) for a, b in zip(heard, separated, strict=True))
    if (
        model_class is DJCM
    ):  # its pitch is read from what its separator makes: there is no other way
        assert same
        return
    assert not same
    with torch.inference_mode():
        active = model.listen(torch.from_numpy(voice)).sigmoid()[0]
    np.testing.assert_allclose(heard.confidence, active.amax(1).numpy(), atol=1e-5)


def test_a_teacher_needs_pitch(tmp_path):
    from asteroid_joint import VocalDetectionUNet

    model = VocalDetectionUNet.from_preset("tiny", pitch=False)
    write_model_file(model.serialize(), tmp_path / "deaf.pth")
    with pytest.raises(ConfigError, match="estimates no pitch"):
        Teacher(tmp_path / "deaf.pth")


def test_headers_tell_teachers_apart():
    header = Header("a", GRID.to_dict(), {"piece_sec": 1.0}, {"voiced": 0.8}, 0.5)
    changes = [
        {"teacher": "b"},
        {"grid": PitchGrid(160, 16000).to_dict()},
        {"settings": {"piece_sec": 2.0}},
        {"thresholds": {"voiced": 0.7}},
    ]
    assert len({header.identity, *(replace(header, **c).identity for c in changes)}) == 5


# ------------------------------------------------------------------ notes


def test_f0_near_a_note_is_the_teachers():
    f0_hz = np.array([0.0] * 5 + [220.0] * 10 + [np.nan] * 2)
    hz = np.full(17, 220.0 * 2 ** (60 / 1200))
    hz[10] = 440.0  # an octave off
    label, confidence = np.where(f0_hz > 0, 0.5, 1.0), np.full(17, 0.9)
    refined, quality = refine_notes(f0_hz, label, hz, confidence, 100.0, HOP_SEC)
    expected = np.where(f0_hz > 0, hz, f0_hz)
    expected[10] = 220.0
    np.testing.assert_array_equal(refined, expected)
    # 40 ms from where a note begins or ends the label's quality stays
    sure = [0.5] * 2 + [0.9] * 3 + [0.5] + [0.9] * 2 + [0.5] * 2
    np.testing.assert_array_equal(quality[5:15], sure)
    np.testing.assert_array_equal(quality[:5], 1.0)
    steady, half = np.full(4, 220.0), np.full(4, 0.5)  # no end in sight
    whole, quality = refine_notes(steady, half, steady + 1, np.ones(4), 100.0, HOP_SEC)
    assert (whole == 221.0).all() and (quality == 1.0).all()


def test_notes_are_refined_where_the_voice_is_accepted(ear, mir_st500_dir, mir1k_dir, tmp_path):
    conf = config(mir1k_dir, tmp_path / "labels")
    notes = {"dataset": "mir_st500", "data_dir": str(mir_st500_dir), "batch_size": 2}
    conf["more_data"] = {"notes": notes}
    for good_sdr_db, accepted in ((-99.0, True), (99.0, False)):
        folder = tmp_path / f"labels_{accepted}"
        rules = Rules(good_sdr_db=good_sdr_db, leak_db=-99.0, note_cents=100.0 if accepted else 0.0)
        make_labels(Teacher(ear), conf, folder, rules)
        conf["data"]["pseudo_dir"] = str(folder)
        one = further_sets(conf)["notes"]
        one["data"]["pseudo_filter"] = True
        if not accepted:
            with pytest.raises(DataError, match="None of the 2 pseudo labels"):
                build_dataset(one, "train")
            continue
        dataset, true = build_dataset(one, "train"), MIRST500(str(mir_st500_dir), "train")
        example, label = dataset.example(0, GRID), true.example(0, GRID)
        assert example.sources.shape == (2, *example.mixture.shape)
        near = np.abs(example.f0_hz / np.where(label.f0_hz > 0, label.f0_hz, 1.0) - 1) < 0.06
        assert (near == (label.f0_hz > 0)).all()
        assert (example.f0_hz != label.f0_hz).any()  # the teacher's bins are not the notes' centres
        assert (example.f0_quality > 0.9).any() and set(label.f0_quality) == {0.5, 1.0}

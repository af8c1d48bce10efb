"""Weights between two models: exact at both ends, chosen on validation, written together."""

import json

import pytest
import torch

from asteroid_joint import DJCM, SharedBottom
from asteroid_joint.engine.average import allowed, average, between, main, score
from asteroid_joint.errors import ConfigError
from asteroid_joint.models.model_file import write_model_file


def seeded(seed, cls=DJCM, **options):
    torch.manual_seed(seed)
    return cls.from_preset("tiny", **options).eval()


def test_ends_and_middle():
    first, second = seeded(0), seeded(1)
    for share in (0.0, 0.25, 1.0):
        mixed = between(first, second, share).state_dict()
        for key, value in first.state_dict().items():
            if value.is_floating_point():
                expected = (1 - share) * value + share * second.state_dict()[key]
                torch.testing.assert_close(mixed[key], expected)


def test_other_architectures_have_nothing_between_them():
    for other in (seeded(1, SharedBottom), seeded(1, detach_cascade=True)):
        with pytest.raises(ConfigError, match="one architecture"):
            between(seeded(0), other, 0.5)


def test_parts_count_alike():
    parts = {"a": {"nsdr": 8.0, "rpa": 0.9}, "b": {"nsdr": 10.0, "rpa": 0.8}}
    assert score(parts) == pytest.approx((98 + 90) / 2)


def test_a_protected_part_may_lose_little():
    before = {"nsdr": 9.0, "rpa": 0.90, "oa": 0.91}
    for change, expected in (
        ({}, True),
        ({"nsdr": 8.91}, True),
        ({"nsdr": 8.89}, False),
        ({"rpa": 0.894}, False),
        ({"oa": 0.904}, False),
        ({"oa": 0.99, "nsdr": 8.0}, False),
    ):
        assert allowed({"a": {**before, **change}}, before, "a") is expected


def test_the_best_share_is_written_and_the_last_weights_kept(tmp_path, mir1k_dir):
    before, after = seeded(0), seeded(1)
    write_model_file(before.serialize(), tmp_path / "before.pth")
    write_model_file(after.serialize(), tmp_path / "best_model.pth")
    conf = {"data": {"dataset": "mir1k", "data_dir": str(mir1k_dir)}, "data_args": {}}
    table = average(tmp_path, str(tmp_path / "before.pth"), [0.0, 1.0], conf)
    results = json.loads((tmp_path / "averages.json").read_text())
    assert [r["share"] for r in results] == [0.0, 1.0] and table.count("\n") == 3
    best = max(results, key=lambda r: r["score"])
    written = torch.load(tmp_path / "best_model.pth", weights_only=True)
    assert written["infos"]["averaged"] == {"before": "before", "share_after": best["share"]}
    chosen = before if best["share"] == 0 else after
    key = next(iter(dict(chosen.named_parameters())))
    torch.testing.assert_close(written["state_dict"][key], chosen.state_dict()[key])
    last = torch.load(tmp_path / "last_model.pth", weights_only=True)["state_dict"]
    torch.testing.assert_close(last[key], after.state_dict()[key])


def test_errors_are_one_sentence(tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path), "--before", "djcm_mir1k"])
    assert "average: " in str(stopped.value)

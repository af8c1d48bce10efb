"""``benchmarks/records.py`` on two songs and a piece of music of two seconds."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from conftest import RATE, ROOT, play, sing
from records_miniature import BAND

sys.path.insert(0, str(ROOT / "benchmarks"))

import records  # noqa: E402

SECONDS = 2
SONGS = ("A - One", "B - Two")


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """The songs, one with F0 and one with a melody by people, too; and the music."""
    root = tmp_path_factory.mktemp("records")
    for seed, name in enumerate(SONGS):
        rng = np.random.default_rng(seed)
        folder = root / "songs/test" / name
        folder.mkdir(parents=True)
        voice, f0_at = sing(rng, SECONDS * RATE)
        for stem in ("vocals", *BAND):
            sf.write(
                folder / f"{stem}.wav",
                voice if stem == "vocals" else play(rng, SECONDS * RATE),
                RATE,
                subtype="FLOAT",
            )
        times = 0.02 * np.arange(50 * SECONDS)
        rows = np.stack([times, f0_at(times)], 1)
        rows[7, 1] = np.nan
        for kind in ("f0", "melody")[: seed + 1]:
            path = folder / f"vocals_{kind}.csv"
            np.savetxt(path, rows, delimiter=",", header="time,f0_hz", comments="")
    (root / "music").mkdir()
    sf.write(root / "music/piece.wav", play(np.random.default_rng(2), SECONDS * RATE), RATE)
    (root / "music/split.json").write_text('{"test": ["piece.wav"], "valid": []}')
    return root / "songs", root / "music"


@pytest.fixture(scope="module")
def run(folders, weights) -> tuple[dict, str]:
    """The JSON of a run, and the table that it printed."""
    songs, music = folders
    out = songs.parent / "run.json"
    options = ["--musdb", songs, "--music", music, "--music_sec", 1, "--out", out]
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *said, file=None, **_: lines.append(said[0]))
        records.main([str(weights), *map(str, options)])
    return json.loads(out.read_text()), lines[-1]


def test_the_figures_of_a_run(run):
    found, _ = run
    assert list(found["systems"]) == ["tiny"]
    assert (found["facts"]["side"], found["facts"]["music_sec"]) == ("test", 1.0)
    assert {"hardware", "commit", "date"} <= set(found["facts"])
    parts = found["systems"]["tiny"]
    assert list(parts) == ["records", "music"]
    songs = parts["records"]
    for figure in ("sdr_vocals", "si_sdr_accompaniment", "museval_vocals", "rpa", "oa"):
        assert songs[f"n_{figure}"] == 2 and np.isfinite(songs[figure])
    assert songs["n_melody_rpa"] == songs["n_melody_oa"] == 1
    music = parts["music"]
    assert music["n_level_db"] == music["n_voiced"] == 1
    assert music["loud"] == float(music["level_db"] > records.LOUD_DB)
    assert 0 <= music["voiced"] <= 1 and music["notes_per_min"] >= 0


def test_the_table_is_that_of_the_stored_run(run, folders, capsys):
    found, printed = run
    records.main(["--table", str(folders[0].parent / "run.json")])
    assert capsys.readouterr().out.strip() == printed.strip()
    lines = printed.splitlines()
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    assert {len(row) for row in rows} == {len(rows[0])}
    assert rows[0][:2] == ["system", "SDR voice dB"] and "by people: RPA" in rows[0]
    assert not any(title.startswith("choir") for title in rows[0])  # nobody was asked
    published = rows[2 : 2 + len(records.PUBLISHED)]
    assert published[0][rows[0].index("museval voice")] == "*3.25*"
    ours = dict(zip(rows[0], rows[-1], strict=True))
    songs, music = found["systems"]["tiny"]["records"], found["systems"]["tiny"]["music"]
    assert ours["system"] == "tiny"
    assert ours["SDR voice dB"] == f"{songs['sdr_vocals']:.2f}"
    assert ours["RPA %, threshold 0"] == f"{100 * songs['rpa']:.1f}"
    assert ours["instrumental: dB"] == f"{music['level_db']:.1f}"
    assert lines[-1].startswith("Side test, ") and "commit " in lines[-1]


def test_what_a_perfect_system_gets(folders):
    """The true voice and its F0: no error of pitch, and silence where nobody sings."""
    song = next(records.musdb_songs(folders[0] / "test", None))
    assert song.name == "A - One" and song.melody is None
    np.testing.assert_allclose(song.mixture, song.voice + song.rest, atol=1e-6)
    known = np.nan_to_num(song.f0.hz)
    found = records.Estimate(song.voice, song.f0.times, known, known > 0)
    figures = records.song_figures(song, found)
    assert figures["rpa"] == figures["oa"] == 1 and figures["sdr_vocals"] > 60
    silence = records.Estimate(np.zeros((1, RATE)), np.zeros(50), np.zeros(50), np.zeros(50, bool))
    heard = records.music_figures(np.ones((1, RATE)), RATE, silence)
    assert heard == {"voiced": 0, "notes_per_min": 0, "level_db": records.SILENT_DB, "loud": 0}


def test_nothing_to_measure_is_one_sentence(weights):
    with pytest.raises(SystemExit, match="^records: name models .* at least one folder"):
        records.main([str(weights)])

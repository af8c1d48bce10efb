"""The page on the server: its commands are run as they stand, its table names the routes."""

import json
import os
import re
import shutil
import subprocess
import zipfile

import pytest
import soundfile as sf
from conftest import ROOT
from page_server import serve, tone

PAGE = (ROOT / "docs" / "server.md").read_text()
TOKEN = "a-token-for-the-docs-only"


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("bash"), reason="no curl or bash")
def test_the_commands_separate_a_song(tmp_path):
    script = "set -eo pipefail\n" + "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE, re.M | re.S))
    sf.write(tmp_path / "song.wav", tone(1.0, 16000), 16000)
    with serve(token=TOKEN) as page:
        env = {**os.environ, "SERVER": page.url, "ASTEROID_JOINT_TOKEN": TOKEN}
        env["no_proxy"] = "*"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=90,
        )
        assert done.returncode == 0, done.stderr
        assert not page.songs._songs
    assert sf.info(tmp_path / "vocals.flac").frames == 16000
    assert "song/vocals.wav" in zipfile.ZipFile(tmp_path / "song.zip").namelist()


def test_the_table_names_the_routes():
    with serve(lambda song, progress: None) as page:
        described = json.loads(page.ask("GET", "/openapi.json")[2])["paths"]
    there = {
        f"{verb.upper()} {path}"
        for path, item in described.items()
        for verb in item
        if verb in ("get", "post", "delete")
    }
    assert set(re.findall(r"^\| `([A-Z]+ /[^`]*)` \|", PAGE, re.M)) == there

"""``docs/transcribe.ipynb``, executed from top to bottom as somebody would."""

import importlib.util

import pytest
from conftest import ROOT, child_env

NOTEBOOK = ROOT / "docs" / "transcribe.ipynb"
nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """Code cells with what they gave; the kernel works in a folder of its own."""
    if importlib.util.find_spec("ipykernel") is None or importlib.util.find_spec("stempeg") is None:
        pytest.skip("needs ipykernel and stempeg")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    folder = tmp_path_factory.mktemp("notebook")
    resources = {"metadata": {"path": str(folder)}}
    client = nbclient.NotebookClient(notebook, timeout=300, resources=resources)
    client.execute(env=child_env())  # raises at the first cell that does
    return [cell for cell in notebook.cells if cell.cell_type == "code"], folder


def everything(cells, kind: str) -> str:
    outputs = [output for cell in cells[0] for output in cell.outputs]
    return "\n".join(output.get("data", {}).get(kind, "") for output in outputs)


def printed(cells) -> str:
    return "".join(o.get("text", "") for cell in cells[0] for o in cell.outputs)


def test_the_song_shows_itself(cells):
    shown = everything(cells, "text/html")
    assert shown.count("<audio controls") == 2 and "Falcon 69" in shown
    assert len(everything(cells, "image/png")) > 10_000
    assert "(2, 2" in everything(cells, "text/plain")


def test_what_it_says_of_the_song_is_plausible(cells):
    text = printed(cells)
    assert "voiced, median" in text and "MIDI" in text
    share, _, rest = text.partition(" % of ")
    assert float(share.rpartition("\n")[2]) > 80, "the voice alone has the mixture's pitch"
    assert int(rest.split()[0]) >= 50, "and that is heard in a second of the song at least"


def test_the_files_are_there(cells):
    names = {path.name for path in (cells[1] / "falcon").iterdir()}
    assert names == {
        *("vocals.wav", "accompaniment.wav", "f0.csv"),
        *("notes.csv", "notes.mid", "picture.png"),
    }


def test_no_warnings_and_no_stored_outputs(cells):
    errors = [o for cell in cells[0] for o in cell.outputs if o.get("name") == "stderr"]
    assert not errors
    stored = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.outputs for cell in stored.cells if cell.cell_type == "code")

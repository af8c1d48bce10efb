"""Sharing: a folder as the hub has it, the hub itself (a stand-in for it), the model card."""

import http.server
import re
import shutil
from functools import partial
from pathlib import Path
from threading import Thread

import huggingface_hub
import pytest
import requests
import torch
from asteroid.models import BaseModel
from asteroid.utils import hub_utils

import asteroid_joint
from asteroid_joint import DJCM, JointModel, load, load_model, with_pitch
from asteroid_joint.cli import main
from asteroid_joint.errors import CheckpointError, ConfigError, UserError
from asteroid_joint.share import push_to_hub, write_folder

FACTS = {
    "dataset": "MIR-1K",
    "licenses": [{"title": "MIR-1K", "license": "research use", "license_link": "https://x.org"}],
    "infos": {
        "run_facts": {"commit": "abc1234", "seed": 3},
        "evaluations": [
            {
                "dataset": "mir1k",
                "side": "test",
                "split": "disjoint",
                "n_clips": 128,
                "metrics": {"sdr": {"mean": 8.12, "std": 1.5, "n": 128}},
            }
        ],
    },
}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub in a folder, behind the names of ``huggingface_hub`` that Asteroid and we call."""
    root = tmp_path / "hub"

    class FakeApi:
        def __init__(self, token=None):
            self.token = token

        def create_repo(self, repo_id, *, private=False, exist_ok=False):
            assert exist_ok
            (root / repo_id).mkdir(parents=True, exist_ok=True)
            (root / repo_id / ".settings").write_text(f"{self.token} {private}")

        def upload_folder(self, *, repo_id, folder_path, commit_message):
            assert commit_message
            shutil.copytree(folder_path, root / repo_id, dirs_exist_ok=True)

    def download(repo_id, filename, revision=None, **_):
        if not (root / repo_id / filename).is_file():
            raise error("RepositoryNotFoundError", 404)
        return str(root / repo_id / filename)

    monkeypatch.setattr(huggingface_hub, "HfApi", FakeApi)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return root


def error(name: str, status: int | None = None) -> Exception:
    """One of the library's errors, by its name."""
    made = type(name, (Exception,), {})("a long story\nover two lines")
    if status is not None:
        made.response = requests.Response()
        made.response.status_code = status
    return made


@pytest.fixture
def model():
    torch.manual_seed(0)
    return DJCM.from_preset("tiny").eval()


def same(a: JointModel, b: JointModel) -> bool:
    wav = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.equal(a(wav), b(wav))


# ------------------------------------------------------------------ there and back


def test_there_and_back(hub, model):
    url = model.push_to_hub("me/mine", facts=FACTS, private=True, token="secret")
    assert url == "https://huggingface.co/me/mine"
    assert sorted(p.name for p in (hub / "me/mine").iterdir()) == [
        *(".settings", "README.md", "pytorch_model.bin")
    ]
    assert (hub / "me/mine/.settings").read_text() == "secret True"
    loaders = (BaseModel.from_pretrained, JointModel.from_pretrained, DJCM.from_pretrained, load)
    for loader in loaders:  # the first is Asteroid's own
        for name in ("me/mine", "me/mine@main"):
            again = loader(name)
            assert type(again) is DJCM and not again.training and same(model, again)
    assert "secret" not in (hub / "me/mine/README.md").read_text()


@pytest.mark.parametrize("repo", ["me/model-v2.1", "me.too/mine"])
@pytest.mark.parametrize("revision", ["", "@v1.0", "@main"])
def test_a_dot_does_not_make_a_hub_id_a_file(hub, model, capsys, repo, revision):
    model.push_to_hub(repo)
    for loader in (BaseModel.from_pretrained, JointModel.from_pretrained, load, load_model):
        assert same(model, loader(repo + revision))
    assert main(["info", repo + revision]) == 0
    with pytest.raises(CheckpointError, match="hub has no such repository"):
        load("me/another-v2.1" + revision)


def test_an_address(model, tmp_path, monkeypatch):
    path = write_folder(model, tmp_path / "site") / "pytorch_model.bin"
    path.rename(path.with_name("model.pth"))
    monkeypatch.setattr(hub_utils, "CACHE_DIR", str(tmp_path / "cache"))
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/model.pth"
        for loader in (load, load_model, JointModel.from_pretrained):
            assert same(model, loader(url))
        joint = with_pitch(url, "djcm_mir1k", source=0)
        with pytest.raises(
            CheckpointError, match="neither a file nor a model that can be downloaded"
        ):
            load(url.replace("model", "other"))
        server.shutdown()
    assert type(joint.separator) is DJCM


@pytest.mark.parametrize(
    "name", ["none.pth", "exp/none.pth", "exp/none", "./none", "/none/none", "a/b/c", "../none.x"]
)
def test_what_can_only_be_a_file_is_not_fetched(hub, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "exp").mkdir()
    with pytest.raises(CheckpointError, match=f"There is no model file {re.escape(name)}"):
        JointModel.from_pretrained(name)


def test_the_file_is_plain_data_and_keeps_what_is_known(hub):
    push_to_hub("djcm_pop", "me/pop")
    conf = torch.load(hub / "me/pop/pytorch_model.bin", weights_only=True)
    assert conf["infos"]["evaluations"] and conf["licenses"] and conf["dataset"]
    assert same(load("me/pop"), load("djcm_pop"))


def test_a_folder_on_the_disk(model, tmp_path, capsys, weights):
    folder = write_folder(model, tmp_path / "new" / "folder", facts=FACTS)
    assert sorted(p.name for p in folder.iterdir()) == ["README.md", "pytorch_model.bin"]
    assert same(load(folder), model)
    assert same(BaseModel.from_pretrained(str(folder / "pytorch_model.bin")), model)
    assert "# folder\n" in (folder / "README.md").read_text()
    assert main(["share", str(weights), "--folder", str(folder), "--name", "me/x"]) == 0
    assert capsys.readouterr().out.strip() == str(folder)
    assert 'load("me/x")' in (folder / "README.md").read_text()


def test_share_on_the_command_line(hub, weights, capsys):
    assert main(["share", str(weights), "--to", "me/mine"]) == 0
    assert capsys.readouterr().out == "https://huggingface.co/me/mine\n"
    assert (hub / "me/mine/.settings").read_text() == "None False"
    assert main(["info", "me/mine"]) == 0


# ------------------------------------------------------------------ the card


def test_the_card_is_what_the_hub_reads(model, tmp_path):
    folder = write_folder(model, tmp_path, name="me/mine", facts=FACTS)
    card = huggingface_hub.ModelCard.load(folder / "README.md")
    data = card.data
    assert data.library_name == "asteroid" and data.pipeline_tag == "audio-to-audio"
    assert {"asteroid", "DJCM", "pitch-estimation"} <= set(data.tags)
    assert data.license == "other" and data.license_link == "https://x.org"
    assert data.datasets == ["MIR-1K"]
    (result,) = data.eval_results
    assert (result.metric_type, result.metric_value) == ("sdr", 8.12)
    assert (result.dataset_type, result.dataset_split) == ("mir1k", "test")
    for part in ("128 clips", "| `sdr` | 8.1200 | 1.5000 |", "abc1234", "research use", "Seed: 3"):
        assert part in card.text


def test_a_card_claims_nothing_that_is_not_stored(model, tmp_path):
    text = (write_folder(model, tmp_path, name="me/mine") / "README.md").read_text()
    assert "The file contains none." in text
    assert "does not state the licence" in text and "license: unknown" in text
    assert "model-index" not in text and "None\n" not in text


@pytest.mark.parametrize("name", asteroid_joint.available_weights())
def test_cards_of_the_shipped_weights(name, tmp_path):
    text = (write_folder(name, tmp_path, name="me/x") / "README.md").read_text()
    card = huggingface_hub.ModelCard.load(tmp_path / "README.md")
    assert card.data.eval_results and card.data.license == "other"
    assert "/work" not in text and "None are" not in text


# ------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    "failure, message",
    [
        (error("LocalTokenNotFoundError"), "run hf auth login first"),
        (error("HfHubHTTPError", 401), "run hf auth login first"),
        (error("HfHubHTTPError", 403), "the token does not permit that"),
        (error("HfHubHTTPError", 404), "no such repository"),
        (error("OfflineModeIsEnabled"), "no connection to the hub"),
        (requests.ConnectionError(), "no connection to the hub"),
        (requests.Timeout(), "no connection to the hub"),
        (error("HfHubHTTPError", 500), "HfHubHTTPError a long story over two lines"),
    ],
    ids=lambda x: str(x)[:20],
)
def test_what_the_hub_refuses(hub, weights, monkeypatch, capsys, failure, message):
    def refuse(*_, **__):
        raise failure

    monkeypatch.setattr(huggingface_hub.HfApi, "upload_folder", refuse)
    with pytest.raises(UserError, match="me/mine was not shared: .*" + message):
        push_to_hub(weights, "me/mine")
    assert main(["share", str(weights), "--to", "me/mine"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "Traceback" not in err


@pytest.mark.parametrize("name", ["mine", "a/b/c", "me/mi ne", "", "me/", "../x", "me/-x"])
def test_names_that_the_hub_does_not_have(hub, weights, name):
    with pytest.raises(ConfigError, match="not a valid name on the hub: give user/name"):
        push_to_hub(weights, name)
    assert not hub.exists()


def test_a_model_that_is_not_there(hub, monkeypatch):
    with pytest.raises(CheckpointError, match="neither a file nor a model.*no such repository"):
        load("me/none")
    monkeypatch.setattr(
        huggingface_hub, "hf_hub_download", lambda **_: (_ for _ in ()).throw(requests.Timeout())
    )
    with pytest.raises(CheckpointError, match="no connection to the hub"):
        load("me/none")


def test_a_file_of_the_hub_that_holds_code(hub, tmp_path):
    (hub / "me/evil").mkdir(parents=True)
    mark = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (Path.touch, (mark,))

    torch.save({"model_name": Evil()}, hub / "me/evil/pytorch_model.bin")
    with pytest.raises(CheckpointError, match="contains code, and was not run"):
        load("me/evil")
    assert not mark.exists()


def test_usage(hub, weights, model, tmp_path, capsys):
    for call in (["share", "x"], ["share", "x", "--to", "a/b", "--folder", "c"], ["export", "x"]):
        with pytest.raises(SystemExit) as end:
            main(call)
        assert end.value.code == 2
    capsys.readouterr()
    for call, message in {
        ("share", "nonsense", "--to", "me/x"): "There is no model 'nonsense'",
        ("share", str(weights), "--to", "me/x", "--name", "y"): "--name is for --folder",
        ("share", str(weights), "--folder", "x", "--private"): "--private and --token are for --to",
        ("share", str(weights), "--folder", str(weights)): "cannot be written to",
    }.items():
        assert main(list(call)) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(ConfigError, match="Facts are for a model in memory"):
        write_folder(weights, tmp_path / "x", facts=FACTS)

"""Jobs in one process and on a Ray cluster of two nodes: the same results, whoever dies."""

import importlib.util
import os
import socket
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from job_workers import Squares

from asteroid_joint.engine.pseudo.make import Teacher, main, make_labels
from asteroid_joint.engine.pseudo.rules import Rules
from asteroid_joint.engine.training.config import parse_recipe_args
from asteroid_joint.errors import AudioError, ConfigError, UserError
from asteroid_joint.jobs import JobError, ray_cluster, run_jobs
from asteroid_joint.registry import ENGINES

RECIPE = ROOT / "recipes/mir1k/JointCascade"
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed (extra scale)"
)


def made(folder: Path) -> list[str]:
    """Processes of the workers that were made."""
    path = folder / "made.txt"
    return path.read_text().split() if path.is_file() else []


# ------------------------------------------------------------------ in this process


def test_one_worker_does_all_and_an_error_costs_its_item(tmp_path):
    results = dict(run_jobs(Squares(tmp_path), [2, "user", "x", 3]))
    assert [results[n][0] for n in (2, 3)] == [4, 9]
    assert results["user"] == JobError("This one holds no sample: remove it.")
    assert results["user"].details == ""
    assert results["x"].reason.startswith("TypeError: can't multiply sequence")
    assert "job_workers.py" in results["x"].details
    assert made(tmp_path) == [str(os.getpid())]


def test_no_items_no_worker(tmp_path):
    for engine in ("local", "ray") if importlib.util.find_spec("ray") else ("local",):
        assert list(run_jobs(Squares(tmp_path), [], engine=engine)) == []
    assert made(tmp_path) == []


def test_results_come_one_by_one(tmp_path):
    results = run_jobs(Squares(tmp_path), [1, 2])
    assert made(tmp_path) == []
    assert next(results)[0] == 1
    results.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "dask"}, "Unknown engine 'dask': choose one of local, ray"),
        ({"n_workers": 0}, "at least one worker, received 0"),
        ({"n_workers": 2}, "local has one worker, not 2: name another engine"),
        ({"address": "a:1"}, r"local has no address \(a:1\)"),
    ],
)
def test_what_an_engine_cannot_do_is_said_at_once(options, message):
    with pytest.raises(ConfigError, match=message):
        run_jobs(int, [1], **options)


def test_another_engine_is_one_function():
    @ENGINES.register("backwards")
    def backwards(make_worker, items, address, n_workers):
        return ((item, make_worker()(item)) for item in reversed(items))

    try:
        assert list(run_jobs(lambda: abs, [-1, 2], engine="backwards")) == [(2, 2), (-1, 1)]
    finally:
        del ENGINES["backwards"]


def test_without_ray_there_is_a_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"ray is not installed: pip install 'asteroid-joint\[sca"):
        run_jobs(int, [1], engine="ray")


@needs_ray
def test_an_address_without_a_cluster_is_a_sentence(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UserError, match=f"No Ray cluster answers at {address}: start one"):
            run_jobs(int, [1], engine="ray", address=address)
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(UserError, match=f"No Ray cluster answers at {address}: start one"):
            run_jobs(int, [1], engine="ray")
    for wrong in ("nowhere", "ray://there:1", "there:http", ":1"):
        with pytest.raises(ConfigError, match=f"host:port or auto; received {wrong}"):
            run_jobs(int, [1], engine="ray", address=wrong)


@needs_ray
def test_something_else_at_the_address_is_a_sentence_after_a_timeout(monkeypatch):
    monkeypatch.setattr(ray_cluster, "HEALTH_SEC", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=f"No Ray cluster answers at {address}"):
            run_jobs(int, [1], engine="ray", address=address)


def test_errors_of_the_command_are_one_sentence(weights, tmp_path, mir1k_dir):
    argv = [weights, "--recipe", RECIPE, "--data_dir", mir1k_dir, "--pseudo_dir", tmp_path]
    for more, message in (
        (["--engine", "dask"], "pseudo: Unknown engine 'dask': choose one of local, ray"),
        (["--address", "a:1"], "pseudo: The engine local has no address"),
    ):
        with pytest.raises(SystemExit, match=message):
            main([str(x) for x in (*argv, *more)])


# ------------------------------------------------------------------ on two nodes


@pytest.fixture(scope="module")
def nodes():
    """A cluster with a head node and another one, both on this machine; this process is in it."""
    ray = pytest.importorskip("ray")
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    small = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        paths = [str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = cluster_utils.Cluster()
        _, other = started(cluster, small), started(cluster, small)
        ray.init(address=cluster.address, log_to_driver=False)
        yield cluster, other
        ray.shutdown()
        cluster.shutdown()


def started(cluster, options: dict, tries: int = 3):
    """A further node; Ray gives one up that takes 30 s, as it may where cores are shared."""
    for left in reversed(range(tries)):
        try:
            return cluster.add_node(**options)
        except Exception:
            if not left:
                raise


@pytest.mark.slow
def test_the_dead_cost_their_items_only(nodes, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_cluster, "MAX_TRIES", 2)
    items = [1, 2, "killed", "user", "unsendable", 3, 4, "fatal", 3]
    finished = list(run_jobs(Squares(tmp_path), items, engine="ray"))
    assert sorted(map(str, items)) == sorted(str(item) for item, _ in finished)  # each once
    results = dict(finished)
    assert [results[n][0] for n in (1, 2, 3, 4)] == [1, 4, 9, 16]
    assert results["killed"] == ("alive", 0)
    assert results["user"] == JobError("This one holds no sample: remove it.")
    assert isinstance(results["unsendable"], JobError)
    assert results["fatal"].reason.startswith("2 workers died over it")
    assert 2 <= len(set(made(tmp_path))) <= 5  # two, and one for each that died


@pytest.mark.slow
def test_a_users_error_in_a_worker_keeps_class_and_text(nodes, tmp_path):
    with pytest.raises(AudioError, match="^There is nothing to be heard.$"):
        list(run_jobs(Squares(tmp_path, "There is nothing to be heard."), [1], engine="ray"))


@pytest.mark.slow
def test_labels_are_the_same_bytes_and_a_killed_worker_costs_nothing(
    nodes, weights, mir1k_dir, tmp_path
):
    """One worker is killed before it writes a piece, one after it and before it could say so."""
    argv = ["--overlay", "stage2,debug", "--data_dir", mir1k_dir, "--pseudo_dir", "unused"]
    conf = parse_recipe_args(RECIPE, [str(x) for x in argv])
    conf["data"]["plugins"] = "mortal_plugin"
    trees = {}
    for engine in ("local", "ray"):
        top = tmp_path / engine
        top.mkdir()
        if engine == "ray":
            (top / "die_before").touch()
            (top / "die_after").touch()
        report = make_labels(
            Teacher(weights, "cpu"), conf, top / "labels", Rules(piece_sec=0.8), engine=engine
        )
        assert "set stems: 9 pieces labelled, 0 were there" in report
        assert "set pitch: 3 pieces labelled, 0 were there" in report
        files = [path for path in (top / "labels").rglob("*") if path.is_file()]
        trees[engine] = {path.relative_to(top): path.read_bytes() for path in files}
    assert trees["local"] == trees["ray"]
    assert not list(top.glob("die_*"))  # both died
    written = (top / "written.txt").read_text().split()
    assert len(written) == len(set(written)) == 12
    again = make_labels(
        Teacher(weights, "cpu"), conf, top / "labels", Rules(piece_sec=0.8), engine="ray"
    )
    assert "set stems: 0 pieces labelled, 9 were there" in again


@pytest.mark.slow
def test_a_node_that_is_lost_costs_what_it_was_at(nodes, tmp_path):
    cluster, other = nodes  # the last test: it takes a node away
    results = run_jobs(Squares(tmp_path, together=2), list(range(50)), engine="ray", n_workers=2)
    finished = [next(results)]
    cluster.remove_node(other)  # with a worker that has an item
    finished += results
    squares = sorted((item, result[0]) for item, result in finished)
    assert squares == [(n, n * n) for n in range(50)]
    processes = {process for _, (_, process) in finished}
    assert processes <= set(map(int, made(tmp_path))) and len(made(tmp_path)) == 2

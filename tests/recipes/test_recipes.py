"""One contract for all recipes: stages 1 to 3 of run.sh on synthetic data, and what they leave."""

import contextlib
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile as sf
import torch
import yaml
from asteroid.models import BaseModel
from conftest import ROOT, run_command
from filelock import FileLock

import asteroid_joint  # noqa: F401  # asteroid's loader is to know the models
from asteroid_joint.data.check import check_dataset
from asteroid_joint.data.mir1k import MIR1K
from asteroid_joint.engine.recipe import eval_main, prepare_main
from asteroid_joint.engine.training.build import (
    build_dataset,
    build_model,
    build_optimizer,
    check_fit,
)
from asteroid_joint.engine.training.config import overlay, parse_recipe_args, recipe_config
from asteroid_joint.engine.training.sets import further_sets
from asteroid_joint.errors import ConfigError, DataError
from asteroid_joint.losses import build_loss
from asteroid_joint.metrics.report import COLUMNS, read_rows, table_head
from asteroid_joint.models.base import JointModel
from asteroid_joint.models.pretrained import load_model

RECIPES = sorted(path.parent for path in (ROOT / "recipes").glob("*/*/run.sh"))
NAMES = [str(path.relative_to(ROOT / "recipes")) for path in RECIPES]
OVERLAYS = [
    (recipe, path.stem)
    for recipe in RECIPES
    for path in sorted((recipe / "local").glob("*.yml"))
    if path.stem != "conf"
]
LEFT_BEHIND = (
    *("conf.yml", "best_k_models.json", "best_model.pth", "run_facts.json", "run_uuid.txt"),
    *("prepare.log", "train.log", "eval.log", "csv_log/version_0/metrics.csv"),
)
RESULTS = ("all_metrics.csv", "final_metrics.json", "results_row.md")


@pytest.fixture(scope="session")
def data_dirs(mir1k_dir, corpus_dir, jamendo_dir, medleydb_dir, mir_st500_dir, records_dir):
    """Data for each recipe, by its folder; a recipe on four stems takes the corpus, too."""
    return {
        "mir1k": mir1k_dir,
        "corpus": corpus_dir,
        "musdb18": corpus_dir,
        "musdb18_jamendo": corpus_dir,
        "jamendo": jamendo_dir,
        "medleydb_musdb18": medleydb_dir,
        "musdb18_dir": corpus_dir,
        "mir_st500_dir": mir_st500_dir,
        "records": records_dir,
    }


@pytest.fixture(scope="session")
def workplace(made_once) -> Path:
    """A copy of the recipes, so that experiments stay out of the checkout."""
    unwanted = shutil.ignore_patterns("exp", "logs", "data", "__pycache__")
    return made_once(
        "recipes", lambda copy: shutil.copytree(ROOT / "recipes", copy, ignore=unwanted)
    )


@pytest.fixture(scope="session")
def experiment(made_once, workplace, data_dirs, warm_python) -> Callable[[str], Path]:
    """Of a recipe, by its name: stages 1 to 3 with its overlay ``debug``; to be read only."""

    def call(name: str) -> Path:
        place = f"experiment_{name.replace('/', '_')}"
        python = sys.executable if name == "mir1k/DJCM" else warm_python  # one from the very start
        return made_once(place, lambda link: link.symlink_to(run_stages(name, python))).resolve()

    def run_stages(name: str, python: Path | str) -> Path:
        recipe, data_dir = workplace / name, data_dirs[name.split("/")[0]]
        # from another folder, with a path relative to it, and a key of the configuration
        options = ["--stage", 1, "--tag", "t", "--overlay", "debug", "--python_path", python]
        options += ["--data_dir", data_dir.name, "--seed", 3]
        data = recipe_config(recipe)["data"]
        if "mir1k_dir" in data:
            options += ["--mir1k_dir", data_dirs["mir1k"]]
        if "jamendo_dir" in data:
            options += ["--jamendo_dir", data_dirs["jamendo"]]
        for key in ("musdb18_dir", "mir_st500_dir"):
            if key in data:
                options += [f"--{key}", data_dirs[key]]
        if name.startswith("musdb18/") and name != "musdb18/JointXUMX":  # museval takes long: once
            options += ["--eval_options", "--native"]
        with contextlib.ExitStack() as stack:
            if "labels_dir" in data:  # shared: the first recipe makes them, others find them
                labels = workplace.with_name("labels")
                options += ["--labels_dir", labels]
                if not labels.exists():
                    stack.enter_context(FileLock(f"{labels}.lock"))
            done = run_command("bash", recipe / "run.sh", *options, cwd=data_dir.parent)
        assert done.returncode == 0, done.stdout + done.stderr
        (exp_dir,) = (recipe / "exp").glob("train_*_t")
        return exp_dir

    return call


@pytest.fixture
def djcm(experiment, tmp_path) -> Path:
    """A copy of a finished experiment of the DJCM recipe, to evaluate."""
    return Path(shutil.copytree(experiment("mir1k/DJCM"), tmp_path / "exp"))


@pytest.mark.parametrize("name", NAMES)
def test_stages_leave_what_asteroid_recipes_leave(name, experiment):
    recipe, exp_dir = ROOT / "recipes" / name, experiment(name)
    for path in LEFT_BEHIND:
        assert (exp_dir / path).is_file(), path
    taught = "labels of 6 tracks" in (exp_dir / "prepare.log").read_text()
    assert taught == ("labels_dir" in recipe_config(recipe)["data"])
    assert "on two sides" in (exp_dir / "prepare.log").read_text()
    conf = yaml.safe_load((exp_dir / "conf.yml").read_text())
    assert conf["training"]["seed"] == 3
    torch.load(exp_dir / "best_model.pth", weights_only=True)
    model = BaseModel.from_pretrained(str(exp_dir / "best_model.pth"))
    assert not model.training
    assert model.separate(torch.randn(1, model.in_channels, 8000)).shape[-1] == 8000
    check_results(exp_dir, model, conf)


def check_results(exp_dir: Path, model: JointModel, conf: dict) -> None:
    """The three files of an evaluation agree; a native one has a folder of its own."""
    (path,) = exp_dir.rglob("final_metrics.json")
    results, final = path.parent, json.loads(path.read_text())
    native = final["native"]
    assert results == (exp_dir / "eval_model_test_native" if native else exp_dir)
    assert all((results / name).is_file() for name in RESULTS)
    dataset = build_dataset(conf, "test", native)
    assert final["sample_rate"] == dataset.sample_rate and final["n_clips"] == len(dataset)
    assert final["n_songs"] == len({clip.song for clip in dataset.clips}) >= 2
    assert len(list((results / "pictures").rglob("*.png"))) == min(len(dataset), 5)
    rows = read_rows(results / "all_metrics.csv")
    assert {row["name"] for row in rows} == {clip.name for clip in dataset.clips}
    expected = {"sdr", "nsdr", "si_sdr"}
    if model.has_pitch:
        expected |= {"rpa", "rca", "oa", "vr", "vfa", "rpa_t0"}
    assert expected <= set(final["metrics"])
    for metric in expected:
        values = [row[metric] for row in rows]
        assert final["metrics"][metric]["mean"] == pytest.approx(sum(values) / len(values))
        assert final["metrics"][metric]["std"] >= 0
        assert final["metrics"][metric]["n"] == len(dataset)
    for fact in ("dataset", "split", "side", "seed", "hardware", "commit", "n_parameters"):
        assert fact in final
    assert final["seed"] == 3 and final["side"] == "test" and final["run"]["steps"] == 4
    assert ("museval_sdr" in final["metrics"]) == (exp_dir.name == "train_jointxumx_t" and native)
    if "museval_sdr" in final["metrics"]:
        check_museval(results, final, model.sources)
    row = (results / "results_row.md").read_text()
    assert row.count("|") == table_head().splitlines()[0].count("|")
    assert f"{final['metrics']['nsdr']['mean']:.2f} ±" in row


def check_museval(results: Path, final: dict, sources: tuple[str, ...]) -> None:
    """A line of medians and means for every source, and one for their mean."""
    lines = (results / "museval_row.md").read_text().splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [f"| {s}" for s in sources] + [
        "| mean of stems"
    ]
    for line, source in zip(lines[2:], sources, strict=False):
        name = "museval_sdr" if source == "vocals" else f"museval_sdr_{source}"
        shown = [f"{final['metrics'][name][kind]:.2f}" for kind in ("median", "mean")]
        assert line.split(" | ")[1:3] == shown


@pytest.mark.parametrize(("recipe", "name"), OVERLAYS, ids=lambda x: getattr(x, "name", x))
def test_every_overlay_builds(recipe, name, data_dirs):
    options = ["--data_dir", str(data_dirs[recipe.parent.name])]
    if "mir1k_dir" in recipe_config(recipe)["data"]:
        options += ["--mir1k_dir", str(data_dirs["mir1k"])]
    if "more_dir" in recipe_config(recipe)["data"]:
        options += ["--more_dir", str(data_dirs[recipe.parent.name])]
    if "labels_dir" in recipe_config(recipe)["data"]:
        options += ["--labels_dir", ""]  # those beside the audio
    if "jamendo_dir" in recipe_config(recipe)["data"]:
        options += ["--jamendo_dir", str(data_dirs["jamendo"]), "--sample_rate", "16000"]
    for key in ("musdb18_dir", "mir_st500_dir"):
        if key in recipe_config(recipe)["data"]:
            options += [f"--{key}", str(data_dirs[key])]
    conf = parse_recipe_args(recipe, ["--overlay", name, "--preset", "tiny", *options])
    model = build_model(conf)
    build_optimizer(conf, model, 10)
    build_loss(conf["loss"], conf["loss_args"], conf["training"]["weighting"])
    for one in (conf, *further_sets(conf).values()):
        for side in ("train", "valid", "test"):
            check_fit(model, build_dataset(one, side))


def test_full_is_the_published_configuration():
    conf = parse_recipe_args(ROOT / "recipes/mir1k/DJCM", ["--overlay", "full,official"])
    assert build_loss(conf["loss"], conf["loss_args"]).weights == {"waveform": 1.0, "pitch": 1.0}
    assert conf["loss_args"]["pitch_alpha"] == 10 and conf["loss_args"]["pitch_blur_cents"] == 0
    training, data = conf["training"], conf["data"]
    assert (training["batch_size"], training["epochs"], training["patience"]) == (16, 250, 10)
    steps_per_epoch = training["draws_per_epoch"] // training["batch_size"]
    assert steps_per_epoch == 181 and conf["optim"]["decay_steps"] == 5 * steps_per_epoch
    assert not any(data[k] for k in ("remix", "gain_db", "level_db", "speed_semitones", "silence"))
    assert conf["model"]["preset"] == "paper" and conf["model_args"] == {"mixture_scale": 2.0}


@pytest.mark.parametrize("control", ["detached", "shared_bottom", "mmoe"])
def test_controls_are_overlays(control):
    conf = parse_recipe_args(ROOT / "recipes/mir1k/DJCM", ["--overlay", f"{control},debug"])
    model = build_model(conf)
    assert type(model).__name__ == {"shared_bottom": "SharedBottom", "mmoe": "MMoE"}.get(
        control, "DJCM"
    )
    if control == "detached":
        assert model.detach_cascade


# In place of Python: shows what it was called with; the data check fails with code 3.
STUB = """#!/bin/bash
if [[ $1 == -c ]]; then echo 12345678; exit; fi
echo "called: $*"
[[ $1 != local/prepare.py ]] || exit 3
"""


def test_run_sh_passes_options_on_and_stops_where_a_stage_fails(workplace, tmp_path, run):
    script, stub = workplace / "mir1k/DJCM/run.sh", tmp_path / "python stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    options = ["--python_path", stub, "--data_dir", "/a b", "--overlay=full,official"]
    done = run("bash", script, *options, "--stage", 2, "--lr", "1e-4", "--tag", "stub")
    assert done.returncode == 0, done.stderr
    train, evaluation = (x for x in done.stdout.splitlines() if x.startswith("called:"))
    exp_dir = "--exp_dir exp/train_djcm_stub"
    assert train.endswith(f"train.py {exp_dir} --data_dir /a b --overlay full,official --lr 1e-4")
    assert evaluation.endswith(f"eval.py {exp_dir} --data_dir /a b")
    done = run("bash", script, *options, "--stage", 1)  # no tag: a new experiment
    assert done.returncode == 3 and done.stdout.count("called:") == 1
    assert "called:" in (script.parent / "exp/train_djcm_12345678/prepare.log").read_text()
    for name in ("train_djcm_stub", "train_djcm_12345678"):
        shutil.rmtree(script.parent / "exp" / name)


def test_the_corpus_is_made_where_there_is_none_and_gone_on_with_where_there_is(
    workplace, tmp_path, run
):
    script, stub = workplace / "corpus/DJCM/run.sh", tmp_path / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    data_dir = tmp_path / "data" / "made"
    options = ["--python_path", stub, "--data_dir", data_dir, "--tag", "stub", "--corpus", "ci"]
    for resume in ("", " --resume"):
        done = run("bash", script, *options, "--corpus_seed", 4, "--stop_stage", 0)
        assert done.returncode == 0, done.stderr
        (called,) = (x for x in done.stdout.splitlines() if x.startswith("called:"))
        wanted = f"make-corpus {data_dir} --preset ci --seed 4 --jobs 2{resume}"
        assert called == f"called: -m asteroid_joint.cli {wanted}"
        data_dir.mkdir(exist_ok=True)
        (data_dir / "corpus.json").touch()
    # evaluation takes the files as they are; a blend has no one rate on disk
    for chosen, native in (("debug", True), ("blend,debug", False)):
        more = ["--stage", 2, "--overlay", chosen, "--mir1k_dir", tmp_path]
        done = run("bash", script, *options, *more)
        train, evaluation = (x for x in done.stdout.splitlines() if x.startswith("called:"))
        assert train.endswith(f"--overlay {chosen} --mir1k_dir {tmp_path}")
        assert evaluation.endswith("--native") == native
    shutil.rmtree(script.parent / "exp" / "train_djcm_stub")


def test_no_corpus_is_made_where_a_path_was_mistyped(workplace, tmp_path, run):
    script, stub = workplace / "corpus/DJCM/run.sh", tmp_path / "stub"
    stub.write_text(STUB)
    stub.chmod(0o755)
    (tmp_path / "corpus").mkdir()
    (tmp_path / "corpus/corpus.json").touch()
    options = ["--python_path", stub, "--stop_stage", 0]
    done = run("bash", script, *options, "--data_dir", tmp_path / "corpsu")
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == (
        f"run.sh: there is no corpus in {tmp_path / 'corpsu'}: correct --data_dir, or add "
        "--corpus small to make one there.\n"
    )
    for wanted in (["--data_dir", tmp_path / "corpus"], ["--corpus", "ci"]):
        done = run("bash", script, *options, *wanted)
        assert done.returncode == 0 and "make-corpus" in done.stdout, done.stderr


def test_a_corpus_of_other_settings_is_not_gone_on_with(workplace, corpus_dir, run):
    before = sorted(corpus_dir.rglob("*"))
    options = ["--data_dir", corpus_dir, "--corpus", "ci", "--python_path", sys.executable]
    done = run("bash", workplace / "corpus/DJCM/run.sh", *options)
    assert done.returncode == 2 and "contains another corpus (tracks 6" in done.stderr
    assert done.stderr.count("\n") == 1 and "Stage 1" not in done.stdout
    assert sorted(corpus_dir.rglob("*")) == before


def test_run_sh_says_what_is_wrong_in_one_sentence(workplace, run):
    script = workplace / "mir1k/DJCM/run.sh"
    done = run("bash", script, "--data_dir", "/nowhere")
    assert done.returncode == 1 and "MIR-1K.zip" in done.stderr
    for wrong in ("--stage", "test"):
        done = run("bash", script, wrong)
        assert done.returncode == 2 and done.stderr.count("\n") == 1
    done = run("bash", script, "--help")
    assert done.returncode == 0 and "--name value" in done.stdout and "stop_stage" in done.stdout


def test_an_unknown_key_is_refused(capsys):
    with pytest.raises(SystemExit):
        prepare_main(str(ROOT / "recipes/mir1k/DJCM/local/prepare.py"), ["--no_such_key", "1"])
    assert "no_such_key" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="no overlay 'nothing': choose one of .*debug"):
        prepare_main(str(ROOT / "recipes/mir1k/DJCM/local/prepare.py"), ["--overlay", "nothing"])


def test_nothing_takes_an_argument_away():
    base = {"data": {"split": "a", "gain_db": 1}, "data_args": {"rate": 1, "channels": 2}}
    changes = {"data": {"split": None}, "data_args": {"rate": None, "parts": [None]}}
    merged = overlay(base, changes)
    assert merged["data_args"] == {"channels": 2, "parts": [None]}
    assert merged["data"] == {"split": None, "gain_db": 1}  # its keys are options: they stay
    assert base["data_args"] == {"rate": 1, "channels": 2}
    blend = parse_recipe_args(ROOT / "recipes/corpus/DJCM", ["--overlay", "blend"])
    assert set(blend["data_args"]) == {"clip_level_db", "parts"}


def test_arguments_of_datasets_are_options_where_they_say_so(mir1k_dir, corpus_dir):
    options = ["--overlay", "blend", "--data_dir", str(corpus_dir), "--mir1k_dir", str(mir1k_dir)]
    conf = parse_recipe_args(ROOT / "recipes/corpus/DJCM", options)
    assert [part["data_dir"] for part in conf["data_args"]["parts"]] == ["$mir1k_dir", "$data_dir"]
    blend = build_dataset(conf, "train")
    assert [str(part.dataset.root) for part in blend.parts] == [str(mir1k_dir), str(corpus_dir)]
    assert blend.clip_level_db == -14 and (blend.sample_rate, blend.n_channels) == (16000, 1)
    conf["data_args"]["parts"][1]["data_dir"] = "$nowhere"
    with pytest.raises(ConfigError, match="there is no key 'nowhere' in data"):
        build_dataset(conf, "train")


@pytest.mark.parametrize("options", [["--init_from", "djcm_mir1k"], ["--overlay", "blend"]])
def test_training_goes_on_from_shipped_weights(options):
    conf = parse_recipe_args(ROOT / "recipes/corpus/DJCM", options)
    model, shipped = build_model(conf), load_model("djcm_mir1k")
    for name, value in shipped.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_leak_is_found(mir1k_dir, tmp_path):
    leaky = Path(shutil.copytree(mir1k_dir, tmp_path / "leaky"))
    sides = {side: MIR1K(str(leaky), side) for side in ("train", "test")}
    assert "no singer" in check_dataset(sides)
    clip = sides["train"].clips[0]
    sides["test"].clips[0] = sides["test"].clips[0]._replace(singer=clip.singer)
    with pytest.raises(DataError, match="1 singers are in both train and test"):
        check_dataset(sides)
    assert "note: 1 singers" in check_dataset(sides, disjoint=False)


@pytest.mark.parametrize("fault", ["rate", "label", "empty"])
def test_data_that_are_not_as_documented_are_refused(fault, mir1k_dir, tmp_path):
    broken = Path(shutil.copytree(mir1k_dir, tmp_path / "broken"))
    if fault == "rate":
        wav, _ = sf.read(broken / "Wavfile/bug_1_01.wav")
        sf.write(broken / "Wavfile/bug_1_01.wav", wav, 8000)
    elif fault == "label":
        (broken / "PitchLabel/amy_1_01.pv").unlink()
    else:
        shutil.rmtree(broken / "Wavfile")
    message = {"rate": "not a 16 kHz stereo", "label": "label file", "empty": "No clips in"}
    script = str(ROOT / "recipes/mir1k/DJCM/local/prepare.py")
    with pytest.raises(SystemExit, match=f"prepare.py: .*{message[fault]}"):
        prepare_main(script, ["--data_dir", str(broken)])


def evaluate(exp_dir: Path, *options: object) -> None:
    argv = ["--exp_dir", exp_dir, "--device", "cpu", *options]
    eval_main(str(ROOT / "recipes/mir1k/DJCM/eval.py"), [str(part) for part in argv])


def test_controls_stand_in_the_same_table(djcm, mir1k_dir, capsys):
    evaluate(djcm, "--control", "mixture", "--museval")
    mixture = json.loads((djcm / "eval_mixture_test/final_metrics.json").read_text())
    assert mixture["metrics"]["nsdr"]["mean"] == 0.0 and "rpa" not in mixture["metrics"]
    assert mixture["metrics"]["museval_sdr"]["n"] == 4
    assert table_head() in capsys.readouterr().out
    evaluate(djcm, "--control", "torchcrepe_clean")
    evaluate(djcm, "--control", "torchcrepe_separated", "--threshold", 0.5)
    clean, separated = (
        json.loads((djcm / f"eval_torchcrepe_{x}_tiny_test{y}/final_metrics.json").read_text())
        for x, y in (("clean", ""), ("separated", "_threshold0.5"))
    )
    assert clean["metrics"]["rpa_t0"]["mean"] > 0.8 and "sdr" not in clean["metrics"]
    assert 0 < clean["voicing_threshold"] < 1 and separated["voicing_threshold"] == 0.5
    ours = json.loads((djcm / "final_metrics.json").read_text())  # untouched by the controls
    same = separated["metrics"]["nsdr"]["mean"]
    assert ours["system"] == "model" and same == pytest.approx(ours["metrics"]["nsdr"]["mean"])


def test_selection_side_does_not_touch_the_final_results(djcm):
    before = (djcm / "final_metrics.json").read_text()
    evaluate(djcm, "--side", "valid", "--n_clips", 2)
    assert (djcm / "final_metrics.json").read_text() == before
    valid = json.loads((djcm / "eval_model_valid_n2/final_metrics.json").read_text())
    assert valid["side"] == "valid" and valid["n_clips"] == 2


def test_another_model_does_not_touch_the_results_of_the_experiments_own(djcm):
    before = (djcm / "final_metrics.json").read_text()
    evaluate(djcm, "--model", "djcm_mir1k", "--n_clips", 1)
    evaluate(djcm, "--model", djcm / "best_model.pth", "--model_args", "power=0.5,phase_init=0")
    assert (djcm / "final_metrics.json").read_text() == before
    other = json.loads((djcm / "eval_model_test_djcm_mir1k_n1/final_metrics.json").read_text())
    assert other["model_file"] == "djcm_mir1k" and other["n_clips"] == 1
    assert (djcm / "eval_model_test_power0.5_phase_init0/final_metrics.json").is_file()
    for wrong, message in (("mixture_scale", "name=value"), ("no_such=1", "do not fit DJCM")):
        with pytest.raises(SystemExit, match=f"eval.py: .*{message}"):
            evaluate(djcm, "--model_args", wrong)


def test_two_evaluations_are_compared(djcm, capsys, tmp_path):
    evaluate(djcm, "--control", "mixture")
    capsys.readouterr()
    pair = [djcm / "all_metrics.csv", djcm / "eval_mixture_test" / "all_metrics.csv"]
    evaluate(djcm, "--compare", *pair, "--metrics", "nsdr,oa")
    out = capsys.readouterr().out
    headings = {column.metric: column.heading for column in COLUMNS}
    assert f"| {headings['nsdr']} |" in out and headings["oa"] not in out
    assert re.search(r"\| 4 \| 3 \|", out)
    with pytest.raises(SystemExit, match="eval.py: Cannot read"):
        evaluate(djcm, "--compare", pair[0], tmp_path / "no.csv")


def test_errors_of_evaluation_are_one_sentence(djcm, tmp_path):
    (djcm / "best_model.pth").write_bytes(b"not a model")
    with pytest.raises(SystemExit, match="eval.py: .*best_model.pth"):
        evaluate(djcm)
    with pytest.raises(SystemExit, match="eval.py: No clips in"):
        evaluate(djcm, "--data_dir", tmp_path)

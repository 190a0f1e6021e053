"""The frontier study: its grid, and its runs on Ray, also when processes and nodes are killed."""

import importlib.util
import json
import runpy
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from ruamel.yaml import YAML

import draw
import figures
import grid
import scratch
from dlreport.errors import UserError

TINY = {
    "seed": 2023,
    "models": ["VanillaRNN", "LSTM"],
    "lengths": [3, 4],
    "hidden_dims": [8],
    "initialisations": ["as_reported", "orthogonal"],
    "clip_modes": ["effective"],
    "replicates": 1,
    "steps": 30,
    "batch_size": 32,
    "optimizer": "RMSprop",
    "learning_rate": 0.001,
    "max_norm": 10.0,
    "test_sequences": 100,
    "solved_at": 0.99,
}
# Runs that take seconds, so that they can be killed on their way
LONG = {**TINY, "models": ["LSTM"], "lengths": [30], "hidden_dims": [32], "steps": 20_000, "replicates": 2}
# In git, but a copy has to make them by itself
MADE = (
    *("runs.csv", "cells.csv", "longest.csv", "metrics.json", "manifest.json", "heat_map.png", "curves.png"),
    "dvc.lock",
)
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed; `make test-slow` installs it"
)


def study(**changed: Any) -> grid.Study:
    return grid.Study.model_validate({**TINY, **changed})


# --- the grid


def test_a_run_for_each_choice_and_replicate():
    runs = grid.runs(study(replicates=2))
    assert len(set(runs)) == len(set(map(str, runs))) == 2 * 2 * 2 * 2
    assert str(runs[-1]) == "LSTM-8-orthogonal-effective-4-1"


def test_finished_runs_stay_valid_when_an_axis_grows_and_only_then(repository, monkeypatch):
    monkeypatch.chdir(repository)
    before = grid.fingerprint(study())
    assert grid.fingerprint(study(lengths=[3, 4, 5], replicates=9)) == before
    assert grid.fingerprint(study(steps=31)) != before
    assert grid.fingerprint(study(max_norm=1.0)) != before


def test_a_runs_numbers_are_its_own():
    run = grid.runs(study())[-1]
    once, again = (grid.train_run(run, study(**axes))["row"] for axes in ({}, {"lengths": [4], "replicates": 3}))
    assert once == again
    assert 0 <= once["test_accuracy"] <= 1


def test_runs_of_one_replicate_see_the_same_data():
    """So that variants are compared in pairs. With steps next to nothing, clipping cannot matter."""
    its = study(clip_modes=["off", "effective"], lengths=[3], models=["LSTM"], learning_rate=1e-9)
    unclipped, clipped, *_ = (grid.train_run(run, its)["row"] for run in grid.runs(its))
    assert unclipped["train_accuracy"] == clipped["train_accuracy"]


def test_longer_wider_and_gated_runs_cost_more():
    def cost(model="VanillaRNN", hidden_dim=64, length=20):
        return grid.Run(model, hidden_dim, "orthogonal", "off", length, 0).cost

    assert cost(length=39) == 2 * cost()
    assert cost(model="LSTM") == 4 * cost()
    assert 2 * cost() < cost(hidden_dim=128) < 4 * cost()


def test_a_run_is_solved_at_the_end_of_the_first_window_that_is_good_enough():
    accuracy = np.concatenate([np.full(150, 0.5), np.full(170, 1.0)]).astype(np.float32)
    assert grid.solved_step(accuracy, 0.99) == 300
    assert grid.solved_step(accuracy, 0.75) == 200
    assert grid.solved_step(accuracy[:290], 0.99) is None


def test_a_run_that_diverges_is_a_result(monkeypatch):
    def diverge(*_):
        raise UserError("the loss is nan at step 3")

    monkeypatch.setattr(grid, "train", diverge)
    row = grid.train_run(grid.runs(study())[0], study())["row"]
    assert (row["diverged"], row["test_accuracy"]) == (True, None)


@pytest.fixture
def table() -> pd.DataFrame:
    """Three replicates: all solve length 5, two 10, one 20, none 30, all 40; and one diverges at 30."""
    solving = {5: 3, 10: 2, 20: 1, 30: 0, 40: 3}
    rows = [
        {
            **dict(zip(figures.VARIANT, ("LSTM", 8, "orthogonal", "off"), strict=True)),
            "length": length,
            "replicate": replicate,
            "test_accuracy": None if (length, replicate) == (30, 0) else 0.99 if replicate < number else 0.4,
            "solved_step": 100.0 if replicate < number else None,
            "diverged": (length, replicate) == (30, 0),
        }
        for length, number in reversed(solving.items())
        for replicate in range(3)
    ]
    return draw.cells(pd.DataFrame(rows), 0.99)


def test_cells_count_replicates_and_take_one_that_diverged_as_never_right(table):
    by_length = table.set_index("length")
    assert by_length["solved"].to_dict() == {40: 3, 30: 0, 20: 1, 10: 2, 5: 3}
    assert by_length.loc[30, "diverged"] == 1
    assert by_length.loc[30, "test_accuracy_mean"] == pytest.approx(0.8 / 3)
    assert by_length.loc[30, "test_accuracy_min"] == 0


def test_the_longest_length_is_one_up_to_which_most_replicates_solve_all(table):
    assert draw.longest(table)["longest"].tolist() == [10]
    assert draw.longest(table[table["length"] > 10])["longest"].tolist() == [0]


def test_metrics_are_the_longest_as_reported_and_the_best(table):
    reported = table.assign(initialisation="as_reported", solved=[0, 0, 0, 0, 3])
    both = pd.concat([table, table.assign(hidden_dim=16, solved=3), reported, reported.assign(clip="effective")])
    assert draw.metrics(draw.longest(both)) == {"LSTM_as_reported": 5, "LSTM_best": 40}
    assert draw.metrics(draw.longest(table)) == {"LSTM_best": 10}


def test_the_figures_draw_any_grid(table):
    both = pd.concat([table, table.assign(model="VanillaRNN", clip="effective"), table.assign(hidden_dim=16)])
    assert len(figures.curves(both, 0.99).axes) == 3
    heat_map = figures.heat_map(both)
    assert len(heat_map.axes[0].texts) == 15


# --- the pipeline


def make(project: Path, params: dict[str, Any]) -> Path:
    scratch.make(project)
    for name in MADE:
        (project / grid.HERE / name).unlink(missing_ok=True)
    return set_params(project, params)


def set_params(project: Path, params: dict[str, Any]) -> Path:
    YAML().dump(params, project / grid.HERE / "params.yaml")
    return project


def start(project: Path, *options: str, **environment: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "dvc", "repro", *options, str(grid.HERE / "dvc.yaml")]
    env = {**scratch.environment(project), **environment}
    return subprocess.Popen(command, cwd=project, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen) -> str:
    """Its stderr, when it has ended well."""
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, said + errors
    return errors


def results(project: Path) -> dict[str, bytes]:
    return {name: (project / grid.HERE / name).read_bytes() for name in ("runs.csv", "metrics.json", "heat_map.png")}


def training_process(parent: int) -> psutil.Process:
    """A descendant of this process that has been training for a second; Ray gives it the task's name."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for process in psutil.Process(parent).children(recursive=True):
            if training(process):
                time.sleep(1)
                if training(process):
                    return process
        time.sleep(0.1)
    raise AssertionError("no run was started")


def training(process: psutil.Process) -> bool:
    try:
        return process.cmdline()[:1] == ["ray::train_run"]
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tuple[Path, str]:
    """A copy after the study at tiny size, by one worker, and what it said."""
    project = make(tmp_path_factory.mktemp("frontier") / "project", TINY)
    return project, end(start(project))


@pytest.fixture(scope="module")
def long(tmp_path_factory) -> dict[str, bytes]:
    """The results of the longer runs by one worker, undisturbed."""
    project = make(tmp_path_factory.mktemp("frontier") / "project", LONG)
    end(start(project))
    return results(project)


@pytest.mark.slow
@needs_ray
def test_finished_runs_are_not_run_again(tiny, tmp_path):
    assert "8 runs, 0 of them kept from before" in tiny[1]
    assert " 8 of 8, " in tiny[1]
    before = results(tiny[0])
    runs = pd.read_csv(tiny[0] / grid.HERE / "runs.csv")
    assert len(runs) == 8
    assert runs["test_accuracy"].between(0, 1).all()
    assert json.loads(before["metrics.json"]).keys() == {"VanillaRNN_best", "LSTM_best"}

    project = shutil.copytree(tiny[0], tmp_path / "project", symlinks=True)
    assert end(start(project)) == ""  # DVC finds nothing to do
    assert "8 runs, 8 of them kept from before" in end(start(project, "--force"))
    assert results(project) == before

    set_params(project, {**TINY, "lengths": [3, 4, 5]})
    assert "12 runs, 8 of them kept from before" in end(start(project))
    longer = pd.read_csv(project / grid.HERE / "runs.csv")
    assert longer[longer["length"] < 5].reset_index(drop=True).equals(runs)


@pytest.mark.slow
@needs_ray
def test_a_worker_that_is_killed_is_replaced_and_two_workers_find_what_one_does(long, tmp_path):
    project = make(tmp_path / "project", LONG)
    study = start(project, DLREPORT_WORKERS="2")
    training_process(study.pid).kill()
    said = end(study)
    assert "4 runs, 0 of them kept from before" in said
    assert results(project) == long


@pytest.mark.slow
@needs_ray
def test_a_driver_that_is_killed_loses_no_finished_run_and_its_workers_end(long, tmp_path):
    project = make(tmp_path / "project", LONG)
    study = start(project)
    deadline = time.monotonic() + 300
    while not list(project.glob(".checkpoints/frontier/*/*.json")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    worker = training_process(study.pid)
    for process in (study, psutil.Process(study.pid).children()[0]):  # DVC, and the stage
        process.kill()
    worker.wait(timeout=60)
    study.communicate()
    kept = len(list(project.glob(".checkpoints/frontier/*/*.json")))
    assert f"4 runs, {kept} of them kept from before" in end(start(project))
    assert results(project) == long


@pytest.mark.slow
@needs_ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_one_line(tmp_path, number):
    project = make(tmp_path / "project", LONG)
    command = [sys.executable, str(grid.HERE / "train.py")]
    environment = scratch.environment(project)
    stage = subprocess.Popen(command, cwd=project, env=environment, stderr=subprocess.PIPE, text=True)
    worker = training_process(stage.pid)
    stage.send_signal(number)
    said = stage.communicate(timeout=120)[1]
    assert stage.returncode == 128 + number
    assert said.splitlines()[1:] == ["stopped: all finished runs are kept; `make frontier` goes on from there"]
    worker.wait(timeout=60)


@pytest.mark.slow
@needs_ray
def test_a_node_that_dies_is_survived(long, tmp_path):
    """A cluster of two nodes of one processor each; the one that is not the head's dies under a run."""
    from ray.cluster_utils import Cluster

    project = make(tmp_path / "project", LONG)
    small = {"num_cpus": 1, "object_store_memory": 10**8}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        node = cluster.add_node(**small)
        study = start(project, RAY_ADDRESS=cluster.address)
        (raylet,) = node.all_processes["raylet"]
        training_process(raylet.process.pid)
        cluster.remove_node(node, allow_graceful=False)
        said = end(study)
    finally:
        cluster.shutdown()
    assert "4 runs, 0 of them kept from before" in said
    assert results(project) == long


@pytest.mark.slow
@needs_ray
def test_a_cluster_that_is_not_there_is_one_line(tiny, tmp_path):
    project = shutil.copytree(tiny[0], tmp_path / "project", symlinks=True)
    set_params(project, {**TINY, "lengths": [5]})
    result = script(project, RAY_ADDRESS="127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: Ray at 127.0.0.1:1 ")


def script(project: Path, **environment: str) -> subprocess.CompletedProcess:
    """The stage without DVC."""
    env = {**scratch.environment(project), **environment}
    command = [sys.executable, str(grid.HERE / "train.py")]
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("changed", "key"),
    [({"lengths": [3, 1]}, "lengths.1"), ({"clip_modes": [False]}, "clip_modes.0"), ({"hidden": [8]}, "hidden")],
)
def test_a_bad_parameter_is_one_line_and_runs_nothing(tmp_path, changed, key):
    project = make(tmp_path / "project", {**TINY, **changed})
    result = script(project)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: studies/frontier/params.yaml: {key}: ")
    assert result.stderr.count("\n") == 1
    assert not (project / ".checkpoints").exists()


def test_without_ray_it_is_one_line_and_runs_nothing(tmp_path):
    project = make(tmp_path / "project", TINY)
    (project / "src/ray.py").write_text("raise ModuleNotFoundError('No module named ray', name='ray')\n")
    result = script(project)
    assert result.returncode == 1
    assert result.stderr.splitlines()[1:] == [
        "error: ray is not installed; run `make frontier`, which installs studies/frontier/requirements.txt"
    ]
    assert not (project / ".checkpoints").exists()


def test_a_lost_run_does_not_stop_the_others(monkeypatch, tmp_path):
    """One whose process dies again and again, as for want of memory."""
    monkeypatch.setitem(
        sys.modules, "cluster", types.SimpleNamespace(RETRIES=5, connect=lambda: None, train=lose_first)
    )
    stage = runpy.run_path(str(scratch.ROOT / grid.HERE / "train.py"))
    runs = grid.runs(study())
    paths = {run: tmp_path / f"{run}.json" for run in runs}
    with pytest.raises(UserError, match=r"^1 runs were lost, .+ \(LSTM-8-as_reported-effective-4-0\); all others"):
        stage["train"](runs, paths, study())
    assert sum(path.exists() for path in paths.values()) == len(runs) - 1


def lose_first(runs, study):
    for number, run in enumerate(runs):
        row = {"test_accuracy": 0.5}
        yield run, {"row": row, "core_seconds": 1.0, "torch": torch.__version__} if number else None

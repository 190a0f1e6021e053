"""The frontier study's runs in processes and on Ray, also when processes and nodes are killed."""

import importlib.util
import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest

import grid
import helpers
from frontier import TINY, TRAIN, make, set_params, train
from helpers import DVC, wait_until

pytestmark = pytest.mark.slow
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed; `make test-slow` installs it"
)

# Runs that take seconds, so that they can be killed on their way
LONG = {**TINY, "models": ["LSTM"], "lengths": [20], "hidden_dims": [32], "steps": 12_000, "replicates": 2}


def start(project: Path, *options: str, **environment: str) -> subprocess.Popen:
    return helpers.start([*DVC, "repro", *options, str(grid.HERE / "dvc.yaml")], project, **environment)


def end(process: subprocess.Popen) -> str:
    """Its stderr, when it has ended well."""
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, said + errors
    return errors


def results(project: Path) -> dict[str, bytes]:
    return {name: (project / grid.HERE / name).read_bytes() for name in ("runs.csv", "metrics.json", "heat_map.svg")}


def training_process(parent: int) -> psutil.Process:
    """A descendant of this process that has been training for a second."""

    def find() -> psutil.Process | None:
        for process in psutil.Process(parent).children(recursive=True):
            if training(process):
                time.sleep(1)
                if training(process):
                    return process
        return None

    return wait_until(find)


def training(process: psutil.Process) -> bool:
    """Whether it is a process that runs are given to, here or by Ray, and at work: it has the native engine loaded."""
    try:
        command = " ".join(process.cmdline())
        return ("spawn_main" in command or command.startswith("ray::_answer")) and "native.so" in maps(process)
    except (psutil.NoSuchProcess, psutil.AccessDenied, FileNotFoundError):
        return False


def maps(process: psutil.Process) -> str:
    return " ".join(region.path for region in process.memory_maps())


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


def test_finished_runs_are_not_run_again(tiny, tmp_path):
    assert "8 runs, 0 of them kept from before" in tiny[1]
    assert " 8 of 8: " in tiny[1]
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


def test_a_worker_that_is_killed_is_replaced_and_two_workers_find_what_one_does(long, tmp_path):
    project = make(tmp_path / "project", LONG)
    study = start(project, DLREPORT_WORKERS="2")
    training_process(study.pid).kill()
    said = end(study)
    assert "4 runs, 0 of them kept from before" in said
    assert results(project) == long


def test_a_driver_that_is_killed_loses_no_finished_run_and_its_workers_end(long, tmp_path):
    project = make(tmp_path / "project", LONG)
    study = start(project, DLREPORT_WORKERS="2")
    wait_until(lambda: list(project.glob(".checkpoints/frontier/*/*.json")))
    worker = training_process(study.pid)
    for process in (study, psutil.Process(study.pid).children()[0]):  # DVC, and the stage
        process.kill()
    worker.wait(timeout=60)
    study.communicate()
    kept = len(list(project.glob(".checkpoints/frontier/*/*.json")))
    assert f"4 runs, {kept} of them kept from before" in end(start(project))
    assert results(project) == long


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_one_line(tmp_path, number):
    project = make(tmp_path / "project", LONG)
    stage = helpers.start(TRAIN, project, DLREPORT_WORKERS="2")
    worker = training_process(stage.pid)
    stage.send_signal(number)
    said = stage.communicate(timeout=120)[1]
    assert stage.returncode == 128 + number
    assert said.splitlines()[-1] == "stopped: all finished runs are kept; run it again to go on from there"
    assert "Traceback" not in said
    worker.wait(timeout=60)


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


@needs_ray
def test_a_cluster_that_is_not_there_is_one_line(tiny, tmp_path):
    project = shutil.copytree(tiny[0], tmp_path / "project", symlinks=True)
    set_params(project, {**TINY, "lengths": [5]})
    result = train(project, RAY_ADDRESS="127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: Ray at 127.0.0.1:1 ")

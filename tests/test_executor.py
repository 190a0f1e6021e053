"""Runs side by side: what comes of them, and of kills, errors and signals; on processes here and on Ray."""

import importlib.util
import os
import re
import signal
import sys
import time
from functools import partial
from pathlib import Path

from common.training import write_weights

import psutil
import pytest
import torch

import helpers
import scratch
from dlreport import checkpoint, executor
from dlreport.checkpoint import Checkpoint, Checkpoints
from dlreport.errors import Interrupted, UserError
from dlreport.executor import run_each
from dlreport.io import tensors_to_bytes
from dlreport.sequence.task import Task
from dlreport.sequence.training import train
from helpers import needs_native, wait_until

CPU = torch.device("cpu")
TRAIN = [sys.executable, "stages/train_sequence.py", "--model", "LSTM", "--length", "5"]
needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="Ray is not installed; `make test-slow` installs it"
)


@pytest.fixture(autouse=True)
def _no_process_is_left():
    before = psutil.Process().children()
    yield
    left = [process.cmdline() for process in psutil.Process().children() if process not in before]
    assert not [command for command in left if "spawn_main" in " ".join(command)]


@pytest.fixture
def settings(params):
    return params.sequence.model_copy(update={"hidden_dim": 8, "steps": 700, "batch_size": 64, "log_every": 700})


def results(*arguments) -> list:
    return [result for _, result in sorted(run_each(*arguments))]


def process_of(others: Path | None, item: int, checkpoints: Checkpoints) -> tuple[int, int]:
    """The item and the process that had it. Item 0 waits for a file that says that the others' results have come."""
    if item == 0 and others:
        wait_until(others.exists)
    return item, os.getpid()


@pytest.mark.parametrize("processes", [1, 2])
def test_results_come_as_the_runs_end(tmp_path, processes):
    others = tmp_path / "others" if processes == 2 else None
    found = []
    for index, result in run_each(partial(process_of, others), range(3), processes):
        found.append((index, *result))
        if others and len(found) == 2:
            others.touch()
    assert [index for index, *_ in found] == ([1, 2, 0] if others else [0, 1, 2])
    assert all(item == index for index, item, _ in found)
    own = {process for *_, process in found}
    assert (own == {os.getpid()}) == (processes == 1)
    assert len(own) == processes


def test_no_item_is_no_run():
    assert results(partial(process_of, None), [], 2) == []


def views(item: int, checkpoints: Checkpoints) -> dict[str, torch.Tensor]:
    flat = torch.full((100_000,), float(item))
    return dict(zip(("first", "second"), flat.split(50_000), strict=True))


def test_a_file_of_a_result_has_the_same_bytes_by_any_number_of_processes():
    """Of tensors that are views of one."""
    alone, side_by_side = (
        [bytes(tensors_to_bytes(result)) for result in results(views, range(3), processes)] for processes in (1, 2)
    )
    assert all(len(content) < 1.1 * 400_000 for content in alone)
    assert side_by_side == alone


def die(folder: Path, times: int, item: int, checkpoints: Checkpoints) -> int:
    """Say that it has begun; item 0 is killed each of the first `times`."""
    (folder / f"{item}-{time.time_ns()}").touch()
    if item == 0 and len(begun(folder, item)) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(1)
    return item


def begun(folder: Path, item: int) -> list[Path]:
    return list(folder.glob(f"{item}-*"))


def test_a_run_whose_process_is_killed_begins_again_and_the_others_do_not(tmp_path, caplog):
    assert results(partial(die, tmp_path, 2), range(3), 2, Checkpoints(), "GAN-{}".format) == [0, 1, 2]
    assert [len(begun(tmp_path, item)) for item in range(3)] == [3, 1, 1]
    assert caplog.messages == ["the process of run GAN-0 was killed; it begins again"] * 2


@pytest.mark.slow
def test_a_run_that_is_always_killed_is_one_line_after_all_others(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "RETRIES", 1)
    found = {}
    with pytest.raises(UserError, match=r"^run 0: its process was killed 2 times, .*run it again$"):
        for index, result in run_each(partial(die, tmp_path, 100), range(3), 2):
            found[index] = result
    assert found == {1: 1, 2: 2}
    assert len(begun(tmp_path, 0)) == 2


def train_and_die(settings, folder: Path, replicate: int, checkpoints: Checkpoints):
    """A training; of replicate 0 the process is killed once, after its second save."""
    save, saves = Checkpoint.save, []

    def save_and_die(self, state) -> None:
        save(self, state)
        saves.append(self)
        if len(saves) == 2 and not (folder / "killed").exists():
            (folder / "killed").touch()
            os.kill(os.getpid(), signal.SIGKILL)

    if replicate == 0:
        Checkpoint.save = save_and_die  # in the worker's process alone, which has other replicates after it
    try:
        return train(Task("LSTM", 4), settings, 5, CPU, "fp32", [replicate], checkpoints)
    finally:
        Checkpoint.save = save


@pytest.mark.slow
def test_a_training_whose_process_is_killed_goes_on_to_the_same_bytes(tmp_path, settings, capfd):
    def content(runs) -> bytes:
        """As the stage writes weights, and the curves with them."""
        arrays = [{**run.weights, "loss": run.loss, "accuracy": run.accuracy} for (run,) in runs]
        write_weights(tmp_path / "weights.safetensors", arrays + [run.halfway for (run,) in runs])
        return (tmp_path / "weights.safetensors").read_bytes()

    def train_alone(replicate: int, checkpoints: Checkpoints):
        return train(Task("LSTM", 4), settings, 5, CPU, "fp32", [replicate], checkpoints)

    expected = results(train_alone, range(3), 1)
    run = partial(train_and_die, settings, tmp_path)
    found = results(run, range(3), 2, Checkpoints(tmp_path / "checkpoints", seconds=0))
    assert content(found) == content(expected)
    assert (tmp_path / "killed").exists()
    assert re.findall("(LSTM-4 replicate .) goes on from step (.*)", capfd.readouterr().err) == [
        ("LSTM-4 replicate 0", "256")
    ]


def wait_for_stop(folder: Path, item: int, checkpoints: Checkpoints) -> None:
    """Item 0 ends; 1 is an error; all others last until they are asked to stop, of which they leave a trace."""
    if item > 1:
        (folder / f"{item} begun").touch()
        wait_until(checkpoint.asked_to_stop, pause=0.01)
        (folder / f"{item} stopped").touch()
        raise Interrupted(checkpoint.asked_to_stop(), f"{item} is saved")
    wait_until(lambda: len(list(folder.glob("* begun"))) == 2)
    if item == 1:
        raise UserError("the loss is nan")


@pytest.mark.slow
def test_an_error_of_a_run_ends_the_others_and_is_the_callers(tmp_path):
    with pytest.raises(UserError, match="the loss is nan") as caught:
        results(partial(wait_for_stop, tmp_path), [2, 3, 1, 4], 3)
    assert str(caught.value) == "the loss is nan"
    assert "in wait_for_stop" in caught.value.__notes__[0]  # where in the worker
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2 begun", "2 stopped", "3 begun", "3 stopped"]


def test_a_signal_stops_all_when_they_have_saved(tmp_path, monkeypatch):
    signals = []
    monkeypatch.setattr(checkpoint, "_asked_to_stop", signals)
    ends = run_each(partial(wait_for_stop, tmp_path), [2, 3, 0, 4], 3)
    assert next(ends) == (2, None)
    signals.append(signal.SIGINT)
    with pytest.raises(Interrupted, match=r"[23] is saved") as caught:
        list(ends)
    assert caught.value.number == signal.SIGINT  # the workers' was another
    assert {"2 stopped", "3 stopped"} <= {path.name for path in tmp_path.iterdir()}


def test_without_ray_a_cluster_is_one_line(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"^RAY_ADDRESS is set, but ray is not installed; install requirements-ray.txt"):
        results(partial(process_of, None), [0], 1)


@needs_ray
@pytest.mark.slow
def test_a_cluster_that_is_not_there_is_one_line(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"^Ray at 127.0.0.1:1 does not answer; start it, or unset .*refused$"):
        results(partial(process_of, None), [0], 1)


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> tuple[Path, dict[str, bytes]]:
    """A tiny copy whose training of LSTM-5 lasts some seconds a replicate and saves often, and its outputs here."""
    project = tmp_path_factory.mktemp("stage") / "project"
    longer = {"sequence.steps": 40_000, "sequence.log_every": 40_000}
    scratch.make(project, {**longer, "checkpoint_seconds": 0.2})
    helpers.output_of(TRAIN, project)
    return project, outputs(project)


def outputs(project: Path) -> dict[str, bytes]:
    """What the stage wrote, which is taken away."""
    paths = [path for name in ("models", "plots", "metrics") for path in project.glob(f"{name}/sequence/**/*LSTM-5.*")]
    assert len(paths) == 6
    found = {str(path.relative_to(project)): path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    assert not list(project.glob(".checkpoints/sequence-LSTM-5/*"))
    return found


def both_saved(project: Path) -> bool:
    return len(list(project.glob(".checkpoints/sequence-LSTM-5/*/*.safetensors"))) == 2


@needs_native("sequence.c", "fp32")  # autograd's is one process for all replicates
@pytest.mark.slow
def test_a_coordinator_that_is_killed_leaves_no_process_and_both_replicates_go_on(stage):
    project, expected = stage
    process = helpers.start(TRAIN, project, DLREPORT_WORKERS="2")
    wait_until(lambda: both_saved(project))
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    assert len(workers) == 2
    process.kill()
    assert not psutil.wait_procs(workers, timeout=60)[1]
    process.communicate()
    again = helpers.run(TRAIN, project, DLREPORT_WORKERS="2")
    assert again.returncode == 0, again.stderr
    assert sorted(re.findall(r"(replicate .) goes on from step [1-9]", again.stderr)) == ["replicate 0", "replicate 1"]
    assert outputs(project) == expected


@needs_ray
@needs_native("sequence.c", "fp32")
@pytest.mark.slow
def test_a_node_of_a_cluster_dies_and_its_replicate_goes_on_from_its_checkpoint(stage):
    """Two nodes of one processor each; the one that is not the head's dies under a run."""
    from ray.cluster_utils import Cluster

    project, expected = stage
    small = {"num_cpus": 1, "object_store_memory": 10**8}
    cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    try:
        node = cluster.add_node(**small)
        process = helpers.start(TRAIN, project, RAY_ADDRESS=cluster.address)
        wait_until(lambda: both_saved(project) or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        cluster.remove_node(node, allow_graceful=False)
        said, errors = process.communicate(timeout=600)
    finally:
        cluster.shutdown()
    assert process.returncode == 0, said + errors
    assert len(re.findall(r"LSTM-5 replicate . goes on from step [1-9]", said + errors)) == 1
    assert outputs(project) == expected

"""Training that is ended anywhere goes on to the same bits."""

import copy
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import scratch
from dlreport.errors import Interrupted, UserError
from dlreport.training import checkpoint as module
from dlreport.training import gan as gan_module
from dlreport.training import gan_engines
from dlreport.training import sequence as sequence_module
from dlreport.training.checkpoint import Checkpoint, Checkpoints, fingerprint
from dlreport.training.gan import train_gan
from dlreport.training.sequence import Cell, train_replicates

ENGINES = ["native", "autograd"]


class Killed(BaseException):
    """In place of SIGKILL: no handler of the code under test sees it."""


@pytest.fixture
def kill_after(monkeypatch):
    """kill_after(n): the n-th save of a checkpoint, once it is done, is the last thing that happens."""
    save = Checkpoint.save

    def arm(count: int) -> None:
        saved = []

        def save_and_die(self, state) -> None:
            save(self, state)
            saved.append(self)
            if len(saved) == count:
                monkeypatch.setattr(Checkpoint, "save", save)
                raise Killed

        monkeypatch.setattr(Checkpoint, "save", save_and_die)

    return arm


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch) -> str:
    if request.param == "autograd":
        for where in (sequence_module, gan_module, gan_engines):
            monkeypatch.setattr(where, "native_engine", lambda device, precision: False)
    return request.param


@pytest.fixture
def sequence(params):
    tiny = {"hidden_dim": 8, "steps": 700, "batch_size": 64, "log_every": 700, "replicates": 2}  # blocks of 128 steps
    return params.sequence.model_copy(update=tiny)


@pytest.fixture
def gan(params):
    return params.gan.model_copy(update={"latent_dim": 4, "epochs": 4, "batch_size": 16, "snapshot_every": 2})


@pytest.mark.parametrize("model", ["VanillaRNN", "LSTM"])
@pytest.mark.parametrize("saves", [1, 4, 6, 8])  # of six a replicate: in the first, at its end, in the second
def test_a_killed_sequence_training_ends_in_the_same_bits(tmp_path, sequence, engine, kill_after, model, saves):
    def train(checkpoints: Checkpoints):
        return train_replicates(Cell(model, 4), sequence, 5, "cpu", "fp32", 1, checkpoints)

    saves = min(saves, 5) if engine == "autograd" else saves  # both replicates in one training
    expected = train(Checkpoints())
    kill_after(saves)
    with pytest.raises(Killed):
        train(Checkpoints(tmp_path, seconds=0))
    found = train(Checkpoints(tmp_path, seconds=0))
    for run, other in zip(expected, found, strict=True):
        assert np.array_equal(run.loss, other.loss)
        assert np.array_equal(run.accuracy, other.accuracy)
        for ours, theirs in ((run.weights, other.weights), (run.halfway, other.halfway)):
            assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("saves", [1, 2, 4, 9, 13])  # of three an epoch, and one for each kept generator
def test_a_killed_gan_ends_in_the_same_bits(tmp_path, digits, gan, engine, kill_after, saves):
    def train(checkpoints: Checkpoints):
        kept = {}
        *networks, losses = train_gan(
            *(digits[:40], gan, 5, 0, "cpu", "fp32", 1),
            lambda epoch, weights: kept.update({epoch: copy.deepcopy(weights)}),
            checkpoints,
        )
        return {**kept, **{f"network {k}": network.state_dict() for k, network in enumerate(networks)}}, losses

    expected, losses = train(Checkpoints())
    kill_after(saves)
    with pytest.raises(Killed):
        train(Checkpoints(tmp_path, seconds=0))
    found, losses_again = train(Checkpoints(tmp_path, seconds=0))
    assert losses_again == losses
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert all(torch.equal(found[key][name], value) for key, part in expected.items() for name, value in part.items())


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_taken(tmp_path, caplog):
    with Checkpoints(tmp_path).open("x") as checkpoint:
        for step in (1, 2):
            checkpoint.save({"step": step, "weights": torch.full((3,), float(step))})
        assert checkpoint.load()["step"] == 2
        path = tmp_path / "x.pt"
        content = bytearray(path.read_bytes())
        content[-50] ^= 1
        path.write_bytes(content)
        with caplog.at_level(logging.WARNING, logger="dlreport"):
            assert checkpoint.load()["step"] == 1
        assert re.fullmatch(rf"checkpoint {path}: damaged, .*", caplog.messages[0])
        for damaged in (path, tmp_path / "x.previous"):
            damaged.write_bytes(b"")
        assert checkpoint.load() is None


def test_a_checkpoint_that_names_code_is_refused(tmp_path, caplog):
    """As a pickle under a checksum that fits."""

    class Payload:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    with Checkpoints(tmp_path).open("x") as checkpoint:
        checkpoint.save(Payload())
        assert checkpoint.load() is None
    assert "not a file of tensors" in caplog.text
    assert not (tmp_path / "ran").exists()


def test_a_gan_whose_kept_generator_is_lost_starts_again(tmp_path, digits, gan, kill_after):
    def train(checkpoints: Checkpoints):
        return train_gan(digits[:40], gan, 5, 0, "cpu", "fp32", 1, lambda *_: None, checkpoints).losses

    kill_after(8)
    with pytest.raises(Killed):
        train(Checkpoints(tmp_path, seconds=0))
    (tmp_path / "GAN-0000.pt").write_bytes(b"no")
    assert train(Checkpoints(tmp_path, seconds=0)) == train(Checkpoints())


def test_a_fingerprint_is_of_settings_data_and_code(tmp_path, monkeypatch):
    data = torch.arange(4)
    (tmp_path / "a.py").write_text("a = 1")
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    first = fingerprint({"seed": 1}, data)
    assert fingerprint({"seed": 1}, data.clone()) == first
    others = [fingerprint({"seed": 2}, data), fingerprint({"seed": 1}, data + 1), fingerprint({"seed": 1})]
    (tmp_path / "a.py").write_text("a = 2")
    others.append(fingerprint({"seed": 1}, data))
    assert len({first, *others}) == 5


def test_checkpoints_are_due_by_time(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with Checkpoints(tmp_path, seconds=60).open("x") as checkpoint:
        now[0] = 159.0
        assert not checkpoint.due
        now[0] = 160.0
        assert checkpoint.due
        checkpoint.save({})
        assert not checkpoint.due
    with Checkpoints().open("x") as checkpoint:
        assert not checkpoint.due


def _hold(directory: Path, ready, release) -> None:
    with Checkpoints(directory).open("x"):
        ready.set()
        release.wait(60)


def test_a_second_training_of_the_same_is_refused(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready, release = spawn.Event(), spawn.Event()
    holder = spawn.Process(target=_hold, args=(tmp_path, ready, release))
    holder.start()
    assert ready.wait(60)
    with (
        pytest.raises(UserError, match=f"x is being trained by process {holder.pid} already"),
        Checkpoints(tmp_path).open("x"),
    ):
        pass
    release.set()
    holder.join()
    with Checkpoints(tmp_path).open("x") as checkpoint:
        assert checkpoint.load() is None


def test_a_signal_saves_and_stops(tmp_path, sequence, monkeypatch):
    monkeypatch.setattr(module, "_asked_to_stop", [signal.SIGTERM])
    with pytest.raises(Interrupted, match=r"LSTM-4 replicate 0, step 128 of 700, is saved; run `dvc repro` to go on"):
        train_replicates(Cell("LSTM", 4), sequence, 5, "cpu", "fp32", 1, Checkpoints(tmp_path, seconds=1000))
    assert (tmp_path / "LSTM-4-replicate-0.pt").exists()


STAGES = {
    "LSTM-5": (["stages/train_sequence.py", "--model", "LSTM", "--length", "5"], "models/sequence/LSTM-5.pt"),
    "GAN": (["stages/train_gan.py"], "models/gan/0/generator.pt"),
}


@pytest.fixture(scope="module")
def project(serial, tmp_path_factory) -> Path:
    """A tiny copy whose trainings last some seconds, of two replicates in two processes."""
    target = tmp_path_factory.mktemp("signals") / "project"
    longer = {"sequence.steps": 20_000, "sequence.log_every": 200, "sequence.replicates": 2, "gan.epochs": 200}
    scratch.make(target, longer)
    (target / "data").mkdir()
    (target / "data/mnist").symlink_to(serial[0] / "data/mnist")
    return target


def start(project: Path, name: str) -> tuple[subprocess.Popen, str]:
    """The stage's process, when it has trained for a moment, and what it has said until then."""
    env = {**scratch.environment(project), "DLREPORT_WORKERS": "2" if name == "LSTM-5" else "1"}
    command = [sys.executable, *STAGES[name][0]]
    process = subprocess.Popen(command, cwd=project, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True)
    said = ""
    while not re.search(r"step [1-9]\d* loss|epoch \d+ discriminator", said):
        line = process.stderr.readline()
        assert line, said
        said += line
    return process, said


def finish(project: Path, name: str) -> None:
    """Run the stage again, to its end."""
    process, said = start(project, name)
    said += process.communicate()[1]
    assert process.returncode == 0, said
    assert "goes on from" in said
    weights = project / STAGES[name][1]
    assert weights.exists()
    assert not list((project / ".checkpoints").glob("*/*"))
    weights.unlink()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", STAGES)
def test_a_stage_that_gets_a_signal_says_how_to_go_on_and_does(project, name, number):
    process, said = start(project, name)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as from a terminal
    else:
        process.send_signal(number)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    last = said.splitlines()[-1]
    assert re.fullmatch(rf"stopped: {name[:3]}.*, is saved; run `dvc repro` to go on from there", last)
    assert "Traceback" not in said
    assert not (project / STAGES[name][1]).exists()
    if number == signal.SIGTERM:
        finish(project, name)


def test_a_killed_worker_process_is_one_line(project):
    process, said = start(project, "LSTM-5")
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    workers[0].kill()
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 1
    (line,) = [line for line in said.splitlines() if line.startswith("error: ")]  # Python counts what it left, after it
    assert line == "error: LSTM-5: a training process was killed, as for want of memory; run it again"
    assert "Traceback" not in said
    finish(project, "LSTM-5")

"""A checkpoint: what is taken for one and what is not, whose it is, when it is due, and who may have it."""

import errno
import fcntl
import io
import logging
import multiprocessing
import os
import re
import signal
from pathlib import Path

import pytest
import torch

from dlreport import checkpoint as module
from dlreport.checkpoint import Checkpoints, fingerprint
from dlreport.errors import STOPPING, Interrupted, UserError
from helpers import Payload


def test_a_damaged_checkpoint_is_reported_and_the_one_before_it_taken(tmp_path, caplog):
    with Checkpoints(tmp_path).open("x") as checkpoint:
        for step in (1, 2):
            checkpoint.save({"step": step, "weights": torch.full((3,), float(step))})
        assert checkpoint.load()["step"] == 2
        path = tmp_path / "x.safetensors"
        content = bytearray(path.read_bytes())
        content[-50] ^= 1
        path.write_bytes(content)
        with caplog.at_level(logging.WARNING, logger="dlreport"):
            assert checkpoint.load()["step"] == 1
        assert re.fullmatch(rf"checkpoint {path}: damaged .*", caplog.messages[0])
        path.unlink()
        path.mkdir()  # nothing that can be read
        assert checkpoint.load()["step"] == 1
        path.rmdir()
        for damaged in (path, tmp_path / "x.previous"):
            damaged.write_bytes(b"")
        assert checkpoint.load() is None


def test_a_checkpoint_that_names_code_is_refused(tmp_path, caplog):
    """As a pickle under a checksum that fits."""
    with Checkpoints(tmp_path).open("x") as checkpoint:
        content = io.BytesIO()
        torch.save(Payload(tmp_path / "ran"), content)
        checkpoint.disk.write(checkpoint.path, content.getvalue(), checkpoint._previous)
        assert checkpoint.load() is None
    assert "not a file of safetensors (a pickle, as version 1.0 wrote them)" in caplog.text
    assert not (tmp_path / "ran").exists()


def test_a_fingerprint_is_of_settings_data_and_code(tmp_path, monkeypatch):
    data = torch.arange(4)
    (tmp_path / "a.py").write_text("a = 1")
    monkeypatch.setattr(module, "PACKAGE", tmp_path)
    first = fingerprint({"seed": 1}, data)
    assert fingerprint({"seed": 1}, data.clone()) == first
    others = [fingerprint({"seed": 2}, data), fingerprint({"seed": 1}, data + 1), fingerprint({"seed": 1})]
    (tmp_path / "a.py").write_text("a = 2")
    others.append(fingerprint({"seed": 1}, data))
    (tmp_path / "a.cpp").write_text("int a;")
    others.append(fingerprint({"seed": 1}, data))
    for kind in ("c", "h"):
        (tmp_path / f"a.{kind}").write_text("int a;")
        others.append(fingerprint({"seed": 1}, data))
    monkeypatch.setattr(torch, "__version__", "1.0")
    others.append(fingerprint({"seed": 1}, data))
    assert len({first, *others}) == 9
    assert fingerprint({"seed": 1, "steps": 2}) == fingerprint({"steps": 2, "seed": 1})


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
    with Checkpoints(tmp_path).open("x"):
        pass  # of this process nothing is said any more
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


@pytest.fixture
def signals(monkeypatch):
    """Of this process: as they were, afterwards."""
    monkeypatch.setattr(module, "_asked_to_stop", [])
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_makes_a_checkpoint_due_and_nohup_is_respected(signals, tmp_path):
    """A training in a script's background ignores SIGINT, but is to stop by it; under nohup it is to go on."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    module.stop_by_signal()
    for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        os.kill(os.getpid(), number)
    assert module.asked_to_stop() == signal.SIGTERM
    for checkpoints, said in (
        (Checkpoints(tmp_path, seconds=1000), "step 5 is saved; run it again to go on from there"),
        (Checkpoints(), "step 5 is not kept; run it again"),
    ):
        with checkpoints.open("x") as checkpoint:
            assert checkpoint.due
            with pytest.raises(Interrupted) as stopped:
                checkpoint.stop_if_asked("step 5")
        assert (stopped.value.number, stopped.value.message) == (signal.SIGTERM, said)


def test_checkpoints_are_removed_when_all_is_written(tmp_path):
    checkpoints = Checkpoints.of(tmp_path, 0, {"seed": 1})
    with checkpoints.open("x") as checkpoint:
        checkpoint.save({"step": 1})
    assert list(tmp_path.iterdir()) == [tmp_path / fingerprint({"seed": 1})]
    checkpoints.remove()
    assert not list(tmp_path.iterdir())
    Checkpoints().remove()  # nothing


def test_a_disk_that_knows_no_locks_is_said_and_trained_on(tmp_path, monkeypatch, caplog):
    """As some network file systems."""

    def refuse(code: int) -> None:
        def flock(file, operation) -> None:
            raise OSError(code, "refused")

        monkeypatch.setattr(fcntl, "flock", flock)

    refuse(errno.ENOLCK)
    with Checkpoints(tmp_path).open("x") as checkpoint:
        checkpoint.save({"step": 1})
        assert checkpoint.load() == {"step": 1}
    assert caplog.messages == [f"{tmp_path}: nothing can be locked on this disk; let no other run train here meanwhile"]
    refuse(errno.EIO)
    with pytest.raises(OSError, match="refused"), Checkpoints(tmp_path).open("x"):
        pass

"""Bad days of a run, by the real stages: each ends in one line and a non-zero exit, and loses nothing computed before.

docs/reliability.md lists them all, with those that the other tests hold.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scratch
from helpers import DVC, Payload, run, small_files_only, start, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture
def project(serial, tmp_path) -> Path:
    """A tiny copy after its first `dvc repro`, for a test to damage."""
    return shutil.copytree(serial[0], tmp_path / "project", symlinks=True)


def stage(project: Path, name: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    return run([sys.executable, f"stages/{name}.py", *arguments], project, **options)


def error_of(result: subprocess.CompletedProcess) -> str:
    """The stage's one line; whatever else was said are lines of the log, with the time."""
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    *log, line = result.stderr.splitlines()
    assert all(other[2] == ":" for other in log)
    assert line.startswith("error: ")
    return line


def test_a_disk_that_is_full_at_a_checkpoint(project):
    scratch.set_params(project, {"checkpoint_seconds": 0})
    weights = (project / "models/gan/0/generator.safetensors").read_bytes()
    line = error_of(stage(project, "train_gan", preexec_fn=small_files_only))
    assert line.startswith("error: .checkpoints/GAN/")
    assert "cannot be written (File too large); make room" in line
    assert (project / "models/gan/0/generator.safetensors").read_bytes() == weights
    assert not list(project.rglob("*.tmp"))
    assert stage(project, "train_gan").returncode == 0
    assert (project / "models/gan/0/generator.safetensors").read_bytes() == weights


def test_a_disk_that_is_full_at_an_output_leaves_the_training_to_go_on_from(project):
    (project / "models/gan/0/generator.safetensors").unlink()
    (project / "models/gan/0/generator.safetensors").mkdir()  # refused even to root, whom permissions do not stop
    line = error_of(stage(project, "train_gan"))
    assert line.startswith(
        "error: models/gan/0/generator.safetensors: cannot be written (Is a directory); make room or give access"
    )
    (project / "models/gan/0/generator.safetensors").rmdir()
    again = stage(project, "train_gan")
    assert again.returncode == 0
    assert "GAN-0 goes on from epoch 4, batch 0" in again.stderr  # of 3: nothing is left to train


def test_an_output_directory_that_cannot_be_made(project):
    shutil.rmtree(project / "plots/gan/grids")
    (project / "plots/gan/grids").write_text("not a directory")
    line = error_of(stage(project, "sample_gan"))
    assert line.startswith("error: plots/gan/grids/0000.png: cannot be written (")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_read_only_output_directory(project):
    (project / "plots/gan").chmod(0o555)
    try:
        line = error_of(stage(project, "interpolate_gan"))
    finally:
        (project / "plots/gan").chmod(0o755)
    assert "cannot be written (Permission denied)" in line


@pytest.mark.parametrize(
    ("lost", "arguments"),
    [
        ("plots/sequence/curves/LSTM-5.csv", ["report"]),
        ("models/gan/0/generator.safetensors", ["interpolate_gan"]),
        ("models/sequence/LSTM-5.safetensors", ["evaluate_sequence", "--model", "LSTM", "--length", "5"]),
        ("data/mnist/train.safetensors", ["train_gan"]),
    ],
)
def test_a_missing_input_is_named(project, lost, arguments):
    (project / lost).unlink()
    assert error_of(stage(project, *arguments)).startswith(f"error: {lost}: missing; run")


def test_weights_that_are_code_are_refused_and_not_run(project):
    path = project / "models/gan/0/generator.safetensors"
    path.unlink()
    torch.save({"layers.0.weight": Payload(project / "ran")}, path)
    line = error_of(stage(project, "interpolate_gan"))
    assert line.startswith("error: models/gan/0/generator.safetensors: not a file of safetensors (")
    assert not (project / "ran").exists()


def test_a_second_repro_at_the_same_time_is_refused(project):
    scratch.set_params(project, {"gan.epochs": 2000, "gan.snapshot_every": 2000})
    repro = [*DVC, "repro", "train_gan"]
    first = start(repro, project)
    try:
        wait_until(lambda: list((project / ".checkpoints").glob("GAN/*/GAN-0-0000.safetensors")), seconds=60)
        second = run(repro, project)
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.communicate()
    assert second.returncode != 0
    assert "Traceback" not in second.stderr
    assert "is busy, it is being blocked by:" in second.stderr
    assert f"(PID {first.pid})" in second.stderr


def test_running_everything_again_without_a_network_changes_no_byte(project):
    before = scratch.contents(project)
    connect = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"  # first, where the stages are to run
    command = ["sh", "-c", f'python -c "{connect}"; exec python -m dvc repro --force']
    result = run([*scratch.offline(), *command], project)
    assert result.returncode == 0
    assert ("Network is unreachable" in result.stderr) == bool(scratch.offline())
    assert result.stdout.count("Running stage") == result.stdout.count("> python") > 10
    after = scratch.contents(project)
    assert sorted(after) == sorted(before)
    assert [name for name, content in before.items() if after[name] != content] == []

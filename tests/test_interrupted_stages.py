"""The training stages as processes: what a signal and a kill leave, and that the next run goes on from there."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import helpers
import scratch
from dlreport.native.sequence import SOURCE
from helpers import needs_native, output_of, wait_until

STAGES = {
    "LSTM-5": (["stages/train_sequence.py", "--model", "LSTM", "--length", "5"], "models/sequence/LSTM-5.safetensors"),
    "GAN": (["stages/train_gan.py"], "models/gan/0/generator.safetensors"),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A tiny copy whose trainings last some seconds, of two replicates in two processes."""
    target = tmp_path_factory.mktemp("signals") / "project"
    longer = {"sequence.steps": 8_000, "sequence.log_every": 200, "gan.epochs": 15}
    scratch.make(target, longer)
    output_of([sys.executable, "stages/prepare_mnist.py"], target)
    return target


def start(project: Path, name: str) -> tuple[subprocess.Popen, str]:
    """The stage's process, when it has trained for a moment, and what it has said until then."""
    workers = "2" if name == "LSTM-5" else "1"
    process = helpers.start([sys.executable, *STAGES[name][0]], project, DLREPORT_WORKERS=workers)
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


LATER = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)  # of a kill, of a closed terminal, of a batch system


@pytest.mark.parametrize("number", [signal.SIGINT, *(pytest.param(one, marks=pytest.mark.slow) for one in LATER)])
@pytest.mark.parametrize("name", ["LSTM-5", pytest.param("GAN", marks=pytest.mark.slow)])
def test_a_stage_that_gets_a_signal_says_how_to_go_on_and_does(project, name, number):
    process, said = start(project, name)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as from a terminal
    else:
        process.send_signal(number)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 128 + number
    last = said.splitlines()[-1]
    assert re.fullmatch(rf"stopped: {name[:3]}.*, is saved; run it again to go on from there", last)
    assert "Traceback" not in said
    assert not (project / STAGES[name][1]).exists()
    finish(project, name)


@pytest.mark.slow
@needs_native(SOURCE, "fp32")  # autograd's is one process for all replicates
def test_a_killed_worker_process_begins_again_from_its_checkpoint(project, tmp_path):
    project = shutil.copytree(project, tmp_path / "project", symlinks=True)
    scratch.set_params(project, {"checkpoint_seconds": 0.2})
    process, said = start(project, "LSTM-5")
    wait_until(lambda: len([*(project / ".checkpoints").glob("*/*/*.safetensors")]) == 2)
    workers = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    workers[0].kill()
    said += process.communicate(timeout=300)[1]
    assert process.returncode == 0, said
    assert len(re.findall("the process of run .* was killed; it begins again", said)) == 1
    assert len(re.findall("LSTM-5 replicate . goes on from step [1-9]", said)) == 1
    assert "Traceback" not in said
    assert (project / STAGES["LSTM-5"][1]).exists()
    assert not [*(project / ".checkpoints").glob("*/*")]

"""The first stage refuses what would otherwise fail after hours of training."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dlreport.runtime import select_device
from helpers import run
from scratch import REMOVED, ROOT, set_params

ABSENT = [name for name, there in (("cuda", torch.cuda.is_available()), ("mps", torch.mps.is_available())) if not there]


def check(project: Path) -> subprocess.CompletedProcess:
    return run([sys.executable, str(ROOT / "stages/sources.py")], project)


@pytest.fixture
def project(tmp_path) -> Path:
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name in ("requirements.txt", "src", "stages", "studies"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def test_the_shipped_parameters_pass(project):
    result = check(project)
    assert (result.returncode, result.stderr) == (0, "")
    assert (project / "sources/prepare_mnist.txt").is_file()


def test_a_name_that_is_no_models_is_one_line(project):
    set_params(project, {"sequence.models": ["LSTM", "ESN"]})
    result = check(project)
    assert result.returncode == 1
    assert result.stderr.startswith("error: sequence.models: 'ESN' is no model; choose from VanillaRNN, LSTM")
    assert result.stderr.count("\n") == 1
    assert not (project / "sources").exists()


def test_a_model_without_a_number_of_runs_is_one_line(project):
    set_params(project, {"sequence.replicates.LSTM": REMOVED})
    result = check(project)
    assert result.returncode == 1
    line = "error: params.yaml: sequence.replicates: no number of runs for LSTM; add one\n"
    assert result.stderr == line
    assert not (project / "sources").exists()


def test_a_bad_parameter_is_one_line_and_leaves_nothing(project):
    set_params(project, {"gan.epochs": 0})
    result = check(project)
    assert result.returncode == 1
    assert result.stderr.startswith("error: params.yaml: gan.epochs: ")
    assert result.stderr.count("\n") == 1
    assert not (project / "sources").exists()


def test_a_missing_dependency_is_one_line(project):
    """Of the very first stage, which needs no parameters."""
    result = run([sys.executable, "-S", str(ROOT / "stages/sources.py")], project)  # no site-packages
    assert result.returncode == 1
    assert result.stderr == "error: pydantic is not installed; run `make setup`, then `. .venv/bin/activate`\n"


@pytest.mark.parametrize("name", ABSENT)
def test_a_device_that_is_absent_is_refused(project, name):
    set_params(project, {"device": name})
    result = check(project)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: device: {name} is not available on this machine; ")


def test_auto_takes_an_accelerator_first():
    assert (select_device("auto").type == "cpu") == (len(ABSENT) == 2)
    assert select_device("cpu").type == "cpu"


@pytest.mark.skipif("cuda" in ABSENT, reason="no GPU")
def test_cuda_is_taken_where_it_is():
    assert select_device("auto").type == "cuda"

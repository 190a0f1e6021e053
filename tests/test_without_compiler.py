"""Where there is no compiler of C or C++: autograd trains, as a line of the log says."""

import ctypes
import json
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

import scratch
from dlreport import native
from dlreport.native.sequence import SOURCE
from helpers import needs_native, output_of, run

STAGE = ("--model", "LSTM", "--length", "3")


SERVES = 'from dlreport import native; print(native.serves("sequence.c", "cpu", "fp32"))'


@pytest.fixture
def no_compiler(tmp_path) -> str:
    """A PATH with nothing on it but a compiler that fails."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/false").symlink_to(shutil.which("false"))
    return str(tmp_path / "bin")


@pytest.mark.parametrize("variable", ["CC", pytest.param("CXX", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("compiler", "reason"),
    [
        ("false", "false failed (exit code 1); "),
        pytest.param("no-such", "no-such: No such file or directory; ", marks=pytest.mark.slow),
        pytest.param("", "", marks=pytest.mark.slow),
    ],
)
def test_a_missing_or_broken_compiler_is_a_reason_not_an_error(repository, no_compiler, variable, compiler, reason):
    result = run([sys.executable, "-c", SERVES], repository, **{variable: compiler, "PATH": no_compiler})
    assert (result.returncode, result.stdout) == (0, "False\n")
    assert "compiler that works (" in result.stderr
    if variable == "CC":
        assert f"no C compiler that works ({reason}cc: No such file or directory)" in result.stderr


@needs_native(SOURCE, "fp32")
@pytest.mark.parametrize("compiler", ["no-such", *(pytest.param(one, marks=pytest.mark.slow) for one in ("false", ""))])
def test_the_usual_compiler_is_tried_after_the_one_that_is_named(repository, compiler):
    result = run([sys.executable, "-c", SERVES], repository, CC=compiler, CXX=compiler)
    assert (result.returncode, result.stdout) == (0, "True\n"), result.stderr


@needs_native(SOURCE, "fp32")
def test_a_temporary_folder_that_nothing_can_be_loaded_from_is_left(tmp_path, monkeypatch):
    """As one on a file system that is mounted noexec."""
    load = ctypes.CDLL

    def refuse(path, *arguments):
        if Path(path).is_relative_to(tempfile.gettempdir()) and not Path(path).is_relative_to(tmp_path):
            raise OSError(f"{path}: failed to map segment from shared object")
        return load(path, *arguments)

    monkeypatch.setattr(native.ctypes, "CDLL", refuse)
    monkeypatch.chdir(tmp_path)
    assert native.library.__wrapped__(SOURCE)["multiply"]
    assert not list(tmp_path.iterdir())


def test_a_sequence_model_learns_and_is_tested_without_a_compiler(tmp_path, no_compiler):
    project = tmp_path / "project"
    learning = {"sequence.steps": 600, "sequence.average_from": 500, "sequence.learning_rate": 0.01}
    scratch.make(project, {**learning, "sequence.lengths": [3]})
    training = run([sys.executable, "stages/train_sequence.py", *STAGE], project, PATH=no_compiler)
    assert training.returncode == 0, training.stderr
    assert "no C compiler" in training.stderr
    assert "training by autograd, several times slower" in training.stderr
    output_of([sys.executable, "stages/evaluate_sequence.py", *STAGE], project, PATH=no_compiler)
    metrics = json.loads((project / "metrics/sequence/LSTM-3.json").read_text())
    assert metrics["train_accuracy_mean"] > 0.9  # a guess is right in 0.1
    assert metrics["test_accuracy"] > 0.9

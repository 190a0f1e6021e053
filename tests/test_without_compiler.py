"""Where there is no compiler of C or C++: autograd trains, as a line of the log says."""

import json
import sys

import pytest

import scratch
from helpers import output_of, run

STAGE = ("--model", "LSTM", "--length", "3")


@pytest.mark.parametrize(
    ("variable", "compiler", "reason"),
    [("CC", "no-such-cc", "no C compiler"), ("CXX", "no-such-c++", "no C++ compiler"), ("CC", "false", "false failed")],
)
def test_a_missing_or_broken_compiler_is_a_reason_not_an_error(repository, variable, compiler, reason):
    script = 'from dlreport import native; print(native.serves("sequence.c", "cpu", "fp32"))'
    result = run([sys.executable, "-c", script], repository, **{variable: compiler})
    assert (result.returncode, result.stdout) == (0, "False\n")
    assert result.stderr.startswith(reason)


def test_a_sequence_model_learns_and_is_tested_without_a_compiler(tmp_path):
    project = tmp_path / "project"
    learning = {"sequence.steps": 600, "sequence.average_from": 500, "sequence.learning_rate": 0.01}
    scratch.make(project, {**learning, "sequence.lengths": [3]})
    training = run([sys.executable, "stages/train_sequence.py", *STAGE], project, CC="no-such-cc")
    assert training.returncode == 0, training.stderr
    assert "no C compiler" in training.stderr
    assert "training by autograd, several times slower" in training.stderr
    output_of([sys.executable, "stages/evaluate_sequence.py", *STAGE], project, CC="no-such-cc")
    metrics = json.loads((project / "metrics/sequence/LSTM-3.json").read_text())
    assert metrics["train_accuracy_mean"] > 0.9  # a guess is right in 0.1
    assert metrics["test_accuracy"] > 0.9

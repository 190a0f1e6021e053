"""The test of trained sequence models: what is counted, and on which palindromes."""

from pathlib import Path

from common import testing

import pandas as pd
import pytest
import torch

from dlreport.io import read_csv, write_json, write_tensors
from dlreport.sequence import accuracy, palindromes
from dlreport.sequence.accuracy import evaluate
from dlreport.sequence.task import Task
from dlreport.streams import stream


@pytest.fixture
def settings(params):
    test = params.sequence.test.model_copy(update={"sequences": 1000})
    return params.sequence.model_copy(update={"hidden_dim": 8, "test": test})


def repeats_last(task: Task, hidden_dim: int) -> dict[str, torch.Tensor]:
    """Weights of a model whose answer is the last input it sees: right for length 2, and for palindromes like 1221."""
    model = task.build(hidden_dim, torch.Generator())
    state = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    # One hidden unit, nearly linear in the digit; logit k is largest where the digit is k: k x - k^2 / 2.
    digits = torch.arange(10.0)
    state["W_x"][0, 0] = 1e-3
    state["W_ph"][0] = digits * 1e3
    state["b_p"] = -(digits**2) / 2
    return state


def test_evaluation_counts_right_answers_of_a_model_that_repeats_its_last_input(settings):
    weights = repeats_last(Task("VanillaRNN", 2), 8)
    perfect = evaluate(Task("VanillaRNN", 2), [weights], settings, seed=1)
    assert perfect["test_accuracy_report_batch"].tolist() == [1.0]
    assert perfect["test_accuracy"].tolist() == [1.0]
    assert perfect["test_sequences"].tolist() == [10]  # every palindrome of length 2

    # Of all 100 palindromes of length 4, abba, the last input b is the answer a in ten.
    tenth = evaluate(Task("VanillaRNN", 4), [weights, weights], settings, seed=1)
    assert tenth["test_accuracy"].tolist() == pytest.approx([0.1, 0.1])


def test_large_lengths_are_tested_on_a_sample_of_their_own_for_each_replicate(settings):
    weights = repeats_last(Task("VanillaRNN", 8), 8)
    result = evaluate(Task("VanillaRNN", 8), [weights, weights], settings, seed=1)
    assert result["test_sequences"].tolist() == [1000, 1000]
    assert result["test_accuracy"][0] != result["test_accuracy"][1]
    assert result.equals(evaluate(Task("VanillaRNN", 8), [weights, weights], settings, seed=1))
    for column, use, count in (("test_accuracy", "test", 1000), ("test_accuracy_report_batch", "test-report", 128)):
        drawn = [palindromes.sample(count, 8, Task("VanillaRNN", 8).stream(1, replicate, use)) for replicate in (0, 1)]
        right = [(x[:, -1, 0] == target).double().mean().item() for x, target in drawn]
        assert result[column].tolist() == pytest.approx(right, abs=1e-6)


def test_all_palindromes_are_tested_where_there_are_just_as_many(settings):
    _, target = accuracy.test_sequences(Task("VanillaRNN", 6), 0, settings, seed=1)
    assert target.bincount().tolist() == [100] * 10


def test_test_streams_are_not_the_training_stream(settings):
    name = ("sequence", "LSTM-20", 0)
    drawn = [palindromes.sample(64, 20, stream(1, *name, use))[0] for use in ("data", "test", "test-report")]
    assert not any(torch.equal(drawn[i], drawn[j]) for i, j in [(0, 1), (0, 2), (1, 2)])


def test_the_table_of_replicates_has_each_accuracy_under_its_name(params, tmp_path, monkeypatch):
    """Solved is who has reached the optimum in training and in the test."""
    monkeypatch.chdir(tmp_path)
    tested = {"test_accuracy": [0.995, 0.98, 0.99], "test_accuracy_report_batch": [0.5, 1.0, 0.6]}
    given = []

    def evaluate_three(*arguments):
        given.extend(arguments)
        return pd.DataFrame({**tested, "test_sequences": 1000})

    monkeypatch.setattr(testing, "evaluate", evaluate_three)
    part, task = "sequence/halfway", Task("LSTM", 5)
    write_tensors(Path(f"models/{part}/LSTM-5.safetensors"), ["weights"])
    write_json(Path(f"metrics/{part}/train/LSTM-5.json"), {"train_accuracy_mean": [0.7, 1.0, 0.99]})
    testing.evaluate_replicates(part, "LSTM-5", task, params)
    assert given == [task, ["weights"], params.sequence, params.seed]
    assert read_csv(Path(f"plots/{part}/replicates/LSTM-5.csv")).to_dict("list") == {
        "replicate": [0, 1, 2],
        "train_accuracy_mean": [0.7, 1.0, 0.99],
        "test_accuracy": [0.995, 0.98, 0.99],
        "test_accuracy_report_batch": [0.5, 1.0, 0.6],
        "test_sequences": [1000] * 3,
        "solved": [0, 0, 1],
    }

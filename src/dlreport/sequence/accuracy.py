"""Measures the test accuracy of trained sequence models. Part 1 of the report describes it under "Test"."""

import pandas as pd
import torch
from torch import Tensor

from dlreport.config import SequenceSettings
from dlreport.sequence import palindromes
from dlreport.sequence.models.base import accuracy
from dlreport.sequence.task import Task

Weights = dict[str, Tensor]


def test_sequences(task: Task, replicate: int, settings: SequenceSettings, seed: int) -> tuple[Tensor, Tensor]:
    """Return `settings.test.sequences` fresh palindromes, or all palindromes of the length if there are no more than
    that. The shapes are those of palindromes.sample."""
    if palindromes.count_all(task.length) <= settings.test.sequences:
        return palindromes.enumerate_all(task.length)
    return palindromes.sample(settings.test.sequences, task.length, task.stream(seed, replicate, "test"))


@torch.no_grad()
def evaluate(task: Task, replicates: list[Weights], settings: SequenceSettings, seed: int) -> pd.DataFrame:
    """Test each replicate's weights, and return a row for each replicate. Sequences are drawn from streams that no
    training uses.

    `test_accuracy` is the accuracy on the palindromes of the function `test_sequences`; the column of that name has
    their number. `test_accuracy_report_batch` is the accuracy on as many fresh palindromes as the report tested.
    """
    test, rows = settings.test, []
    for replicate, weights in enumerate(replicates):
        model = task.load(settings.hidden_dim, weights)
        batch = palindromes.sample(test.report_sequences, task.length, task.stream(seed, replicate, "test-report"))
        large = test_sequences(task, replicate, settings, seed)
        right, right_of_batch = (accuracy(model(x), target).item() for x, target in (large, batch))
        rows.append((right, right_of_batch, len(large[1])))
    return pd.DataFrame(rows, columns=["test_accuracy", "test_accuracy_report_batch", "test_sequences"])

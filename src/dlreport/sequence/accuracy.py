"""Test accuracy of trained sequence models. Report, part 1, "Test"."""

import pandas as pd
import torch
from torch import Tensor

from dlreport.config import SequenceSettings
from dlreport.sequence import palindromes
from dlreport.sequence.models.base import accuracy
from dlreport.sequence.task import Task

Weights = dict[str, Tensor]


def test_sequences(task: Task, replicate: int, settings: SequenceSettings, seed: int) -> tuple[Tensor, Tensor]:
    """`settings.test.sequences` fresh palindromes, or all of the length where there are no more; shapes as for
    palindromes.sample."""
    if palindromes.count_all(task.length) <= settings.test.sequences:
        return palindromes.enumerate_all(task.length)
    return palindromes.sample(settings.test.sequences, task.length, task.stream(seed, replicate, "test"))


@torch.no_grad()
def evaluate(task: Task, replicates: list[Weights], settings: SequenceSettings, seed: int) -> pd.DataFrame:
    """Test each replicate's weights on fresh sequences, from streams that no training uses: a row for each.

    `test_accuracy` is that of the palindromes by `test_sequences`, as many as that column says;
    `test_accuracy_report_batch` that of as many as the report tested.
    """
    test, rows = settings.test, []
    for replicate, weights in enumerate(replicates):
        model = task.load(settings.hidden_dim, weights)
        batch = palindromes.sample(test.report_sequences, task.length, task.stream(seed, replicate, "test-report"))
        large = test_sequences(task, replicate, settings, seed)
        right, right_of_batch = (accuracy(model(x), target).item() for x, target in (large, batch))
        rows.append((right, right_of_batch, len(large[1])))
    return pd.DataFrame(rows, columns=["test_accuracy", "test_accuracy_report_batch", "test_sequences"])

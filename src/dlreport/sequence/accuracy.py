"""Test accuracy of trained sequence models. Report, part 1, "Test"."""

import pandas as pd
import torch

from dlreport.config import SequenceSettings
from dlreport.sequence import palindromes
from dlreport.sequence.models.base import accuracy
from dlreport.sequence.task import Task

Weights = dict[str, torch.Tensor]


@torch.no_grad()
def evaluate(task: Task, replicates: list[Weights], settings: SequenceSettings, seed: int) -> pd.DataFrame:
    """Test each replicate's weights on fresh sequences, from streams that no training uses: a row for each.

    `test_accuracy` is that of `test_sequences` palindromes: `settings.test.sequences`, or all of the length where there
    are no more; `test_accuracy_report_batch` that of as many as the report tested.
    """
    test, rows = settings.test, []
    everything = palindromes.count_all(task.length) <= test.sequences
    for replicate, weights in enumerate(replicates):
        model = task.load(settings.hidden_dim, weights)
        batch = palindromes.sample(test.report_sequences, task.length, task.stream(seed, replicate, "test-report"))
        if everything:
            large = palindromes.enumerate_all(task.length)
        else:
            large = palindromes.sample(test.sequences, task.length, task.stream(seed, replicate, "test"))
        right, right_of_batch = (accuracy(model(x), target).item() for x, target in (large, batch))
        rows.append((right, right_of_batch, len(large[1])))
    return pd.DataFrame(rows, columns=["test_accuracy", "test_accuracy_report_batch", "test_sequences"])

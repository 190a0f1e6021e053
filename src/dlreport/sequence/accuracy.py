"""Test accuracy of trained sequence models. Report, part 1, "Test".

Shapes: R replicates, N sequences.
"""

from dataclasses import dataclass

import pandas as pd
import torch

from dlreport.config import SequenceSettings
from dlreport.sequence import palindromes
from dlreport.sequence.loss import accuracy
from dlreport.sequence.task import Task
from dlreport.sequence.thresholds import CONVERGED

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class TestAccuracy:
    """Accuracy of each replicate [R] on the report's batch and on the large sample of `sequences` palindromes."""

    report_batch: list[float]
    large: list[float]
    sequences: int

    def table(self, train: list[float]) -> pd.DataFrame:
        """A row per replicate, with its mean training accuracy, and whether it is solved: both at CONVERGED."""
        table = pd.DataFrame(
            {
                "train_accuracy_mean": train,
                "test_accuracy": self.large,
                "test_accuracy_report_batch": self.report_batch,
                "test_sequences": self.sequences,
            }
        )
        solved = (table[["train_accuracy_mean", "test_accuracy"]] >= CONVERGED).all(axis=1)
        return table.assign(solved=solved.astype(int)).rename_axis("replicate").reset_index()


@torch.no_grad()
def evaluate(task: Task, replicates: list[Weights], settings: SequenceSettings, seed: int) -> TestAccuracy:
    """Evaluate each replicate's weights on fresh sequences, from streams that no training uses.

    Where there are no more palindromes of the length than `settings.test.sequences`, the large sample is every one.
    """
    test = settings.test
    everything = palindromes.count_all(task.length) <= test.sequences
    batch, large = [], []
    for replicate, weights in enumerate(replicates):
        model = task.load(settings.hidden_dim, weights)
        x, target = palindromes.sample(test.report_sequences, task.length, task.stream(seed, replicate, "test-report"))
        batch.append(accuracy(model(x), target).item())
        if everything:
            x, target = palindromes.enumerate_all(task.length)
        else:
            x, target = palindromes.sample(test.sequences, task.length, task.stream(seed, replicate, "test"))
        large.append(accuracy(model(x), target).item())
    return TestAccuracy(batch, large, len(target))

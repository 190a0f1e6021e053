"""Test accuracy of trained sequence models. Report, part 1, "Test".

Shapes: R replicates, N sequences.
"""

from dataclasses import dataclass

import pandas as pd
import torch

from dlreport.config import Sequence
from dlreport.data import palindromes
from dlreport.evaluation.curves import CONVERGED
from dlreport.models.head import accuracy
from dlreport.streams import stream
from dlreport.training.sequence import Cell, build_model

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
def evaluate_sequence(cell: Cell, replicates: list[Weights], settings: Sequence, seed: int) -> TestAccuracy:
    """Evaluate each replicate's weights on fresh sequences, from streams that no training uses.

    Where there are no more palindromes of the length than `settings.test.sequences`, the large sample is every one.
    """
    test = settings.test
    everything = palindromes.count_all(cell.length) <= test.sequences
    batch, large = [], []
    for replicate, weights in enumerate(replicates):
        model = build_model(cell, settings.hidden_dim, torch.Generator())
        model.load_state_dict(weights)
        model.eval()
        name = ("sequence", str(cell), replicate)
        x, target = palindromes.sample(test.report_sequences, cell.length, stream(seed, *name, "test-report"))
        batch.append(accuracy(model(x), target).item())
        if everything:
            x, target = palindromes.enumerate_all(cell.length)
        else:
            x, target = palindromes.sample(test.sequences, cell.length, stream(seed, *name, "test"))
        large.append(accuracy(model(x), target).item())
    return TestAccuracy(batch, large, len(target))

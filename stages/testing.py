"""What the stages that test sequence models share."""

from pathlib import Path

import pandas as pd

from dlreport.config import Sequence
from dlreport.evaluation.accuracy import evaluate_sequence
from dlreport.io import read_json, read_tensors
from dlreport.runtime import prepare
from dlreport.training.sequence import Cell


def replicates_table(cell: Cell, settings: Sequence, seed: int, weights: Path, accuracy: Path) -> pd.DataFrame:
    """A row for each replicate with its accuracies in training, which that left in a file, and in the test."""
    prepare(threads=1)
    train = read_json(accuracy)["train_accuracy_mean"]
    return evaluate_sequence(cell, read_tensors(weights), settings, seed).table(train)

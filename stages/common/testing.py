"""What the stages that test sequence models share."""

from pathlib import Path

import pandas as pd

from dlreport.config import Params
from dlreport.io import read_json, read_tensors
from dlreport.runtime import prepare
from dlreport.sequence.accuracy import evaluate
from dlreport.sequence.task import Task


def replicates_table(task: Task, params: Params, weights: Path, accuracy: Path) -> pd.DataFrame:
    """A row for each replicate with its accuracies in training, which that left in a file, and in the test."""
    prepare(threads=1)
    train = read_json(accuracy)["train_accuracy_mean"]
    return evaluate(task, read_tensors(weights), params.sequence, params.seed).table(train)

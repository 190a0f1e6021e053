"""What the stages that test sequence models share."""

from pathlib import Path

import pandas as pd

from dlreport.config import Params
from dlreport.io import read_json, read_tensors, write_csv
from dlreport.runtime import prepare
from dlreport.sequence.accuracy import evaluate
from dlreport.sequence.task import Task
from dlreport.sequence.thresholds import CONVERGED


def evaluate_replicates(part: str, key: str, task: Task, params: Params) -> pd.DataFrame:
    """Test the replicates that common/training.py trained, and write and return a table with a row for each.

    The row holds the accuracies in training and in the test, and `solved`: 1 if both are at least CONVERGED, else 0.
    """
    prepare(threads=1)
    tested = evaluate(
        task, read_tensors(Path("models", part, key).with_suffix(".safetensors")), params.sequence, params.seed
    )
    train = read_json(Path("metrics", part, "train", key).with_suffix(".json"))["train_accuracy_mean"]
    tested.insert(0, "train_accuracy_mean", train)
    solved = (tested[["train_accuracy_mean", "test_accuracy"]] >= CONVERGED).all(axis=1)
    table = tested.assign(solved=solved.astype(int)).rename_axis("replicate").reset_index()
    write_csv(Path("plots", part, "replicates", key).with_suffix(".csv"), table)
    return table

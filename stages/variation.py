"""Training of a cell otherwise than the report did it, and its test: what train_longer and train_ablation share."""

from pathlib import Path

import pandas as pd
import torch

from dlreport.config import Params, Sequence
from dlreport.evaluation.accuracy import evaluate_sequence
from dlreport.runtime import workers
from dlreport.training.checkpoint import Checkpoints, stop_by_signal
from dlreport.training.sequence import Cell, mean_accuracy, train_replicates, windowed


def train_and_test(name: str, cell: Cell, settings: Sequence, params: Params) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The training curves of all replicates, and a row for each with its accuracies; `name` is the training's."""
    deciding = {**params.model_dump(include={"seed", "device", "precision"}), "sequence": settings.model_dump()}
    checkpoints = Checkpoints.of(Path(f".checkpoints/{name}"), params.checkpoint_seconds, deciding)
    stop_by_signal()
    runs = train_replicates(cell, settings, params.seed, params.device, params.precision, workers(), checkpoints)

    weights = [{key: torch.from_numpy(value) for key, value in trained.weights.items()} for trained in runs]
    test = evaluate_sequence(cell, weights, settings, params.seed)
    replicates = test.table([mean_accuracy(trained.accuracy, settings.average_from) for trained in runs])
    curves = [
        pd.DataFrame({"replicate": k, **windowed(trained, settings.curve_points)}) for k, trained in enumerate(runs)
    ]
    checkpoints.remove()
    return pd.concat(curves), replicates

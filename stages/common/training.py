"""What the stages that train sequence models share: checkpoints, and the files of a training."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dlreport.checkpoint import Checkpoints, stop_by_signal
from dlreport.config import Params, SequenceSettings
from dlreport.io import write_csv, write_json, write_tensors
from dlreport.runtime import workers
from dlreport.sequence.task import Task
from dlreport.sequence.training import SequenceRun, train_replicates
from dlreport.sequence.windows import mean_accuracy, windowed

NOT_DECIDING = {"models", "lengths", "average_from", "log_every", "curve_points", "test"}  # they change no weight


@contextmanager
def trained(name: str, task: Task, settings: SequenceSettings, params: Params) -> Iterator[list[SequenceRun]]:
    """The trained replicates; their checkpoints, under `name`, stay until the block that writes them has ended."""
    deciding = params.model_dump(include={"seed", "device", "precision"})
    deciding["sequence"] = settings.model_dump(exclude=NOT_DECIDING)
    checkpoints = Checkpoints.of(Path(f".checkpoints/{name}"), params.checkpoint_seconds, deciding)
    stop_by_signal()
    yield train_replicates(task, settings, params.seed, params.device, params.precision, workers(), checkpoints)
    checkpoints.remove()


def write_weights(path: Path, replicates: list[dict[str, np.ndarray]]) -> None:
    # torch.save writes an object once: equal names are made one, as they are if all runs were in one process.
    named = [{sys.intern(name): torch.from_numpy(value) for name, value in one.items()} for one in replicates]
    write_tensors(path, named)


def write_training(
    runs: list[SequenceRun], settings: SequenceSettings, weights: Path, curves: Path, accuracy: Path
) -> None:
    """The replicates' weights, training curves and mean training accuracies."""
    write_weights(weights, [run.weights for run in runs])
    windows = [
        pd.DataFrame({"replicate": k, **windowed(run.loss, run.accuracy, settings.curve_points)})
        for k, run in enumerate(runs)
    ]
    write_csv(curves, pd.concat(windows))
    means = [mean_accuracy(run.accuracy, settings.average_from) for run in runs]
    write_json(accuracy, {"train_accuracy_mean": means})

"""What the stages that train sequence models share: checkpoints, and the files of a training."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dlreport.checkpoint import Checkpoints, stop_by_signal
from dlreport.config import Params, SequenceSettings
from dlreport.io import write_csv, write_json, write_tensors
from dlreport.progress import start_logging
from dlreport.runtime import workers
from dlreport.sequence.task import Task
from dlreport.sequence.training import train_replicates
from dlreport.sequence.windows import mean_accuracy, windowed

NOT_DECIDING = {"models", "lengths", "average_from", "log_every", "curve_points", "test"}  # they change no weight


def write_weights(path: Path, replicates: list[dict[str, np.ndarray]]) -> None:
    # torch.save writes an object once: equal names are made one, as they are if all runs were in one process.
    named = [{sys.intern(name): torch.from_numpy(value) for name, value in one.items()} for one in replicates]
    write_tensors(path, named)


def train(part: str, key: str, task: Task, settings: SequenceSettings, params: Params) -> None:
    """Train the replicates; write their weights, training curves and mean training accuracies under this part of the
    pipeline and, where it has several trainings, this key."""
    start_logging()
    deciding = params.model_dump(include={"seed", "device", "precision"})
    deciding["sequence"] = settings.model_dump(exclude=NOT_DECIDING)
    checkpoints = Checkpoints.of(
        Path(".checkpoints", f"{part}-{key}".removesuffix("-")), params.checkpoint_seconds, deciding
    )
    stop_by_signal()
    options = params.seed, params.device, params.precision, workers()
    runs = train_replicates(task, settings, *options, checkpoints)
    write_weights(Path("models", part, key).with_suffix(".pt"), [run.weights for run in runs])
    if part == "sequence":  # whose gradients are traced half-way too
        write_weights(Path(f"models/sequence/halfway/{key}.pt"), [run.halfway for run in runs])
    windows = [
        pd.DataFrame({"replicate": k, **windowed(run.loss, run.accuracy, settings.curve_points)})
        for k, run in enumerate(runs)
    ]
    write_csv(Path("plots", part, "curves", key).with_suffix(".csv"), pd.concat(windows))
    means = [mean_accuracy(run.accuracy, settings.average_from) for run in runs]
    write_json(Path("metrics", part, "train", key).with_suffix(".json"), {"train_accuracy_mean": means})
    checkpoints.remove()

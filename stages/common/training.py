"""What the stages that train sequence models share: the checkpoints and the files of a training."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dlreport.checkpoint import Checkpoints, stop_by_signal
from dlreport.config import Params, SequenceSettings
from dlreport.io import write_csv, write_json, write_tensors
from dlreport.progress import start_logging
from dlreport.runtime import select_device, workers
from dlreport.sequence.task import Task
from dlreport.sequence.training import is_native, train_replicates
from dlreport.sequence.windows import mean_accuracy, single_steps, windowed

# keys that change no weight
NOT_DECIDING = {"models", "lengths", "replicates", "average_from", "log_every", "curve_window", "test"}


def write_weights(path: Path, replicates: list[dict[str, np.ndarray]]) -> None:
    """Write the weights of all replicates as a file of safetensors."""
    write_tensors(path, [{name: torch.from_numpy(value) for name, value in one.items()} for one in replicates])


def write_means(part: str, key: str, means: list[float]) -> None:
    """Write the mean training accuracy of each replicate."""
    write_json(Path("metrics", part, "train", key).with_suffix(".json"), {"train_accuracy_mean": means})


def train(part: str, key: str, task: Task, settings: SequenceSettings, replicates: int, params: Params) -> None:
    """Train the replicates, and write their weights, training curves and mean training accuracies.

    The files' paths have the name of this part of the pipeline and, if the part has several trainings, this key. The
    main trainings (part "sequence") also write weights and accuracies from half-way, and the loss and accuracy of
    single steps.
    """
    start_logging()
    where = select_device(params.device)
    deciding = {**params.model_dump(include={"seed", "precision"}), "device": where.type}
    deciding["native"] = is_native(task, where, params.precision)
    deciding["sequence"] = {**settings.model_dump(exclude=NOT_DECIDING), "replicates": replicates}
    checkpoints = Checkpoints.of(
        Path(".checkpoints", f"{part}-{key}".removesuffix("-")), params.checkpoint_seconds, deciding
    )
    stop_by_signal()
    options = params.seed, params.device, params.precision, workers()
    runs = train_replicates(task, settings, replicates, *options, checkpoints)
    write_weights(Path("models", part, key).with_suffix(".safetensors"), [run.weights for run in runs])
    write_means(part, key, [mean_accuracy(run.accuracy, settings.average_from) for run in runs])
    if part == "sequence":
        halfway, half = f"{part}/halfway", settings.first_half()
        write_weights(Path("models", halfway, key).with_suffix(".safetensors"), [run.halfway for run in runs])
        write_means(halfway, key, [mean_accuracy(run.accuracy[: half.steps], half.average_from) for run in runs])
        steps = [
            pd.DataFrame({"replicate": k, **single_steps(run.loss, run.accuracy, settings.log_every)})
            for k, run in enumerate(runs)
        ]
        write_csv(Path("plots", part, "steps", key).with_suffix(".csv"), pd.concat(steps))
    windows = [
        pd.DataFrame({"replicate": k, **windowed(run.loss, run.accuracy, settings.curve_window)})
        for k, run in enumerate(runs)
    ]
    write_csv(Path("plots", part, "curves", key).with_suffix(".csv"), pd.concat(windows))
    checkpoints.remove()

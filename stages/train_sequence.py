"""Train every replicate of one model at one length."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from cell import parse_cell
from dlreport.config import load_params
from dlreport.io import write_csv, write_json, write_tensors
from dlreport.runtime import workers
from dlreport.training.checkpoint import Checkpoints, stop_by_signal
from dlreport.training.progress import start_logging
from dlreport.training.sequence import mean_accuracy, train_replicates, windowed
from stage import run


def write_weights(path: Path, replicates: list[dict[str, np.ndarray]]) -> None:
    write_tensors(path, [{name: torch.from_numpy(value) for name, value in weights.items()} for weights in replicates])


def main() -> None:
    start_logging()
    cell = parse_cell(__doc__)
    params = load_params()
    settings = params.sequence
    deciding = params.model_dump(include={"seed", "device", "precision", "sequence"})
    checkpoints = Checkpoints.of(Path(f".checkpoints/{cell}"), params.checkpoint_seconds, deciding)

    stop_by_signal()
    runs = train_replicates(cell, settings, params.seed, params.device, params.precision, workers(), checkpoints)

    write_weights(Path(f"models/sequence/{cell}.pt"), [trained.weights for trained in runs])
    write_weights(Path(f"models/sequence/halfway/{cell}.pt"), [trained.halfway for trained in runs])
    curves = [pd.DataFrame({"replicate": k, **windowed(run, settings.curve_points)}) for k, run in enumerate(runs)]
    write_csv(Path(f"plots/sequence/curves/{cell}.csv"), pd.concat(curves))
    means = [mean_accuracy(run.accuracy, settings.average_from) for run in runs]
    write_json(Path(f"metrics/sequence/train/{cell}.json"), {"train_accuracy_mean": means})
    checkpoints.remove()


if __name__ == "__main__":
    run(main)

"""Test one model at one length, and draw its training."""

from pathlib import Path

from common.arguments import parse
from common.stage import run
from common.testing import replicates_table
from dlreport.config import load_params
from dlreport.io import read_csv, write_csv, write_figure, write_metrics
from dlreport.sequence import figures
from dlreport.sequence.models import colours
from dlreport.sequence.task import Task


def main() -> None:
    task = Task(*parse(__doc__, "model"))
    weights, accuracy = Path(f"models/sequence/{task}.pt"), Path(f"metrics/sequence/train/{task}.json")
    replicates = replicates_table(task, load_params(), weights, accuracy)

    means = {name: float(replicates[name].mean()) for name in ("train_accuracy_mean", "test_accuracy", "solved")}
    write_metrics(Path(f"metrics/sequence/{task}.json"), means)
    write_csv(Path(f"plots/sequence/replicates/{task}.csv"), replicates)
    curve = read_csv(Path(f"plots/sequence/curves/{task}.csv"))
    (colour,) = colours([task.model]).values()
    figure = figures.training_curves(curve, task.model, task.length, colour)
    write_figure(Path(f"plots/sequence/training/{task}.png"), figure)


if __name__ == "__main__":
    run(main)

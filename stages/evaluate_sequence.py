"""Test one model at one length, and draw its training."""

from pathlib import Path

from dlreport import figures
from dlreport.config import load_params
from dlreport.io import read_csv, write_csv, write_figure, write_metrics
from matrix import parse_cell
from stage import run
from testing import replicates_table


def main() -> None:
    cell = parse_cell(__doc__)
    params = load_params()
    weights, accuracy = Path(f"models/sequence/{cell}.pt"), Path(f"metrics/sequence/train/{cell}.json")
    replicates = replicates_table(cell, params.sequence, params.seed, weights, accuracy)

    means = {name: float(replicates[name].mean()) for name in ("train_accuracy_mean", "test_accuracy", "solved")}
    write_metrics(Path(f"metrics/sequence/{cell}.json"), means)
    write_csv(Path(f"plots/sequence/replicates/{cell}.csv"), replicates)
    curve = read_csv(Path(f"plots/sequence/curves/{cell}.csv"))
    write_figure(Path(f"plots/sequence/training/{cell}.png"), figures.training_curves(curve, cell.model, cell.length))


if __name__ == "__main__":
    run(main)

"""Test one model at one length, and draw its training."""

from pathlib import Path

from cell import parse_cell
from dlreport import figures
from dlreport.config import load_params
from dlreport.evaluation.accuracy import evaluate_sequence
from dlreport.io import read_csv, read_json, read_tensors, write_csv, write_figure, write_metrics
from stage import run


def main() -> None:
    cell = parse_cell(__doc__)
    params = load_params()
    settings = params.sequence

    test = evaluate_sequence(cell, read_tensors(Path(f"models/sequence/{cell}.pt")), settings, params.seed)

    train = read_json(Path(f"metrics/sequence/train/{cell}.json"))["train_accuracy_mean"]
    replicates = test.table(train)
    means = {name: float(replicates[name].mean()) for name in ("train_accuracy_mean", "test_accuracy", "solved")}
    write_metrics(Path(f"metrics/sequence/{cell}.json"), means)
    write_csv(Path(f"plots/sequence/replicates/{cell}.csv"), replicates)
    curve = read_csv(Path(f"plots/sequence/curves/{cell}.csv"))
    write_figure(Path(f"plots/sequence/training/{cell}.png"), figures.training_curves(curve, cell.model, cell.length))


if __name__ == "__main__":
    run(main)

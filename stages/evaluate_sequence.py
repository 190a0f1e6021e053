"""Test one model at one length, and draw its training."""

from pathlib import Path

from cell import parse_cell
from dlreport import figures
from dlreport.config import load_params
from dlreport.evaluation.accuracy import evaluate_sequence
from dlreport.evaluation.curves import over_replicates
from dlreport.io import read_csv, read_json, read_tensors, write_figure, write_metrics
from stage import run


def main() -> None:
    cell = parse_cell(__doc__)
    params = load_params()
    settings = params.sequence
    train = read_json(Path(f"metrics/sequence/train/{cell}.json"))["train_accuracy_mean"]

    test = evaluate_sequence(cell, read_tensors(Path(f"models/sequence/{cell}.pt")), settings, params.seed)

    low, high = test.interval(settings.test.confidence)
    metrics = {
        "train_accuracy_mean": sum(train) / len(train),
        "test_accuracy": test.large_mean,
        "test_accuracy_low": low,
        "test_accuracy_high": high,
        "test_accuracy_report_batch": sum(test.report_batch) / len(test.report_batch),
        "test_sequences": test.sequences * len(test.large),
    }
    write_metrics(Path(f"metrics/sequence/{cell}.json"), metrics)
    curve = over_replicates(read_csv(Path(f"plots/sequence/curves/{cell}.csv")))
    write_figure(Path(f"plots/sequence/training/{cell}.png"), figures.training_curves(curve, cell.model, cell.length))


if __name__ == "__main__":
    run(main)

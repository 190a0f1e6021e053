"""Test the VanillaRNN that was trained for longer."""

from pathlib import Path

from dlreport.config import load_params
from dlreport.io import write_csv
from dlreport.training.sequence import Cell
from stage import run
from testing import replicates_table


def main() -> None:
    params = load_params()
    weights, accuracy = Path("models/longer.pt"), Path("metrics/longer/train.json")
    cell = Cell("VanillaRNN", params.longer.length)
    replicates = replicates_table(cell, params.sequence, params.seed, weights, accuracy)
    write_csv(Path("plots/longer/replicates.csv"), replicates)


if __name__ == "__main__":
    run(main)

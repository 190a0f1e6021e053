"""Test the VanillaRNN that was trained for longer."""

from pathlib import Path

from common.stage import run
from common.testing import replicates_table
from dlreport.config import load_params
from dlreport.io import write_csv
from dlreport.sequence.task import Task


def main() -> None:
    params = load_params()
    weights, accuracy = Path("models/longer.pt"), Path("metrics/longer/train.json")
    task = Task("VanillaRNN", params.longer.length)
    write_csv(Path("plots/longer/replicates.csv"), replicates_table(task, params, weights, accuracy))


if __name__ == "__main__":
    run(main)

"""Train every replicate of one model at one length."""

from pathlib import Path

from dlreport.config import load_params
from dlreport.training.progress import start_logging
from matrix import parse_cell
from stage import run
from training import trained, write_training, write_weights

MODELS = Path("models/sequence")


def main() -> None:
    start_logging()
    cell = parse_cell(__doc__)
    params = load_params()
    settings = params.sequence
    curves, accuracy = Path(f"plots/sequence/curves/{cell}.csv"), Path(f"metrics/sequence/train/{cell}.json")
    with trained(str(cell), cell, settings, params) as runs:
        write_training(runs, settings, MODELS / f"{cell}.pt", curves, accuracy)
        write_weights(MODELS / f"halfway/{cell}.pt", [run.halfway for run in runs])


if __name__ == "__main__":
    run(main)

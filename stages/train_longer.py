"""Train the VanillaRNN for longer than the report did: what it says of an earlier assignment (claim 2)."""

from pathlib import Path

from dlreport.config import load_params
from dlreport.training import variants
from dlreport.training.progress import start_logging
from dlreport.training.sequence import Cell
from stage import run
from training import trained, write_training


def main() -> None:
    start_logging()
    params = load_params()
    cell, settings = Cell("VanillaRNN", params.longer.length), variants.longer(params)
    paths = (Path(name) for name in ("models/longer.pt", "plots/longer/curves.csv", "metrics/longer/train.json"))
    with trained("longer", cell, settings, params) as runs:
        write_training(runs, settings, *paths)


if __name__ == "__main__":
    run(main)

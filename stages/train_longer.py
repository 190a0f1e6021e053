"""Train the VanillaRNN for longer than the report did: what it says of an earlier assignment (claim 2)."""

from pathlib import Path

from dlreport.config import load_params
from dlreport.io import write_csv
from dlreport.training.progress import start_logging
from dlreport.training.sequence import Cell
from stage import run
from variation import train_and_test

PLOTS = Path("plots/longer")


def main() -> None:
    start_logging()
    params = load_params()
    longer = params.longer
    settings = params.sequence.model_copy(update={"steps": longer.steps, "average_from": longer.average_from})
    curves, replicates = train_and_test("longer", Cell("VanillaRNN", longer.length), settings, params)
    write_csv(PLOTS / "curves.csv", curves)
    write_csv(PLOTS / "replicates.csv", replicates)


if __name__ == "__main__":
    run(main)

"""Train the VanillaRNN for longer than the report did: what it says of an earlier assignment (claim 2)."""

from pathlib import Path

from common.stage import run
from common.training import trained, write_training
from dlreport.config import load_params
from dlreport.progress import start_logging
from dlreport.sequence import variants
from dlreport.sequence.task import Task


def main() -> None:
    start_logging()
    params = load_params()
    task, settings = Task("VanillaRNN", params.longer.length), variants.longer(params)
    paths = (Path(name) for name in ("models/longer.pt", "plots/longer/curves.csv", "metrics/longer/train.json"))
    with trained("longer", task, settings, params) as runs:
        write_training(runs, settings, *paths)


if __name__ == "__main__":
    run(main)

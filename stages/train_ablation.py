"""Train the VanillaRNN at one length with one thing changed: is it the model that has difficulty, or its beginning?"""

import argparse
from pathlib import Path

from dlreport.config import load_params
from dlreport.io import write_csv
from dlreport.training.progress import start_logging
from dlreport.training.sequence import Cell
from stage import run
from variation import train_and_test


def main() -> None:
    start_logging()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--length", type=int, required=True)
    arguments = parser.parse_args()
    params = load_params()
    name = f"{arguments.variant}-{arguments.length}"

    settings = params.ablation.settings(params.sequence, arguments.variant)
    curves, replicates = train_and_test(f"ablation-{name}", Cell("VanillaRNN", arguments.length), settings, params)
    write_csv(Path(f"plots/ablation/curves/{name}.csv"), curves)
    write_csv(Path(f"plots/ablation/replicates/{name}.csv"), replicates)


if __name__ == "__main__":
    run(main)

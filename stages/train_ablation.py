"""Train the VanillaRNN at one length with one thing changed: is it the model that has difficulty, or its beginning?"""

import argparse
from pathlib import Path

from dlreport.config import load_params
from dlreport.training.progress import start_logging
from dlreport.training.sequence import Cell
from stage import run
from training import trained, write_training


def main() -> None:
    start_logging()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variant", required=True)
    parser.add_argument("--length", type=int, required=True)
    arguments = parser.parse_args()
    params = load_params()
    key = f"{arguments.variant}-{arguments.length}"

    settings = params.ablation.settings(params.sequence, arguments.variant)
    paths = (f"models/ablation/{key}.pt", f"plots/ablation/curves/{key}.csv", f"metrics/ablation/train/{key}.json")
    with trained(f"ablation-{key}", Cell("VanillaRNN", arguments.length), settings, params) as runs:
        write_training(runs, settings, *map(Path, paths))


if __name__ == "__main__":
    run(main)

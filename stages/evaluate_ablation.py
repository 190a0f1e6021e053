"""Test one variant of the VanillaRNN at one length."""

from pathlib import Path

from dlreport.config import load_params
from dlreport.io import write_csv
from dlreport.training.sequence import Cell
from matrix import parse_variant
from stage import run
from testing import replicates_table


def main() -> None:
    variant, length = parse_variant(__doc__)
    key = f"{variant}-{length}"
    params = load_params()
    weights, accuracy = Path(f"models/ablation/{key}.pt"), Path(f"metrics/ablation/train/{key}.json")
    replicates = replicates_table(Cell("VanillaRNN", length), params.sequence, params.seed, weights, accuracy)
    write_csv(Path(f"plots/ablation/replicates/{key}.csv"), replicates)


if __name__ == "__main__":
    run(main)

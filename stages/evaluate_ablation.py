"""Test one variant of the VanillaRNN at one length."""

from pathlib import Path

from common.arguments import parse
from common.stage import run
from common.testing import replicates_table
from dlreport.config import load_params
from dlreport.io import write_csv
from dlreport.sequence.task import Task


def main() -> None:
    variant, length = parse(__doc__, "variant")
    key = f"{variant}-{length}"
    weights, accuracy = Path(f"models/ablation/{key}.pt"), Path(f"metrics/ablation/train/{key}.json")
    replicates = replicates_table(Task("VanillaRNN", length), load_params(), weights, accuracy)
    write_csv(Path(f"plots/ablation/replicates/{key}.csv"), replicates)


if __name__ == "__main__":
    run(main)

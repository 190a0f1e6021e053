"""Test the variants of the VanillaRNN and put them side by side."""

from itertools import product
from pathlib import Path

import pandas as pd

from dlreport import figures
from dlreport.config import load_params
from dlreport.io import read_csv, write_csv, write_figure
from dlreport.training.sequence import Cell
from stage import run
from testing import replicates_table

PLOTS = Path("plots/ablation")


def main() -> None:
    params = load_params()
    tables, curves = [], {}
    # From params, never by glob: the folders may still hold files of a variant that was since removed.
    for variant, length in product(params.ablation.variants, params.ablation.lengths):
        key = f"{variant}-{length}"
        weights, accuracy = Path(f"models/ablation/{key}.pt"), Path(f"metrics/ablation/train/{key}.json")
        table = replicates_table(Cell("VanillaRNN", length), params.sequence, params.seed, weights, accuracy)
        tables.append(table.assign(variant=variant, length=length))
        curves[variant, length] = read_csv(PLOTS / f"curves/{key}.csv")

    columns = ["variant", "length", "replicate", "train_accuracy_mean", "test_accuracy", "solved"]
    write_csv(PLOTS / "comparison.csv", pd.concat(tables)[columns])
    write_figure(PLOTS / "accuracy_curves.png", figures.ablation(curves))


if __name__ == "__main__":
    run(main)

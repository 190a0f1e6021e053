"""The variants of the VanillaRNN side by side."""

from itertools import product
from pathlib import Path

import pandas as pd

from dlreport import figures
from dlreport.config import load_params
from dlreport.evaluation.curves import CONVERGED, steps_to_reach
from dlreport.io import read_csv, write_csv, write_figure
from stage import run

PLOTS = Path("plots/ablation")


def main() -> None:
    settings = load_params().ablation
    # From params, never by glob: the folders may still hold files of a variant that was since removed.
    cells = list(product(settings.variants, settings.lengths))
    replicates = {cell: read_csv(PLOTS / "replicates/{}-{}.csv".format(*cell)) for cell in cells}
    curves = {cell: read_csv(PLOTS / "curves/{}-{}.csv".format(*cell)) for cell in cells}

    long = [
        found.assign(variant=variant, length=length, reached=steps_to_reach(curves[variant, length], CONVERGED))
        for (variant, length), found in replicates.items()
    ]
    columns = ["variant", "length", "replicate", "train_accuracy_mean", "test_accuracy", "solved", "reached"]
    write_csv(PLOTS / "comparison.csv", pd.concat(long)[columns].astype({"reached": "Int64"}))
    write_figure(PLOTS / "accuracy_curves.png", figures.ablation(curves))


if __name__ == "__main__":
    run(main)

"""The variants of the VanillaRNN, tested and side by side."""

from math import inf
from pathlib import Path

import pandas as pd

from common.stage import run
from common.tables import read_tables
from common.testing import evaluate_replicates
from dlreport.config import load_params
from dlreport.io import write_csv, write_figure
from dlreport.sequence import figures
from dlreport.sequence.curves import steps_to_reach
from dlreport.sequence.task import Task
from dlreport.sequence.thresholds import CONVERGED

PLOTS = Path("plots/ablation")


def main() -> None:
    params = load_params()
    curves = read_tables(PLOTS / "curves", params.ablation.variants, params.ablation.lengths)
    long = []
    for (variant, length), curve in curves.items():
        found = evaluate_replicates("ablation", f"{variant}-{length}", Task("VanillaRNN", length), params)
        reached = [step if step < inf else None for step in steps_to_reach(curve, CONVERGED)]
        long.append(found.assign(variant=variant, length=length, reached=reached))
    columns = ["variant", "length", "replicate", "train_accuracy_mean", "test_accuracy", "solved", "reached"]
    write_csv(PLOTS / "comparison.csv", pd.concat(long)[columns].astype({"reached": "Int64"}))
    write_figure(PLOTS / "accuracy_curves.png", figures.ablation(curves))


if __name__ == "__main__":
    run(main)

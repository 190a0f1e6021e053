"""The variants of the VanillaRNN side by side, and beside the main runs after as many steps."""

from math import inf
from pathlib import Path

from common.stage import run
from common.tables import read_tables

import pandas as pd

from dlreport.config import load_params
from dlreport.io import write_csv, write_figure
from dlreport.sequence import figures
from dlreport.sequence.curves import steps_to_reach
from dlreport.sequence.thresholds import CONVERGED

PLOTS, SEQUENCE = Path("plots/ablation"), Path("plots/sequence")
MODEL, AS_REPORTED = "VanillaRNN", "as_reported"  # the model of the ablation, and the name of its main runs


def main() -> None:
    params = load_params()
    settings, sequence = params.ablation, params.sequence
    replicates, curves = (
        read_tables(PLOTS / kind, settings.variants, settings.lengths) for kind in ("replicates", "curves")
    )
    if MODEL in sequence.models:
        lengths = [length for length in settings.lengths if length in sequence.lengths]
        trained, halfway = (read_tables(SEQUENCE / kind, [MODEL], lengths) for kind in ("curves", "halfway/replicates"))
        first = {(AS_REPORTED, length): found for (_, length), found in halfway.items()}
        replicates = first | replicates
        first = {
            (AS_REPORTED, length): curve[curve["step"] < sequence.halfway] for (_, length), curve in trained.items()
        }
        curves = first | curves
    long = []
    for (variant, length), found in replicates.items():
        reached = [step if step < inf else None for step in steps_to_reach(curves[variant, length], CONVERGED)]
        long.append(found.assign(variant=variant, length=length, reached=reached))
    columns = ["variant", "length", "replicate", "train_accuracy_mean", "test_accuracy", "solved", "reached"]
    write_csv(PLOTS / "comparison.csv", pd.concat(long)[columns].astype({"reached": "Int64"}))
    write_figure(PLOTS / "accuracy_curves.png", figures.ablation(curves))


if __name__ == "__main__":
    run(main)

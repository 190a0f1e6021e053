"""The variants of the VanillaRNN side by side."""

from math import inf
from pathlib import Path

import pandas as pd

from common.stage import run
from common.tables import read_tables
from dlreport.config import load_params
from dlreport.io import write_csv, write_figure
from dlreport.runtime import prepare
from dlreport.sequence import figures
from dlreport.sequence.curves import steps_to_reach
from dlreport.sequence.task import Task
from dlreport.sequence.thresholds import CONVERGED
from dlreport.sequence.variants import growth_at_the_start

PLOTS = Path("plots/ablation")


def main() -> None:
    params = load_params()
    settings = params.ablation
    replicates, curves = (
        read_tables(PLOTS / kind, settings.variants, settings.lengths) for kind in ("replicates", "curves")
    )
    long = []
    for (variant, length), found in replicates.items():
        reached = [step if step < inf else None for step in steps_to_reach(curves[variant, length], CONVERGED)]
        long.append(found.assign(variant=variant, length=length, reached=reached))
    columns = ["variant", "length", "replicate", "train_accuracy_mean", "test_accuracy", "solved", "reached"]
    write_csv(PLOTS / "comparison.csv", pd.concat(long)[columns].astype({"reached": "Int64"}))
    prepare(threads=1)
    task, growths = Task("VanillaRNN", max(settings.lengths)), []
    for variant in settings.variants:
        changed = settings.changes[variant].applied(params.sequence)
        growths.append({"variant": variant, **growth_at_the_start(task, changed, params)})
    write_csv(PLOTS / "growth.csv", pd.DataFrame(growths))
    write_figure(PLOTS / "accuracy_curves.png", figures.ablation(curves))


if __name__ == "__main__":
    run(main)

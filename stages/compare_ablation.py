"""Compare the variants of the VanillaRNN with each other, and with the main runs after the same number of steps."""

from math import inf
from pathlib import Path

from common.stage import run
from common.tables import merged, read_tables

import pandas as pd

from dlreport.config import load_params
from dlreport.io import write_csv
from dlreport.runtime import prepare
from dlreport.sequence.curves import steps_to_reach, thinned
from dlreport.sequence.task import Task
from dlreport.sequence.thresholds import CONVERGED
from dlreport.sequence.variants import growth_at_the_start

PLOTS, SEQUENCE = Path("plots/ablation"), Path("plots/sequence")
MODEL, AS_REPORTED = "VanillaRNN", "as_reported"  # the ablation's model, and the name of its main runs here


def main() -> None:
    params = load_params()
    settings, sequence = params.ablation, params.sequence
    replicates, curves = (
        read_tables(PLOTS / kind, settings.variants, settings.lengths) for kind in ("replicates", "curves")
    )
    if MODEL in sequence.models:
        lengths = [length for length in settings.lengths if length in sequence.lengths]
        trained, halfway = (read_tables(SEQUENCE / kind, [MODEL], lengths) for kind in ("curves", "halfway/replicates"))
        first = {length: curve[curve["step"] < sequence.halfway] for (_, length), curve in trained.items()}
        curves = {(AS_REPORTED, length): curve for length, curve in first.items()} | curves
        replicates = {(AS_REPORTED, length): found for (_, length), found in halfway.items()} | replicates
    long = []
    for (variant, length), found in replicates.items():
        reached = [step if step < inf else None for step in steps_to_reach(curves[variant, length], CONVERGED)]
        long.append(found.assign(variant=variant, length=length, reached=reached))
    columns = ["variant", "length", "replicate", "train_accuracy_mean", "test_accuracy", "solved", "reached"]
    write_csv(PLOTS / "comparison.csv", pd.concat(long)[columns].astype({"reached": "Int64"}))
    prepare(threads=1)
    task, growths = Task(MODEL, max(settings.lengths)), []
    for variant in dict.fromkeys(variant for variant, _ in replicates):
        changed = settings.changes[variant].applied(sequence) if variant in settings.changes else sequence
        growths.append({"variant": variant, **growth_at_the_start(task, changed, params)})
    write_csv(PLOTS / "growth.csv", pd.DataFrame(growths))
    write_csv(PLOTS / "curves.csv", merged({task: thinned(curve) for task, curve in curves.items()}, "variant"))


if __name__ == "__main__":
    run(main)

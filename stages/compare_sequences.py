"""All models and lengths side by side: accuracy beside the published numbers, gradients and saturation."""

from pathlib import Path

from common.stage import run
from common.tables import read_tables

import pandas as pd

from dlreport.config import load_params
from dlreport.io import read_yaml, write_csv, write_figure, write_metrics
from dlreport.sequence import figures
from dlreport.sequence.comparison import comparison_table
from dlreport.sequence.curves import long_table
from dlreport.sequence.models import colours

PLOTS, GRADIENTS = Path("plots/sequence"), Path("plots/gradients")


def main() -> None:
    settings = load_params().sequence
    confidence, by_model = settings.test.confidence, colours(settings.models)
    replicates, curves, traced = (
        read_tables(folder, settings.models, settings.lengths)
        for folder in (PLOTS / "replicates", PLOTS / "curves", GRADIENTS / "by_task")
    )
    table = comparison_table(replicates, read_yaml(Path("published.yaml"))["sequence"], confidence)
    write_csv(PLOTS / "comparison.csv", table)
    write_csv(PLOTS / "curves.csv", long_table(curves))
    figure = figures.accuracy_by_length(table, replicates, confidence, by_model)
    write_figure(PLOTS / "accuracy_by_length.png", figure)
    write_figure(PLOTS / "accuracy_curves.png", figures.curves_by_length(curves, by_model))

    gradients = pd.concat(traced, names=["model", "length"]).droplevel(2).reset_index()
    write_csv(GRADIENTS / "by_time_step.csv", gradients)
    write_figure(GRADIENTS / "gradients.png", figures.gradients(gradients))
    write_figure(GRADIENTS / "saturation.png", figures.saturation(gradients))
    longest = gradients[(gradients["length"] == max(settings.lengths)) & (gradients["when"] == "end")]
    shares = longest.groupby("model", sort=False)["saturated_tanh"].mean()
    metrics = {f"saturated_tanh_{model}": float(share) for model, share in shares.items()}
    write_metrics(Path("metrics/gradients.json"), metrics)


if __name__ == "__main__":
    run(main)

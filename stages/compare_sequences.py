"""All models and lengths side by side: accuracy beside the published numbers, gradients, saturation and memory."""

from pathlib import Path

from common.stage import run
from common.tables import Tables, read_tables

import pandas as pd

from dlreport.config import load_params
from dlreport.io import read_yaml, write_csv, write_figure, write_metrics
from dlreport.sequence import figures
from dlreport.sequence.comparison import comparison_table
from dlreport.sequence.curves import long_table
from dlreport.sequence.mean_field import INPUT, OF_MODEL, mean_field
from dlreport.sequence.models import colours

PLOTS, GRADIENTS, MEMORY = Path("plots/sequence"), Path("plots/gradients"), Path("plots/memory")


def merged(tables: Tables) -> pd.DataFrame:
    return pd.concat(tables, names=["model", "length"]).droplevel(2).reset_index()


def main() -> None:
    params = load_params()
    settings = params.sequence
    confidence, by_model = settings.test.confidence, colours(settings.models)
    replicates, curves, traced, probes, answers = (
        read_tables(folder, settings.models, settings.lengths)
        for folder in (
            *(PLOTS / "replicates", PLOTS / "curves", GRADIENTS / "by_task"),
            *(MEMORY / "probe", MEMORY / "confusion"),
        )
    )
    table = comparison_table(replicates, read_yaml(Path("published.yaml"))["sequence"], confidence)
    write_csv(PLOTS / "comparison.csv", table)
    write_csv(PLOTS / "curves.csv", long_table(curves))
    figure = figures.accuracy_by_length(table, replicates, confidence, by_model)
    write_figure(PLOTS / "accuracy_by_length.png", figure)
    write_figure(PLOTS / "accuracy_curves.png", figures.curves_by_length(curves, by_model))

    gradients = merged(traced)
    write_csv(GRADIENTS / "by_time_step.csv", gradients)
    write_figure(GRADIENTS / "gradients.png", figures.gradients(gradients))
    predicted = {OF_MODEL: mean_field(settings.hidden_dim, INPUT).growth}  # for weights from N(0, 1)
    drawn = predicted if settings.initialisation == "as_reported" else {}
    write_figure(GRADIENTS / "growth.png", figures.growth(gradients, drawn))
    write_figure(GRADIENTS / "saturation.png", figures.saturation(gradients))
    longest = gradients[(gradients["length"] == max(settings.lengths)) & (gradients["when"] == "end")]
    shares = longest.groupby("model", sort=False)["saturated_tanh"].mean()
    metrics = {f"saturated_tanh_{model}": float(share) for model, share in shares.items()}
    write_metrics(Path("metrics/gradients.json"), metrics)

    probed, answered = merged(probes), merged(answers)
    write_csv(MEMORY / "probe.csv", probed)
    write_csv(MEMORY / "confusion.csv", answered)
    write_figure(MEMORY / "probe.png", figures.probe(probed, by_model))
    told = params.longer.length  # of the palindromes that the VanillaRNN learns in part
    length = told if told in settings.lengths else max(settings.lengths)
    write_figure(MEMORY / "confusion.png", figures.confusion(answered, length, by_model))


if __name__ == "__main__":
    run(main)

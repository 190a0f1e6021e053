"""All models and lengths side by side, beside the published numbers."""

from itertools import product
from pathlib import Path

import pandas as pd

from dlreport import figures
from dlreport.config import load_params
from dlreport.evaluation.comparison import comparison_table
from dlreport.evaluation.curves import over_replicates
from dlreport.io import read_csv, read_yaml, write_csv, write_figure
from stage import run

PLOTS = Path("plots/sequence")


def main() -> None:
    settings = load_params().sequence
    confidence = settings.test.confidence
    # From params, never by glob: the folders may still hold files of a length that was since removed.
    cells = list(product(settings.models, settings.lengths))
    replicates = {cell: read_csv(PLOTS / "replicates/{}-{}.csv".format(*cell)) for cell in cells}
    curves = {cell: read_csv(PLOTS / "curves/{}-{}.csv".format(*cell)) for cell in cells}
    published = read_yaml(Path("published.yaml"))["sequence"]

    table = comparison_table(replicates, published, confidence)
    write_csv(PLOTS / "comparison.csv", table)
    columns = {"accuracy_mean": "mean", "accuracy_low": "low", "accuracy_high": "high"}
    long = [
        over_replicates(curve).rename(columns=columns)[["step", *columns.values()]].assign(model=model, length=length)
        for (model, length), curve in curves.items()
    ]
    write_csv(PLOTS / "curves.csv", pd.concat(long)[["model", "length", "step", *columns.values()]])
    write_figure(PLOTS / "accuracy_by_length.png", figures.accuracy_by_length(table, replicates, confidence))
    write_figure(PLOTS / "accuracy_curves.png", figures.curves_by_length(curves))


if __name__ == "__main__":
    run(main)

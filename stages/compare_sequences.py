"""All models and lengths side by side, beside the published numbers."""

from pathlib import Path

from common.stage import run
from common.tables import read_tables
from dlreport.config import load_params
from dlreport.io import read_yaml, write_csv, write_figure
from dlreport.sequence import figures
from dlreport.sequence.comparison import comparison_table
from dlreport.sequence.curves import long_table
from dlreport.sequence.models import colours

PLOTS = Path("plots/sequence")


def main() -> None:
    settings = load_params().sequence
    confidence, by_model = settings.test.confidence, colours(settings.models)
    replicates, curves = (
        read_tables(PLOTS / kind, settings.models, settings.lengths) for kind in ("replicates", "curves")
    )
    table = comparison_table(replicates, read_yaml(Path("published.yaml"))["sequence"], confidence)
    write_csv(PLOTS / "comparison.csv", table)
    write_csv(PLOTS / "curves.csv", long_table(curves))
    figure = figures.accuracy_by_length(table, replicates, confidence, by_model)
    write_figure(PLOTS / "accuracy_by_length.png", figure)
    write_figure(PLOTS / "accuracy_curves.png", figures.curves_by_length(curves, by_model))


if __name__ == "__main__":
    run(main)

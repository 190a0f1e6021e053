"""Gradients and saturation of all models and lengths, by time step."""

from pathlib import Path

import pandas as pd

from common.stage import run
from common.tables import read_tables
from dlreport.config import load_params
from dlreport.io import write_csv, write_figure, write_metrics
from dlreport.sequence import figures

PLOTS = Path("plots/gradients")


def main() -> None:
    settings = load_params().sequence
    tables = read_tables(PLOTS / "by_task", settings.models, settings.lengths)
    table = pd.concat([found.assign(model=model, length=length) for (model, length), found in tables.items()])
    table = table.set_index(["model", "length"]).reset_index()
    write_csv(PLOTS / "by_time_step.csv", table)
    write_figure(PLOTS / "gradients.png", figures.gradients(table))
    write_figure(PLOTS / "saturation.png", figures.saturation(table))

    longest = table[(table["length"] == max(settings.lengths)) & (table["when"] == "end")]
    shares = longest.groupby("model", sort=False)["saturated_tanh"].mean()
    metrics = {f"saturated_tanh_{model}": float(share) for model, share in shares.items()}
    write_metrics(Path("metrics/gradients.json"), metrics)


if __name__ == "__main__":
    run(main)

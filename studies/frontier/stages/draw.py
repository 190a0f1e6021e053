"""Summarise the table of all runs: write a table by variant and length, the longest length that each variant and each
model remembers, and the figure."""

import pandas as pd

import grid
from dlreport.drawing import rows, svg
from dlreport.errors import run
from dlreport.io import read_csv, write_csv, write_metrics, write_text
from dlreport.sequence import figures

VARIANT = ["model", "hidden_dim", "initialisation", "clip"]


def summary(runs: pd.DataFrame, solved_at: float) -> pd.DataFrame:
    """Return a table with a row for each variant and length: how many replicates solve it, and their test accuracy.

    A replicate that diverged gives no answer, so its accuracy is 0.
    """
    runs = runs.assign(solved=runs["test_accuracy"] >= solved_at, trained=1).fillna({"test_accuracy": 0})
    columns = {"replicates": ("trained", "sum"), "solved": ("solved", "sum"), "ever_solved": ("solved_step", "count")}
    columns |= {"solved_step_median": ("solved_step", "median"), "diverged": ("diverged", "sum")}
    columns |= {f"test_accuracy_{how}": ("test_accuracy", how) for how in ("mean", "min", "max")}
    return runs.groupby([*VARIANT, "length"], sort=False).agg(**columns).reset_index()


def longest(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with a row for each variant: the longest length up to which most replicates solve every length.

    It is 0 if most replicates do not solve the first length.
    """
    table = table.sort_values("length", kind="stable")
    table["remembered"] = table["solved"] * 2 > table["replicates"]
    up_to_here = table.groupby(VARIANT)["remembered"].cummin()
    table["longest"] = table["length"].where(up_to_here, 0)
    return table.groupby(VARIANT, sort=False, as_index=False)["longest"].max()


def metrics(remembered: pd.DataFrame) -> dict[str, int]:
    """Return the longest length that each model remembers, as reported and with the best settings of the grid.

    "As reported" means without clipping, since the published clipping had no effect.
    """
    found = {}
    for model, of_model in remembered.groupby("model", sort=False):
        reported = of_model[(of_model["initialisation"] == "as_reported") & (of_model["clip"] == "off")]
        if len(reported):
            found[f"{model}_as_reported"] = int(reported["longest"].max())
        found[f"{model}_best"] = int(of_model["longest"].max())
    return found


def main() -> None:
    study = grid.load_study()
    table = summary(read_csv(grid.HERE / "runs.csv"), study.solved_at)
    remembered = longest(table)
    write_csv(grid.HERE / "cells.csv", table)
    write_csv(grid.HERE / "longest.csv", remembered)
    write_metrics(grid.HERE / "metrics.json", metrics(remembered))
    write_text(grid.HERE / "heat_map.svg", svg(figures.study(rows(figures.with_variants(table)))))


if __name__ == "__main__":
    run(main)

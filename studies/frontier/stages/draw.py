"""From the table of all runs: its cells, the longest length that each model remembers, and the figures."""

import pandas as pd

import figures
import grid
from dlreport.errors import run
from dlreport.io import read_csv, write_csv, write_figure, write_metrics


def cells(runs: pd.DataFrame, solved_at: float) -> pd.DataFrame:
    """A row for each variant and length: how many replicates solved it, and their test accuracy.

    A replicate that diverged gives no answer, so none that is right.
    """
    runs = runs.assign(
        solved=runs["test_accuracy"] >= solved_at, test_accuracy=runs["test_accuracy"].fillna(0), trained=1
    )
    return (
        runs.groupby([*figures.VARIANT, "length"], sort=False)
        .agg(
            replicates=("trained", "sum"),
            solved=("solved", "sum"),
            ever_solved=("solved_step", "count"),
            solved_step_median=("solved_step", "median"),
            diverged=("diverged", "sum"),
            test_accuracy_mean=("test_accuracy", "mean"),
            test_accuracy_min=("test_accuracy", "min"),
            test_accuracy_max=("test_accuracy", "max"),
        )
        .reset_index()
    )


def longest(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each variant: the longest length up to which most replicates solve every length; 0 if not the first."""
    rows = []
    for variant, cells in table.sort_values("length", kind="stable").groupby(figures.VARIANT, sort=False):
        solved = cells["solved"] * 2 > cells["replicates"]
        lengths = cells["length"][solved.cummin()]
        rows.append((*variant, int(lengths.max()) if len(lengths) else 0))
    return pd.DataFrame(rows, columns=[*figures.VARIANT, "longest"])


def metrics(remembered: pd.DataFrame) -> dict[str, int]:
    """By model, the longest length as reported (whose clipping had no effect), and with the best of the grid."""
    found = {}
    for model, rows in remembered.groupby("model", sort=False):
        reported = rows[(rows["initialisation"] == "as_reported") & (rows["clip"] == "off")]
        if len(reported):
            found[f"{model}_as_reported"] = int(reported["longest"].max())
        found[f"{model}_best"] = int(rows["longest"].max())
    return found


def main() -> None:
    study = grid.load_study()
    table = cells(read_csv(grid.HERE / "runs.csv"), study.solved_at)
    remembered = longest(table)
    write_csv(grid.HERE / "cells.csv", table)
    write_csv(grid.HERE / "longest.csv", remembered)
    write_metrics(grid.HERE / "metrics.json", metrics(remembered))
    write_figure(grid.HERE / "heat_map.png", figures.heat_map(table))
    write_figure(grid.HERE / "curves.png", figures.curves(table, study.solved_at))


if __name__ == "__main__":
    run(main)

"""From the table of all runs: its cells, the longest length that each model remembers, and the figure."""

import pandas as pd
from matplotlib.figure import Figure

import grid
from dlreport.errors import run
from dlreport.io import read_csv, write_csv, write_figure, write_metrics

VARIANT = ["model", "hidden_dim", "initialisation", "clip"]
CLIPPED = {"off": "unclipped", "effective": "clipped"}


def cells(runs: pd.DataFrame, solved_at: float) -> pd.DataFrame:
    """A row for each variant and length: how many replicates solved it, and their test accuracy.

    A replicate that diverged gives no answer, so none that is right.
    """
    runs = runs.assign(solved=runs["test_accuracy"] >= solved_at, trained=1).fillna({"test_accuracy": 0})
    columns = {"replicates": ("trained", "sum"), "solved": ("solved", "sum"), "ever_solved": ("solved_step", "count")}
    columns |= {"solved_step_median": ("solved_step", "median"), "diverged": ("diverged", "sum")}
    columns |= {f"test_accuracy_{how}": ("test_accuracy", how) for how in ("mean", "min", "max")}
    return runs.groupby([*VARIANT, "length"], sort=False).agg(**columns).reset_index()


def longest(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each variant: the longest length up to which most replicates solve every length; 0 if not the first."""
    table = table.sort_values("length", kind="stable")
    table["remembered"] = table["solved"] * 2 > table["replicates"]
    up_to_here = table.groupby(VARIANT)["remembered"].cummin()
    table["longest"] = table["length"].where(up_to_here, 0)
    return table.groupby(VARIANT, sort=False, as_index=False)["longest"].max()


def metrics(remembered: pd.DataFrame) -> dict[str, int]:
    """By model, the longest length as reported (whose clipping had no effect), and with the best of the grid."""
    found = {}
    for model, rows in remembered.groupby("model", sort=False):
        reported = rows[(rows["initialisation"] == "as_reported") & (rows["clip"] == "off")]
        if len(reported):
            found[f"{model}_as_reported"] = int(reported["longest"].max())
        found[f"{model}_best"] = int(rows["longest"].max())
    return found


def heat_map(table: pd.DataFrame) -> Figure:
    """Mean test accuracy of each variant (rows) at each length (columns), and how many replicates solved it."""
    wide = table.pivot_table("test_accuracy_mean", VARIANT, "length", sort=False).sort_index(axis=1)
    figure = Figure(figsize=(3.4 + 0.75 * wide.shape[1], 1.2 + 0.42 * wide.shape[0]), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(wide, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    names = [
        f"{model} {hidden}, {start.replace('_', ' ')}, {CLIPPED[clip]}" for model, hidden, start, clip in wide.index
    ]
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(wide.shape[1]), wide.columns)
    for _, cell in table.iterrows():
        place = wide.columns.get_loc(cell["length"]), wide.index.get_loc(tuple(cell[VARIANT]))
        text = f"{cell['test_accuracy_mean']:.2f}\n{cell['solved']} of {cell['replicates']}"
        colour = "white" if cell["test_accuracy_mean"] < 0.6 else "black"  # on dark, on light
        axes.annotate(text, place, ha="center", va="center", fontsize=7, color=colour)
    axes.set_xlabel("palindrome length")
    figure.suptitle("Mean test accuracy, and runs that solved the length", fontsize=11)
    figure.colorbar(image, label="accuracy")
    return figure


def main() -> None:
    study = grid.load_study()
    table = cells(read_csv(grid.HERE / "runs.csv"), study.solved_at)
    remembered = longest(table)
    write_csv(grid.HERE / "cells.csv", table)
    write_csv(grid.HERE / "longest.csv", remembered)
    write_metrics(grid.HERE / "metrics.json", metrics(remembered))
    write_figure(grid.HERE / "heat_map.png", heat_map(table))


if __name__ == "__main__":
    run(main)

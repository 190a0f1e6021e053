"""From the table of all runs: its cells, the longest length that each model remembers, and the figures."""

import pandas as pd
from matplotlib.figure import Figure

import grid
from dlreport.errors import run
from dlreport.io import read_csv, write_csv, write_figure, write_metrics

VARIANT = ["model", "hidden_dim", "initialisation", "clip"]
COLOURS = {"as_reported": "#7570b3", "orthogonal": "#1b9e77", "identity": "#e7298a"}
CLIPPED = {"off": "unclipped", "effective": "clipped"}
GUESSING = 0.1  # one digit in ten


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
    rows = []
    for variant, cells in table.sort_values("length", kind="stable").groupby(VARIANT, sort=False):
        solved = cells["solved"] * 2 > cells["replicates"]
        lengths = cells["length"][solved.cummin()]
        rows.append((*variant, int(lengths.max()) if len(lengths) else 0))
    return pd.DataFrame(rows, columns=[*VARIANT, "longest"])


def metrics(remembered: pd.DataFrame) -> dict[str, int]:
    """By model, the longest length as reported (whose clipping had no effect), and with the best of the grid."""
    found = {}
    for model, rows in remembered.groupby("model", sort=False):
        reported = rows[(rows["initialisation"] == "as_reported") & (rows["clip"] == "off")]
        if len(reported):
            found[f"{model}_as_reported"] = int(reported["longest"].max())
        found[f"{model}_best"] = int(rows["longest"].max())
    return found


def _label(initialisation: str, clip: str) -> str:
    return f"{initialisation.replace('_', ' ')}, {CLIPPED[clip]}"


def heat_map(table: pd.DataFrame) -> Figure:
    """Mean test accuracy of each variant (rows) at each length (columns), and how many replicates solved it."""
    wide = table.pivot_table("test_accuracy_mean", VARIANT, "length", sort=False).sort_index(axis=1)
    figure = Figure(figsize=(3.4 + 0.75 * wide.shape[1], 1.2 + 0.42 * wide.shape[0]), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(wide, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    names = [f"{model} {hidden}, {_label(*rest)}" for model, hidden, *rest in wide.index]
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


def curves(table: pd.DataFrame, solved_at: float) -> Figure:
    """Test accuracy by length, a panel for each model and hidden size; mean, and the range of replicates."""
    panels = list(table.groupby(VARIANT[:2], sort=False))
    rows, columns = -(-len(panels) // 2), min(2, len(panels))
    figure = Figure(figsize=(5 * columns, 3.8 * rows), layout="constrained")
    places = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    for ((model, hidden), cells), axes in zip(panels, places, strict=False):
        variants = cells.sort_values("length", kind="stable").groupby(VARIANT[2:], sort=False)
        for number, ((initialisation, clip), line) in enumerate(variants):
            mean = line["test_accuracy_mean"]
            # Not below 0, as the mean of equal numbers can differ from them by its rounding
            bars = [(mean - line["test_accuracy_min"]).clip(0), (line["test_accuracy_max"] - mean).clip(0)]
            axes.errorbar(
                line["length"] + 0.4 * (number - (len(variants) - 1) / 2),  # side by side, or bars hide one another
                *(mean, bars, None, "o-" if clip == "off" else "s--"),
                color=COLOURS[initialisation],
                capsize=2,
                markersize=4,
                linewidth=1.2,
                label=_label(initialisation, clip),
            )
        axes.axhline(solved_at, color="grey", linewidth=0.8, linestyle="--", label=f"solved ({solved_at:g})")
        axes.axhline(GUESSING, color="grey", linewidth=0.8, linestyle=":", label="guessing")
        axes.set_xticks(sorted(table["length"].unique()))
        axes.set_ylim(-0.02, 1.05)
        axes.set(xlabel="palindrome length", ylabel="test accuracy", title=f"{model}, hidden size {hidden}")
        axes.grid(alpha=0.3)
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=8)
    for axes in list(places):  # panels left over in the last row
        axes.remove()
    return figure


def main() -> None:
    study = grid.load_study()
    table = cells(read_csv(grid.HERE / "runs.csv"), study.solved_at)
    remembered = longest(table)
    write_csv(grid.HERE / "cells.csv", table)
    write_csv(grid.HERE / "longest.csv", remembered)
    write_metrics(grid.HERE / "metrics.json", metrics(remembered))
    write_figure(grid.HERE / "heat_map.png", heat_map(table))
    write_figure(grid.HERE / "curves.png", curves(table, study.solved_at))


if __name__ == "__main__":
    run(main)

"""The study's figures, from its table of cells."""

import pandas as pd
from matplotlib.figure import Figure

VARIANT = ["model", "hidden_dim", "initialisation", "clip"]
COLOURS = {"as_reported": "#7570b3", "orthogonal": "#1b9e77", "identity": "#e7298a"}
LABELS = {"as_reported": "as reported", "orthogonal": "orthogonal", "identity": "identity"}
CLIPPED = {"off": "unclipped", "effective": "clipped"}
GUESSING = 0.1  # one digit in ten


def _label(initialisation: str, clip: str) -> str:
    return f"{LABELS[initialisation]}, {CLIPPED[clip]}"


def heat_map(table: pd.DataFrame) -> Figure:
    """Mean test accuracy of each variant (rows) at each length (columns), and how many replicates solved it."""
    wide = table.pivot_table("test_accuracy_mean", VARIANT, "length", sort=False).sort_index(axis=1)
    figure = Figure(figsize=(3.4 + 0.75 * wide.shape[1], 1.2 + 0.42 * wide.shape[0]), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(wide, cmap="viridis", vmin=0, vmax=1, aspect="auto")
    names = [f"{model} {hidden}, {_label(*rest)}" for model, hidden, *rest in wide.index]
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(wide.shape[1]), wide.columns)
    rows, columns = list(wide.index), list(wide.columns)
    for cell in table.itertuples():
        place = columns.index(cell.length), rows.index(tuple(getattr(cell, name) for name in VARIANT))
        dark = cell.test_accuracy_mean < 0.6
        text = f"{cell.test_accuracy_mean:.2f}\n{cell.solved} of {cell.replicates}"
        axes.annotate(text, place, ha="center", va="center", fontsize=7, color="white" if dark else "black")
    axes.set_xlabel("palindrome length")
    figure.suptitle("Mean test accuracy, and runs that solved the length", fontsize=11)
    figure.colorbar(image, label="accuracy")
    return figure


def curves(table: pd.DataFrame, solved_at: float) -> Figure:
    """Test accuracy by length, a panel for each model and hidden size; mean, and the range of replicates."""
    panels = list(table.groupby(VARIANT[:2], sort=False))
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(5 * columns, 3.8 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat
    for ((model, hidden), cells), axes in zip(panels, grid, strict=False):
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
    for axes in list(grid):  # panels left over in the last row
        axes.remove()
    return figure

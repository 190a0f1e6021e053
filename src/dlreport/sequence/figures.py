"""The figures of Part 1, drawn by matplotlib. Every function returns a Figure; saving it is io's business."""

from itertools import product

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dlreport.drawing import grid, replicates


def _curve(axes, curve: pd.DataFrame, name: str, colour: str, label: str | None = None) -> None:
    """Means of windows of steps, by replicate; of a single one the extremes of the windows' steps too, as a band."""
    if curve["replicate"].nunique() == 1:
        low, high = curve[f"{name}_min"], curve[f"{name}_max"]
        axes.fill_between(curve["step"], low, high, color=colour, alpha=0.2, linewidth=0)
    replicates(axes, curve, "step", f"{name}_mean", colour, label)


def training_curves(curve: pd.DataFrame, model: str, length: int, colour: str) -> Figure:
    """Loss (log scale) and accuracy by step, side by side, for one model at one length."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    _curve(loss, curve, "loss", colour)
    loss.set_yscale("log")
    grid(loss, "training step", "cross entropy", "Loss")
    _curve(accuracy, curve, "accuracy", colour)
    accuracy.set_ylim(-0.02, 1.02)
    grid(accuracy, "training step", "accuracy of the batch", "Accuracy")
    figure.suptitle(f"{model}, palindromes of length {length}")
    return figure


def curves_by_length(curves: dict[tuple[str, int], pd.DataFrame], colours: dict[str, str]) -> Figure:
    """Accuracy by step of every model, a panel for each length; curves, by replicate, keyed by (model, length), and
    colours by model."""
    lengths = sorted({length for _, length in curves})
    columns = min(2, len(lengths))
    rows = -(-len(lengths) // columns)
    figure = Figure(figsize=(5 * columns, 3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for length, axes in zip(lengths, panels, strict=False):
        for (model, at), curve in curves.items():
            if at == length:
                _curve(axes, curve, "accuracy", colours[model], model)
        axes.set_ylim(-0.02, 1.02)
        grid(axes, "training step", "accuracy", f"length {length}")
        axes.legend(loc="center right")
    for axes in list(panels):  # panels left over in the last row
        axes.remove()
    return figure


def accuracy_by_length(
    table: pd.DataFrame, runs: dict[tuple[str, int], pd.DataFrame], confidence: float, colours: dict[str, str]
) -> Figure:
    """Ours and the published accuracy against length: training mean and test, from `compare_sequences`' table; each
    replicate as a faint point."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    train, test = figure.subplots(1, 2, sharey=True)
    panels = ((train, "train_accuracy_mean"), (test, "test_accuracy"))
    for axes, name in panels:
        for (model, length), found in runs.items():
            axes.plot([length] * len(found), found[name], "o", color=colours[model], alpha=0.25, markersize=4)
        for model, rows in table.sort_values("length", kind="stable").groupby("model", sort=False):
            colour, mean = colours[model], rows[name]
            errors = [(mean - rows[f"{name}_low"]).clip(0), (rows[f"{name}_high"] - mean).clip(0)]  # but for rounding
            axes.errorbar(
                rows["length"], mean, errors, fmt="-", marker="_", color=colour, capsize=3, label=f"{model}, here"
            )
            axes.plot(rows["length"], rows[f"published_{name}"], "x--", color=colour, alpha=0.6)
        axes.plot([], [], "x--", color="grey", label="published (one run)")
        axes.axhline(0.1, color="grey", linewidth=0.8, linestyle=":", label="guessing")
        axes.set_xticks(sorted(table["length"].unique()))
        axes.set_ylim(-0.02, 1.05)
    grid(train, "palindrome length", "accuracy", f"Mean training accuracy at the end, {confidence:.0%} interval")
    grid(test, "palindrome length", "", f"Test accuracy, {confidence:.0%} interval")
    train.legend(loc="lower left")
    return figure


WHEN = {"start": "#999999", "halfway": "#66a61e", "end": "#7570b3"}


def _by_time_step(table: pd.DataFrame, lines: dict[str, tuple[str, str]], y_label: str, scale: str) -> Figure:
    """A row of panels for each length, one for each model; `lines`: columns of the table, their label and style."""
    lengths, models = sorted(table["length"].unique()), list(table["model"].unique())
    figure = Figure(figsize=(5 * len(models), 2.5 * len(lengths) + 0.4), layout="constrained")
    panels = figure.subplots(len(lengths), len(models), squeeze=False, sharey="row")
    labelled = {}  # one legend for all panels
    for row, length in zip(panels, lengths, strict=True):
        for axes, model in zip(row, models, strict=True):
            cell = table[(table["length"] == length) & (table["model"] == model)]
            for (when, colour), (name, (label, style)) in product(WHEN.items(), lines.items()):
                found = cell[cell["when"] == when]
                if name in found and found[name].notna().any():
                    replicates(axes, found, "t", name, colour, f"{when}, {label}", linestyle=style)
            axes.set_yscale(scale)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            grid(axes, "time step t", y_label if axes is row[0] else "", f"{model}, length {length}")
            labelled |= {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
    figure.legend(labelled.values(), labelled, loc="outside upper center", ncols=len(labelled), fontsize=8)
    return figure


def gradients(table: pd.DataFrame) -> Figure:
    """Norms of a sequence's d loss / d h_t, and d loss / d c_t if any, by time step: before, half-way and after."""
    lines = {"gradient": ("h", "-"), "gradient_cell": ("c", ":")}
    return _by_time_step(table, lines, "norm of the gradient", "log")


def saturation(table: pd.DataFrame) -> Figure:
    """Shares of saturated tanh units, and of gates, by time step: before, half-way and after training."""
    lines = {"saturated_tanh": ("tanh", "-"), "saturated_gates": ("gates", ":")}
    return _by_time_step(table, lines, "saturated share", "linear")


def ablation(curves: dict[tuple[str, int], pd.DataFrame]) -> Figure:
    """Accuracy by step of the VanillaRNN's variants, a panel for each length; curves keyed by (variant, length)."""
    lengths = sorted({length for _, length in curves})
    figure = Figure(figsize=(4.2 * len(lengths), 3.9), layout="constrained")
    panels = figure.subplots(1, len(lengths), squeeze=False, sharey=True)[0]
    for axes, length in zip(panels, lengths, strict=True):
        variants = [variant for variant, at in curves if at == length]
        for index, variant in enumerate(variants):
            label = variant.replace("_", " ")
            replicates(axes, curves[variant, length], "step", "accuracy_mean", f"C{index}", label)
        axes.set_ylim(-0.02, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        grid(axes, "training step", "accuracy" if axes is panels[0] else "", f"VanillaRNN, length {length}")
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=len(lines), fontsize=9)
    return figure

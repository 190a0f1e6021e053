"""The report's figures, drawn by matplotlib. Every function returns a Figure; saving it is io's business."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

COLOURS = {"VanillaRNN": "#d95f02", "LSTM": "#1f77b4"}
DISCRIMINATOR, GENERATOR = "#1f77b4", "#d95f02"


def _replicates(axes, table: pd.DataFrame, x: str, y: str, colour: str, label: str | None = None, **line) -> None:
    """The mean over the replicates as a line, each of them, if there are several, as a faint one."""
    if table["replicate"].nunique() > 1:
        for _, one in table.groupby("replicate"):
            axes.plot(one[x], one[y], color=colour, alpha=0.25, linewidth=0.7)
    mean = table.groupby(x)[y].mean()
    axes.plot(mean.index, mean, color=colour, linewidth=1.4, label=label, **line)


def _curve(axes, curve: pd.DataFrame, name: str, colour: str, label: str | None = None) -> None:
    """Means of windows of steps, by replicate; of a single one the extremes of the windows' steps too, as a band."""
    if curve["replicate"].nunique() == 1:
        low, high = curve[f"{name}_min"], curve[f"{name}_max"]
        axes.fill_between(curve["step"], low, high, color=colour, alpha=0.2, linewidth=0)
    _replicates(axes, curve, "step", f"{name}_mean", colour, label)


def _grid(axes, x_label: str, y_label: str, title: str = "") -> None:
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)


def training_curves(curve: pd.DataFrame, model: str, length: int) -> Figure:
    """Loss (log scale) and accuracy by step, side by side, for one model at one length."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    _curve(loss, curve, "loss", COLOURS[model])
    loss.set_yscale("log")
    _grid(loss, "training step", "cross entropy", "Loss")
    _curve(accuracy, curve, "accuracy", COLOURS[model])
    accuracy.set_ylim(-0.02, 1.02)
    _grid(accuracy, "training step", "accuracy of the batch", "Accuracy")
    figure.suptitle(f"{model}, palindromes of length {length}")
    return figure


def curves_by_length(curves: dict[tuple[str, int], pd.DataFrame]) -> Figure:
    """Accuracy by step of every model, a panel for each length; curves, by replicate, keyed by (model, length)."""
    lengths = sorted({length for _, length in curves})
    columns = min(2, len(lengths))
    rows = -(-len(lengths) // columns)
    figure = Figure(figsize=(5 * columns, 3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for length, axes in zip(lengths, panels, strict=False):
        for (model, at), curve in curves.items():
            if at == length:
                _curve(axes, curve, "accuracy", COLOURS[model], model)
        axes.set_ylim(-0.02, 1.02)
        _grid(axes, "training step", "accuracy", f"length {length}")
        axes.legend(loc="center right")
    for axes in list(panels):  # panels left over in the last row
        axes.remove()
    return figure


def accuracy_by_length(
    table: pd.DataFrame, replicates: dict[tuple[str, int], pd.DataFrame], confidence: float
) -> Figure:
    """Ours and the published accuracy against length: training mean and test, from `compare_sequences`' table; each
    replicate as a faint point."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    train, test = figure.subplots(1, 2, sharey=True)
    panels = ((train, "train_accuracy_mean"), (test, "test_accuracy"))
    for axes, name in panels:
        for (model, length), found in replicates.items():
            axes.plot([length] * len(found), found[name], "o", color=COLOURS[model], alpha=0.25, markersize=4)
        for model, rows in table.sort_values("length", kind="stable").groupby("model", sort=False):
            colour, mean = COLOURS[model], rows[name]
            errors = [(mean - rows[f"{name}_low"]).clip(0), (rows[f"{name}_high"] - mean).clip(0)]  # but for rounding
            axes.errorbar(
                rows["length"], mean, errors, fmt="-", marker="_", color=colour, capsize=3, label=f"{model}, here"
            )
            axes.plot(rows["length"], rows[f"published_{name}"], "x--", color=colour, alpha=0.6)
        axes.plot([], [], "x--", color="grey", label="published (one run)")
        axes.axhline(0.1, color="grey", linewidth=0.8, linestyle=":", label="guessing")
        axes.set_xticks(sorted(table["length"].unique()))
        axes.set_ylim(-0.02, 1.05)
    _grid(train, "palindrome length", "accuracy", f"Mean training accuracy at the end, {confidence:.0%} interval")
    _grid(test, "palindrome length", "", f"Test accuracy, {confidence:.0%} interval")
    train.legend(loc="lower left")
    return figure


def gan_losses(losses: pd.DataFrame) -> Figure:
    """Mean loss of each epoch, both networks."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots()
    for name, colour in (("discriminator", DISCRIMINATOR), ("generator", GENERATOR)):
        _replicates(axes, losses, "epoch", name, colour, name)
    _grid(axes, "epoch", "mean loss of the epoch", "GAN losses")
    axes.legend()
    return figure


def quality_by_epoch(table: pd.DataFrame) -> Figure:
    """FID (log scale) and, as shares, coverage, precision and doubtful images at each kept epoch; by replicate."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    distance, share = figure.subplots(1, 2)
    _replicates(distance, table, "epoch", "fid", GENERATOR, marker="o")
    distance.set_yscale("log")
    _grid(distance, "epoch", "FID", "Distance to the test images")
    for index, name in enumerate(("coverage", "precision", "unsure")):
        label = "doubtful to the classifier" if name == "unsure" else name
        _replicates(share, table, "epoch", name, f"C{index}", label, marker="o")
    share.set_ylim(-0.02, 1.02)
    _grid(share, "epoch", "share", "Shares of images")
    share.legend(loc="center right")
    return figure


def image_grid(pixels: np.ndarray, title: str, labels: Sequence[str] = ()) -> Figure:
    """One grey picture [height, width] in [0, 1] at twice its size under a title; `labels` are spread below it."""
    height, width = pixels.shape
    figure = Figure(figsize=(2 * width / 100 + 0.2, 2 * height / 100 + 0.45 + 0.2 * bool(labels)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set_yticks([])
    centres = (np.arange(len(labels)) + 0.5) * width / max(len(labels), 1)
    axes.set_xticks(centres, labels, fontsize=8)
    axes.tick_params(length=0)
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
                    _replicates(axes, found, "t", name, colour, f"{when}, {label}", linestyle=style)
            axes.set_yscale(scale)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            _grid(axes, "time step t", y_label if axes is row[0] else "", f"{model}, length {length}")
            labelled |= {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
    figure.legend(labelled.values(), labelled, loc="outside upper center", ncols=len(labelled), fontsize=8)
    return figure


def gradients(table: pd.DataFrame) -> Figure:
    """Norm of a sequence's d loss / d h_t, and d loss / d c_t of the LSTM, by time step: before, half-way and after."""
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
            _replicates(axes, curves[variant, length], "step", "accuracy_mean", f"C{index}", label)
        axes.set_ylim(-0.02, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        _grid(axes, "training step", "accuracy" if axes is panels[0] else "", f"VanillaRNN, length {length}")
    lines, labels = panels[0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper center", ncols=len(lines), fontsize=9)
    return figure

"""The report's figures, drawn by matplotlib. Every function returns a Figure; saving it is io's business."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

COLOURS = {"VanillaRNN": "#d95f02", "LSTM": "#1f77b4"}
DISCRIMINATOR, GENERATOR = "#1f77b4", "#d95f02"


def _band(axes, frame: pd.DataFrame, name: str, colour: str, label: str | None = None) -> None:
    """The window means as a line, min to max as a band."""
    axes.fill_between(frame["step"], frame[f"{name}_min"], frame[f"{name}_max"], color=colour, alpha=0.2, linewidth=0)
    axes.plot(frame["step"], frame[f"{name}_mean"], color=colour, linewidth=1.2, label=label)


def _grid(axes, x_label: str, y_label: str, title: str = "") -> None:
    axes.set(xlabel=x_label, ylabel=y_label, title=title)
    axes.grid(alpha=0.3)


def training_curves(curve: pd.DataFrame, model: str, length: int) -> Figure:
    """Loss (log scale) and accuracy by step, side by side, for one model at one length; replicates together."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    _band(loss, curve, "loss", COLOURS[model])
    loss.set_yscale("log")
    _grid(loss, "training step", "cross entropy", "Loss")
    _band(accuracy, curve, "accuracy", COLOURS[model])
    accuracy.set_ylim(-0.02, 1.02)
    _grid(accuracy, "training step", "accuracy of the batch", "Accuracy")
    figure.suptitle(f"{model}, palindromes of length {length}")
    return figure


def curves_by_length(curves: dict[tuple[str, int], pd.DataFrame]) -> Figure:
    """Accuracy by step of every model, a panel for each length; curves keyed by (model, length)."""
    lengths = sorted({length for _, length in curves})
    columns = min(2, len(lengths))
    rows = -(-len(lengths) // columns)
    figure = Figure(figsize=(5 * columns, 3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flat
    for length, axes in zip(lengths, panels, strict=False):
        for (model, at), curve in curves.items():
            if at == length:
                _band(axes, curve, "accuracy", COLOURS[model], model)
        axes.set_ylim(-0.02, 1.02)
        _grid(axes, "training step", "accuracy", f"length {length}")
        axes.legend(loc="center right")
    for axes in list(panels):  # panels left over in the last row
        axes.remove()
    return figure


def accuracy_by_length(table: pd.DataFrame, confidence: float) -> Figure:
    """Ours and the published accuracy against length: training mean and test, from `compare_sequences`' table."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    train, test = figure.subplots(1, 2, sharey=True)
    for model, rows in table.sort_values("length").groupby("model", sort=False):
        colour = COLOURS[model]
        train.plot(rows["length"], rows["train_accuracy_mean"], "o-", color=colour, label=f"{model}, here")
        train.plot(rows["length"], rows["published_train_accuracy_mean"], "x--", color=colour, alpha=0.6)
        errors = [rows["test_accuracy"] - rows["test_accuracy_low"], rows["test_accuracy_high"] - rows["test_accuracy"]]
        test.errorbar(rows["length"], rows["test_accuracy"], errors, fmt="o-", color=colour, capsize=3)
        test.plot(rows["length"], rows["published_test_accuracy"], "x--", color=colour, alpha=0.6)
    train.plot([], [], "x--", color="grey", label="published (one run)")
    train.axhline(0.1, color="grey", linewidth=0.8, linestyle=":", label="guessing")
    test.axhline(0.1, color="grey", linewidth=0.8, linestyle=":")
    for axes in (train, test):
        axes.set_xticks(sorted(table["length"].unique()))
        axes.set_ylim(-0.02, 1.05)
    _grid(train, "palindrome length", "accuracy", "Mean training accuracy at the end")
    _grid(test, "palindrome length", "", f"Test accuracy with {confidence:.0%} interval")
    train.legend(loc="center left")
    return figure


def gan_losses(losses: pd.DataFrame) -> Figure:
    """Mean loss of each epoch, both networks."""
    figure = Figure(figsize=(8, 3.8), layout="constrained")
    axes = figure.subplots()
    axes.plot(losses["epoch"], losses["discriminator"], color=DISCRIMINATOR, label="discriminator")
    axes.plot(losses["epoch"], losses["generator"], color=GENERATOR, label="generator")
    _grid(axes, "epoch", "mean loss of the epoch", "GAN losses")
    axes.legend()
    return figure


def quality_by_epoch(table: pd.DataFrame) -> Figure:
    """FID (log scale) and, as shares, coverage, precision and doubtful images at each kept epoch."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    distance, share = figure.subplots(1, 2)
    distance.plot(table["epoch"], table["fid"], "o-", color=GENERATOR)
    distance.set_yscale("log")
    _grid(distance, "epoch", "FID", "Distance to the test images")
    for name, label in {
        "coverage": "coverage",
        "precision": "precision",
        "unsure": "doubtful to the classifier",
    }.items():
        share.plot(table["epoch"], table[name], "o-", label=label)
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

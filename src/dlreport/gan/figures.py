"""The figures of Part 2, drawn by matplotlib. Every function returns a Figure; saving it is io's business."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

from dlreport.drawing import grid, replicates

DISCRIMINATOR, GENERATOR = "#1f77b4", "#d95f02"


def losses(table: pd.DataFrame) -> Figure:
    """Mean loss of each epoch, both networks, and the discriminator's accuracy after it on both kinds of images."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    loss, accuracy = figure.subplots(1, 2)
    for name, colour in (("discriminator", DISCRIMINATOR), ("generator", GENERATOR)):
        replicates(loss, table, "epoch", name, colour, name)
    grid(loss, "epoch", "mean loss of the epoch", "GAN losses")
    right = table.assign(both=(table["accuracy_real"] + table["accuracy_generated"]) / 2)
    columns = ("accuracy_real", "accuracy_generated", "both")
    names = ("real images", "generated images", "both")
    for column, colour, name in zip(columns, (DISCRIMINATOR, GENERATOR, "black"), names, strict=True):
        replicates(accuracy, right, "epoch", column, colour, name)
    grid(accuracy, "epoch", "share of right answers", "The discriminator's accuracy")
    for axes in (loss, accuracy):
        axes.legend()
    return figure


def digit_shares(table: pd.DataFrame, real: Sequence[float]) -> Figure:
    """A panel for each digit: its share of the images at each kept epoch, by replicate, and a dashed line at its share
    of the real ones. Before training there are no digits to share."""
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    panels = figure.subplots(2, len(real) // 2, sharex=True, sharey=True).flat
    trained = table[table["epoch"] > 0]
    for digit, (axes, share) in enumerate(zip(panels, real, strict=True)):
        replicates(axes, trained[trained["digit"] == digit], "epoch", "share", GENERATOR)
        axes.axhline(share, color="black", linestyle="--", linewidth=0.8)
        grid(axes, "", "", str(digit))
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel("share of the images", fontsize=10)
    return figure


def quality_by_epoch(table: pd.DataFrame) -> Figure:
    """FID (log scale), raw and with the digits' shares matched, and, as shares, coverage, precision and doubtful images
    at each kept epoch; by replicate."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    distance, share = figure.subplots(1, 2)
    replicates(distance, table, "epoch", "fid", GENERATOR, "as they are", marker="o")
    replicates(distance, table.dropna(subset="fid_matched"), "epoch", "fid_matched", DISCRIMINATOR, "at matched shares")
    distance.set_yscale("log")
    distance.legend()
    grid(distance, "epoch", "FID", "Distance to the test images")
    for index, name in enumerate(("coverage", "precision", "unsure")):
        label = "doubtful to the classifier" if name == "unsure" else name
        replicates(share, table, "epoch", name, f"C{index}", label, marker="o")
    share.set_ylim(-0.02, 1.02)
    grid(share, "epoch", "share", "Shares of images")
    share.legend(loc="center right")
    return figure


def image_grid(images: Tensor, title: str, columns: int = 8, labels: Sequence[str] = ()) -> Figure:
    """Grey images [N, 1, 28, 28], min-max normalised over all of them together, at twice their size under a title;
    `labels` are spread below them. Report, part 2, "Shown"."""
    from torchvision.utils import make_grid  # here, as its import takes seconds

    pixels = make_grid(images, nrow=columns, normalize=True)[0].numpy()
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

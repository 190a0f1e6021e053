"""The figures of Part 2: charts of a table's rows, and images drawn by matplotlib. drawing.py says what a chart is.

Each table has the columns replicate and epoch, and those that the function names. `revisions` is true if the rows
come from several revisions.
"""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from dlreport.drawing import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PANEL,
    PURPLE,
    UNIT,
    WHOLE,
    Chart,
    beside,
    colour,
    level,
    number,
    panels,
    replicates,
)

matplotlib.rcdefaults()  # so that a user's matplotlibrc changes nothing

EPOCH = number("epoch", "epoch", axis={**WHOLE["axis"], "tickCount": 6})
LOSSES = {"discriminator": BLUE, "generator": ORANGE}
ACCURACIES = {"real images": BLUE, "generated images": ORANGE, "both": GREY}
DISTANCES = {"as they are": ORANGE, "at matched shares": BLUE}
SHARES = {"coverage": BLUE, "precision": GREEN, "doubtful to the classifier": PURPLE}
OWN_COLOURS = {"scale": {"color": "independent"}}  # each chart beside another has colours and a legend of its own


def _series(names: Mapping[str, str]) -> list[Chart]:
    """Return transforms that make rows of columns. `names` has the columns by the words that the chart shows for them.
    A row has those words as `series`, and the number as `value`. Rows without a number are left out."""
    renamed = [{"calculate": f"datum['{column}']", "as": words} for words, column in names.items()]
    return [
        *renamed,
        {"fold": [*names], "as": ["series", "value"]},
        {"filter": "datum.value !== null && datum.value !== ''"},
    ]


def _lines(
    names: Mapping[str, str],
    colours: Mapping[str, str],
    y: str,
    title: str,
    revisions: bool,
    scale: Chart,
    axis: Chart | None = None,
) -> Chart:
    """Return a chart with lines for several columns. `names` has the columns by their words, `colours` the colours."""
    value = number("value", y, scale=scale, axis={"format": "~g", **(axis or {})})
    choice = f"chosen_of_{len(names)}"
    layers = replicates(EPOCH, value, colour("series", colours), revisions=revisions, name=choice)
    return {"title": title, "transform": _series(names), "layer": layers}


def losses(data: Chart, *, revisions: bool = False) -> Chart:
    """Chart the mean loss of each epoch for both networks, and the discriminator's accuracy after the epoch on both
    kinds of images. Columns: discriminator, generator, accuracy_real, accuracy_generated."""
    right = {"real images": "accuracy_real", "generated images": "accuracy_generated", "both": "accuracy_both"}
    both = {"calculate": "(toNumber(datum.accuracy_real) + toNumber(datum.accuracy_generated)) / 2"}
    charts = [
        _lines({name: name for name in LOSSES}, LOSSES, "mean loss of the epoch", "Losses", revisions, {"zero": False}),
        _lines(right, ACCURACIES, "right answers", "The discriminator's accuracy", revisions, {"zero": False}),
    ]
    return beside(charts, data=data, transform=[{**both, "as": "accuracy_both"}], resolve=OWN_COLOURS)


def quality_by_epoch(data: Chart, *, revisions: bool = False) -> Chart:
    """Make two charts by kept epoch: FID on a logarithmic axis, as it is and with the digits' shares matched; and
    coverage, precision and doubtful images as shares. Columns: fid, fid_matched, coverage, precision, unsure."""
    distances = dict(zip(DISTANCES, ("fid", "fid_matched"), strict=True))
    shares = dict(zip(SHARES, ("coverage", "precision", "unsure"), strict=True))
    charts = [
        _lines(
            distances, DISTANCES, "FID", "Distance from the test images", revisions, {"type": "log"}, {"tickCount": 4}
        ),
        _lines(shares, SHARES, "share of the images", "Shares of the images", revisions, UNIT["scale"]),
    ]
    return beside(charts, data=data, resolve=OWN_COLOURS)


def digit_shares(data: Chart, *, revisions: bool = False) -> Chart:
    """Chart each digit's share of the images at each kept epoch, and its share of the training images as a dashed line.
    Each digit has a panel. Epoch 0 is left out, since its images are no digits. Columns: digit, share, real."""
    x, y = (
        number("epoch", "epoch", axis={"tickCount": 3}),
        number("share", "share", axis={"format": ".0%", "tickCount": 4}),
    )
    generated = {"calculate": "'generated'", "as": "images"}
    lines = replicates(x, y, colour("images", {"generated": ORANGE, "training": GREY}), revisions=revisions)
    real = {
        "transform": [
            {"aggregate": [{"op": "mean", "field": "real", "as": "real"}]},
            {"calculate": "'training'", "as": "images"},
        ],
        "mark": {"type": "rule", "strokeDash": [4, 3]},
        "encoding": {"y": number("real", "share"), "color": {"field": "images", "type": "nominal"}},
    }
    kept = [{"filter": "datum.epoch > 0"}, generated]
    return panels([*lines, real], data, "digit", 5, transform=kept, size={"width": 140, "height": 85})


def walk(data: Chart, even: float) -> Chart:
    """Chart the share of the way that each step of a walk takes, in pixels and in the classifier's features. A dashed
    line shows `even`, the share if all steps are alike. Columns: step, space, share."""
    x = number("step", "step of the walk", **WHOLE)
    y = number("share", "share of the way", axis={"format": ".0%"}, scale={"zero": True})
    lines = replicates(x, y, colour("space", {"pixels": BLUE, "features": ORANGE}), revisions=False)
    return {**PANEL, "data": data, "layer": [*lines, *level(even, "even steps")], "width": 480}


def image_grid(images: Tensor, title: str, columns: int = 8, labels: Sequence[str] = ()) -> Figure:
    """Draw grey images [N, 1, 28, 28] in a grid under a title, at twice their size. Black and white are the least and
    the greatest value of all images together. `labels` are spread below the grid."""
    from torchvision.utils import make_grid  # imported here, as its import takes seconds

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

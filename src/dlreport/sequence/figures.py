"""The figures of Part 1, drawn by matplotlib. Every function returns a Figure; saving it is io's business."""

from itertools import cycle, product

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from dlreport.drawing import grid, replicates
from dlreport.sequence.thresholds import CHANCE


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
        axes.axhline(CHANCE, color="grey", linewidth=0.8, linestyle=":", label="guessing")
        axes.set_xticks(sorted(table["length"].unique()))
        axes.set_ylim(-0.02, 1.05)
    grid(train, "palindrome length", "accuracy", f"Mean training accuracy at the end, {confidence:.0%} interval")
    grid(test, "palindrome length", "", f"Test accuracy, {confidence:.0%} interval")
    train.legend(loc="lower left")
    return figure


ENDS = ("low", "median", "high")  # of the names of columns with the range of single sequences
WHEN = {"start": "#999999", "halfway": "#66a61e", "end": "#7570b3"}


def _cells(table: pd.DataFrame, y_label: str, scale: str):
    """A row of panels for each length, one for each model: the figure, and of each panel its axes and rows."""
    lengths, models = sorted(table["length"].unique()), list(table["model"].unique())
    figure = Figure(figsize=(5 * len(models), 2.5 * len(lengths) + 0.4), layout="constrained")
    panels = figure.subplots(len(lengths), len(models), squeeze=False, sharey="row")
    cells = []
    for row, length in zip(panels, lengths, strict=True):
        for axes, model in zip(row, models, strict=True):
            axes.set_yscale(scale)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            grid(axes, "time step t", y_label if axes is row[0] else "", f"{model}, length {length}")
            cells.append((axes, table[(table["length"] == length) & (table["model"] == model)]))
    return figure, cells


def _legend(figure: Figure, columns: int = 5) -> None:
    """One for all panels, above them."""
    labelled = {}
    for axes in figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        labelled |= dict(zip(labels, handles, strict=True))
    figure.legend(
        labelled.values(), labelled, loc="outside upper center", ncols=min(len(labelled), columns), fontsize=8
    )


def _median_and_range(axes, cell: pd.DataFrame, x: str, name: str) -> None:
    """By when, the median of the sequences as a line and their range as a band; of several replicates the medians."""
    for when, colour in WHEN.items():
        found = cell[cell["when"] == when].groupby(x)[[f"{name}_{end}" for end in ENDS]].median()
        low, median, high = (found[column] for column in found)
        axes.fill_between(found.index, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(found.index, median, color=colour, linewidth=1.4, label=when)


def gradients(table: pd.DataFrame) -> Figure:
    """Norms of a sequence's d loss / d h_t, or d loss / d c_t where there is a c, by time step: before, half-way and
    after training."""
    figure, cells = _cells(table, "norm of the gradient", "log")
    for axes, cell in cells:
        _median_and_range(axes, cell, "t", "gradient")
    _legend(figure)
    return figure


def growth(table: pd.DataFrame, predicted: dict[str, float]) -> Figure:
    """At the longest length, a sequence's gradient over its own at the last step, by the steps back from that one: a
    panel for each model. Dotted the root mean square. `predicted`: by model, where there is a prediction, the growth of
    the root mean square a step."""
    longest = table[table["length"] == table["length"].max()]
    longest = longest.assign(back=longest["t"].max() - longest["t"])
    models = list(longest["model"].unique())
    figure = Figure(figsize=(5 * len(models), 4), layout="constrained")
    panels = figure.subplots(1, len(models), squeeze=False, sharey=True)[0]
    for axes, model in zip(panels, models, strict=True):
        cell = longest[longest["model"] == model]
        _median_and_range(axes, cell, "back", "growth")
        square = cell["gradient_cell"].fillna(cell["gradient"])
        for when, colour in WHEN.items():
            norms = square[cell["when"] == when].groupby([cell["replicate"], cell["back"]]).first().unstack("replicate")
            axes.plot(norms.index, (norms / norms.iloc[0]).median(axis=1), ":", color=colour, label=f"{when}, r.m.s.")
        if model in predicted:
            back = range(longest["back"].max() + 1)
            line = [predicted[model] ** k for k in back]
            axes.plot(back, line, "--", color="black", linewidth=1, label="mean-field theory, r.m.s.")
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        label = "gradient over that at the last step" if axes is panels[0] else ""
        grid(axes, "time steps back from the last", label, f"{model}, length {longest['length'].iloc[0]}")
    _legend(figure)
    return figure


def saturation(table: pd.DataFrame) -> Figure:
    """Shares of saturated tanh units, and of gates, by time step: before, half-way and after training."""
    figure, cells = _cells(table, "saturated share", "linear")
    lines = {"saturated_tanh": ("tanh", "-"), "saturated_gates": ("gates", ":")}
    for axes, cell in cells:
        for (when, colour), (name, (label, style)) in product(WHEN.items(), lines.items()):
            found = cell[cell["when"] == when]
            if found[name].notna().any():
                replicates(axes, found, "t", name, colour, f"{when}, {label}", linestyle=style)
    _legend(figure)
    return figure


def probe(table: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """The share of first digits that a linear probe reads from h_t, by time step: a panel for each length, before and
    after training."""
    lengths = sorted(table["length"].unique())
    figure = Figure(figsize=(3 * len(lengths) + 1, 3.6), layout="constrained")
    panels = figure.subplots(1, len(lengths), squeeze=False, sharey=True)[0]
    for axes, length in zip(panels, lengths, strict=True):
        for (model, colour), (when, style) in product(colours.items(), {"start": ":", "end": "-"}.items()):
            found = table[(table["length"] == length) & (table["model"] == model) & (table["when"] == when)]
            replicates(axes, found, "t", "probe_accuracy", colour, f"{model}, {when}", linestyle=style)
        axes.axhline(CHANCE, color="grey", linewidth=0.8, linestyle="--", label="guessing")
        axes.set_ylim(-0.02, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        grid(axes, "time step t", "first digits read from $h_t$" if axes is panels[0] else "", f"length {length}")
    _legend(figure)
    return figure


def confusion(table: pd.DataFrame, length: int, colours: dict[str, str]) -> Figure:
    """At one length, the share of each answer by the first digit, a panel for each model, and the accuracy by the first
    digit; means over the replicates."""
    at_length = table[table["length"] == length]
    models = list(at_length["model"].unique())
    figure = Figure(figsize=(3.8 * (len(models) + 1), 3.8), layout="constrained")
    *panels, right = figure.subplots(1, len(models) + 1, squeeze=False)[0]
    for axes, model in zip(panels, models, strict=True):
        cell = at_length[at_length["model"] == model]
        counts = cell.pivot_table(index=["replicate", "digit"], columns="answer", values="sequences")
        shares = counts.div(counts.sum(axis=1), axis=0)
        image = axes.imshow(shares.groupby("digit").mean(), cmap="viridis", vmin=0, vmax=1)
        axes.set(xlabel="answer", ylabel="first digit", title=f"{model}, length {length}")
        axes.set_xticks(shares.columns)
        axes.set_yticks(shares.columns)
        correct = cell[cell["digit"] == cell["answer"]].set_index(["replicate", "digit"])["sequences"]
        found = (correct / counts.sum(axis=1)).rename("accuracy").reset_index()
        replicates(right, found, "digit", "accuracy", colours[model], model)
    figure.colorbar(image, ax=panels, label="share of the answers")
    right.axhline(CHANCE, color="grey", linewidth=0.8, linestyle=":", label="guessing")
    right.set_ylim(-0.02, 1.02)
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    grid(right, "first digit", "accuracy", "By the first digit")
    right.legend(fontsize=8)
    return figure


# of Okabe and Ito (2008), which those who see red and green alike tell apart
DISTINCT = ("#000000", "#e69f00", "#56b4e9", "#009e73", "#d55e00", "#cc79a7")
STYLES = ("-", "--", ":")


def ablation(curves: dict[tuple[str, int], pd.DataFrame]) -> Figure:
    """Accuracy by step of the VanillaRNN's variants, a panel for each length; curves keyed by (variant, length)."""
    lengths = sorted({length for _, length in curves})
    figure = Figure(figsize=(4.2 * len(lengths), 3.9), layout="constrained")
    panels = figure.subplots(1, len(lengths), squeeze=False, sharey=True)[0]
    for axes, length in zip(panels, lengths, strict=True):
        variants = [variant for variant, at in curves if at == length]
        for variant, (style, colour) in zip(variants, cycle(product(STYLES, DISTINCT)), strict=False):
            label = variant.replace("_", " ")
            replicates(axes, curves[variant, length], "step", "accuracy_mean", colour, label, linestyle=style)
        axes.set_ylim(-0.02, 1.02)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        grid(axes, "training step", "accuracy" if axes is panels[0] else "", f"VanillaRNN, length {length}")
    _legend(figure, columns=6)
    return figure

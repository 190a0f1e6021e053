"""The charts of Part 1. drawing.py says what a chart is.

Every function takes the rows of a table, as drawing.rows makes them, and returns a chart. `models` gives each model's
colour, in the order in which the models are shown. `revisions` is true if the rows are of several revisions.

The tables have the columns model, length, replicate, and those that a function names. In the column `when` is the time
of training: start, halfway or end.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from dlreport.drawing import (
    BLUE,
    GREY,
    LOG,
    ORANGE,
    PURPLE,
    REVISION,
    UNIT,
    WHOLE,
    Chart,
    choice,
    colour,
    level,
    number,
    opacity,
    panels,
    said,
)
from dlreport.drawing import replicates as of_replicates
from dlreport.sequence.comparison import MEASURES
from dlreport.sequence.thresholds import CHANCE, GUESS_LOSS

LEAST_LOSS = 1e-9  # fp32 cannot tell a smaller loss of a batch of 128 from zero
LENGTH = "'length ' + datum.value"
PUBLISHED = {"filter": "isValid(datum.published) && datum.published !== ''"}  # rows with a published number
BY_ACCURACY = {"scale": {"scheme": "viridis", "domain": [0, 1]}}  # a scale of colours
TIME = number("t", "time step t", **WHOLE)
STEP = number("step", "training step", axis={"format": "~s", "tickCount": 5})
THEORY = "theory, before training"
WHEN = {"start": GREY, "halfway": ORANGE, "end": PURPLE}
GUESS = level(CHANCE, "a guess")


def accuracy_by_length(data: Chart, models: Mapping[str, str], *, revisions: bool = False) -> Chart:
    """Each run's accuracy is a dot, the median over the runs a tick, and the published number a cross. Training and
    test have a panel each. Columns: measure, accuracy, published."""
    x = {"field": "length", "type": "ordinal", "title": "palindrome length", "sort": None, "axis": {"labelAngle": 0}}
    beside = {"field": "of" if revisions else "model", "type": "nominal", "sort": None}
    apart: Chart = {"x": x, "xOffset": beside, "color": colour("model", models)}
    shape = {"shape": REVISION} if revisions else {}
    y = number("accuracy", "accuracy", **UNIT)
    middle, published = ({**number(name, "accuracy"), "aggregate": "median"} for name in ("accuracy", "published"))

    def words(what: Chart, title: str) -> list[Chart]:
        return [*({"field": name, "type": "nominal"} for name in ("model", "length")), {**what, "title": title}]

    runs = {
        "params": [choice("model")],
        "mark": {"type": "point", "filled": True, "size": 30},
        "encoding": {
            **apart,
            **shape,
            "y": y,
            "opacity": opacity(0.45),
            "tooltip": words(number("accuracy"), "this run"),
        },
    }
    median = {
        "mark": {"type": "tick", "thickness": 2.5, "size": 20},
        "encoding": {**apart, "y": middle, "opacity": opacity(1), "tooltip": words(middle, "median run")},
    }
    crosses = {
        "transform": [PUBLISHED],
        "mark": {"type": "point", "shape": "cross", "size": 90, "filled": False, "strokeWidth": 1.5, "angle": 45},
        "encoding": {**apart, "y": published, "tooltip": words(published, "published")},
    }
    transform = [{"calculate": "datum.model + ' ' + datum.rev", "as": "of"}] if revisions else []
    layers: list[Chart] = [runs, median, crosses, *GUESS]
    return panels(layers, data, "measure", 2, order=[*MEASURES], transform=transform, size={"height": 200})


def accuracy_curves(data: Chart, models: Mapping[str, str], *, revisions: bool = False) -> Chart:
    """Draw the training accuracy by step, with a panel for each length. Columns: step, accuracy."""
    y = number("accuracy", "accuracy", **UNIT)
    lines = of_replicates(STEP, y, colour("model", models), revisions=revisions)
    return panels([*lines, *GUESS], data, "length", 4, LENGTH)


def loss_curves(data: Chart, models: Mapping[str, str], *, revisions: bool = False) -> Chart:
    """Draw the training loss by step on a logarithmic axis, with a panel for each length. Columns: step, loss. There
    may be a column `published` with the losses that the published training logs print; these have rows of their own."""
    scale = {"type": "log", "domainMin": LEAST_LOSS, "clamp": True}
    y = number("loss", "loss", scale=scale, axis=LOG["axis"])
    lines = of_replicates(STEP, y, colour("model", models), revisions=revisions)
    ours = [{**line, "transform": [{"filter": "datum.loss !== '' && datum.loss !== null"}]} for line in lines]
    words = [{"field": "model", "type": "nominal"}, said(STEP), number("published", "published loss")]
    published = {
        "transform": [PUBLISHED],
        "mark": {"type": "point", "shape": "cross", "size": 50, "angle": 45},
        "encoding": {
            "x": STEP,
            "y": number("published", "loss", scale=scale),
            "color": colour("model", models),
            "opacity": opacity(1),
            "tooltip": words,
        },
    }
    return panels([*ours, published, *level(GUESS_LOSS, "a guess")], data, "length", 4, LENGTH)


def _median_and_range(x: Chart, name: str, title: str) -> list[Chart]:
    """Return layers with a line for the median sequence and a band for the range of the sequences, for each `when`.
    Both are medians over the replicates."""

    def median(end: str) -> Chart:
        return number(f"{name}_{end}", title, aggregate="median", **LOG)

    shared = {"x": x, "color": colour("when", {**WHEN, THEORY: BLUE})}
    words = [{"field": "when", "type": "nominal"}, said(x), said(median("median"), format=".3~g")]
    ranges = {
        "mark": {"type": "area", "opacity": 0.18},
        "encoding": {**shared, "y": median("low"), "y2": {"field": f"{name}_high", "aggregate": "median"}},
    }
    line = {
        "params": [choice("when")],
        "mark": {"type": "line", "strokeWidth": 2.2},
        "encoding": {**shared, "y": median("median"), "opacity": opacity(1)},
    }
    pointed = {
        "mark": {"type": "circle", "size": 100, "opacity": 0},
        "encoding": {**shared, "y": median("median"), "tooltip": words},
    }
    return [{**layer, "transform": [{"filter": f"datum.when !== '{THEORY}'"}]} for layer in (ranges, line, pointed)]


def growth(data: Chart, models: Mapping[str, str], *, revisions: bool = False) -> Chart:
    """Draw a sequence's gradient as a multiple of that at the last time step, by the number of time steps back, at the
    greatest length. Each model has a panel. Columns: when, back, growth_low, growth_median, growth_high, growth_rms
    (root mean square).
    """
    x = number("back", "time steps back from the last", **WHOLE)
    title = "gradient over the last step's"
    squares = {
        "mark": {"type": "line", "strokeDash": [3, 3], "strokeWidth": 1.6},
        "encoding": {
            "x": x,
            "y": number("growth_rms", title, aggregate="median", **LOG),
            "color": colour("when", {**WHEN, THEORY: BLUE}),
            "opacity": opacity(1),
        },
    }
    layers = [*_median_and_range(x, "growth", title), squares]
    kept = [
        {"calculate": "toNumber(datum.length)", "as": "length"},
        {"joinaggregate": [{"op": "max", "field": "length", "as": "longest"}]},
        {"filter": "datum.length === datum.longest"},
    ]
    if revisions:
        line = {
            "params": [choice("model")],
            "transform": [{"filter": "datum.when === 'end'"}],
            "mark": {"type": "line", "strokeWidth": 2.2},
            "encoding": {
                "x": x,
                "y": number("growth_median", title, aggregate="median", **LOG),
                "color": colour("model", models),
                "opacity": opacity(1),
                "strokeDash": REVISION,
            },
        }
        layers = [line]
    return panels(layers, data, "model", 2, order=[*models], transform=kept, size={"height": 170})


def _by_length(lengths: Sequence[int]) -> Chart:
    """Return a menu beside a chart that chooses one of the lengths, and the filter that follows it. The last length is
    chosen at first."""
    choose = {"name": "at", "value": lengths[-1], "bind": {"input": "select", "options": [*lengths], "name": "length "}}
    return {"params": [choose], "transform": [{"filter": "datum.length == at"}]}


def gradients(data: Chart, models: Mapping[str, str], lengths: Sequence[int]) -> Chart:
    """Draw the norm of a sequence's gradient by time step, with a panel for each model. The gradient is d loss / d c_t
    if the model has a cell state, or else d loss / d h_t. Columns: when, t, gradient_low, gradient_median,
    gradient_high."""
    return panels(
        _median_and_range(TIME, "gradient", "norm of the gradient"),
        data,
        "model",
        2,
        order=[*models],
        **_by_length(lengths),
    )


def saturation(data: Chart, models: Mapping[str, str], lengths: Sequence[int]) -> Chart:
    """Draw the shares of saturated tanh units and gates by time step, with a panel for each model. Columns: when, t,
    units, share."""
    dash = {"field": "units", "type": "nominal", "title": None, "sort": None}
    y = number("share", "saturated share", **UNIT)
    return panels(
        of_replicates(TIME, y, colour("when", WHEN), revisions=False, dash=dash),
        data,
        "model",
        2,
        order=[*models],
        **_by_length(lengths),
    )


def probe(data: Chart, models: Mapping[str, str], *, revisions: bool = False) -> Chart:
    """Draw the share of first digits that a linear probe reads from h_t, by time step, before and after training. Each
    length has a panel. Columns: when, t, probe_accuracy."""
    y = number("probe_accuracy", "first digits read", **UNIT)
    kept = [{"filter": "datum.when === 'end'" if revisions else "datum.when !== 'halfway'"}]
    dash = {"field": "when", "type": "nominal", "title": "training", "sort": ["end", "start"]}
    lines = of_replicates(TIME, y, colour("model", models), revisions=revisions, dash=dash)
    return panels([*lines, *GUESS], data, "length", 4, LENGTH, transform=kept)


def confusion(data: Chart, models: Mapping[str, str], lengths: Sequence[int]) -> Chart:
    """Draw the share of each answer by first digit, with a panel for each model. Columns: digit, answer, share."""
    share = {"field": "share", "type": "quantitative", "title": "share of the answers"}
    return panels(
        [
            {
                "mark": "rect",
                "encoding": {
                    "x": {"field": "answer", "type": "ordinal", "title": "answer", "axis": {"labelAngle": 0}},
                    "y": {"field": "digit", "type": "ordinal", "title": "first digit"},
                    "color": {**share, **BY_ACCURACY},
                    "tooltip": [
                        *({"field": name, "type": "nominal"} for name in ("model", "digit", "answer")),
                        {**share, "format": ".3f"},
                    ],
                },
            }
        ],
        data,
        "model",
        2,
        order=[*models],
        **_by_length(lengths),
        size={"height": 180},
    )


def accuracy_by_digit(data: Chart, models: Mapping[str, str]) -> Chart:
    """Draw the test accuracy by first digit, with a panel for each length. Columns: digit, accuracy."""
    x = number("digit", "first digit", **WHOLE)
    y = number("accuracy", "accuracy", **UNIT)
    return panels([*of_replicates(x, y, colour("model", models), revisions=False), *GUESS], data, "length", 4, LENGTH)


def ablation(data: Chart, *, revisions: bool = False) -> Chart:
    """Each run's test accuracy is a dot, and the median over the runs a tick. Each variant has a row, each length a
    panel. Columns: variant, test_accuracy."""
    y = {"field": "variant", "type": "nominal", "sort": None, "title": None}
    x = number("test_accuracy", "test accuracy", **UNIT)
    apart = {"yOffset": {"field": "rev", "type": "nominal"}, "color": REVISION} if revisions else {}
    words = [{"field": "variant", "type": "nominal"}]
    runs = {
        "mark": {"type": "point", "filled": True, "size": 40, "opacity": 0.5, "color": ORANGE},
        "encoding": {"x": x, "y": y, **apart, "tooltip": [*words, number("test_accuracy", "this run")]},
    }
    median = {
        "mark": {"type": "tick", "thickness": 2.5, "size": 14, "color": ORANGE},
        "encoding": {"x": {**x, "aggregate": "median"}, "y": y, **apart},
    }
    median["encoding"]["tooltip"] = [*words, {**number("test_accuracy", "median run"), "aggregate": "median"}]
    return panels([runs, median], data, "length", 2, LENGTH, size={"height": {"step": 18}})


def ablation_curves(data: Chart, variants: Sequence[str]) -> Chart:
    """Draw the training accuracy by step, with a panel for each variant. Columns: variant, length, step, accuracy."""
    y = number("accuracy", "accuracy", **UNIT)
    by_length = {"field": "length", "type": "nominal", "title": "length", "scale": {"range": [BLUE, ORANGE]}}
    lines = of_replicates(STEP, y, by_length, revisions=False)
    return panels(lines, data, "variant", 5, order=variants, size={"height": 120})


def with_variants(table: pd.DataFrame) -> pd.DataFrame:
    """Add to the study's table a column `variant`, which says in words what tells the variants apart."""
    words = table["initialisation"].str.replace("_", " ") + ", clipping " + table["clip"]
    return table.assign(variant=table["model"] + ", " + table["hidden_dim"].astype(str) + " units, " + words)


def study(data: Chart) -> Chart:
    """Draw how many runs solve each length, with a row for each variant. Columns: variant, length, solved, replicates,
    test_accuracy_mean."""
    place = {
        "x": {"field": "length", "type": "ordinal", "title": "palindrome length", "axis": {"labelAngle": 0}},
        "y": {"field": "variant", "type": "nominal", "title": None, "sort": None},
    }
    accuracy = number("test_accuracy_mean", "mean test accuracy")
    shown = {**accuracy, **BY_ACCURACY}
    under = [{"field": name, "type": "nominal"} for name in ("variant", "length", "solved", "replicates")]
    light = {"condition": {"test": "datum.test_accuracy_mean > 0.6", "value": "black"}, "value": "white"}
    layers = [
        {"mark": "rect", "encoding": {**place, "color": shown, "tooltip": [*under, accuracy]}},
        {"mark": "text", "encoding": {**place, "text": {"field": "words"}, "color": light}},
    ]
    as_number = {"calculate": "toNumber(datum.length)", "as": "length"}
    words = {"calculate": "datum.solved + ' of ' + datum.replicates", "as": "words"}
    return {"data": data, "transform": [as_number, words], "layer": layers, "height": {"step": 22}, "width": 480}

"""What the charts of both parts share. A chart is a dictionary that follows the grammar of Vega-Lite. A page draws it
in the browser, and `svg` draws it as a picture.

A chart draws the rows of a table, which Vega reads as text. If the rows are of several revisions, the column `rev`
names the revision, and each revision's lines have dashes of their own. Single runs are left out then, as there would
be too many lines to tell apart.
"""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import pandas as pd
import vl_convert

Chart = dict[str, Any]

GREY = "#8a8a8a"  # can be seen on a light and on a dark background
# the colours of Okabe and Ito (2008), which people with red-green colour blindness can tell apart
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
PANEL = {"width": 200, "height": 145}  # the size of a panel in pixels; the page makes panels as wide as there is room
CONFIG: Chart = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridOpacity": 0.25, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"},
    "axisY": {"labelLimit": 300},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "orient": "top", "symbolStrokeWidth": 3, "symbolOpacity": 1},
    "header": {"labelFontSize": 12, "labelFontWeight": "bold"},
    "title": {"fontSize": 12, "anchor": "start"},
    "aria": False,  # no labels on single marks: the figure as a whole has a text for screen readers
}
UNIT = {"scale": {"domain": [0, 1]}}  # the options of an axis for shares
WHOLE = {"axis": {"format": "d", "tickMinStep": 1}}  # the options of an axis for whole numbers
REVISION = {"field": "rev", "type": "nominal", "title": "revision", "sort": None}
NUMBERS = ("length", "digit")  # fields that hold numbers and can divide a chart into panels
CHOICE = "chosen"  # the default name of the parameter that a click in the legend sets

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
POWERS = [f"10{str(power).translate(SUPERSCRIPTS)}" for power in range(-30, 31)]
# the options of a logarithmic axis: powers of ten have labels, other ticks have none
LOG = {
    "scale": {"type": "log"},
    "axis": {
        "tickCount": 6,
        "labelExpr": f"abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
        f" ? {POWERS}[round(log(datum.value) / LN10) + 30] : ''",
    },
}


def rows(table: pd.DataFrame, digits: int = 4) -> Chart:
    """Return a table as a chart's data. Floats are rounded to this many significant digits."""
    text = table.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")
    return {"values": text, "format": {"type": "csv"}}


def number(field: str, title: str = "", **more: Any) -> Chart:
    """Return an axis for numbers. `more` are further properties of Vega-Lite."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def said(axis: Chart, **more: Any) -> Chart:
    """Return a tooltip's entry for what an axis shows. `more` are further properties of Vega-Lite."""
    return {key: value for key, value in axis.items() if key not in ("axis", "scale")} | more


def colour(field: str, colours: Mapping[str, str], title: str | None = None) -> Chart:
    """Return the encoding of a field by colour. `colours` gives the colour of each value, in the legend's order."""
    scale = {"domain": [*colours], "range": [*colours.values()]}
    return {"field": field, "type": "nominal", "sort": None, "scale": scale, "title": title}


def choice(field: str, name: str = CHOICE) -> Chart:
    """Return the parameter by which a click in the legend chooses values of a field.

    Exactly one layer of a chart has it. Charts beside each other need different names.
    """
    return {"name": name, "select": {"type": "point", "fields": [field]}, "bind": "legend"}


def opacity(chosen: float, name: str = CHOICE) -> Chart:
    """Return the encoding of opacity: `chosen` for what is chosen in the legend, and nearly none for the rest."""
    return {"condition": {"param": name, "value": chosen}, "value": 0.04}


def replicates(
    x: Chart, y: Chart, colours: Chart, *, revisions: bool, dash: Chart | None = None, name: str = CHOICE
) -> list[Chart]:
    """Return layers with a thin line for each replicate and a thick one for the median over the replicates.

    The thick line has a tooltip. With `revisions`, dashes tell revisions apart, and there are no thin lines. `name` is
    the name of the choice in the legend.
    """
    median = {**y, "aggregate": "median"}
    chosen_dash = REVISION if revisions else dash
    dashed = {"strokeDash": chosen_dash} if chosen_dash else {}
    apart = [{"field": one["field"], "type": "nominal"} for one in dashed.values()]
    words = [said(x), {"field": colours["field"], "type": "nominal"}, *apart]
    words.append(said(median, title="median", format=".3~g"))
    shared = {"x": x, "color": colours}
    each = {
        "mark": {"type": "line", "strokeWidth": 0.8},
        "encoding": {
            **shared,
            "y": y,
            "detail": [*apart, {"field": "replicate", "type": "nominal"}],
            "opacity": opacity(0.3, name),
            **({"strokeDash": dash} if dash else {}),
        },
    }
    middle = {
        "params": [choice(colours["field"], name)],
        "mark": {"type": "line", "strokeWidth": 2.2, "strokeJoin": "round"},
        "encoding": {**shared, "y": median, "detail": apart, "opacity": opacity(1, name), **dashed},
    }
    pointed = {
        "mark": {"type": "circle", "size": 100, "opacity": 0},
        "encoding": {**shared, "y": median, "detail": apart, "tooltip": words},
    }
    return [middle, pointed] if revisions else [each, middle, pointed]


def level(value: float, words: str) -> list[Chart]:
    """Return layers with a dashed grey line across a panel at this value of y, and words at its right end."""
    once = [{"aggregate": [{"op": "count", "as": "rows"}], "groupby": []}]
    line = {"mark": {"type": "rule", "color": GREY, "strokeDash": [4, 3]}, "encoding": {"y": {"datum": value}}}
    text = {
        "mark": {"type": "text", "color": GREY, "align": "right", "dy": -6, "text": words},
        "encoding": {"y": {"datum": value}, "x": {"value": "width"}},
    }
    return [{"transform": once, **line}, {"transform": once, **text}]


def panels(
    layers: Sequence[Chart],
    data: Chart,
    field: str,
    columns: int,
    label: str = "datum.value",
    order: Sequence[str] = (),
    **more: Any,
) -> Chart:
    """Return a chart with a panel for each value of a field.

    Panels come in the given order, or in that of the rows; panels of a number are in ascending order. At most `columns`
    panels stand side by side, where there is room. `label` is an expression in Vega's language for a panel's title.
    """
    facet: Chart = {"field": field, "type": "nominal", "sort": None, "header": {"labelExpr": label, "title": None}}
    transform = more.pop("transform", [])
    if order:
        facet["sort"] = [*order]
    if field in NUMBERS:  # as nominal values they would be sorted as text
        facet |= {"type": "ordinal", "sort": "ascending"}
        transform = [{"calculate": f"toNumber(datum.{field})", "as": field}, *transform]
    if "format" in data:  # the rows are at hand, so no column is left empty if there are few panels
        table = pd.read_csv(StringIO(data["values"]))
        columns = min(columns, table[field].nunique() if field in table else columns)
    spec = {**PANEL, **more.pop("size", {}), "layer": [*layers]}
    return {"data": data, "transform": transform, "facet": facet, "columns": columns, "spec": spec, **more}


def beside(charts: Sequence[Chart], **more: Any) -> Chart:
    """Return several charts as one, side by side where there is room."""
    return {"hconcat": [{**PANEL, **chart} for chart in charts], **more}


def svg(chart: Chart) -> str:
    """Return the chart as SVG, on a white background."""
    return vl_convert.vegalite_to_svg({**chart, "background": "white"}, config=CONFIG)

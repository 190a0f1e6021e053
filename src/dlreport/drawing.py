"""What the charts of both parts share. A chart is a specification in the grammar of Vega-Lite, as a dictionary. A page
draws it in the browser, and `svg` draws it as a picture.

A chart draws the rows of a table, which Vega reads as text. If the rows are of several revisions, the column `rev`
names the revision, and each revision's lines have dashes of their own. Single runs are left out then, as no eye could
tell them apart.
"""

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import pandas as pd
import vl_convert

Chart = dict[str, Any]

GREY = "#8a8a8a"  # can be seen on a light and on a dark ground
# colours of Okabe and Ito (2008): those who see red and green alike can tell them apart
BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
PANEL = {"width": 200, "height": 145}  # pixels of a panel; the page makes them as wide as there is room
CONFIG: Chart = {
    "font": "system-ui, sans-serif",
    "view": {"stroke": None},
    "axis": {"gridOpacity": 0.25, "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal"},
    "axisY": {"labelLimit": 300},
    "legend": {"labelFontSize": 12, "titleFontSize": 12, "orient": "top", "symbolStrokeWidth": 3, "symbolOpacity": 1},
    "header": {"labelFontSize": 12, "labelFontWeight": "bold"},
    "title": {"fontSize": 12, "anchor": "start"},
    "aria": False,  # for single marks: the figure as a whole has words that a screen reader says
}
UNIT = {"scale": {"domain": [0, 1]}}  # an axis for shares
WHOLE = {"axis": {"format": "d", "tickMinStep": 1}}  # an axis for whole numbers
REVISION = {"field": "rev", "type": "nominal", "title": "revision", "sort": None}
NUMBERS = ("length", "digit")  # fields that are numbers; charts have panels by them
CHOICE = "chosen"  # the name of what a click in the legend chooses

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
POWERS = [f"10{str(power).translate(SUPERSCRIPTS)}" for power in range(-30, 31)]
# an axis for numbers of very different size: powers of ten have labels, other ticks have none
LOG = {
    "scale": {"type": "log"},
    "axis": {
        "tickCount": 6,
        "labelExpr": f"abs(log(datum.value) / LN10 - round(log(datum.value) / LN10)) < 1e-6"
        f" ? {POWERS}[round(log(datum.value) / LN10) + 30] : ''",
    },
}


def rows(table: pd.DataFrame, digits: int = 4) -> Chart:
    """A table as a chart's data. Floats are rounded to this many significant digits."""
    text = table.to_csv(index=False, float_format=f"%.{digits}g", lineterminator="\n")
    return {"values": text, "format": {"type": "csv"}}


def number(field: str, title: str = "", **more: Any) -> Chart:
    """An axis for numbers; `more` are words of Vega-Lite's grammar."""
    return {"field": field, "type": "quantitative", "title": title, **more}


def said(axis: Chart, **more: Any) -> Chart:
    """What an axis shows, as words that appear under the pointer."""
    return {key: value for key, value in axis.items() if key not in ("axis", "scale")} | more


def colour(field: str, colours: Mapping[str, str], title: str | None = None) -> Chart:
    """A field whose values have these colours, in this order."""
    scale = {"domain": [*colours], "range": [*colours.values()]}
    return {"field": field, "type": "nominal", "sort": None, "scale": scale, "title": title}


def choice(field: str, name: str = CHOICE) -> Chart:
    """What a click in the legend chooses. One layer of a chart has it. Charts beside each other need different
    names."""
    return {"name": name, "select": {"type": "point", "fields": [field]}, "bind": "legend"}


def opacity(chosen: float, name: str = CHOICE) -> Chart:
    """This opacity for what is chosen in the legend, and next to none for the rest."""
    return {"condition": {"param": name, "value": chosen}, "value": 0.04}


def replicates(
    x: Chart, y: Chart, colours: Chart, *, revisions: bool, dash: Chart | None = None, name: str = CHOICE
) -> list[Chart]:
    """Layers with a thin line for each replicate, and a thick one for the median over the replicates. The thick line
    says its values under the pointer. `name` is the name of the choice in the legend."""
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
    """Layers with a dashed grey line across a panel, and words at its end."""
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
    """A panel for each value of a field, in this order. There are `columns` of panels beside each other where there is
    room. `label` is an expression of Vega's for a panel's title."""
    facet: Chart = {"field": field, "type": "nominal", "sort": None, "header": {"labelExpr": label, "title": None}}
    transform = more.pop("transform", [])
    if order:
        facet["sort"] = [*order]
    if field in NUMBERS:  # otherwise they are sorted as text
        facet |= {"type": "ordinal", "sort": "ascending"}
        transform = [{"calculate": f"toNumber(datum.{field})", "as": field}, *transform]
    if "format" in data:  # the rows are known, so a few panels can take the room of many
        table = pd.read_csv(StringIO(data["values"]))
        columns = min(columns, table[field].nunique() if field in table else columns)
    spec = {**PANEL, **more.pop("size", {}), "layer": [*layers]}
    return {"data": data, "transform": transform, "facet": facet, "columns": columns, "spec": spec, **more}


def beside(charts: Sequence[Chart], **more: Any) -> Chart:
    """Several charts, side by side where there is room."""
    return {"hconcat": [{**PANEL, **chart} for chart in charts], **more}


def svg(chart: Chart) -> str:
    """The chart as a picture on a white ground."""
    return vl_convert.vegalite_to_svg({**chart, "background": "white"}, config=CONFIG)

"""What a chart draws, read from the scene that Vega makes of it: panels by their titles, and in each the marks with
their colour and with what they say of their data."""

import re
from typing import Any, NamedTuple

import vl_convert


class Mark(NamedTuple):
    """A point, bar or text, or a whole line or area."""

    colour: str
    dashed: bool
    width: float
    said: list[dict[str, str]]  # of each of its points, by the title of what it shows


def scene(chart: dict[str, Any]) -> dict[str, Any]:
    return vl_convert.vegalite_to_scenegraph(chart)["scenegraph"]


def under(node: dict[str, Any]):
    yield node
    for each in node.get("items", []):
        yield from under(each)


def texts(node: dict[str, Any], role: str) -> list[str]:
    groups = [group for group in under(node) if group.get("role") == role]
    return [str(one["text"]) for group in groups for one in under(group) if one.get("text") is not None]


def panels(chart: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The panels of a chart by their titles, in their order; a chart without any is one, without a title."""
    root = scene(chart)
    groups = [one for one in under(root) if re.fullmatch(r"cell|concat_\d+_group", str(one.get("name")))]
    cells = [cell for group in groups for cell in group["items"]]
    return {" ".join(texts(cell, "title")): cell for cell in cells} if cells else {"": root}


def marks(panel: dict[str, Any], kind: str) -> list[Mark]:
    """Those of a kind of Vega's: line, area, symbol, rect, rule, text. Marks that cannot be seen are left out."""
    found = []
    for group in under(panel):
        if group.get("marktype") != kind or group.get("role") != "mark":
            continue
        items = [item for item in group["items"] if item.get("opacity", 1) > 0]
        for each in [items] if kind in ("line", "area") else [[item] for item in items]:
            if each:
                said = [
                    dict(part.split(": ", 1) for part in one.get("description", "").split("; ") if part) for one in each
                ]
                look = each[0]
                colour = look.get("fill") if look.get("fill") not in (None, "transparent") else look.get("stroke")
                dash = look.get("strokeDash") or [1, 0]
                found.append(Mark(colour, dash[-1] != 0, look.get("strokeWidth", 1), said))
    return found


def told(description: str) -> dict[str, str]:
    """What Vega says of a point, by the title of what it shows."""
    return dict(part.split(": ", 1) for part in description.split("; ") if part)


def number(text: str) -> float:
    text = text.replace(",", "").replace("\N{MINUS SIGN}", "-")
    return float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)


def values(mark: Mark, *titles: str) -> list[tuple[float, ...]]:
    """What a line or area says under these titles, point by point."""
    return [tuple(number(one[title]) for title in titles) for one in mark.said]

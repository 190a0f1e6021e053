"""Makes Markdown from the report's templates, and one self-contained HTML page from the Markdown."""

import base64
import re
from collections.abc import Callable, Sequence
from html import escape
from importlib.resources import files
from itertools import pairwise
from math import inf, isfinite
from pathlib import PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin
from vl_convert import javascript_bundle

from dlreport.drawing import CONFIG, SUPERSCRIPTS, Chart
from dlreport.statistics.claims import VERDICTS

INK = {"labelColor": "currentColor", "titleColor": "currentColor"}
ON_THE_PAGE = {  # is added to drawing.CONFIG, so that charts take the colour of the page's text, light or dark
    "background": None,
    "axis": {**CONFIG["axis"], **INK, "gridColor": "currentColor", "gridOpacity": 0.15, "domain": False},
    **{name: CONFIG[name] | INK for name in ("legend", "header")},
    "title": CONFIG["title"] | {"color": "currentColor"},
}
EXPLORER = "<!-- explorer -->"  # the paragraph of the Markdown in whose place the page draws images


def listed(words: list[str]) -> str:
    """Join the words to a list in a sentence: one, two and three."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _fixed(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, digits: int = 0) -> str:
    """Write a share as a percentage. A share below 1 is never written as 100%: it gets more digits instead."""
    if value is None:
        return "-"
    text = f"{value:.{digits}%}"
    return _percent(value, digits + 1) if value < 1 and float(text[:-1]) == 100 else text


def significant(value: float) -> str:
    """Write a number with three significant digits. Very large and very small numbers have two, and a power of ten."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{float(f'{value:.3g}'):,.10g}"
    if not isfinite(value):
        return "∞" if value > 0 else "-"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}·10{str(int(exponent)).translate(SUPERSCRIPTS)}"


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _verdicts(verdicts: list[str]) -> str:
    """Say in words how many there are of each verdict."""
    counts = {verdict: verdicts.count(verdict) for verdict in VERDICTS}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def _interval(row: dict[str, Any], name: str) -> str:
    """Write a number of a table's row, with its interval in brackets if there is one."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return _fixed(row[name]) if low is None else f"{_fixed(row[name])} ({_fixed(low)} to {_fixed(high)})"


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("dlreport.report", "."),
        autoescape=autoescape,
        undefined=StrictUndefined,  # a missing number is an error, never a gap in a sentence
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "fixed": _fixed,
        "significant": significant,
        "times": _times,
        "verdicts": _verdicts,
        "thousands": lambda value: f"{value:,}",
        "percent": _percent,
        "interval": _interval,
        "count": lambda number, noun: f"{number:,} {noun}" + "s" * (number != 1),
        "listed": listed,
        "lines_listed": lambda text: listed(text.splitlines()),
        "of_length": lambda length: f"length {length}",
        "sentence": lambda words: f"{words[:1].upper()}{words[1:]}.",
        "or_never": lambda step: "never" if step == inf else f"{step:,}",
    }
    return environment


def markdown(context: dict[str, Any], template: str = "report.md.j2") -> str:
    """Write the report as Markdown, or its findings alone if `template` is findings.md.j2. Raises jinja2's
    UndefinedError if `context` lacks a name that the template reads."""
    text = _environment(autoescape=False).get_template(template).render(context).lstrip()
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" +$", "", text, flags=re.MULTILINE))  # no gaps where a template is silent


def page(
    source: str,
    picture: Callable[[str], bytes],
    charts: dict[str, Chart],
    generator: dict[str, Any],
    grids: dict[str, bytes],
) -> str:
    """Turn Markdown with $LaTeX$ into one HTML page. Formulas become MathML. Pictures and charts are inside, so the
    page fetches nothing.

    In place of a picture figures/NAME.svg the browser draws the chart of that name. Any other picture is a PNG, and
    `picture(path)` gives its content by its path in the Markdown. `generator`, as explorer.encode makes it, draws
    images in place of EXPLORER. `grids` has PNGs by words for what they show; the page shows the one that is chosen.
    """
    parser = MarkdownIt("commonmark").enable("table")
    parser.use(
        dollarmath_plugin,
        renderer=lambda latex, options: convert(latex, display="block" if options["display_mode"] else "inline"),
    )
    parser.use(anchors_plugin, max_level=3)

    def image(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        token = tokens[index]
        path, words = PurePosixPath(str(token.attrs["src"])), self.renderInlineAsText(token.children, options, env)
        if path.suffix == ".svg":
            return f'<span class="chart" role="img" aria-label="{escape(words)}" data-chart="{path.stem}"></span>'
        token.attrs |= {"src": embedded(picture(str(path))), "alt": words}
        return self.renderToken(tokens, index, options, env)

    parser.add_render_rule("image", image)

    def code(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        return f'<pre tabindex="0"><code>{escape(tokens[index].content)}</code></pre>\n'

    # what may have to be scrolled can be reached by the keyboard
    parser.add_render_rule("fence", code)
    parser.add_render_rule("table_open", lambda *_: '<div class="table" tabindex="0"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = parser.parse(source)
    environment = _environment(autoescape=True)
    explorer = environment.get_template("explorer.html.j2").render(generator=generator)
    return environment.get_template("page.html.j2").render(
        charts=charts,
        config=CONFIG | ON_THE_PAGE,
        grids=[{"words": words, "picture": embedded(content)} for words, content in grids.items()],
        vega=drawing_library(),
        licences=licences(),
        title=source.partition("\n")[0].removeprefix("# "),
        contents=parser.render(_contents(tokens)),
        body=parser.renderer.render(tokens, parser.options, {}).replace(parser.render(EXPLORER), explorer),
    )


def drawing_library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script. It gives a page the function vegaEmbed."""
    return f"(() => {{{javascript_bundle('window.vegaEmbed = vegaEmbed;')}}})();"


def licences() -> str:
    return files("dlreport.report").joinpath("licences.txt").read_text(encoding="utf-8")


def embedded(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _contents(tokens: Sequence[Token]) -> str:
    """Return the headings of level 2, each with its headings of level 3, as a list of links in Markdown."""
    headings = [(token, text) for token, text in pairwise(tokens) if token.tag in ("h2", "h3") and token.nesting == 1]
    return "".join(
        f"{'  ' * (token.tag == 'h3')}- [{text.content}](#{token.attrs['id']})\n" for token, text in headings
    )

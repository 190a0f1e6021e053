"""The report's template to Markdown, and Markdown to one self-contained HTML page."""

import base64
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf
from pathlib import PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from latex2mathml.converter import convert
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.anchors import anchors_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

EXPLORER = "<!-- explorer -->"  # where the page draws images, a paragraph of the Markdown


def _fixed(value: float | None, digits: int = 4) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _percent(value: float | None, digits: int = 0) -> str:
    return "-" if value is None else f"{value:.{digits}%}"


def _interval(row: dict[str, Any], name: str) -> str:
    """A number of a table's row, and in brackets its interval if there is one."""
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
        "significant": lambda value: f"{value:.3g}",
        "thousands": lambda value: f"{value:,}",
        "percent": _percent,
        "interval": _interval,
        "count": lambda number, noun: f"{number:,} {noun}" + "s" * (number != 1),
        "or_never": lambda step: "never" if step == inf else f"{step:,}",
    }
    return environment


def markdown(context: dict[str, Any], template: str = "report.md.j2") -> str:
    """The report as Markdown, or its findings alone from findings.md.j2; a name that the template wants and `context`
    lacks is an error."""
    text = _environment(autoescape=False).get_template(template).render(context)
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" +$", "", text, flags=re.MULTILINE))  # gaps of what was not chosen


def page(source: str, picture: Callable[[str], bytes], generator: dict[str, Any]) -> str:
    """Markdown with $LaTeX$ as one HTML page: formulas as MathML, pictures inside, nothing fetched from anywhere.

    `picture(path)` gives the content of a PNG by its path in the Markdown. `generator`, as explorer.encode makes it, is
    put inside too, and drawn from at the mark in the Markdown.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.use(
        dollarmath_plugin,
        renderer=lambda latex, options: convert(latex, display="block" if options["display_mode"] else "inline"),
    )
    parser.use(anchors_plugin, max_level=3)

    def image(self, tokens, index, options, env):
        token = tokens[index]
        source = token.attrs["src"]
        assert PurePosixPath(source).suffix == ".png"
        token.attrs["src"] = f"data:image/png;base64,{base64.b64encode(picture(source)).decode()}"
        token.attrs["alt"] = self.renderInlineAsText(token.children, options, env)
        return self.renderToken(tokens, index, options, env)

    parser.add_render_rule("image", image)
    parser.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens, env = parser.parse(source), {}
    environment = _environment(autoescape=True)
    explorer = environment.get_template("explorer.html.j2").render(generator=generator)
    return environment.get_template("page.html.j2").render(
        title=source.partition("\n")[0].removeprefix("# "),
        contents=parser.render(_contents(tokens)),
        body=parser.renderer.render(tokens, parser.options, env).replace(parser.render(EXPLORER), explorer),
    )


def _contents(tokens: Sequence[Token]) -> str:
    """The headings of level 2, and under each those of level 3, as a list of links in Markdown."""
    headings = [(token, text) for token, text in pairwise(tokens) if token.type == "heading_open" and token.tag != "h1"]
    return "".join(
        f"{'  ' * (token.tag == 'h3')}- [{text.content}](#{token.attrs['id']})\n" for token, text in headings
    )

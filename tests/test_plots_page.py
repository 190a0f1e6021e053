"""The page of `dvc plots show` and `dvc plots diff`, made without network and opened in a browser without network."""

import hashlib
import re
import runpy
import shutil
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

import scratch
from helpers import commit_all, name_author, output_of

pytest_plugins = ["browser"]

BUILD = "tools/plots_page/build.py"
WIDE = {"viewport": {"width": 1200, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"}
DRAWN = "count => document.querySelectorAll('svg.marks').length === count"
# Of each line or band (`mark`) of a chart: its colour, its dashes, and whether it has an extent.
MARKS = """([chart, mark]) => [...document.querySelectorAll(`#${chart} .mark-${mark} path`)].map(path => [
    path.getAttribute(mark === "line" ? "stroke" : "fill"),
    path.getAttribute("stroke-dasharray"),
    path.getBBox().width > 100 && path.getBBox().height > 1,
])"""
# The colours of a chart's first legend by their names.
LEGEND = """chart => {
    const legend = document.querySelector(`#${chart} .role-legend`);
    const names = [...legend.querySelectorAll(".role-legend-label text")].map(text => text.textContent);
    const colours = [...legend.querySelectorAll(".role-legend-symbol path")].map(path => path.getAttribute("stroke"));
    return Object.fromEntries(names.map((name, index) => [name, colours[index]]));
}"""
ORANGE, BLUE = "#d95f02", "#1f77b4"


def plots(project: Path, *arguments: str) -> Path:
    """The page that `dvc plots` writes, without network where that can be arranged."""
    output_of([*scratch.offline(), sys.executable, "-m", "dvc", "plots", *arguments], project)
    return project / "dvc_plots/index.html"


@pytest.fixture(scope="module")
def project(repository, tmp_path_factory) -> Path:
    """A copy with the repository's results, and then a commit with other ones and with two more epochs' pictures."""
    project = tmp_path_factory.mktemp("plots") / "project"
    scratch.make(project)
    name_author(project)
    shutil.copytree(repository / "plots", project / "plots")
    commit_all(project, "Results")
    for name, columns in {
        "sequence/curves.csv": ["mean", "low", "high"],
        "gan/losses.csv": ["discriminator", "generator"],
        "gan/quality_by_epoch.csv": ["fid"],
    }.items():
        table = pd.read_csv(project / "plots" / name)
        table[columns] *= 0.9
        table.to_csv(project / "plots" / name, index=False)
    grids = project / "plots/gan/grids"
    for epoch in (2000, 10000):  # as text, 10000 comes first
        shutil.copy(grids / "0000.png", grids / f"{epoch}.png")
    commit_all(project, "Other results")
    return project


def test_the_page_is_what_its_sources_make(repository):
    tool = runpy.run_path(str(repository / BUILD))
    page = (repository / ".dvc/plots/page.html").read_text(encoding="utf-8")
    scripts = dict(re.findall(r'<script data-package="(.+?)">(.*?)</script>', page, flags=re.DOTALL))
    assert list(scripts) == tool["packages"](), "DVC names other versions"
    assert {name: hashlib.sha256(script.encode()).hexdigest() for name, script in scripts.items()} == tool["SHA256"]
    assert page == tool["page"](scripts), f"run {BUILD}"


@pytest.mark.slow
@pytest.mark.parametrize("window", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("arguments", [["show"], ["diff", "HEAD~1"]], ids=["show", "diff"])
def test_everything_is_drawn(project, open_page, arguments, window):
    html = plots(project, *arguments)
    assert html.stat().st_size < 5e6
    page, complaints = open_page(html, **window)
    assert complaints == []
    page.wait_for_function(DRAWN, arg=html.read_text(encoding="utf-8").count("vegaEmbed('#"))
    assert page.evaluate("document.documentElement.scrollWidth") == window["viewport"]["width"]

    dashes = {"show": ["1,0"], "diff": ["1,0", "4,2"]}[arguments[0]]  # by revision; the first is a full line
    lines = [[colour, dash, True] for colour in (ORANGE, BLUE) for dash in dashes]
    bands = [[colour, None, True] for colour, *_ in lines]
    lengths = pd.read_csv(project / "plots/sequence/curves.csv")["length"].nunique()
    curves, losses, fid = "accuracy_by_length_and_step", "GAN_losses", "FID_by_epoch"
    assert Counter(map(tuple, page.evaluate(MARKS, [curves, "line"]))) == Counter(map(tuple, lines * lengths))
    assert Counter(map(tuple, page.evaluate(MARKS, [curves, "area"]))) == Counter(map(tuple, bands * lengths))
    assert page.evaluate(LEGEND, curves) == {"VanillaRNN": ORANGE, "LSTM": BLUE}
    assert Counter(map(tuple, page.evaluate(MARKS, [losses, "line"]))) == Counter(map(tuple, lines))
    assert page.evaluate(MARKS, [fid, "line"]) == [[colour, None, True] for colour in (ORANGE, BLUE)[: len(dashes)]]

    names = re.findall(r"<p>((?:plots|studies)/.+\.png)</p>", html.read_text(encoding="utf-8"))
    assert page.locator(".picture").count() == len(names)
    widths = page.eval_on_selector_all("img", "images => images.map(image => image.complete && image.naturalWidth)")
    assert len(widths) == page.locator(".picture > div").count() >= len(names)
    assert min(widths) > 0
    revisions = page.locator(".picture > div > p:visible").all_text_contents()
    assert set(revisions) == (set() if arguments == ["show"] else {"workspace", "HEAD~1"})

    epochs = sorted(int(path.stem) for path in (project / "plots/gan/grids").iterdir())
    captions = page.locator(".epoch > p").all_text_contents()
    assert captions == [f"epoch {epoch}" for epoch in epochs]
    if revisions:  # one beside the other, the present one first
        first = page.locator(".epoch").first.locator(":scope > div")
        assert first.locator("p").all_text_contents() == ["workspace", "HEAD~1"]
        left, right = first.nth(0).bounding_box(), first.nth(1).bounding_box()
        assert left["y"] == right["y"]
        assert left["x"] + left["width"] <= right["x"]
    assert complaints == []

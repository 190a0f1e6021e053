"""The page of `dvc plots show` and `dvc plots diff`, made without network and opened in a browser without network."""

import re
import runpy
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest

import scratch
from dlreport.io import read_yaml
from helpers import commit_all, name_author, output_of

pytest_plugins = ["browser"]

BUILD = "tools/plots_page/build.py"
WIDE = {"viewport": {"width": 1200, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"}
DRAWN = "count => document.querySelectorAll('svg.marks').length === count"
# Of each line of a chart that can be seen its colour and its dashes.
LINES = """chart => [...document.querySelectorAll(`#${chart} .mark-line path`)].map(path => [
    path.getAttribute("stroke"), path.getAttribute("stroke-dasharray"), path.getBBox().width > 30])"""
ORANGE, BLUE = "#d95f02", "#1f77b4"


def plots(project: Path, *arguments: str) -> Path:
    """The page that `dvc plots` writes, without network where that can be arranged."""
    output_of([*scratch.offline(), sys.executable, "-m", "dvc", "plots", *arguments], project)
    return project / "dvc_plots/index.html"


@pytest.fixture(scope="module")
def project(serial, tmp_path_factory) -> Path:
    """The tiny pipeline's results, and then a commit with other ones and with two more epochs' pictures."""
    project = tmp_path_factory.mktemp("plots") / "project"
    shutil.copytree(serial[0], project, ignore=shutil.ignore_patterns("dvc_plots"))
    name_author(project)
    commit_all(project, "Results")
    for name, columns in {
        "sequence/runs.csv": ["accuracy"],
        "sequence/curves.csv": ["accuracy", "loss"],
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


def test_what_dvc_draws_with_is_what_the_charts_make(repository):
    files = runpy.run_path(str(repository / BUILD))["files"]()
    assert files.keys() == {path.name for path in (repository / ".dvc/plots").iterdir()}
    for name, text in files.items():
        assert (repository / ".dvc/plots" / name).read_text(encoding="utf-8") == text, f"run {BUILD}"


def test_every_chart_of_dvc_is_of_a_template_that_is_there(repository):
    charts = [entry for entry in read_yaml(repository / "dvc.yaml")["plots"] if isinstance(entry, dict)]
    templates = [settings["template"] for chart in charts for settings in chart.values()]
    there = {path.stem for path in (repository / ".dvc/plots").glob("*.json")}
    assert sorted(templates) == sorted(there)


@pytest.mark.slow
@pytest.mark.parametrize("window", [WIDE, PHONE], ids=["wide", "phone"])
@pytest.mark.parametrize("arguments", [["show"], ["diff", "HEAD~1"]], ids=["show", "diff"])
def test_everything_is_drawn(project, open_page, arguments, window):
    html = plots(project, *arguments)
    assert html.stat().st_size < 5e6
    page, complaints = open_page(html, **window)
    assert complaints == []
    charts = re.findall(r"vegaEmbed\('#(.+?)'", html.read_text(encoding="utf-8"))
    page.wait_for_function(DRAWN, arg=len(charts))
    assert page.evaluate("document.documentElement.scrollWidth") == window["viewport"]["width"]

    dashes = {"show": [None], "diff": [None, "4,2"]}[arguments[0]]  # by revision; the first is a full line
    lines = {(colour, dash if dash != "1,0" else None, wide) for colour, dash, wide in page.evaluate(LINES, charts[1])}
    assert lines == {(colour, dash, True) for colour in (ORANGE, BLUE) for dash in dashes}
    for chart in charts:
        marks = page.locator(f"#{chart} svg.marks").locator(".mark-line path, .mark-symbol path, .mark-rect path")
        assert marks.count() > 1, chart

    names = re.findall(r"<p>((?:plots|studies)/.+\.(?:png|svg))</p>", html.read_text(encoding="utf-8"))
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

"""The report's page in a browser without a network, on a phone and a desk, by day and by night."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from dlreport.gan.samples import generate
from dlreport.io import read_tensors
from dlreport.report.context import FIGURES

pytest_plugins = ["browser"]
pytestmark = pytest.mark.slow

UNFOLD = "document.querySelectorAll('main details').forEach(fold => { fold.open = true; })"
ALL_DRAWN = """[...document.querySelectorAll('.chart')].every(chart => chart.querySelector('svg'))
    && document.documentElement.dataset.drawn"""
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


@pytest.fixture(
    params=[(size, scheme) for size in (PHONE, DESK) for scheme in ("light", "dark")],
    ids=lambda how: f"{how[0]['width']}-{how[1]}",
)
def page(request, serial, open_page) -> Page:
    """The tiny pipeline's page; nothing may complain while a test uses it."""
    size, scheme = request.param
    page, complaints = open_page(serial[0] / "report/index.html", viewport=size, color_scheme=scheme)
    page.wait_for_selector("html[data-drawn]", state="attached")
    yield page
    assert complaints == []
    page.close()


def on_a_phone(page: Page) -> bool:
    return page.viewport_size == PHONE


def test_it_never_scrolls_sideways(page):
    page.evaluate(UNFOLD)
    page.wait_for_function(ALL_DRAWN)
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]


def test_it_opens_with_its_findings(page):
    """Title, abstract, figure and verdicts come before anything else, the first three in the first window on a desk."""
    abstract = page.locator(".abstract")
    assert abstract.inner_text().count("ndecided whether") == 3  # two runs of each decide nothing
    first = page.locator(".chart").first
    assert first.get_attribute("data-chart") == "accuracy_by_length"
    if not on_a_phone(page):
        assert first.bounding_box()["y"] < DESK["height"] / 2
    strip = page.locator(".strip a")
    assert strip.count() == page.locator("main > details[id^=claim]").count() > 5
    strip.first.click()
    assert page.locator("#claim-0").evaluate("fold => fold.open")
    assert abs(page.locator("#claim-0").bounding_box()["y"]) < page.viewport_size["height"] / 2


def test_every_chart_is_drawn_as_wide_as_there_is_room(page):
    page.evaluate(UNFOLD)
    page.wait_for_function(ALL_DRAWN)
    boxes = page.locator(".chart").evaluate_all("all => all.map(one => [one.clientWidth, one.scrollWidth])")
    assert len(boxes) == len(FIGURES) - 4  # the rest are pictures
    assert all(inside >= 280 for inside, _ in boxes)
    assert all(scroll <= inside + 1 for inside, scroll in boxes), boxes
    colours = page.locator(".chart svg text").evaluate_all(
        "all => [...new Set(all.map(one => getComputedStyle(one).fill))]"
    )
    ink = page.evaluate("getComputedStyle(document.body).color")
    assert ink in colours


def test_a_click_in_the_legend_leaves_one_model(page):
    chart = page.locator("[data-chart=accuracy_curves]")
    seen = """chart => [...chart.querySelectorAll(".mark-line path")]
        .filter(one => ![one.getAttribute("opacity"), one.getAttribute("stroke-opacity")].includes("0.04"))
        .map(one => one.getAttribute("stroke"))"""
    both = chart.evaluate(seen)
    chart.locator(".role-legend-symbol path").first.click()
    page.wait_for_timeout(300)
    assert set(chart.evaluate(seen)) < set(both)


def test_a_slider_shows_the_images_of_each_epoch(page):
    slider = page.locator(".grids input")
    image = page.locator(".grids img")
    last = image.get_attribute("src")
    assert "after epoch 3" in image.get_attribute("alt")
    slider.focus()
    page.keyboard.press("Home")
    assert image.get_attribute("alt") == "Generated digits before training"
    assert slider.get_attribute("aria-valuetext") == "before training"
    assert image.get_attribute("src") != last


def test_it_is_accessible(page):
    page.evaluate(UNFOLD)
    page.wait_for_function(ALL_DRAWN)
    found = Axe().run(page).response["violations"]
    serious = [(one["id"], one["nodes"][0]["html"][:200]) for one in found if one["impact"] in ("serious", "critical")]
    assert serious == []


def test_it_prints_unfolded(page, tmp_path):
    page.emulate_media(media="print")
    page.pdf(path=tmp_path / "page.pdf", format="A4")
    assert (tmp_path / "page.pdf").stat().st_size > 1e5
    assert page.locator("main details:not([open])").count() == 0


def test_the_contents_lead_there_and_mark_where_one_is(page):
    contents = page.get_by_role("navigation", name="Contents")
    link = contents.get_by_role("link", name="The images")
    assert link.is_visible() == (not on_a_phone(page))
    if on_a_phone(page):
        contents.get_by_text("Contents").click()
    link.click()
    heading = page.get_by_role("heading", name="The images").bounding_box()
    bar = contents.bounding_box()["height"] if on_a_phone(page) else 0
    assert bar <= heading["y"] < page.viewport_size["height"] / 4
    assert link.is_visible() == (not on_a_phone(page))  # closed again behind the reader


def test_the_theme_follows_the_system(page):
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (not dark)


def test_pictures_have_words_and_enlarge(page):
    pictures = page.locator("main img")
    assert pictures.count() > 0
    assert pictures.evaluate_all("all => all.every(one => one.alt && one.complete && one.naturalWidth > 0)")
    viewer = page.get_by_role("dialog")
    button = page.get_by_role("button", name="Images on a line in latent space")
    for close in (
        lambda: page.keyboard.press("Escape"),
        lambda: viewer.get_by_role("button", name="Close").click(),
        lambda: page.mouse.click(2, 2),  # beside it
    ):
        button.focus()
        page.keyboard.press("Enter")
        assert viewer.is_visible()
        width, natural = viewer.locator("img").evaluate("one => [one.width, one.naturalWidth]")
        assert width >= natural
        box = viewer.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.viewport_size["width"]
        close()
        assert not viewer.is_visible()
        assert button.evaluate("one => one === document.activeElement")


def drawn(page: Page) -> list[int]:
    """The pixels of the explorer's large image."""
    return page.locator("#drawn").evaluate(
        "canvas => [...canvas.getContext('2d').getImageData(0, 0, 28, 28).data].filter((_, i) => i % 4 === 0)"
    )


def test_the_explorer_walks(page):
    slider = page.get_by_role("slider", name="Position")
    at_a = drawn(page)
    slider.focus()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "100 % of the way"
    at_b = drawn(page)
    assert at_b != at_a
    page.get_by_label("A", exact=True).fill("2")  # the seed of B
    page.keyboard.press("Tab")
    slider.focus()
    page.keyboard.press("Home")
    assert drawn(page) == at_b
    page.get_by_role("button", name="New A").click()
    assert drawn(page) != at_b
    page.get_by_role("radio", name="from all zeros to all ones").check()
    assert page.get_by_label("A", exact=True).is_disabled()
    page.locator("#strip").click(position={"x": 3, "y": 3})
    assert slider.input_value() == "0"
    zeros = page.evaluate("Array.from(generate(new Float32Array(8)), value => Math.round(127.5 * (value + 1)))")
    assert drawn(page) == pytest.approx(zeros, abs=1)


def largest_difference(page: Page, weights: Path, latents: torch.Tensor) -> float:
    there = page.evaluate("latents => latents.map(latent => Array.from(generate(latent)))", latents.tolist())
    return (torch.tensor(there) - generate(read_tensors(weights), latents).flatten(1)).abs().max().item()


def test_the_explorer_draws_what_pytorch_draws(serial, open_page: Callable[..., tuple[Page, list[str]]]):
    project, _ = serial
    page, complaints = open_page(project / "report/index.html")
    dim = json.loads(page.locator("#generator").text_content())["widths"][0]
    random = torch.randn(30, dim, generator=torch.Generator().manual_seed(1))
    latents = torch.cat([random, torch.zeros(1, dim), torch.ones(1, dim)])
    assert largest_difference(page, project / "models/gan/0/generator.safetensors", latents) < 0.04
    assert complaints == []

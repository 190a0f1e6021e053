"""The report's page in a browser without a network, on a phone and a desk, by day and by night."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page

from dlreport.gan.samples import generate
from dlreport.io import read_tensors

pytest_plugins = ["browser"]
pytestmark = pytest.mark.slow

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 800}


@pytest.fixture(
    params=[(size, scheme) for size in (PHONE, DESK) for scheme in ("light", "dark")],
    ids=lambda how: f"{how[0]['width']}-{how[1]}",
)
def page(request, serial, open_page) -> Page:
    """The tiny pipeline's page; nothing may complain while a test uses it."""
    size, scheme = request.param
    page, complaints = open_page(serial[0] / "report/index.html", viewport=size, color_scheme=scheme)
    yield page
    assert complaints == []
    page.close()


def on_a_phone(page: Page) -> bool:
    return page.viewport_size == PHONE


def test_it_never_scrolls_sideways(page):
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    wide = page.locator(".table").first
    assert wide.evaluate("box => box.scrollWidth > box.clientWidth") == on_a_phone(page)


def test_the_contents_lead_there_and_mark_where_one_is(page):
    contents = page.get_by_role("navigation", name="Contents")
    link = contents.get_by_role("link", name="Generated images")
    assert link.is_visible() == (not on_a_phone(page))
    if on_a_phone(page):
        contents.get_by_text("Contents").click()
    link.click()
    heading = page.get_by_role("heading", name="Generated images").bounding_box()
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
    button = page.get_by_role("button", name="Training accuracy by step")
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
    assert largest_difference(page, project / "models/gan/0/generator.safetensors", latents) < 0.02
    assert complaints == []

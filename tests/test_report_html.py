"""The report as a page, of made-up results: what is inside it, and the generator that it draws with."""

import base64
import json
import re
from collections import Counter
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import made_up
from dlreport.gan.explorer import encode, fold
from dlreport.gan.networks import Generator
from dlreport.report.context import FIGURES
from dlreport.report.pictures import WORDS, on_any_ground
from dlreport.report.render import EXPLORER, page
from helpers import seeded

GENERATOR = {"widths": [1, 2], "slope": 0.2, "weights": "AAAA", "scales": "AAAAAA==", "biases": "AAAAAA=="}
GRIDS = {"before training": b"before", "after epoch 20": b"later"}


@pytest.fixture
def report(params) -> str:
    return made_up.report(params, made_up.results())


def html_of(report: str, picture=lambda _: b"") -> str:
    return page(report, picture, {"growth": {"mark": "line"}}, GENERATOR, GRIDS)


def test_the_page_has_formulas_pictures_and_charts_inside(report):
    pictures = []
    html = html_of(report, lambda source: pictures.append(source) or b"picture")
    sources = re.findall(r"!\[.+?\]\((.+?)\)", report)
    assert pictures == [source for source in sources if source.endswith(".png")]
    assert html.count('src="data:image/png;base64,cGljdHVyZQ=="') == len(pictures)
    charts = [source for source in sources if source.endswith(".svg")]
    assert re.findall('data-chart="(.+?)"', html) == [Path(source).stem for source in charts]
    assert html.count("<math") == report.count("$$") // 2 + len(re.findall(r"(?<!\$)\$[^$]+\$(?!\$)", report))
    assert "$" not in re.sub("<script.*?</script>", "", html, flags=re.DOTALL)
    title = "A VanillaRNN and an LSTM on palindromes, and a GAN on MNIST: a student report of 2023, reproduced"
    assert f"<title>{title}</title>" in html
    assert "&lt;table" not in html
    assert "<td>VanillaRNN</td>" in html
    (data,) = re.findall('<script type="application/json" id="charts">(.*?)</script>', html)
    given = json.loads(data)
    assert given["charts"] == {"growth": {"mark": "line"}}
    assert [(shown["words"], shown["picture"][-8:]) for shown in given["grids"]] == [
        ("before training", "YmVmb3Jl"),
        ("after epoch 20", "bGF0ZXI="),
    ]


class Elements(HTMLParser):
    """The start tags of a page, in order: (name, attributes)."""

    def __init__(self, html: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def attribute(self, tag: str, name: str) -> list[str | None]:
        return [values[name] for found, values in self.found if found == tag and name in values]


def test_the_contents_lead_to_every_heading(report):
    elements = Elements(html_of(report))
    anchors = [anchor for level in ("h2", "h3") for anchor in elements.attribute(level, "id")]
    assert len(anchors) == len(set(anchors)) == len(re.findall("^###? ", report, flags=re.MULTILINE))
    links = [link for link in elements.attribute("a", "href") if link.startswith("#")]
    assert sorted(links[1 : len(anchors) + 1]) == sorted(f"#{anchor}" for anchor in anchors)
    targets = {value for _, attributes in elements.found for name, value in attributes.items() if name == "id"}
    assert {link[1:] for link in links} <= targets  # no link of the text leads nowhere


def test_pictures_suit_any_ground():
    """White around the digits becomes transparent and black words grey; the digits stay."""
    drawn = np.full((40, 60), 255, np.uint8)
    drawn[2:5, 10:30] = 0  # words
    drawn[5, 10:30] = 200  # and their soft edge
    drawn[8:38, 5:55] = 0  # the digits' area,
    drawn[10:30, 20:22] = 255  # and a digit
    png = BytesIO()
    Image.fromarray(drawn).save(png, "PNG")
    made = np.array(Image.open(BytesIO(on_any_ground(png.getvalue()))).convert("RGBA"))
    shade, opacity = made[..., 0], made[..., 3]
    assert (shade[8:38, 5:55] == drawn[8:38, 5:55]).all()
    assert (opacity[8:38, 5:55] == 255).all()
    assert (shade[:8] == WORDS).all()
    assert [opacity[row, 15] for row in (0, 3, 5, 6)] == [0, 255, 85, 0]


def test_every_picture_says_what_it_shows(report):
    alts = re.findall(r"!\[(.*?)\]", report)
    assert all(len(alt.split()) >= 5 for alt in alts), alts
    assert len(alts) == len(set(alts))
    elements = Elements(html_of(report))
    charts = [attributes["aria-label"] for _, attributes in elements.found if "data-chart" in attributes]
    assert Counter([*charts, *elements.attribute("img", "alt")]) == Counter([*alts, ""])  # one that JavaScript fills


def test_figures_are_numbered_in_their_order_and_say_what_to_see(report):
    captions = re.findall(r"^\*\*Figure (\d+)\.\*\* (.+)$", report, flags=re.MULTILINE)
    assert [int(number) for number, _ in captions] == [*range(1, len(FIGURES) + 1)]
    assert all(len(words.split()) > 7 for _, words in captions), captions


def test_the_explorer_is_in_the_page_with_its_generator(report):
    assert report.count(EXPLORER) == 1
    html = html_of(report)
    assert "explorer --" not in html
    assert html.count('<form id="explorer"') == html.count('{"biases": "AAAAAA==", "scales"') == 1


@pytest.fixture
def generator() -> Generator:
    """Weights and running statistics that BatchNorm does not leave as they are."""
    stream = seeded(3)
    generator = Generator(6, stream)
    for name, values in generator.state_dict().items():
        if name.endswith(("weight", "bias", "running_mean")):
            values += 0.1 * torch.randn(values.shape, generator=stream)
        elif name.endswith("running_var"):
            values.uniform_(0.1, 3, generator=stream)
    return generator.eval()


@torch.no_grad()
def test_folded_layers_compute_what_the_generator_does(generator):
    latents = torch.randn(20, 6, generator=seeded(4))
    images = latents.double()
    *hidden, last = fold(generator)
    for weight, bias in hidden:
        images = torch.nn.functional.leaky_relu(images @ weight.T + bias, 0.2)
    images = torch.tanh(images @ last[0].T + last[1])
    torch.testing.assert_close(images, generator.double()(latents.double()), rtol=0, atol=1e-12)


def test_encoded_layers_are_the_folded_ones_in_12_bits(generator):
    layers = fold(generator)
    layers[0][0][3] = 0  # a row of zeros has no scale of its own
    encoded = encode(layers)
    assert (encoded["widths"], encoded["slope"]) == ([6, 128, 256, 512, 1024, 784], 0.2)
    packed, scales, biases = (
        np.frombuffer(base64.b64decode(encoded[name]), kind)
        for name, kind in (("weights", np.uint8), ("scales", "<f4"), ("biases", "<f4"))
    )
    bits = np.unpackbits(packed).reshape(-1, 12)
    steps = bits @ (2 ** np.arange(11, -1, -1)) - 2048
    at = row = 0
    for weight, bias in layers:
        rows, columns = weight.shape
        found = steps[at : at + rows * columns].reshape(rows, columns)
        assert abs(found).max() == 2047
        scale = scales[row : row + rows, None].astype(float)
        error = abs(found * scale - weight.numpy()) / weight.abs().amax(1, keepdim=True).clamp(min=1e-30).numpy()
        assert error.max() <= 0.51 / 2047
        np.testing.assert_allclose(biases[row : row + rows], bias.numpy(), rtol=1e-6)
        at, row = at + rows * columns, row + rows
    assert (at, row) == (len(steps), len(scales))

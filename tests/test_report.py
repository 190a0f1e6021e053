"""The report's sentences follow its numbers. Results are made up here; the real ones are in test_pipeline.py."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from jinja2 import UndefinedError

from dlreport import figures
from dlreport.evaluation.comparison import comparison_table
from dlreport.io import read_yaml
from dlreport.models import SEQUENCE_MODELS
from dlreport.models.gan import Generator
from dlreport.report.context import Results, build
from dlreport.report.explorer import encode, fold
from dlreport.report.findings import conclude, find, outcome, slows_with_length
from dlreport.report.render import EXPLORER, markdown, page

STEPS = np.arange(99, 50000, 100)


def made_up_curve(accuracy: float, reached: int, spread: float = 0.001) -> pd.DataFrame:
    """Windows of 100 steps: at chance until `reached`, then around `accuracy`."""
    wave = spread * np.where(np.arange(len(STEPS)) % 2, 1, -1)
    mean = np.where(reached > STEPS, 0.1, accuracy) + wave
    loss = np.where(reached > STEPS, 2.3, 2.3 * (1 - accuracy))
    loss[0] = 16
    columns = {
        f"{name}_{how}": values
        for name, values in (("accuracy", mean), ("loss", loss))
        for how in ("mean", "min", "max")
    }
    return pd.DataFrame({"replicate": 0, "step": STEPS, **columns})


WALK = {
    "largest_step_share": 0.2,
    "largest_step_share_features": 0.3,
    "digit_changes": 1,
    "least_confidence": 0.8,
}


def made_up_quality(name: str, **values: float) -> dict[str, float | str]:
    shares = ("precision", "recall", "density", "coverage", "unsure", "digits_total_variation")
    return {
        "images": name,
        "replicate": 0,
        **dict.fromkeys(shares, 0.5),
        **{"fid": 7.0, "fid_sd": 0.1, "kid": 0.01, "digits_missing": 0, "near_training": 0.01},
        **{"two_sample_accuracy": 0.5, "two_sample_low": 0.49, "two_sample_high": 0.51},
        **values,
    }


def made_up(repository, cells: dict[tuple[str, int], tuple[float, int, float]], courses=(1, -1)) -> Results:
    """Results of cells that reach an accuracy by a step with a spread, and losses whose trends have these signs."""
    published = read_yaml(repository / "published.yaml")
    replicates = {
        cell: pd.DataFrame(
            {
                "train_accuracy_mean": [accuracy],
                "test_accuracy": [accuracy],
                "test_accuracy_report_batch": [accuracy],
                "solved": [int(accuracy >= 0.99)],
                "test_sequences": [10240],
            }
        )
        for cell, (accuracy, _, _) in cells.items()
    }
    epochs = np.arange(1, 251)
    turns = np.interp(epochs, [1, 10, 60], [1.2, 0.6, 1.0])  # falls, then rises
    return Results(
        machine={"cpu": "a processor"},
        published=published,
        comparison=comparison_table(replicates, published["sequence"], 0.95),
        curves={f"{model}-{length}": made_up_curve(*how) for (model, length), how in cells.items()},
        gan_metrics={
            "training_images": 60000,
            "discriminator_loss": 1.0,
            "generator_loss": 1.0,
        },
        gan_losses=pd.DataFrame(
            {
                "replicate": 0,
                "epoch": epochs,
                "discriminator": turns - courses[0] * 0.001 * np.maximum(epochs - 60, 0),
                "generator": 2 - turns - courses[1] * 0.001 * np.maximum(epochs - 60, 0),
            }
        ),
        gan_layers=pd.DataFrame(
            {"network": ["generator", "discriminator"], "layer": ["A()", "B()"], "parameters": [1, 2]}
        ),
        grid_epochs=[0, 20, 250],
        interpolation=WALK,
        walk=pd.DataFrame({"digit": [9, 9, 4]}),
        classifier={"test_accuracy": 0.9935},
        quality=pd.DataFrame([made_up_quality(name) for name in ("generator", "average", "training images")]),
        quality_by_epoch=pd.DataFrame({"replicate": 0, "epoch": [0, 100, 250], "fid": [300.0, 9.0, 7.0]}),
        claims=pd.DataFrame(
            [
                {"claim": claim, "statement": "so", "test": "thus", "why": "as", "verdict": verdict, "evidence": "that"}
                for claim, verdict in ((0, "supported"), (2, "not supported"), (2, "supported"))
            ]
        ),
        longer=pd.DataFrame({"train_accuracy_mean": [0.99, 0.8], "test_accuracy": [0.99, 0.995], "solved": [1, 0]}),
        longer_curve=pd.concat([made_up_curve(1.0, 9_000, 0.001).assign(replicate=k) for k in range(2)]),
        ablation=made_up_ablation(0, 1),
        frontier=pd.DataFrame(
            {"model": ["VanillaRNN", "VanillaRNN", "LSTM"], "hidden_dim": 64, "clip": ["off", "effective", "off"]}
            | {"initialisation": ["as_reported", "orthogonal", "as_reported"], "longest": [10, 50, 20]}
        ),
        study={"solved_at": 0.98, "lengths": [10, 20, 50]},
        gradients=pd.DataFrame(
            {"model": ["VanillaRNN"] * 2 + ["LSTM"] * 2, "length": 20, "replicate": 0, "when": "end", "t": [1, 19] * 2}
            | {"gradient": [1e-6, 1] * 2, "gradient_cell": [np.nan] * 2 + [0.5, 1], "saturated_tanh": 0.6}
            | {"gradient_median": [1e-5, 1, 0.4, 1]}
            | {"saturated_gates": 0.4, "frozen_gates_accuracy": 0.2}
        ),
    )


def made_up_ablation(as_reported: int, adam: int) -> pd.DataFrame:
    """Two variants at two lengths, always at the optimum or never."""
    rows = [
        {"variant": variant, "length": length, "replicate": 0, "test_accuracy": float(solved), "solved": solved}
        | {"reached": 300.0 if solved or length == 20 else np.nan}
        for variant, solved in (("as_reported", as_reported), ("adam", adam))
        for length in (10, 15, 20)
    ]
    return pd.DataFrame(rows)


AS_PUBLISHED = {
    ("VanillaRNN", 5): (0.999, 3000, 0.004),
    ("VanillaRNN", 10): (0.8, 20000, 0.02),
    ("VanillaRNN", 15): (0.12, 0, 0.01),
    ("VanillaRNN", 20): (0.1, 0, 0.01),
    ("LSTM", 5): (1.0, 500, 0.0),
    ("LSTM", 10): (1.0, 1500, 0.0),
    ("LSTM", 15): (0.9997, 4000, 0.0),
    ("LSTM", 20): (0.9995, 13000, 0.0),
}


def written(params, results: Results) -> str:
    return markdown(build(params, results))


@pytest.fixture
def report(params, repository) -> str:
    return written(params, made_up(repository, AS_PUBLISHED))


def test_results_like_the_published_agree(report):
    assert "The LSTM ends at the optimum at lengths 5, 10, 15 and 20." in report
    assert (
        "The VanillaRNN ends at the optimum at length 5, and stays below 0.2 in the test at lengths 15 and 20."
        in report
    )
    assert "It needs more steps for each greater length to reach 0.99." in report
    assert "the LSTM less: its window means have a standard deviation of 0 from step 40,000 on" in report
    assert "That the LSTM remembers longer holds here" in report
    assert "That it converges faster holds at every length that both reach." in report
    assert "Both are seen here." in report
    assert "which agrees with the published report: it calls the transition gradual" in report
    assert "The VanillaRNN retains part of the sequence" in section(report, "Length 10")
    for words in ("The VanillaRNN hardly retains", "with an interval that does not hold the 0.1 of a guess."):
        assert words in section(report, "Length 15")
    assert "with an interval that holds the 0.1 of a guess. Its loss" in section(report, "Length 20")


def section(report: str, heading: str) -> str:
    return report.split(f"### {heading}\n")[1].split("\n### ")[0]


def test_the_other_results_are_not_said_to_agree(params, repository):
    cells = dict.fromkeys(AS_PUBLISHED, (0.5, 0, 0.01))
    cells["VanillaRNN", 20] = (1.0, 100, 0.0)
    results = made_up(repository, cells, courses=(-1, 1))
    report = written(params, replace(results, interpolation={**WALK, "largest_step_share": 0.9}))
    assert "The LSTM ends at the optimum at no length tried." in report
    assert "That the LSTM remembers longer does not show here" in report
    assert "The first phases are seen here, the long run is not." in report
    assert "the gradual transition of the published report is not seen here" in report
    assert "agrees" not in report.replace("ours agrees", "")


def test_the_measures_of_the_images_decide_what_is_said_of_them(params, repository):
    results = made_up(repository, AS_PUBLISHED)
    good = section(written(params, results), "The images, measured")
    assert "still improve in the long run holds" in good
    assert '"almost indistinguishable" holds' in good
    assert "No digit is missing." in good
    assert "Nothing points to copies" in good

    worse = {"two_sample_accuracy": 0.9, "two_sample_low": 0.89, "digits_missing": 2, "near_training": 0.3}
    quality = pd.DataFrame([made_up_quality("generator", **worse), *results.quality.iloc[1:].to_dict("records")])
    by_epoch = pd.DataFrame({"replicate": 0, "epoch": [0, 100, 250], "fid": [300.0, 7.0, 9.0]})
    bad = section(written(params, replace(results, quality=quality, quality_by_epoch=by_epoch)), "The images, measured")
    assert "7.00, is at epoch 100. So the images do not improve to the end" in bad
    assert "A network says rightly of 90% of images whether they are generated" in bad
    assert "far from indistinguishable" in bad
    assert "2 of the ten digits are missing." in bad
    assert "More of them than of real images are close to a training image (30.0% against 1.0%)" in bad


def test_the_claims_are_listed_with_their_verdicts(report):
    claims = report.split("## The claims, checked")[1].split("\n## ")[0]
    assert "2 are supported, 1 not supported, 0 undecided." in claims
    assert "### The published numbers" in claims
    assert "with 100,000 steps it converges to 1" in section(report, "Claim 2")
    assert section(report, "Claim 2").count("| so | thus (as) | that |") == 2


def test_what_is_ours_is_in_numbers(params, repository, report):
    assert "mean accuracy from step 80,000 on 0.9900, 0.8000;" in section(report, "With more steps")
    gradients = section(report, "Gradients back through time")
    assert "| VanillaRNN | 20 | 1e-06 | 1e-05 | 60% | - | - |" in gradients
    assert "| LSTM | 20 | 0.5 | 0.4 | 60% | 40% | 0.200 |" in gradients
    assert "1e-05 times in the median sequence: it vanishes on its way back, as" in gradients


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        (
            [(0, 1)],
            ["At length 15 every run of adam ends at the optimum, none of the", "single changes adam does it alone"],
        ),
        ([(0, 1), (0, 0)], ["At length 15 some runs of adam end at the optimum, none of the", "No single change does"]),
        ([(1, 1)], ["At length 15 the form as reported ends at the optimum too.", "No single change does"]),
        ([(0, 0)], ["At length 20 no run of any variant ends at the optimum. 2 runs got to 0.99", "No single change"]),
    ],
)
def test_what_helps_is_told_by_the_runs(params, repository, runs, said):
    table = pd.concat([made_up_ablation(*solved) for solved in runs])
    report = written(params, replace(made_up(repository, AS_PUBLISHED), ablation=table))
    for sentence in said:
        assert sentence in section(report, "What would help the VanillaRNN")


def test_the_longer_training_is_told_by_what_its_runs_reach(report):
    longer = section(report, "With more steps")
    assert "2 of 2 get to 0.99 in a window of their training, 2 are there in the test after the last step" in longer
    assert "and 1 from step 80,000 on as well: the loss of a run" in longer


def test_the_published_log_is_beside_ours(report):
    row = next(line for line in section(report, "Length 20").splitlines() if line.startswith("| 10,000 |"))
    assert "| 0.701, 0.75 |" in row
    assert next(line for line in section(report, "Length 10").splitlines() if line.startswith("| 6,000 |")).count(
        "0.31"
    )


def test_settings_that_are_not_the_published_ones_are_told(params, repository):
    changed = {"initialisation": "orthogonal", "optimizer": "Adam"}
    other = params.model_copy(update={"sequence": params.sequence.model_copy(update=changed), "precision": "bf16"})
    report = written(other, made_up(repository, AS_PUBLISHED))
    assert "steps of Adam with learning rate" in report
    assert "the recurrent weights' initialisation is `orthogonal`" in report
    assert "is drawn from $N(0, 1)$" not in report
    assert "matrix products in bf16" in report


def test_the_longest_lengths_of_the_study_are_told(report):
    frontier = section(report, "How long can they remember?")
    assert "| VanillaRNN | 64 | orthogonal | effective | 50 |" in frontier
    assert (
        "The VanillaRNN as reported solves palindromes up to length 10, the best of its variants up to 50." in frontier
    )
    assert "The LSTM as reported solves palindromes up to length 20, and no variant more." in frontier


def test_a_length_without_published_figures(params, repository):
    settings = params.sequence.model_copy(update={"lengths": [7]})
    cells = {(model, 7): (1.0, 100, 0.0) for model in ("VanillaRNN", "LSTM")}
    report = written(params.model_copy(update={"sequence": settings}), made_up(repository, cells))
    assert "| 7 | LSTM | 1.0000 | - | 1.0000 (0.9996 to 1.0000) | 1.0000 | - | 100% |" in report
    assert "*The published report says*" not in section(report, "Length 7")


@pytest.mark.parametrize("mode", ["as_reported", "effective", "off"])
def test_the_clipping_that_was_set_is_explained(params, repository, mode):
    clip = params.sequence.clip.model_copy(update={"mode": mode})
    settings = params.sequence.model_copy(update={"clip": clip})
    report = written(params.model_copy(update={"sequence": settings}), made_up(repository, AS_PUBLISHED))
    assert f"is set to `{mode}`" in report
    assert ("no number ever changes" in report) == (mode == "as_reported")


def test_every_erratum_is_stated(report):
    errata = report.split("## Errata")[1].split("\n## ")[0]
    assert re.findall(r"^(\d)\. ", errata, flags=re.MULTILINE) == list("1234567")
    for part in ("40000-5000", "very last step", "250 epochs", "500", "0, 19, 39, 59", "earlier experiment", "0.044"):
        assert part in errata


def test_every_parameter_is_in_the_settings(report, params):
    table = report.split("## Settings")[1]
    for section_name in ("sequence", "longer", "gradients", "ablation", "gan"):
        for key in getattr(params, section_name).model_dump():
            assert f"`{section_name}.{key}" in table


def test_no_gaps_are_left(report):
    assert not re.search(r"\S  +\S| $| [,;.]|\n\n\n|None|nan|\{\{|\{%", report, flags=re.MULTILINE)


def test_a_missing_number_is_an_error(params, repository):
    context = build(params, made_up(repository, AS_PUBLISHED))
    del context["lstm"]
    with pytest.raises(UndefinedError, match="lstm"):
        markdown(context)


def test_the_page_has_formulas_and_pictures_inside(report):
    pictures = []
    html = page(report, lambda source: pictures.append(source) or b"picture")
    assert pictures == re.findall(r"!\[.+?\]\((.+?)\)", report)
    assert html.count('src="data:image/png;base64,cGljdHVyZQ=="') == len(pictures)
    assert html.count("<math") == report.count("$$") // 2 + len(re.findall(r"(?<!\$)\$[^$]+\$(?!\$)", report))
    assert "$" not in html
    assert "<title>Palindromes by VanillaRNN and LSTM, and a GAN on MNIST: the 2023 report, reproduced</title>" in html
    assert "&lt;table" not in html
    assert "<td>VanillaRNN</td>" in html


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
    elements = Elements(page(report, lambda _: b""))
    anchors = [anchor for level in ("h2", "h3") for anchor in elements.attribute(level, "id")]
    assert len(anchors) == len(set(anchors)) == len(re.findall("^##", report, flags=re.MULTILINE))
    assert sorted(elements.attribute("a", "href")) == sorted(["#text", *(f"#{anchor}" for anchor in anchors)])


def test_every_picture_says_what_it_shows(report):
    alts = re.findall(r"!\[(.*?)\]", report)
    assert all(len(alt.split()) >= 5 for alt in alts), alts
    assert len(alts) == len(set(alts))
    assert Elements(page(report, lambda _: b"")).attribute("img", "alt") == [*alts, ""]  # the viewer's, which JS fills


def test_the_explorer_is_in_the_page_of_a_generator_only(report):
    assert report.count(EXPLORER) == 1
    for generator, times in ((None, 0), ({"widths": [1, 2], "slope": 0.2, "weights": "AAA="}, 1)):
        html = page(report, lambda _: b"", generator)
        assert "explorer --" not in html
        assert html.count('<form id="explorer"') == html.count('{"slope": 0.2, "weights": "AAA="') == times


@pytest.fixture
def generator() -> Generator:
    """Weights and running statistics that BatchNorm does not leave as they are."""
    stream = torch.Generator().manual_seed(3)
    generator = Generator(6, stream)
    for name, values in generator.state_dict().items():
        if name.endswith(("weight", "bias", "running_mean")):
            values += 0.1 * torch.randn(values.shape, generator=stream)
        elif name.endswith("running_var"):
            values.uniform_(0.1, 3, generator=stream)
    return generator.eval()


@torch.no_grad()
def test_folded_layers_compute_what_the_generator_does(generator):
    latents = torch.randn(20, 6, generator=torch.Generator().manual_seed(4))
    images = latents.double()
    *hidden, last = fold(generator)
    for weight, bias in hidden:
        images = torch.nn.functional.leaky_relu(images @ weight.T + bias, 0.2)
    images = torch.tanh(images @ last[0].T + last[1])
    torch.testing.assert_close(images, generator.double()(latents.double()), rtol=0, atol=1e-12)


def test_encoded_layers_are_the_folded_ones_in_half_precision(generator):
    layers = fold(generator)
    encoded = encode(layers)
    assert (encoded["widths"], encoded["slope"]) == ([6, 128, 256, 512, 1024, 784], 0.2)
    numbers = np.frombuffer(base64.b64decode(encoded["weights"]), "<f2")
    expected = np.concatenate([part.numpy().ravel() for layer in layers for part in layer])
    np.testing.assert_array_equal(numbers, expected.astype(np.float16))


@pytest.mark.parametrize(
    ("solved", "test", "expected"), [(1, 1, "solved"), (0.8, 1, "partly"), (0, 0.2, "partly"), (0, 0.19, "lost")]
)
def test_outcomes(solved, test, expected):
    assert outcome(solved, test) == expected


@pytest.fixture
def findings(params, repository):
    results = made_up(repository, AS_PUBLISHED)
    rows = results.comparison.to_dict("records")
    return [find(row, results.curves[f"{row['model']}-{row['length']}"], params.sequence) for row in rows]


def test_findings_read_the_curve(findings):
    partly = findings[1]
    assert (partly.model, partly.length, partly.outcome, partly.reached) == ("VanillaRNN", 10, "partly", None)
    assert partly.spread == pytest.approx(0.02)
    assert (partly.loss_first, partly.loss_tenth, partly.loss_last) == pytest.approx((16, 2.3, 0.46))
    assert findings[7].reached == 13099


def test_slowing_needs_lengths_that_were_reached(findings):
    assert slows_with_length(findings[4:]) is True
    assert slows_with_length(findings[:4]) is None
    assert slows_with_length(findings[4:5]) is None
    assert slows_with_length([*findings[4:7], replace(findings[7], reached=10)]) is False


def test_conclusions_need_both_models(findings):
    both = conclude(findings)
    assert (both.lasts, both.faster, both.steadier) == (True, True, True)
    alone = conclude(findings[4:])
    assert (alone.lasts, alone.faster, alone.steadier) == (None, None, None)
    late = conclude([*findings[:4], replace(findings[4], reached=40000, spread=1), *findings[5:]])
    assert (late.lasts, late.faster, late.steadier) == (True, False, False)


@pytest.mark.parametrize("lengths", [[5], [5, 10], [20, 5, 10]])
def test_the_curves_figure_has_a_panel_for_each_length(lengths):
    cells = product(SEQUENCE_MODELS, lengths)
    figure = figures.curves_by_length({cell: made_up_curve(0.9, 100) for cell in cells})
    assert [axes.get_title() for axes in figure.axes] == [f"length {length}" for length in sorted(lengths)]


def test_every_model_has_a_colour():
    assert figures.COLOURS.keys() == SEQUENCE_MODELS.keys()

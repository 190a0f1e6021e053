"""The report's sentences follow its numbers. Results are made up here; the real ones are in test_pipeline.py."""

import re
from dataclasses import replace

import pandas as pd
import pytest
from jinja2 import UndefinedError

import made_up
from dlreport.report.context import build
from dlreport.report.render import markdown


@pytest.fixture
def report(params) -> str:
    return made_up.report(params, made_up.results())


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


def test_the_other_results_are_not_said_to_agree(params):
    cells = dict.fromkeys(made_up.AS_PUBLISHED, (0.5, 0, 0.01))
    cells["VanillaRNN", 20] = (1.0, 100, 0.0)
    results = made_up.results(cells, courses=(-1, 1))
    report = made_up.report(params, replace(results, interpolation={**made_up.WALK, "largest_step_share": 0.9}))
    assert "The LSTM ends at the optimum at no length tried." in report
    assert "That the LSTM remembers longer does not show here" in report
    assert "The first phases are seen here, the long run is not." in report
    assert "the gradual transition of the published report is not seen here" in report
    assert "agrees" not in report.replace("ours agrees", "")


def test_the_measures_of_the_images_decide_what_is_said_of_them(params):
    results = made_up.results()
    good = section(made_up.report(params, results), "The images, measured")
    assert "still improve in the long run holds" in good
    assert '"almost indistinguishable" holds' in good
    assert "No digit is missing." in good
    assert "Nothing points to copies" in good

    worse = {"two_sample_accuracy": 0.9, "two_sample_low": 0.89, "digits_missing": 2, "near_training": 0.3}
    quality = pd.DataFrame([made_up.quality("generator", **worse), *results.quality.iloc[1:].to_dict("records")])
    by_epoch = pd.DataFrame({"replicate": 0, "epoch": [0, 100, 250], "fid": [300.0, 7.0, 9.0]})
    bad = section(
        made_up.report(params, replace(results, quality=quality, quality_by_epoch=by_epoch)), "The images, measured"
    )
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


def test_what_is_ours_is_in_numbers(report):
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
def test_what_helps_is_told_by_the_runs(params, runs, said):
    table = pd.concat([made_up.ablation(*solved) for solved in runs])
    report = made_up.report(params, replace(made_up.results(), ablation=table))
    for sentence in said:
        assert sentence in section(report, "What would help the VanillaRNN")


def test_the_longer_training_is_told_by_what_its_runs_reach(report):
    longer = section(report, "With more steps")
    assert "2 of 2 get to 0.99 in a window of their training, 2 are there in the test after the last step" in longer
    assert "and 1 from step 80,000 on as well: the loss of a run" in longer


def test_the_published_log_is_beside_ours(report):
    row = next(line for line in section(report, "Length 20").splitlines() if line.startswith("| 10,000 |"))
    assert "| 0.701 (0.75) |" in row
    assert next(line for line in section(report, "Length 10").splitlines() if line.startswith("| 6,000 |")).count(
        "0.31"
    )


def test_settings_that_are_not_the_published_ones_are_told(params):
    changed = {"initialisation": "orthogonal", "optimizer": "Adam"}
    other = params.model_copy(update={"sequence": params.sequence.model_copy(update=changed), "precision": "bf16"})
    report = made_up.report(other, made_up.results())
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


def test_a_length_without_published_figures(params):
    settings = params.sequence.model_copy(update={"lengths": [7]})
    cells = {(model, 7): (1.0, 100, 0.0) for model in ("VanillaRNN", "LSTM")}
    report = made_up.report(params.model_copy(update={"sequence": settings}), made_up.results(cells))
    assert "| 7 | LSTM | 1.0000 | - | 1.0000 (0.9996 to 1.0000) | 1.0000 | - | 100% |" in report
    assert "*The published report says*" not in section(report, "Length 7")


@pytest.mark.parametrize("mode", ["as_reported", "effective", "off"])
def test_the_clipping_that_was_set_is_explained(params, mode):
    clip = params.sequence.clip.model_copy(update={"mode": mode})
    settings = params.sequence.model_copy(update={"clip": clip})
    report = made_up.report(params.model_copy(update={"sequence": settings}), made_up.results())
    assert f"is set to `{mode}`" in report
    assert ("no number ever changes" in report) == (mode == "as_reported")


ERRATA = [
    [
        "The clipping has no effect.",
        "the published numbers are those of unclipped training",
        "`sequence.clip.mode: effective`",
    ],
    [r"A sigmoid in the LSTM's formula for $g$ where the code has $\tanh$."],
    [
        'The comparison table\'s header says "40000-5000"',
        "; 40,000 to 50,000 is meant",
        "leaves out the very last step",
    ],
    ["250 epochs in the code and the text, 500 in the caption of the last picture.", "Here: 250."],
    ["The grids are drawn before their epoch's training.", "0, 19, 39, 59, …", "after 19 epochs of training, not 20,"],
    ["The interpolation picture comes from an earlier experiment"],
    ["One seed per cell, none of them fixed, and a test on 128 samples", "0.044", "on 10,240,", "trained 5 times"],
]


def test_every_erratum_is_stated(report):
    errata = report.split("## Errata")[1].split("\n## ")[0]
    stated = re.findall(r"^(\d)\. (.+)$", errata, flags=re.MULTILINE)
    assert [number for number, _ in stated] == list("1234567")
    for (_, words), parts in zip(stated, ERRATA, strict=True):
        for part in parts:
            assert part in words


def test_every_parameter_is_in_the_settings(report, params):
    table = report.split("## Settings")[1]
    for section_name in ("sequence", "longer", "gradients", "ablation", "gan"):
        for key in getattr(params, section_name).model_dump():
            assert f"`{section_name}.{key}" in table


def test_no_gaps_are_left(report):
    assert not re.search(r"\S  +\S| $| [,;.]|\n\n\n|None|nan|\{\{|\{%", report, flags=re.MULTILINE)


def test_a_missing_number_is_an_error(params):
    context = build(params, made_up.results())
    del context["lstm"]
    with pytest.raises(UndefinedError, match="lstm"):
        markdown(context)

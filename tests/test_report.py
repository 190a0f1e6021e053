"""The report and its findings follow the numbers. Results are made up here; the real ones are in test_pipeline.py."""

import re
from collections import Counter

import pytest
from jinja2 import UndefinedError

import evidence
import made_up
from dlreport.report import context
from dlreport.report.context import build
from dlreport.report.render import markdown
from dlreport.statistics.claims import OURS, VERDICTS, table
from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED


@pytest.fixture
def report(params) -> str:
    return made_up.report(params, made_up.results())


def section(report: str, heading: str) -> str:
    return report.split(f"### {heading}\n")[1].split("\n### ")[0]


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        (lambda claimed: claimed, SUPPORTED),
        (evidence.otherwise, NOT_SUPPORTED),
        (evidence.one_run_each, UNDECIDED),
    ],
)
def test_every_place_follows_the_verdict(params, how, verdict):
    """Table, prose and findings say of each statement what its verdict is, and nothing that contradicts it."""
    statements = how(evidence.as_claimed(params)).check()
    verdicts = Counter(one.outcome.verdict for one in statements if one.claim not in (0, OURS))
    assert verdicts.most_common(1)[0][0] == verdict
    context = build(params, {**made_up.results(), "claims": table(statements)})
    report, findings = markdown(context), markdown(context, "findings.md.j2")
    for one in statements:
        found = one.outcome.verdict
        assert f"| {one.statement} | {one.test} ({one.why}) | {one.outcome.evidence} | **{found}**" in report
        for possible in VERDICTS:
            sentence = one.sentence(possible)
            assert report.count(f"- {sentence}\n") == (possible == found), sentence
            told = one.claim != OURS and possible == found != SUPPORTED
            assert findings.count(f"- {sentence}\n") == told, sentence
        # A contradiction could hide in other words around the sentence: no other verdict's clause is anywhere.
        for other in {SUPPORTED, NOT_SUPPORTED} - {found}:
            clause = one.sentence(other).rsplit(" (", 1)[0]
            assert clause not in report
    rows = [line for line in findings.splitlines() if re.match(r"\| (\d: |the published numbers)", line)]
    for number, row in enumerate(rows):
        of_claim = Counter(one.outcome.verdict for one in statements if one.claim == number)
        assert row.endswith(" | ".join(str(of_claim[each]) for each in VERDICTS) + " |")
    assert len(rows) == 10


def test_no_template_judges_a_number(repository):
    """No condition of a template compares sizes: what is said of a number is a statement's sentence."""
    templates = [*(repository / "src/dlreport/report").glob("*.j2")]
    assert len(templates) > 4
    for template in templates:
        tags = re.findall(r"\{[%{].*?[%}]\}", template.read_text(), flags=re.S)
        parts = [re.findall(r"\b(?:if|elif)\b(.*?)(?:\belse\b|%\}|\}\}|$)", tag) for tag in tags]
        sizes = re.compile(r"[<>]|[=!]=\s*[\d.]|\bis (not )?(odd|even|gt|lt|ge|le)\b")
        wrong = [condition for conditions in parts for condition in conditions if sizes.search(condition)]
        assert wrong == [], template.name


def test_the_claims_are_listed_with_their_verdicts(report):
    claims = report.split("## The claims, checked")[1].split("\n## ")[0]
    assert "2 statements are supported, 1 are not, and 0 are undecided." in claims
    assert "### The published numbers" in claims
    assert "with 100,000 steps it can still converge to 1" in section(report, "Claim 2")
    assert section(report, "Claim 2").count("| so | thus (as) | that |") == 2
    assert section(report, "Findings of our own").count("| so | thus (as) | that | **undecided** |") == 1


def test_a_length_has_its_course_in_numbers(report):
    row = next(line for line in section(report, "Length 10").splitlines() if line.startswith("| VanillaRNN | 16 "))
    assert row == "| VanillaRNN | 16 | 2.3 | 0.46 | never | 0.0000 | 0.02 |"
    assert "| LSTM | 16 | 2.3 | 0.00115 | 13,099 |" in section(report, "Length 20")


def test_each_model_says_its_equations(report):
    models = section(report, "The models")
    for name, line in (("VanillaRNN", r"$$h_t = \tanh(x_t W_{hx}"), ("LSTM", r"$$c_t = g_t \odot i_t")):
        assert f"**{name}**, from $h_0" in models
        assert line in models
    assert "$h_0 = c_0 = 0$" in models


def test_what_is_ours_is_in_numbers(report):
    longer = section(report, "With more steps")
    assert "| Run | Mean accuracy from step 80,000 on | Test accuracy |" in longer
    assert "| 1 | 0.9900 | 0.9900 |\n| 2 | 0.8000 | 0.9950 |" in longer
    helps = section(report, "What would help the VanillaRNN")
    assert "| adam | 128 | 2.36 | 2.43 | 1.000 (1, 1) | 1.000 (1, 1) |" in helps
    gradients = section(report, "Gradients back through time")
    assert "| VanillaRNN | 20 | end | 1e-06 (1e-07 to 1e-05) | 99.0% | 97.0% | 80% | 0.050 | 60% | - |" in gradients
    assert "| LSTM | 20 | end | 0.4 (0.3 to 0.5) | 98.0% | 97.0% | 80% | 0.050 | 60% | 40% |" in gradients
    assert "which is 5.59, and its norm by 2.36." in gradients
    assert "that makes 5.31e+06." in gradients
    assert "| 20 | 1.000 | 0.200 | 0.300 | 0.900 | 0.500 |" in gradients
    memory = section(report, "What the VanillaRNN remembers")
    assert "| VanillaRNN | 10 | 0.900 | 0.180 | 0.100 | 0.067 | 0.906 |" in memory
    assert "| LSTM | 10 | 0.91 | 0.91 | 0.91 | 0.91 | 0.91 | 0.91 | 0.90 | 0.90 | 0.90 | 0.90 |" in memory


def test_a_prediction_is_shown_of_the_published_initialisation_alone(params, report):
    settings = params.sequence.model_copy(update={"initialisation": "critical"})
    other = made_up.report(params.model_copy(update={"sequence": settings}), made_up.results())
    assert "mean-field theory (Poole" in section(report, "Gradients back through time")
    assert "mean-field theory" not in section(other, "Gradients back through time")


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
    assert "| LSTM | 64 | as reported | off | 20 |" in frontier


def test_a_length_without_published_figures(params):
    settings = params.sequence.model_copy(update={"lengths": [7]})
    tasks = {(model, 7): (1.0, 100, 0.0) for model in ("VanillaRNN", "LSTM")}
    report = made_up.report(params.model_copy(update={"sequence": settings}), made_up.results(tasks))
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
        "is there to try to handle exploding gradients",
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
    [
        "One run of each model and length, no seed fixed, and a test on 128 samples",
        "0.044",
        "on 10,240,",
        "in 1 run or more",
    ],
    ["has the bias $b_c$, the code $b_g$"],
    ['"Halfway through training" captions two pictures', "epoch 40 and of epoch 100", "Half of 250 epochs"],
    ["The game is not zero-sum, though the text says so.", "the non-saturating loss"],
]


def test_every_erratum_is_stated(report):
    errata = report.split("## Errata")[1].split("\n## ")[0]
    stated = re.findall(r"^(\d+)\. (.+)$", errata, flags=re.MULTILINE)
    assert [number for number, _ in stated] == [str(number + 1) for number in range(len(ERRATA))]
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
    del context["guess_accuracy"]
    with pytest.raises(UndefinedError, match="guess_accuracy"):
        markdown(context)


@pytest.mark.parametrize(
    ("commit", "told"),
    [("'0a1b2c3'", "Commit `0a1b2c3` fixed all statements"), ("", "They are not frozen yet: these are exploratory.")],
)
def test_the_report_says_by_which_commit_the_tests_were_fixed_or_that_they_were_not(
    params, monkeypatch, tmp_path, commit, told
):
    frozen = tmp_path / "frozen.yaml"
    frozen.write_text(f"commit: {commit}\n")
    monkeypatch.setattr(context, "FROZEN", frozen)
    report = made_up.report(params, made_up.results())
    assert told in report
    assert report.count("frozen yet") + report.count("`0a1b2c3`") == 1


def test_a_verdict_that_the_correction_takes_is_printed_beside_it(params):
    results = made_up.results()
    results["claims"].loc[1, "corrected"] = UNDECIDED
    row = next(line for line in made_up.report(params, results).splitlines() if "**not supported**" in line)
    assert row.endswith("| **not supported**, corrected: undecided | sees all |")
    findings = markdown(build(params, results), "findings.md.j2")
    assert "After Holm's correction for the number of statements in a claim, 1 of the decided ones" in findings


def test_the_published_logs_stand_beside_the_same_steps(params):
    found = made_up.results()
    steps = found["steps"]["LSTM", 20]
    assert 8000 in steps["step"].tolist()
    steps.loc[steps["step"] == 8000, ["loss", "accuracy"]] = 1.25, 0.515625
    text = section(markdown(build(params, found)), "Length 20")
    assert "1.67 (0.41) | 1.25 (0.52)" in text
    assert "window with that step" not in text

"""The report and its findings follow the numbers. Results are made up here; the real ones are in test_pipeline.py."""

import inspect
import re
from collections import Counter
from math import inf
from textwrap import dedent

import numpy as np
import pandas as pd
import pytest
from jinja2 import Environment, UndefinedError, meta, nodes

import evidence
import made_up
from dlreport.gan.claims import FILE as GAN_CLAIMS
from dlreport.report import context, render
from dlreport.report.context import MARKS, build
from dlreport.report.render import markdown
from dlreport.sequence.claims import FILE as SEQUENCE_CLAIMS
from dlreport.sequence.models import model_class
from dlreport.statistics.claims import OURS, VERDICTS, Claims, table
from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED


@pytest.fixture
def report(params) -> str:
    return made_up.report(params, made_up.results())


def section(report: str, heading: str) -> str:
    """From a heading of any level to the next of the same or a higher one."""
    found = re.search(rf"^(##+) {re.escape(heading)}\n(.*?)(?=^##+ |\Z)", report, flags=re.MULTILINE | re.DOTALL)
    return found[2]


def folded(report: str, summary: str) -> str:
    """What one sees when one unfolds this."""
    return report.split(f"<summary>{summary}")[1].split("</details>")[0]


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
        if one.claim == 0:
            assert f"| {one.statement.split(': ')[0]} |" in report
            assert f"{marked(found)} {found}</span>: {one.outcome.evidence} |" in report
        else:
            row = f"| {one.statement} | {one.test} ({one.why}) | {one.outcome.evidence} | {marked(found)}"
            assert f"{row} {found}</span>" in report
        for possible in VERDICTS:
            sentence = one.sentence(possible)
            assert report.count(f" {sentence}") == (possible == found), sentence
        ours = "*Ours:* " if one.claim == OURS else ""
        assert f"- {marked(found)}</span> {ours}{one.sentence(found)}" in report
        # A contradiction could hide in other words around the sentence: no other verdict's clause is anywhere.
        for other in {SUPPORTED, NOT_SUPPORTED} - {found}:
            clause = one.sentence(other).rsplit(" (", 1)[0]
            assert clause not in report
    headlines = table(statements).query("headline != ''")[["headline", "corrected"]].values.tolist()
    assert len(headlines) == 3
    for words, corrected in headlines:
        assert f"{words}." in report.split("</div>")[0]
        assert f"- {words}.\n" in findings
        assert words.startswith("It is undecided whether ") == (corrected == UNDECIDED)
    titles = Claims(SEQUENCE_CLAIMS).each("title") | Claims(GAN_CLAIMS).each("title")
    assert sorted(titles) == [*range(10)]
    titles[0] += "; so few runs cannot refute them"
    for number, title in titles.items():
        counts = Counter(one.outcome.verdict for one in statements if one.claim == number)
        assert f"| {title} | {' | '.join(str(counts[each]) for each in VERDICTS)} |" in findings
        told = ", ".join(f"{counts[each]} {each}" for each in VERDICTS)
        assert f"<summary>{title} ({told})</summary>" in report
        (strip,) = [line for line in report.splitlines() if line.startswith(f"| [{title}](#claim-{number}) |")]
        for each in VERDICTS:
            assert (f"{MARKS[each]} {counts[each]} {each}</span>" in strip) == (counts[each] > 0)


def marked(verdict: str) -> str:
    return f'<span class="{verdict.replace(" ", "-")}">{MARKS[verdict]}'


def test_what_the_report_got_wrong_is_never_folded_away(params):
    results = made_up.results()
    report = made_up.report(params, results)
    seen = section(report, "Length by length").split("<details>")[0]
    for _, row in results["claims"].iterrows():
        refuted = row["claim"] is not None and row["verdict"] == NOT_SUPPORTED
        assert (row["sentence"] in seen) == (refuted or row["headline"] != ""), row["sentence"]
        assert report.count(row["sentence"]) == 1
    assert "<summary>Length 10, the other 2 statements: 1 supported, 1 undecided</summary>" in report


def test_the_claims_are_listed_with_their_verdicts(report):
    claims = report.split("## The claims, checked")[1].split("\n## ")[0]
    assert "in 3 statements: 2 supported, 1 not supported, 0 undecided." in report
    of_claim = folded(
        claims, "Length 10: the LSTM learns it quickly, the VanillaRNN slowly (1 supported, 1 not supported"
    )
    assert "With 100,000 steps it can still converge to 1" in of_claim
    assert of_claim.count("| so | thus (as) | that |") == 2
    assert (
        folded(claims, "Statements of our own: 0 supported, 0 not supported, 1 undecided").count(
            "| so | thus (as) | that |"
        )
        == 1
    )


def test_a_length_has_its_course_in_numbers(report):
    row = next(line for line in folded(report, "Length 10, ").splitlines() if line.startswith("| VanillaRNN | 16 "))
    assert row == "| VanillaRNN | 16 | 2.3 | 0.46 | never | 0.0000 | 0.02 |"
    assert "| LSTM | 16 | 2.3 | 0.00115 | 13,099 |" in folded(report, "Length 20, ")


def test_each_model_says_its_equations(report):
    models = section(report, "The models")
    for name, line in (("VanillaRNN", r"$$h_t = \tanh(x_t W_{hx}"), ("LSTM", r"$$c_t = g_t \odot i_t")):
        assert f"**{name}.** It starts from $h_0" in models
        assert line in models
    assert "$h_0 = c_0 = 0$" in models


def test_the_code_beside_the_equations_is_the_sources(report):
    code = re.findall(r"```python\n(.*?)\n```", report, flags=re.DOTALL)
    for model in ("VanillaRNN", "LSTM"):
        source = dedent(inspect.getsource(model_class(model).step)).rstrip()
        assert source in code
    (losses,) = [text for text in code if "def discriminator_loss" in text]
    assert "return nn.functional.softplus(-fake).mean()" in losses
    assert '"""' not in losses


def test_what_is_ours_is_in_numbers(report):
    assert "Their test accuracies are 0.990, 0.995." in folded(report, "With more steps")
    helps = section(report, "What would help the VanillaRNN")
    assert "| adam | optimizer Adam | 128 | 2.36 | 2.43 | 1 of 1 | 1 of 1 | 1 of 1 | 1 of 1 |" in helps
    assert "| as reported | nothing | 128 | 2.36 | 2.43 | 0 of 1 | 0 of 1 | 0 of 1 | 1 of 1 |" in helps
    gradients = section(report, "Why: the gradient through time")
    row = "1.0·10⁻⁶ (1.0·10⁻⁷ to 1.0·10⁻⁵) | 99.0% | 97.0% | 80% | 0.050 | 60% | - |"
    assert f"| VanillaRNN | 20 | end | {row}" in gradients
    assert "| LSTM | 20 | end | 0.4 (0.3 to 0.5) | 98.0% | 97.0% | 80% | 0.050 | 60% | 40% |" in gradients
    assert "$\\chi$ is 5.59, so the norm grows by 2.36 a step, and by 5.3·10⁶ from" in gradients
    assert "| 20 | 1.000 | 0.200 | 0.300 | 0.900 | 0.500 |" in gradients
    memory = section(report, "What each model remembers")
    assert "| VanillaRNN | 10 | 0.900 | 0.180 | 0.100 | 0.067 | 0.906 |" in memory


@pytest.mark.parametrize(
    ("value", "told"),
    [(10500.0, "10,500"), (0.0123456, "0.0123"), (1.0, "1"), (3.21e-5, "3.2·10⁻⁵"), (2e6, "2.0·10⁶"), (inf, "∞")],
)
def test_a_number_is_told_as_people_write_it(value, told):
    assert render.significant(value) == told


def test_a_prediction_is_shown_of_the_published_initialisation_alone(params, report):
    settings = params.sequence.model_copy(update={"initialisation": "critical"})
    other = made_up.report(params.model_copy(update={"sequence": settings}), made_up.results())
    assert "Mean-field theory treats" in section(report, "Why: the gradient through time")
    assert "Mean-field theory" not in section(other, "Why: the gradient through time")


def test_the_published_log_is_beside_ours(report):
    row = next(line for line in folded(report, "Length 20, ").splitlines() if line.startswith("| 10,000 |"))
    assert "| 0.701 (0.75) |" in row
    assert next(line for line in folded(report, "Length 10, ").splitlines() if line.startswith("| 6,000 |")).count(
        "0.31"
    )


def test_settings_that_are_not_the_published_ones_are_told(params):
    changed = {"initialisation": "orthogonal", "optimizer": "Adam"}
    other = params.model_copy(update={"sequence": params.sequence.model_copy(update=changed), "precision": "bf16"})
    report = made_up.report(other, made_up.results())
    assert "steps of Adam with learning rate" in report
    assert "The recurrent weights start as `orthogonal`, not as the published ones did." in report
    assert "is drawn from $N(0, 1)$" not in report
    assert "| Matrix products | fp32 | bf16 | Faster |" in report
    assert "Matrix products" not in made_up.report(params, made_up.results())


def test_the_longest_lengths_of_the_study_are_told(report):
    frontier = section(report, "How long can they remember?")
    assert "| VanillaRNN | 64 | orthogonal | effective | 50 |" in frontier
    assert "| LSTM | 64 | as reported | off | 20 |" in frontier


def test_a_length_without_published_figures(params):
    settings = params.sequence.model_copy(update={"lengths": [7]})
    tasks = {(model, 7): (1.0, 100, 0.0) for model in ("VanillaRNN", "LSTM")}
    report = made_up.report(params.model_copy(update={"sequence": settings}), made_up.results(tasks))
    assert "| 7 | LSTM | 1.0000 | - | 1.0000 (0.9996 to 1.0000) | - | 1.0000 | 1 of 1 |" in report
    assert "*The 2023 report says" not in folded(report, "Length 7, ")


@pytest.mark.parametrize("mode", ["as_reported", "effective", "off"])
def test_the_clipping_that_was_set_is_explained(params, mode):
    clip = params.sequence.clip.model_copy(update={"mode": mode})
    settings = params.sequence.model_copy(update={"clip": clip})
    report = made_up.report(params.model_copy(update={"sequence": settings}), made_up.results())
    told = {
        "as_reported": "as in the code of the 2023 report, where it has no effect",
        "effective": "is at most 10.0.",
        "off": "none.",
    }
    for each, words in told.items():
        assert (f"**Clipping**: {words}" in report or f"gradients {words}" in report) == (each == mode)


ERRATA = [
    [r"The formula for $g$ has a sigmoid, the code a $\tanh$."],
    ['"40000-5000"', "It means 40,000 to 50,000.", "leaves out the very last step"],
    ["250 epochs, the caption of the last picture 500.", "Here there are 250."],
    ["The grids are drawn before their epoch's training.", "0, 19, 39, 59, and so on", "shows the untrained generator"],
    ["The interpolation comes from an earlier experiment"],
    ["trained once, with no fixed seed, and tested on 128 sequences.", "0.044"],
    ["has the bias $b_c$, the code $b_g$"],
    ['"Halfway through training" captions two pictures', "epoch 40 and of epoch 100", "Half of 250 epochs"],
    ["The game is not zero-sum, though the text says so.", "the non-saturating loss"],
]


def test_every_erratum_is_stated(report):
    errata = report.split("## Errata")[1].split("\n## ")[0]
    for part in (
        *("**The clipping has no effect.**", "to try to handle exploding gradients", "training without clipping"),
        "-S sequence.clip.mode=effective",
    ):
        assert part in errata
    stated = re.findall(r"^(\d+)\. (.+)$", errata, flags=re.MULTILINE)
    assert [number for number, _ in stated] == [str(number + 1) for number in range(len(ERRATA))]
    for (_, words), parts in zip(stated, ERRATA, strict=True):
        for part in parts:
            assert part in words


def test_every_parameter_is_in_the_settings(report, params):
    table = folded(report, "All settings")
    for section_name in ("sequence", "longer", "gradients", "ablation", "gan"):
        for key in getattr(params, section_name).model_dump():
            assert f"`{section_name}.{key}" in table


def test_one_more_statement_is_told_without_a_plural(params):
    results = made_up.results()
    results["claims"] = results["claims"].assign(section=["walk", "length 10", "length 10", "walk"])
    report = made_up.report(params, results)
    assert "1 statement" not in report
    assert "<summary>With more steps</summary>" in report
    walk = section(report, "A walk in latent space")  # no finding of the first rank: all are seen
    assert "It is so, 0." in walk.split("<details>")[0]
    assert "*Ours:* It is so, 3." in walk.split("<details>")[0]
    results["claims"] = results["claims"].assign(section=["length 10", "length 10", "walk", "walk"])
    report = made_up.report(params, results)
    assert "<summary>Length 10, one more statement: supported</summary>" in report
    assert "<summary>One more statement: undecided</summary>" in section(report, "A walk in latent space")


def test_a_refuted_statement_on_more_steps_is_seen(params):
    results = made_up.results()
    results["claims"].loc[1, "section"] = "longer"
    seen = section(made_up.report(params, results), "Length by length").split("<details>")[0]
    assert "It is so, 1." in seen


def test_published_numbers_can_be_refuted_by_many_runs_only(params):
    few, many = "so few runs cannot refute them", "to refute one takes 39 runs"
    report = made_up.report(params, made_up.results())
    assert few in report
    assert many in report
    settings = params.sequence.model_copy(update={"replicates": {"VanillaRNN": 39, "LSTM": 6}})
    report = made_up.report(params.model_copy(update={"sequence": settings}), made_up.results())
    assert few not in report
    assert many not in report


def test_the_first_reach_is_told_for_each_length(report):
    assert "The median VanillaRNN reaches 0.99 at step 3,099 (length 5) and never at lengths 10, 15 and 20;" in report


@pytest.mark.parametrize(
    ("value", "digits", "told"),
    [(1.0, 0, "100%"), (0.9995, 1, "99.95%"), (0.9995, 2, "99.95%"), (0.5, 0, "50%"), (None, 0, "-")],
)
def test_less_than_all_is_never_told_as_100_percent(value, digits, told):
    assert render._percent(value, digits) == told


@pytest.mark.parametrize("cosine", [0.0, 0.5])
def test_growth_and_cosines_are_told_as_they_are(params, cosine):
    results = made_up.results()
    start = results["gradients"].assign(when="start", growth_median=[50.0, 1.0, 0.5, 1.0])
    start["cosine"] = np.where(start["model"] == "VanillaRNN", cosine, 0.4)
    halfway = start.assign(when="halfway", cosine=np.where(start["model"] == "VanillaRNN", -1e-4, 0.2))
    results["gradients"] = pd.concat([results["gradients"], start, halfway])
    gradients = section(made_up.report(params, results), "Why: the gradient through time")
    assert f"have a cosine of {cosine:.3f} (VanillaRNN) and 0.400 (LSTM) before training" in gradients
    assert "and of 0.000 (VanillaRNN) and 0.200 (LSTM) halfway through it." in gradients
    assert "becomes 50 times as large (VanillaRNN) and 0.5 times as large (LSTM)." in gradients


def test_the_grids_are_those_of_which_the_claim_speaks(params):
    results = made_up.results() | {"grid_epochs": [0, 20, 40, 100, 200, 250]}
    shown = made_up.report(params, results).split('<div class="slider">')[1].split("\n")[2]
    assert shown == "| before training | after epoch 40 | after epoch 100 | after epoch 250 |"


def templates() -> dict[str, nodes.Template]:
    environment = render._environment(autoescape=False)
    names = environment.list_templates(filter_func=lambda name: name.endswith(".j2"))
    return {name: environment.parse(environment.loader.get_source(environment, name)[0]) for name in names}


def test_no_template_judges():
    """None has a number that is compared as larger or smaller: whoever judges gives the template words."""
    found = templates()
    assert {"report.md.j2", "part1.md.j2", "part2.md.j2"} <= found.keys()
    judging = {"gt", "gteq", "lt", "lteq"}
    for name, tree in found.items():
        compared = [one.lineno for one in tree.find_all(nodes.Operand) if one.op in judging]
        assert (name, compared) == (name, [])
    assert [one.op for one in Environment().parse("{% if x > 0.1 %}{% endif %}").find_all(nodes.Operand)] == ["gt"]


def test_a_template_reads_no_table_and_each_name_is_read(params):
    context = build(params, made_up.results())
    assert [name for name, value in context.items() if isinstance(value, pd.DataFrame)] == []
    read = set().union(*map(meta.find_undeclared_variables, templates().values()))
    assert context.keys() <= read


@pytest.mark.parametrize(("precision", "told"), [(0.11, True), (0.1, False), (None, False)])
def test_a_high_precision_of_noise_is_told(params, precision, told):
    results = made_up.results()
    epochs = results["quality_by_epoch"]
    first = epochs["epoch"] == epochs["epoch"].min()
    results["quality_by_epoch"] = epochs.assign(precision=epochs["precision"].where(~first, precision))
    words = f"all images are noise, and precision is {precision or 0:.3f}, but coverage"
    assert (words in section(made_up.report(params, results), "The images")) == told


def test_the_report_has_every_section_that_a_claim_names(params):
    sections = build(params, made_up.results())["said"].keys()
    for path in (SEQUENCE_CLAIMS, GAN_CLAIMS):
        named = Claims(path).sections()
        assert named
        assert named <= sections


def test_no_gaps_are_left(report):
    prose = re.sub("```.*?```", "", report, flags=re.DOTALL)
    assert not re.search(r"\S  +\S| $| [,;.]|None|\bnan\b|\{\{|\{%", prose, flags=re.MULTILINE)
    assert "\n\n\n" not in report


def test_a_missing_number_is_an_error(params):
    context = build(params, made_up.results())
    del context["runs_of_each"]
    with pytest.raises(UndefinedError, match="runs_of_each"):
        markdown(context)


@pytest.mark.parametrize(
    ("commit", "told"),
    [("'0a1b2c3'", "Commit `0a1b2c3` of 2026-01-02 froze"), ("", "Statements and tests are not frozen yet.")],
)
def test_the_report_says_by_which_commit_the_tests_were_fixed_or_that_they_were_not(
    params, monkeypatch, tmp_path, commit, told
):
    frozen = tmp_path / "frozen.yaml"
    frozen.write_text(f"commit: {commit}\ndate: '2026-01-02'\n")
    monkeypatch.setattr(context, "FROZEN", frozen)
    report = made_up.report(params, made_up.results())
    assert told in report
    assert report.count("frozen yet") + report.count("`0a1b2c3`") == 1


def test_a_verdict_that_the_correction_takes_is_printed_beside_it(params):
    results = made_up.results()
    results["claims"].loc[1, "corrected"] = UNDECIDED
    report = made_up.report(params, results)
    assert "It is so, 1. *Undecided after [Holm's correction](#the-claims-checked).*\n" in report
    row = next(line for line in report.splitlines() if line.startswith("| so ") and "✗ not supported</span>" in line)
    assert row.endswith("✗ not supported</span>; after correction: undecided | sees all |")
    assert "1 of the 3 decided statements becomes undecided." in report


def test_the_published_logs_stand_beside_the_same_steps(params):
    found = made_up.results()
    steps = found["steps"]["LSTM", 20]
    assert 8000 in steps["step"].tolist()
    steps.loc[steps["step"] == 8000, ["loss", "accuracy"]] = 1.25, 0.515625
    assert "1.67 (0.41) | 1.25 (0.52)" in folded(markdown(build(params, found)), "Length 20, ")

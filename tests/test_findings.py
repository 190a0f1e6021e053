"""The numbers that the report's sentences turn on."""

from dataclasses import replace

import pytest

import made_up
from dlreport.report.findings import conclude, find, outcome, slows_with_length


@pytest.mark.parametrize(
    ("solved", "test", "expected"), [(1, 1, "solved"), (0.8, 1, "partly"), (0, 0.2, "partly"), (0, 0.19, "lost")]
)
def test_outcomes(solved, test, expected):
    assert outcome(solved, test) == expected


@pytest.fixture
def findings(params):
    results = made_up.results()
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

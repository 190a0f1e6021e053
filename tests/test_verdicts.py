"""The tests behind the verdicts: supported, not supported or undecided."""

from math import inf

import pytest

from dlreport.statistics.verdicts import (
    NOT_SUPPORTED,
    SUPPORTED,
    UNDECIDED,
    kendall_trend,
    majority,
    mann_whitney,
    mean_in_range,
    prediction,
)


@pytest.mark.parametrize(("holding", "verdict"), [(5, SUPPORTED), (4, UNDECIDED), (1, UNDECIDED), (0, NOT_SUPPORTED)])
def test_majority(holding, verdict):
    outcome = majority([True] * holding + [False] * (5 - holding), 0.95)
    assert (outcome.verdict, outcome.evidence) == (verdict, f"{holding} of 5 runs")


def test_one_run_says_nothing_of_most_nor_of_a_mean():
    assert majority([True], 0.95).verdict == UNDECIDED
    assert mean_in_range([0.12], 0.1, 0.14, 0.95).verdict == UNDECIDED
    assert prediction([0.5], 0.5, 0.95).verdict == UNDECIDED


@pytest.mark.parametrize(
    ("values", "verdict"),
    [([0.12, 0.121, 0.119], SUPPORTED), ([0.3, 0.31, 0.29], NOT_SUPPORTED), ([0.13, 0.14, 0.15], UNDECIDED)],
)
def test_mean_in_range(values, verdict):
    assert mean_in_range(values, 0.1, 0.14, 0.95).verdict == verdict


def test_mann_whitney_and_kendall_trend():
    low, high = [1.0, 2, 3, 4, 5], [6.0, 7, 8, 9, inf]
    assert mann_whitney(low, high, 0.95).verdict == SUPPORTED
    assert mann_whitney(high, low, 0.95).verdict == NOT_SUPPORTED
    assert mann_whitney(low, low, 0.95).verdict == UNDECIDED
    assert kendall_trend([low, high], 0.95).verdict == SUPPORTED
    assert kendall_trend([high, low], 0.95).verdict == NOT_SUPPORTED
    assert kendall_trend([low], 0.95).verdict == UNDECIDED


def test_mann_whitney_is_exact_with_ties_too():
    """One way of 252 to divide ten values has all the small ones in the first five; of six values one of 20."""
    assert "p = 0.004" in mann_whitney([5.0] * 5, [inf] * 5, 0.95).evidence
    assert mann_whitney([1.0] * 3, [2.0] * 3, 0.95).verdict == UNDECIDED  # p = 0.05 is not below 0.05
    assert mann_whitney([1.0], [2.0], 0.95).verdict == UNDECIDED


def test_prediction_is_students_interval():
    values = [0.8, 0.9, 1.0]
    half = 4.302653 * 0.1 * (4 / 3) ** 0.5
    for distance, verdict in ((0.99, SUPPORTED), (1.01, NOT_SUPPORTED)):
        assert prediction(values, 0.9 - distance * half, 0.95).verdict == verdict

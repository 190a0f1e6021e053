"""Intervals against published ones, and within what is possible."""

from math import isnan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlreport.statistics.intervals import exact, of_median, student


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    # Newcombe, 1998, Statistics in Medicine 17, table I, method 5.
    [
        *((81, 263, (0.2527, 0.3676)), (15, 148, (0.0578, 0.1617))),
        *((0, 20, (0.0, 0.1684)), (1, 29, (0.0009, 0.1776))),
    ],
)
def test_shares_have_published_intervals(successes, trials, expected):
    assert exact(successes, trials, 0.95) == pytest.approx(expected, abs=5e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 500), st.data(), st.floats(0.5, 0.999))
def test_intervals_of_shares_hold_the_share_and_stay_within_0_and_1(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    low, high = exact(successes, trials, confidence)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1
    assert exact(trials - successes, trials, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-9)


def test_the_interval_of_a_median_is_between_two_of_the_values():
    """David and Nagaraja, 2003: of twenty the 6th and the 15th, of six the ends, and of five even these are not
    enough."""
    assert of_median(list(range(1, 21)), 0.95) == (6, 15)
    assert of_median([0.9, 1.0, 0.7, 0.8, 1.0, 1.0], 0.95) == (0.7, 1.0)
    assert of_median([1.0] * 6, 0.95) == (1, 1)
    for few in ([1.0, 2, 3, 4, 5], [1.0]):
        assert all(map(isnan, of_median(few, 0.95)))


def test_the_interval_of_a_median_holds_it_as_often_as_it_says():
    """Of a skewed distribution, where Student's holds its mean too rarely."""
    draws = np.random.default_rng(0).exponential(size=(400, 6))
    held = [low <= np.log(2) <= high for low, high in (of_median(values.tolist(), 0.95) for values in draws)]
    assert np.mean(held) > 0.94


def test_student():
    half = 4.302653 * 0.1 / 3**0.5  # two degrees of freedom
    assert student([0.8, 0.9, 1.0], 0.95) == pytest.approx((0.9 - half, 0.9 + half))
    assert student([0.8, 1.0], 0.95) == pytest.approx((0.9 - 1.2706205, 0.9 + 1.2706205))  # one degree
    assert all(map(isnan, student([0.8], 0.95)))


def test_another_confidence_makes_another_interval():
    """At 90% and, of the median of twenty, at 80%, where the 7th and the 14th value are enough."""
    assert exact(0, 20, 0.9) == pytest.approx((0, 1 - 0.05 ** (1 / 20)))
    assert of_median(list(range(1, 21)), 0.8) == (7, 14)
    half = 2.919986 * 0.1 / 3**0.5  # two degrees of freedom
    assert student([0.8, 0.9, 1.0], 0.9) == pytest.approx((0.9 - half, 0.9 + half))

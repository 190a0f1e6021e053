"""Wilson's interval against published ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlreport.statistics.intervals import wilson


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    # Newcombe, 1998, Statistics in Medicine 17, table I, method 3.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_gives_published_intervals(successes, trials, expected):
    assert wilson(successes, trials, 0.95) == pytest.approx(expected, abs=5e-5)


@given(st.integers(1, 500), st.data(), st.floats(0.5, 0.999))
def test_wilson_holds_the_proportion_and_stays_within_0_and_1(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials, confidence)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1
    assert wilson(trials - successes, trials, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-12)

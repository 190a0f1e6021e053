"""The tests behind the verdicts: supported, not supported or undecided, at the least numbers that decide."""

from itertools import combinations
from math import inf, isfinite

import numpy as np
import pytest
from scipy.stats import binom

from dlreport.statistics.intervals import of_median
from dlreport.statistics.verdicts import (
    NOT_SUPPORTED,
    NOTHING,
    STEPS,
    SUPPORTED,
    UNDECIDED,
    at_least_one,
    deciding_runs,
    majority,
    mann_whitney,
    mean_in_range,
    median_in_range,
    one_of_ours,
    trend,
)


def of(holding: int, runs: int) -> list[bool]:
    return [True] * holding + [False] * (runs - holding)


@pytest.mark.parametrize(
    ("holding", "runs", "verdict"),
    [
        *((5, 5, UNDECIDED), (0, 5, UNDECIDED), (1, 1, UNDECIDED)),  # 2 / 2^5 is more than 0.05
        *((6, 6, SUPPORTED), (5, 6, UNDECIDED), (0, 6, NOT_SUPPORTED)),
        *((15, 20, SUPPORTED), (14, 20, UNDECIDED), (6, 20, UNDECIDED), (5, 20, NOT_SUPPORTED)),
    ],
)
def test_majority(holding, runs, verdict):
    outcome = majority(of(holding, runs), 0.95)
    assert outcome.verdict == verdict
    assert outcome.evidence.startswith(f"{holding} of {runs} runs, share 0.")
    assert (outcome.p <= 0.05) == (verdict != UNDECIDED)


@pytest.mark.parametrize(("confidence", "runs"), [(0.5, 2), (0.9, 5), (0.95, 6), (0.99, 8)])
def test_so_many_runs_can_decide_and_one_less_cannot(confidence, runs):
    """If something holds in all n runs, the p-value is 2 / 2^n. A median has an interval from as many runs on."""
    assert deciding_runs(confidence) == runs
    for number in (runs - 1, runs):
        assert (majority([True] * number, confidence).verdict == SUPPORTED) == (number == runs)
        assert isfinite(of_median([1.0] * number, confidence)[1]) == (number == runs)


def test_the_power_of_a_share_is_computed():
    """At the share that it names, the number that decides is found in four cases of five."""
    assert majority(of(3, 5), 0.95).power == NOTHING
    assert majority(of(3, 6), 0.95).power == "decides from 6 of 6 runs on, shows a share above 0.96"
    assert binom.sf(5, 6, 0.96) == pytest.approx(0.8, abs=0.02)
    assert majority(of(3, 20), 0.95).power == "decides from 15 of 20 runs on, shows a share above 0.80"
    assert binom.sf(14, 20, 0.80) == pytest.approx(0.8, abs=0.02)


def test_one_run_is_proof_that_a_thing_can_be():
    verdicts = [at_least_one(of(holding, runs), 0.95).verdict for holding, runs in ((1, 20), (1, 1), (0, 5), (0, 6))]
    assert verdicts == [SUPPORTED, SUPPORTED, UNDECIDED, NOT_SUPPORTED]


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.115, 0.118, 0.12, 0.12, 0.121, 0.13], SUPPORTED),
        ([0.12] * 5, UNDECIDED),
        ([0.12] * 5 + [0.3], UNDECIDED),  # of six all have to be in
        ([0.12] * 18 + [0.3, 0.9], SUPPORTED),  # two of twenty have no say, however far they are
        ([0.1] * 18 + [0.12, 0.12], NOT_SUPPORTED),
        ([0.3] * 6, NOT_SUPPORTED),
        ([0.12], UNDECIDED),
        *(([0.11] * 6, SUPPORTED), ([0.13] * 6, SUPPORTED)),  # the edges are in the range
        *(([0.05] * 2 + [0.11] * 4, UNDECIDED), ([0.13] * 4 + [0.3] * 2, UNDECIDED)),
    ],
)
def test_median_in_range(values, verdict):
    outcome = median_in_range(values, 0.11, 0.13, 0.95)
    assert outcome.verdict == verdict
    assert (outcome.p <= 0.05) == (verdict != UNDECIDED)


def test_a_median_is_given_with_its_interval_and_with_what_it_can_see():
    outcome = median_in_range([0.1, 0.2, 0.3, 0.4, 0.5, 0.9], 0, 1, 0.95)
    assert (outcome.evidence, outcome.power) == (
        "median 0.35, interval 0.1 to 0.9",
        "shows a median 0.55 beyond the threshold",
    )
    alone = median_in_range([inf], 0, 1, 0.95)
    assert (alone.evidence, alone.power, alone.verdict) == ("median ∞ of 1 runs", NOTHING, UNDECIDED)
    never = median_in_range([inf] * 6, 0, 1, 0.95)
    assert (never.evidence, never.power, never.verdict) == ("median ∞, interval ∞ to ∞", NOTHING, NOT_SUPPORTED)


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        *(([0.12, 0.121, 0.119], SUPPORTED), ([0.3, 0.31, 0.29], NOT_SUPPORTED), ([0.01, 0.011, 0.012], NOT_SUPPORTED)),
        *(([0.13, 0.14, 0.15], UNDECIDED), ([0.12], UNDECIDED)),
    ],
)
def test_mean_in_range(values, verdict):
    outcome = mean_in_range(values, 0.1, 0.14, 0.95)
    assert outcome.verdict == verdict
    if len(values) > 1:
        assert (outcome.p <= 0.05) == (verdict != UNDECIDED)


def test_mann_whitney():
    low, high = [1.0, 2, 3, 4, 5], [6.0, 7, 8, 9, inf]
    assert mann_whitney(low, high, 0.95).verdict == SUPPORTED
    assert mann_whitney(high, low, 0.95).verdict == NOT_SUPPORTED
    assert mann_whitney(low, low, 0.95).verdict == UNDECIDED
    assert mann_whitney([1.0], [2.0], 0.95).verdict == UNDECIDED


def test_a_median_is_that_of_a_run_where_a_step_may_never_come():
    found = mann_whitney([1.0, 2, 3, 4], [5.0, 6, inf, inf], 0.95, ("this", "that"), unit=STEPS)
    assert found.evidence.startswith("medians: this 3 steps, that never; p = ")
    assert mann_whitney([1.0, 2], [3.0, 4], 0.95, what="medians of it").evidence.startswith(
        "medians of it: first 1.5, second 3.5; p = "
    )
    by_length = trend([[1.0, 2, 3], [1_500.0, inf, inf]], 0.95, "length", STEPS)
    assert by_length.evidence.startswith("medians by length: 2 steps; never; Kendall's tau ")


def test_mann_whitney_is_two_sided():
    """The LSTM's spreads at lengths 5 and 10 in version 1.0: 7 of 252 ways to divide ten values are as far out to one
    side, and as many to the other."""
    outcome = mann_whitney([1.0, 2, 3, 4, 8], [5.0, 6, 7, 9, 10], 0.95)
    assert outcome.p == pytest.approx(2 * 7 / 252)
    assert outcome.verdict == UNDECIDED


def test_mann_whitney_is_exact_with_ties_too():
    """One way of 252 to divide ten values has all the small ones in the first five; of six values one of 20."""
    assert mann_whitney([5.0] * 5, [inf] * 5, 0.95).p == pytest.approx(2 / 252)
    assert mann_whitney([1.0] * 3, [2.0] * 3, 0.95).verdict == UNDECIDED  # p = 0.1
    assert mann_whitney([1.0] * 3, [2.0] * 3, 0.9).verdict == SUPPORTED
    assert mann_whitney([5.0] * 6, [inf] * 20, 0.95).verdict == SUPPORTED  # of unequal numbers, by random ways
    # ranks, where equal values share theirs; five of them, in every way, that make as little as the first five or less
    ranks = [2, 2, 2, 5, 5, 5, 7, 8, 9.5, 9.5]
    far = sum(sum(some) <= sum(ranks[:5]) for some in combinations(ranks, 5))
    assert mann_whitney([1, 1, 1, 2, 2], [2, 3, 4, 5, 5], 0.95).p == pytest.approx(2 * far / 252)


def test_random_ways_are_the_same_each_time():
    few, many = [1.0, 2, 2, 3, 3, 4, 5, 5, 6, 7], [2.0, 3, 4, 4, 5, 6, 7, 8, 8, 9]
    assert len({mann_whitney(few, many, 0.95).p for _ in range(3)}) == 1
    assert len({trend([few, many], 0.95).p for _ in range(3)}) == 1


def test_the_power_of_mann_whitneys_test_is_computed():
    assert mann_whitney([1.0] * 3, [2.0] * 3, 0.95).power == NOTHING  # even all apart have p = 0.1
    by_runs = [mann_whitney([1.0] * few, [2.0] * many, 0.95).power for few, many in ((5, 5), (6, 20), (20, 20))]
    seen = [float(phrase.split()[4]) for phrase in by_runs]
    assert seen[0] > seen[1] > seen[2]
    assert by_runs[1] == "shows a difference of 1.5 standard deviations"
    assert seen[2] == pytest.approx(0.93, abs=0.1)  # Student's test of 20 and 20 sees 0.91


def test_trend():
    low, high = [1.0, 2, 3, 4, 5], [6.0, 7, 8, 9, inf]
    assert trend([low, high], 0.95).verdict == SUPPORTED
    assert trend([high, low], 0.95).verdict == NOT_SUPPORTED
    assert trend([low], 0.95).verdict == UNDECIDED
    assert trend([low, low], 0.95).verdict == UNDECIDED


def test_a_trend_has_the_p_value_of_all_orders():
    """Of the 120 orders of five values two are without a turn; of twice five 2 / 252 have all small ones first."""
    assert trend([[1], [2], [3], [4], [5]], 0.95).p == pytest.approx(2 / 120)
    assert trend([[1.0, 2, 3, 4, 5], [6.0, 7, 8, 9, inf]], 0.95).p == pytest.approx(2 / 252, abs=0.004)
    assert "tau 1.00" in trend([[1], [2], [3], [4], [5]], 0.95).evidence


def test_the_power_of_a_trend_is_its_critical_value():
    """Of twenty values without ties it is 0.326 in tables of Kendall's tau."""
    assert trend([[1], [2], [3]], 0.95).power == NOTHING
    least = float(trend([[value] for value in range(20)], 0.95).power.split()[5])
    assert least == pytest.approx(0.326, abs=0.02)


@pytest.mark.parametrize(
    ("runs", "published", "verdict"),
    [
        *((20, 0.5, SUPPORTED), (20, 1.5, UNDECIDED), (38, 1.5, UNDECIDED), (39, 1.5, NOT_SUPPORTED)),
        *((39, -0.5, NOT_SUPPORTED), (5, 0.5, UNDECIDED), (6, 0.5, SUPPORTED), (1, 0.5, UNDECIDED)),
        *((20, 0.01, SUPPORTED), (20, 0, SUPPORTED), (20, 1, SUPPORTED)),  # one of ours is as far out
    ],
)
def test_a_published_value_is_judged_by_its_rank(runs, published, verdict):
    outcome = one_of_ours(np.linspace(0, 1, runs).tolist(), published, 0.95)
    assert outcome.verdict == verdict
    assert outcome.power == "can be refuted from 39 runs on"
    if not 0 <= published <= 1:
        assert outcome.p == pytest.approx(2 / (runs + 1))
    assert outcome.p <= 1


def test_a_published_test_has_the_error_of_its_sequences():
    """Models that are right in 0.9 of cases have 0.95 or more in a test of 20 sequences now and then (chance 0.39)."""
    ours = [0.9] * 20
    assert one_of_ours(ours, 0.95, 0.95).verdict == UNDECIDED
    tested = one_of_ours(ours, 0.95, 0.95, trials=20)
    assert tested.verdict == SUPPORTED
    assert tested.p == pytest.approx(2 * (1 + 20 * binom.sf(18, 20, 0.9)) / 21)
    assert "in tests of 20 sequences 7.8 of 20 runs are expected at or beyond that" in tested.evidence
    assert one_of_ours(ours, 0.2, 0.95, trials=20).verdict == UNDECIDED
    assert one_of_ours([1.0] * 6, 1.0, 0.95, trials=128).verdict == SUPPORTED
    assert one_of_ours([0.9] * 39, 0.2, 0.95, trials=20).verdict == NOT_SUPPORTED


def test_where_nothing_holds_a_test_errs_as_rarely_as_it_says():
    """Two sets of runs, a half of what holds, and a median just on an edge: 300 cases of chance alone each."""
    rng = np.random.default_rng(1)
    wrong = {
        "shares": lambda: majority(rng.integers(2, size=20).tolist(), 0.95),
        "medians": lambda: median_in_range(rng.exponential(size=20).tolist(), np.log(2), inf, 0.95),
        "sets": lambda: mann_whitney(rng.exponential(size=6).tolist(), rng.exponential(size=20).tolist(), 0.95),
    }
    for name, case in wrong.items():
        share = np.mean([case().verdict != UNDECIDED for _ in range(300)])
        assert share < 0.08, name  # 0.05, and three times the error of 300 cases at the tests' own 0.04

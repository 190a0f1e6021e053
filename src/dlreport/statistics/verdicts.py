"""Tests whose outcome is a verdict: supported, not supported or undecided. docs/statistics.md gives the reasons.

majority        Something holds in most runs. Supported if the exact interval of its share of all runs lies above a
                half, not supported if the interval lies below. At 95%, fewer than six runs decide nothing.
at_least_one    Something can happen. One run in which it happens is proof. If it happens in no run, `majority` decides.
median_in_range The runs' median lies in a range. Supported if its exact interval lies inside, not supported if the
                interval lies outside. At 95%, fewer than six runs decide nothing.
mean_in_range   The same for the mean, by Student's t. It is for three to five runs whose numbers are near to normal.
mann_whitney    One set of runs has smaller values than another. Mann and Whitney's test tries every way to divide the
                values into two such sets. Where values tie and there are more than 20,000 ways, it tries as many
                random ones.
trend           Values grow from group to group. Kendall's tau is compared with the tau of 10,000 random orders.
one_of_ours     A published value could be one more run of ours, by its rank among our runs.

All p-values are two-sided: at 95% a verdict errs in at most one case of twenty, both directions counted. Each outcome
also says which effect so many runs can show. For a comparison of two sets, and for a share, it is the effect that would
be found in four cases of five.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import count
from math import ceil, inf, isfinite, isnan
from statistics import mean, median, median_high
from typing import Any

import numpy as np

from dlreport.statistics.intervals import exact, of_median, student

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
SEEN = 0.8  # how often a test finds the effect that its outcome says it can show
STEPS = " steps"  # the unit of a number that is infinite if something never happens
NOTHING = "decides nothing with so few runs"  # also used if all runs are alike

# scipy is imported where it is used, as its import takes a second.


@dataclass(frozen=True)
class Outcome:
    verdict: str
    evidence: str
    level: float | None = None  # the confidence of the test
    p: float | None = None  # two-sided; it decides if it is at most 1 - level; None if the test has no p-value
    power: str = NOTHING  # which effect so many runs can show


def _number(value: float) -> str:
    if value == inf:
        return "∞"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _middle(values: Sequence[float], unit: str) -> str:
    """Say the median in words. Steps can be infinite, so of two middle runs the later one counts, as in the report's
    tables."""
    value = median_high(values) if unit == STEPS else median(values)
    return "never" if value == inf and unit == STEPS else f"{_number(value)}{unit}"


def _beyond(what: str, centre: float, low: float, high: float) -> str:
    """Say what an interval can show: a value decides if it lies beyond the threshold by the interval's longer half."""
    return f"shows a {what} {_number(float(f'{max(centre - low, high - centre):.2g}'))} beyond the threshold"


def small(p: Any, confidence: Any) -> Any:
    """Whether a p-value, or each of an array, decides at this confidence. NaN decides nothing."""
    return p <= 1 - confidence + 1e-12  # in floating point 1 - 0.95 is not quite 0.05


@cache
def _sign_p(successes: int, trials: int) -> float:
    """Return the two-sided p-value against a share of a half. It is at most 0.05 exactly if the exact 95% interval
    leaves out a half."""
    from scipy.stats import binomtest

    return float(binomtest(successes, trials).pvalue)


@cache
def _fewest(trials: int, confidence: float) -> int | None:
    """Return the smallest number of runs, out of `trials`, that proves a majority. It is None if even all of them do
    not."""
    enough = (k for k in range(trials // 2 + 1, trials + 1) if small(_sign_p(k, trials), confidence))
    return next(enough, None)


def majority(holds: Sequence[bool], confidence: float) -> Outcome:
    holding, trials = sum(map(bool, holds)), len(holds)
    p = _sign_p(holding, trials)
    verdict = UNDECIDED
    if small(p, confidence):
        verdict = SUPPORTED if holding > trials / 2 else NOT_SUPPORTED
    low, high = exact(holding, trials, confidence)
    evidence = f"{holding} of {trials} runs, share {low:.2f} to {high:.2f}"
    return Outcome(verdict, evidence, confidence, p, _power_of_shares(trials, confidence))


def _power_of_shares(trials: int, confidence: float) -> str:
    from scipy.stats import beta

    if (fewest := _fewest(trials, confidence)) is None:
        return NOTHING
    share = beta.ppf(SEEN, fewest, trials - fewest + 1)  # at this share, `fewest` or more hold in SEEN of cases
    return f"decides from {fewest} of {trials} runs on, shows a share above {share:.2f}"


def at_least_one(holds: Sequence[bool], confidence: float) -> Outcome:
    """One run in which it holds is proof. Such a verdict has no p-value."""
    found = majority(holds, confidence)
    if any(holds):
        return Outcome(SUPPORTED, found.evidence, confidence, power="one run is proof")
    return found


def median_in_range(values: Sequence[float], at_least: float, at_most: float, confidence: float) -> Outcome:
    """The median lies above an edge if a majority of the values do, and below it likewise."""

    def p_value(inside: Sequence[bool]) -> float:
        """Return the p-value of a majority, or 1 if no more than half of the runs are inside."""
        return _sign_p(sum(inside), len(inside)) if sum(inside) > len(inside) / 2 else 1.0

    within = max(p_value([value >= at_least for value in values]), p_value([value <= at_most for value in values]))
    beside = min(p_value([value < at_least for value in values]), p_value([value > at_most for value in values]))
    verdict = SUPPORTED if small(within, confidence) else NOT_SUPPORTED if small(beside, confidence) else UNDECIDED
    middle, (low, high) = float(np.median(values)), of_median(values, confidence)
    evidence, power = f"median {_number(middle)} of {len(values)} runs", NOTHING
    if not isnan(low):
        evidence = f"median {_number(middle)}, interval {_number(low)} to {_number(high)}"
    if isfinite(high):
        power = _beyond("median", middle, low, high)
    return Outcome(verdict, evidence, confidence, min(within, beside), power)


def mean_in_range(values: Sequence[float], at_least: float, at_most: float, confidence: float) -> Outcome:
    low, high = student(values, confidence)
    verdict = NOT_SUPPORTED if high < at_least or low > at_most else UNDECIDED
    if at_least <= low and high <= at_most:
        verdict = SUPPORTED
    interval = f"{len(values)} of them alike" if len(values) > 1 else "one run"
    power = NOTHING
    if not isnan(low):
        interval = f"{_number(low)} to {_number(high)}"
        power = _beyond("mean", mean(values), low, high)
    evidence = f"{_number(mean(values))} ({interval})"
    return Outcome(verdict, evidence, confidence, _student_p(values, at_least, at_most), power)


def _student_p(values: Sequence[float], at_least: float, at_most: float) -> float | None:
    """Return the larger of the p-values against the range's two edges. It is at most 0.05 exactly if the 95% interval
    contains neither edge. It is None if all values are equal, or if the range has no finite edge."""
    from scipy.stats import ttest_1samp

    edges = [edge for edge in (at_least, at_most) if isfinite(edge)]
    if len(set(values)) < 2 or not edges:
        return None
    return max(float(ttest_1samp(values, edge).pvalue) for edge in edges)


def mann_whitney(
    smaller: Sequence[float],
    larger: Sequence[float],
    confidence: float,
    names: tuple[str, str] = ("first", "second"),
    unit: str = "",
    what: str = "medians",
) -> Outcome:
    """Whether the first set has smaller values. Infinity, as of a step that was never reached, is the largest value.

    The evidence names the two sets by `names`, their values' unit by `unit`, and what is compared by `what`.
    """
    from scipy.stats import PermutationMethod, mannwhitneyu

    each = zip(names, (smaller, larger), strict=True)
    medians = f"{what}: " + ", ".join(f"{name} {_middle(values, unit)}" for name, values in each)
    if min(len(smaller), len(larger)) < 2:
        return Outcome(UNDECIDED, f"{medians}; one run", confidence, power=NOTHING)
    together = [*smaller, *larger]
    # if values tie, scipy by itself would choose the approximation that is meant for many values
    ties = len(set(together)) < len(together)
    method = PermutationMethod(n_resamples=20_000, rng=0) if ties else "exact"
    statistic, p = mannwhitneyu(smaller, larger, method=method)
    verdict = UNDECIDED
    if small(p, confidence):
        verdict = SUPPORTED if statistic < len(smaller) * len(larger) / 2 else NOT_SUPPORTED
    seen = _difference_seen(len(smaller), len(larger), confidence)
    power = NOTHING if seen is None else f"shows a difference of {seen:.1f} standard deviations"
    return Outcome(verdict, f"{medians}; p = {p:.2g}", confidence, float(p), power)


@cache
def _difference_seen(few: int, many: int, confidence: float) -> float | None:
    """Return the smallest difference of two sets of normal values, in standard deviations, that the test finds in SEEN
    of 2,000 random cases. It is None if the test can find nothing."""
    from scipy.stats import mannwhitneyu

    def p_values(difference: float, cases: int) -> np.ndarray:
        rng = np.random.default_rng(0)
        first, second = rng.normal(size=(cases, few)), rng.normal(size=(cases, many)) + difference
        return mannwhitneyu(first, second, axis=1, method="exact").pvalue

    if not small(p_values(100, 1)[0], confidence):
        return None
    differences = np.arange(1, 100) / 10
    return next((d for d in differences if small(p_values(d, 2_000), confidence).mean() >= SEEN), None)


def trend(groups: Sequence[Sequence[float]], confidence: float, by: str = "group", unit: str = "") -> Outcome:
    """Whether values grow from group to group. Infinity is the largest value. The evidence names the groups by `by` and
    the values' unit by `unit`."""
    from scipy.stats import kendalltau, permutation_test, rankdata

    order = np.array([index for index, group in enumerate(groups) for _ in group])
    values = [value for group in groups for value in group]
    if len(groups) < 2 or len(values) < 3 or len(set(values)) < 2:
        return Outcome(UNDECIDED, "too few values, or none that differ", confidence, power=NOTHING)
    later = np.sign(order - order[:, None])

    def pairs(ranks: np.ndarray, axis: int) -> np.ndarray:
        """Return the number of pairs in order minus the number out of order, for each row of ranks. Tau is a constant
        times this number."""
        return (later * np.sign(ranks[..., None, :] - ranks[..., :, None])).sum((-2, -1))

    options = {"permutation_type": "pairings", "vectorized": True, "n_resamples": 10_000, "batch": 1_000}
    found = permutation_test((rankdata(values),), pairs, **options, axis=-1, rng=0)
    tau, p = float(kendalltau(order, values).statistic), float(found.pvalue)
    verdict = UNDECIDED
    if small(p, confidence):
        verdict = SUPPORTED if tau > 0 else NOT_SUPPORTED
    least = np.quantile(np.abs(found.null_distribution), confidence) * abs(tau / found.statistic) if tau else inf
    medians = "; ".join(_middle(group, unit) for group in groups)
    evidence = f"medians by {by}: {medians}; Kendall's tau {tau:.2f}, p = {p:.2g}"
    power = NOTHING if least >= 1 else f"decides from a tau of {least:.2f} on"
    return Outcome(verdict, evidence, confidence, p, power)


def deciding_runs(confidence: float) -> int:
    """Return the smallest number of runs with which `majority` can decide. The interval of a median needs as many."""
    return next(runs for runs in count(1) if _fewest(runs, confidence) is not None)


def refuting_runs(confidence: float) -> int:
    """Return the smallest number of runs with which the verdict of `one_of_ours` can be: not supported."""
    return ceil(2 / (1 - confidence) - 1 - 1e-9)


def one_of_ours(values: Sequence[float], published: float, confidence: float, trials: int | None = None) -> Outcome:
    """Whether a published value could be one more of ours, by its rank.

    If the published run is like our n runs, each of the n + 1 ranks is equally probable. So p = 2 rank / (n + 1), where
    the rank is counted from the nearer end. The statement is not supported if p is small, which takes 39 runs at 95%.
    Otherwise it is supported if on each side at least one run of ours is as far out, and undecided if not. Fewer than
    six runs decide nothing at 95%.

    `trials` is the number of sequences in the published test, which has an error of its own. With it, each run of ours
    counts not as one but as a chance: that Binomial(trials, its accuracy) is as far out as the published count.
    """
    from scipy.stats import binom

    runs, ours = len(values), np.asarray(values)
    if trials is None:
        sides = [(ours <= published).sum(), (ours >= published).sum()]
    else:
        right = round(published * trials)
        sides = [binom.cdf(right, trials, ours).sum(), binom.sf(right - 1, trials, ours).sum()]
    nearer = float(min(sides))
    p = min(1.0, 2 * (1 + nearer) / (runs + 1))
    verdict = UNDECIDED
    if _fewest(runs, confidence) is not None:
        verdict = NOT_SUPPORTED if small(p, confidence) else SUPPORTED if nearer >= 1 - 1e-9 else UNDECIDED
    alike = min(values) == max(values)
    found = f"{_number(min(values))} in all" if alike else f"{_number(min(values))} to {_number(max(values))} in"
    evidence = f"{found} {runs} runs; published {_number(published)}"
    if trials:
        evidence += f"; in tests of {trials} sequences {nearer:.1f} of {runs} runs are expected at or beyond that"
    power = f"can be refuted from {refuting_runs(confidence)} runs on"
    return Outcome(verdict, evidence, confidence, p, power)

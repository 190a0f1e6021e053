"""Tests whose outcome is a verdict: supported, not supported or undecided. docs/statistics.md says why these.

majority        Something holds for a run or not. Supported if the exact interval of its share of all runs lies above a
                half, not supported if below. Fewer than six runs decide nothing.
at_least_one    Something can happen. One run in which it does is proof; not supported as by `majority` if none does.
median_in_range The runs' median lies in a range. Supported if its exact interval does, not supported if that lies
                outside. Fewer than six runs decide nothing.
mean_in_range   The same of the mean, by Student's t: for three to five runs whose numbers are near to normal.
mann_whitney    One set of runs has smaller values than another: Mann and Whitney's test by trying every way to divide
                the values, or 20,000 random ways where they tie and there are more.
trend           Values grow from group to group: Kendall's pairs, with 10,000 random orders of the values.
one_of_ours     A published value could be one more run of ours, by its rank among them.

All p-values are two-sided: a verdict at 95 % errs in one case of twenty, whichever way. Each outcome says what so many
runs could have seen: for a comparison, what would be found in four cases of five.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, inf, isfinite, isnan
from statistics import mean, median, median_high
from typing import Any

import numpy as np

from dlreport.statistics.intervals import exact, of_median, student, student_of_share

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"
SEEN = 0.8  # how often a test is to find what it is said to see
STEPS = " steps"  # a unit: of a number that is infinite where something never happens
NOTHING = "decides nothing with so few runs"  # or with runs that are all alike

# scipy is imported where it is used, as its import takes a second.


@dataclass(frozen=True)
class Outcome:
    verdict: str
    evidence: str
    level: float | None = None  # of the test's confidence; None where one run decides
    p: float | None = None  # two-sided; where there is one, at most 1 - level decides
    power: str = NOTHING  # what so many runs could have seen


def _number(value: float) -> str:
    if value == inf:
        return "∞"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def _middle(values: Sequence[float], unit: str) -> str:
    """The median; of steps, which can be infinite, that of a run, as in the report's tables."""
    value = median_high(values) if unit == STEPS else median(values)
    return "never" if value == inf and unit == STEPS else f"{_number(value)}{unit}"


def _beyond(what: str, centre: float, low: float, high: float) -> str:
    """What an interval from low to high around this centre shows: what is its longer half beyond the threshold."""
    return f"shows a {what} {_number(float(f'{max(centre - low, high - centre):.2g}'))} beyond the threshold"


def small(p: Any, confidence: Any) -> Any:
    """Whether a p-value, or each of an array, decides at this confidence. NaN does not."""
    return p <= 1 - confidence + 1e-12  # 1 - 0.95 is not quite 0.05


@cache
def _sign_p(successes: int, trials: int) -> float:
    """Two-sided p-value of a share that is a half: at most 0.05 just where the exact 95 % interval is beside a half."""
    from scipy.stats import binomtest

    return float(binomtest(successes, trials).pvalue)


@cache
def _fewest(trials: int, confidence: float) -> int | None:
    """The least number of so many runs that is a majority, None if even all are too few."""
    enough = (k for k in range(trials // 2 + 1, trials + 1) if small(_sign_p(k, trials), confidence))
    return next(enough, None)


def majority(holds: Sequence[bool], confidence: float) -> Outcome:
    count, trials = sum(map(bool, holds)), len(holds)
    p = _sign_p(count, trials)
    verdict = UNDECIDED
    if small(p, confidence):
        verdict = SUPPORTED if count > trials / 2 else NOT_SUPPORTED
    low, high = exact(count, trials, confidence)
    evidence = f"{count} of {trials} runs, share {low:.2f} to {high:.2f}"
    return Outcome(verdict, evidence, confidence, p, _power_of_shares(trials, confidence))


def _power_of_shares(trials: int, confidence: float) -> str:
    from scipy.stats import beta

    if (fewest := _fewest(trials, confidence)) is None:
        return NOTHING
    share = beta.ppf(SEEN, fewest, trials - fewest + 1)  # at which so many or more are found in SEEN of cases
    return f"decides from {fewest} of {trials} runs on, shows a share above {share:.2f}"


def at_least_one(holds: Sequence[bool], confidence: float) -> Outcome:
    """A verdict that one run proves has no p-value."""
    found = majority(holds, confidence)
    if any(holds):
        return Outcome(SUPPORTED, found.evidence, confidence, power="one run is proof")
    return found


def median_in_range(values: Sequence[float], at_least: float, at_most: float, confidence: float) -> Outcome:
    """The median is above an edge if that many values are that they are a majority."""

    def p_value(inside: Sequence[bool]) -> float:
        """Of more runs than chance gives; 1 if it is not even the half."""
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


def mean_in_range(
    values: Sequence[float], at_least: float, at_most: float, confidence: float, shares: bool = False
) -> Outcome:
    """`shares`: of values between 0 and 1, on the log-odds."""
    low, high = (student_of_share if shares else student)(values, confidence)
    verdict = NOT_SUPPORTED if high < at_least or low > at_most else UNDECIDED
    if at_least <= low and high <= at_most:
        verdict = SUPPORTED
    interval = f"{len(values)} of them alike" if len(values) > 1 else "one run"
    power = NOTHING
    if not isnan(low):
        interval = f"{_number(low)} to {_number(high)}"
        power = _beyond("mean", mean(values), low, high)
    evidence = f"{_number(mean(values))} ({interval})"
    return Outcome(verdict, evidence, confidence, _student_p(values, at_least, at_most, shares), power)


def _student_p(values: Sequence[float], at_least: float, at_most: float, shares: bool) -> float | None:
    """Of the range's edge that is harder to tell from the mean: at most 0.05 just where the 95 % interval is all on one
    side of that edge."""
    from scipy.special import logit
    from scipy.stats import ttest_1samp

    edges = [edge for edge in (at_least, at_most) if isfinite(edge) and (not shares or 0 < edge < 1)]
    if len(set(values)) < 2 or not edges:
        return None
    turned = logit if shares else np.asarray
    return max(float(ttest_1samp(turned(values), turned(edge)).pvalue) for edge in edges)


def mann_whitney(
    smaller: Sequence[float],
    larger: Sequence[float],
    confidence: float,
    names: tuple[str, str] = ("first", "second"),
    unit: str = "",
    what: str = "medians",
) -> Outcome:
    """A value of infinity, as of a step that was never reached, is the largest. `names` are those of the two sets,
    `unit` is that of their values, and `what` says what is compared, for the evidence."""
    from scipy.stats import PermutationMethod, mannwhitneyu

    each = zip(names, (smaller, larger), strict=True)
    medians = f"{what}: " + ", ".join(f"{name} {_middle(values, unit)}" for name, values in each)
    if min(len(smaller), len(larger)) < 2:
        return Outcome(UNDECIDED, f"{medians}; one run", confidence, power=NOTHING)
    together = [*smaller, *larger]
    # with ties scipy's own choice is the test for many values
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
    """Of two sets of normal values, in standard deviations, what the test finds in SEEN of 2,000 random cases; None if
    it can find nothing."""
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
    """A value of infinity is the largest. `by` says what the groups are, and `unit` is that of the values."""
    from scipy.stats import kendalltau, permutation_test, rankdata

    order = np.array([index for index, group in enumerate(groups) for _ in group])
    values = [value for group in groups for value in group]
    if len(groups) < 2 or len(values) < 3 or len(set(values)) < 2:
        return Outcome(UNDECIDED, "too few values, or none that differ", confidence, power=NOTHING)
    later = np.sign(order - order[:, None])

    def pairs(ranks: np.ndarray, axis: int) -> np.ndarray:
        """Pairs in order less pairs out of it, for each row of ranks; tau is this over a constant."""
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


def refuting_runs(confidence: float) -> int:
    """The least number of runs by which `one_of_ours` can be not supported."""
    return ceil(2 / (1 - confidence) - 1 - 1e-9)


def one_of_ours(values: Sequence[float], published: float, confidence: float, trials: int | None = None) -> Outcome:
    """Whether a published value could be one more of ours, by its rank.

    The published run and our n are alike if each of the n + 1 ranks is equally probable, so p = 2 rank / (n + 1), the
    rank counted from the nearer end. Supported if at least one run of ours is as far out on either side, not supported
    if p is small, which takes 39 runs at 95 %; else undecided. Fewer than six runs decide nothing.

    `trials`: the published value is of that many sequences, and has their error. Then not our runs are counted but
    their chances, summed: for each the chance that Binomial(trials, its accuracy) is as far out as the published count.
    """
    from scipy.stats import binom

    runs, ours = len(values), np.asarray(values)
    if trials is None:
        sides = [(ours <= published).sum(), (ours >= published).sum()]
    else:
        count = round(published * trials)
        sides = [binom.cdf(count, trials, ours).sum(), binom.sf(count - 1, trials, ours).sum()]
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

"""Tests whose outcome is a verdict: supported, not supported or undecided.

majority        Something holds for a run or not. Supported if Wilson's interval of its share of the runs lies above a
                half, not supported if below: by fewer than four runs that is never the case.
mean_in_range   The mean over runs lies in a range. Supported if its Student's t interval does, not supported if that
                interval lies outside; of a single run there is none.
mann_whitney    One set of runs has smaller values than another: Mann and Whitney's test, one-sided, exact by trying
                every way to divide the values (a sample of 100,000 where there are more). Supported, or the other way
                round not supported, at p < 1 - confidence.
kendall_trend   Values grow from group to group: Kendall's tau, the same way, with its p-value for many values.
prediction      A published value could be one more run of ours: Student's t interval of prediction.
single_run      What one run decides by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isnan
from statistics import mean

from dlreport.statistics.intervals import student, wilson

SUPPORTED, NOT_SUPPORTED, UNDECIDED = "supported", "not supported", "undecided"


@dataclass(frozen=True)
class Outcome:
    verdict: str
    evidence: str
    level: float | None = None  # of the test's confidence; None where one run decides


def _number(value: float) -> str:
    return f"{value:.4g}"


def _decide(low: float, high: float, at_least: float, at_most: float) -> str:
    """Where the interval from low to high lies, against the range."""
    if isnan(low):
        return UNDECIDED
    if at_least <= low and high <= at_most:
        return SUPPORTED
    return NOT_SUPPORTED if high < at_least or low > at_most else UNDECIDED


def _one_sided(p: float, reverse: float, confidence: float) -> str:
    """By the p-values of a one-sided test, and of the same the other way round."""
    limit = 1 - confidence - 1e-12  # 1 - 0.95 is a little over 0.05
    if p < limit:
        return SUPPORTED
    return NOT_SUPPORTED if reverse < limit else UNDECIDED


def majority(holds: Sequence[bool], confidence: float) -> Outcome:
    low, high = wilson(sum(holds), len(holds), confidence)
    return Outcome(_decide(low, high, 0.5, inf), f"{sum(holds)} of {len(holds)} runs", confidence)


def mean_in_range(values: Sequence[float], at_least: float, at_most: float, confidence: float) -> Outcome:
    low, high = student(values, confidence)
    interval = "one run" if isnan(low) else f"{_number(low)} to {_number(high)}"
    return Outcome(_decide(low, high, at_least, at_most), f"{_number(mean(values))} ({interval})", confidence)


def mann_whitney(smaller: Sequence[float], larger: Sequence[float], confidence: float) -> Outcome:
    """A value of infinity, as of a step that was never reached, is the largest."""
    from scipy.stats import PermutationMethod, mannwhitneyu  # here, as its import takes a second

    def p_value(alternative: str) -> float:
        # not by scipy's choice: with ties, as of steps, it takes the test for many values
        exact = PermutationMethod(n_resamples=100_000, rng=0)
        return float(mannwhitneyu(smaller, larger, alternative=alternative, method=exact).pvalue)

    medians = [_number(sorted(values)[len(values) // 2]) for values in (smaller, larger)]
    if min(len(smaller), len(larger)) < 2:
        return Outcome(UNDECIDED, f"{' and '.join(medians)}, one run", confidence)
    p, reverse = p_value("less"), p_value("greater")
    return Outcome(_one_sided(p, reverse, confidence), f"medians {' and '.join(medians)}, p = {p:.2g}", confidence)


def kendall_trend(groups: Sequence[Sequence[float]], confidence: float) -> Outcome:
    from scipy.stats import kendalltau

    order = [index for index, group in enumerate(groups) for _ in group]
    values = [value for group in groups for value in group]
    if len(groups) < 2 or len(values) < 3 or len(set(values)) < 2:
        return Outcome(UNDECIDED, "too few values, or none that differ", confidence)
    tau, p = kendalltau(order, values, alternative="greater")
    reverse = kendalltau(order, values, alternative="less").pvalue
    evidence = f"means {', '.join(_number(mean(group)) for group in groups)}; tau {tau:.2f}, p = {p:.2g}"
    return Outcome(_one_sided(p, reverse, confidence), evidence, confidence)


def prediction(values: Sequence[float], published: float, confidence: float) -> Outcome:
    low, high = student(values, confidence, of_another=True)
    if isnan(low):
        return Outcome(UNDECIDED, f"{_number(values[0])}, one run; published {_number(published)}", confidence)
    inside = low <= published <= high
    evidence = f"{_number(low)} to {_number(high)}; published {_number(published)}"
    return Outcome(SUPPORTED if inside else NOT_SUPPORTED, evidence, confidence)


def single_run(condition: bool, evidence: str) -> Outcome:
    return Outcome(SUPPORTED if condition else NOT_SUPPORTED, evidence)

"""Intervals of what was counted, and of what differs between replicates. All are two-sided."""

from collections.abc import Sequence
from functools import cache
from math import nan, sqrt
from statistics import mean, median, stdev

# scipy is imported where it is used, as its import takes a second.


@cache
def exact(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """Clopper and Pearson's interval of a proportion (1934, Biometrika 26): it errs no more often than it says, with
    any number of trials."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def of_median(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Interval of the replicates' median between two of the values (David and Nagaraja, 2003, Order Statistics, 7.1).

    It is exact whatever the distribution, and as its ends are values it keeps within their limits. NaN for fewer than
    six values at 95 %: even from the least to the greatest of five it would err in 6 % of cases.
    """
    from scipy.stats import quantile_test

    if len(values) < 2:
        return nan, nan
    interval = quantile_test(values, q=median(values), p=0.5).confidence_interval(confidence)
    return float(interval.low), float(interval.high)


def student(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Student's t interval of the replicates' mean, which takes them for normal. NaN for one alone."""
    from scipy.stats import t

    if len(values) < 2:
        return nan, nan
    half = t.ppf((1 + confidence) / 2, len(values) - 1) * stdev(values) / sqrt(len(values))
    return mean(values) - half, mean(values) + half


def student_of_share(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Student's t interval of the replicates' typical share, taken on the log-odds and turned back, so that it keeps
    within (0, 1). NaN for one alone, and where a share is 0 or 1."""
    from scipy.special import expit, logit

    if any(not 0 < value < 1 for value in values):
        return nan, nan
    low, high = student(logit(values).tolist(), confidence)
    return float(expit(low)), float(expit(high))

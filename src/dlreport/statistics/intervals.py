"""Two-sided intervals of a share that was counted, and of the median or mean over replicates."""

from collections.abc import Sequence
from functools import cache
from math import nan, sqrt
from statistics import mean, median, stdev

# scipy is imported where it is used, as its import takes a second.


@cache
def exact(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """Return the interval of a share by Clopper and Pearson (1934, Biometrika 26). It errs no more often than
    `confidence` says, with any number of trials."""
    from scipy.stats import binomtest

    interval = binomtest(successes, trials).proportion_ci(confidence, method="exact")
    return float(interval.low), float(interval.high)


def of_median(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return the interval of the replicates' median. Its ends are two of the values (David and Nagaraja, 2003, Order
    Statistics, 7.1), so it never leaves their range.

    It is exact whatever the distribution. At 95% it is NaN for fewer than six values: even the interval from the
    smallest to the largest of five values would err in 6% of cases.
    """
    from scipy.stats import quantile_test

    if len(values) < 2:
        return nan, nan
    interval = quantile_test(values, q=median(values), p=0.5).confidence_interval(confidence)
    return float(interval.low), float(interval.high)


def student(values: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return Student's t interval of the replicates' mean. It assumes that they are normally distributed. It is NaN for
    a single one."""
    from scipy.stats import t

    if len(values) < 2:
        return nan, nan
    half = t.ppf((1 + confidence) / 2, len(values) - 1) * stdev(values) / sqrt(len(values))
    return mean(values) - half, mean(values) + half

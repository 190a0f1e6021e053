"""Intervals of what was counted, and of what differs between replicates."""

from collections.abc import Sequence
from math import nan, sqrt
from statistics import NormalDist, mean, stdev


def wilson(successes: float, trials: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson, 1927, JASA 22): it keeps within [0, 1], at 0 and 1 too."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / trials
    scale = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / scale
    half = z / scale * sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def student(values: Sequence[float], confidence: float, of_another: bool = False) -> tuple[float, float]:
    """Student's t interval of the replicates' mean, or the one that another replicate would lie in.

    NaN for one alone: it says nothing of either.
    """
    from scipy.stats import t  # here, as its import takes a second

    if len(values) < 2:
        return nan, nan
    half = t.ppf((1 + confidence) / 2, len(values) - 1) * stdev(values) * sqrt(of_another + 1 / len(values))
    return mean(values) - half, mean(values) + half

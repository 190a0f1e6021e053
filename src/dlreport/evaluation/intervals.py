"""Intervals of what was counted."""

from math import sqrt
from statistics import NormalDist


def wilson(successes: float, trials: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a proportion (Wilson, 1927, JASA 22): it keeps within [0, 1], at 0 and 1 too."""
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / trials
    scale = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / scale
    half = z / scale * sqrt(p * (1 - p) / trials + z * z / (4 * trials**2))
    return max(0.0, centre - half), min(1.0, centre + half)

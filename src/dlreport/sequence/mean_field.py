"""What a gradient does in a VanillaRNN with random weights, before any training: the mean-field theory of Poole et al.
(2016) and Schoenholz et al. (2017). It takes the units' preactivations as normal, which they are for many units.

With H units, biases of zero, and all weights and inputs independent, w = H E[W_h^2] and b = E[x^2] E[W_x^2]. The
variance of a preactivation settles where it maps to itself:

  v = w E[tanh(sqrt(v) z)^2] + b,   z ~ N(0, 1)

A step back in time then multiplies the mean square of a gradient by

  chi = w E[tanh'(sqrt(v) z)^2]

Above one gradients explode and the state is chaotic; below one they vanish. One variance stands for all digits: where
the inputs outweigh the state, small ones saturate fewer units, and gradients grow more than this says.
"""

from dataclasses import dataclass
from math import atanh, erfc, sqrt

import numpy as np

from dlreport.sequence.palindromes import DIGITS
from dlreport.sequence.thresholds import SATURATED

OF_MODEL = "VanillaRNN"
INPUT = sum(digit**2 for digit in range(DIGITS)) / DIGITS  # E[x^2] of a plain digit
ITERATIONS = 1000  # to the fixed point at most: with inputs of some size 60 are enough
# A grid for expectations over z. tanh(sqrt(v) z) is steep at 0, where a quadrature of few points is off by percents.
Z = np.linspace(-8, 8, 4001)
DENSITY = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()


@dataclass(frozen=True)
class MeanField:
    variance: float  # v
    chi: float
    saturated: float  # share of units whose tanh is beyond SATURATED

    @property
    def growth(self) -> float:
        """Of a gradient's norm, a step back in time."""
        return sqrt(self.chi)


def mean_field(recurrent: float, inputs: float) -> MeanField:
    """From w and b above: with N(0, 1) weights `recurrent` is the number of units, and `inputs` INPUT."""

    def tanh(variance: float) -> np.ndarray:
        return np.tanh(sqrt(variance) * Z)

    variance = recurrent + inputs
    for _ in range(ITERATIONS):
        before, variance = variance, recurrent * float(DENSITY @ tanh(variance) ** 2) + inputs
        if abs(variance - before) <= 1e-12 * before:
            break
    chi = recurrent * float(DENSITY @ (1 - tanh(variance) ** 2) ** 2)
    return MeanField(variance, chi, erfc(atanh(SATURATED) / sqrt(2 * variance)))


def critical(inputs: float) -> float:
    """The `recurrent` with which chi is one: gradients neither grow nor shrink. By bisection, as chi grows with it."""
    low, high = 0.0, 1.0
    while mean_field(high, inputs).chi < 1:
        high *= 2
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_field(middle, inputs).chi < 1 else (low, middle)
    return (low + high) / 2

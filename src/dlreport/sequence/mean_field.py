"""What mean-field theory predicts for gradients in a VanillaRNN with random weights, before any training. The theory is
that of Poole et al. (2016) and Schoenholz et al. (2017). It assumes normally distributed preactivations, which holds if
there are many units.

Take H units, biases of zero, and independent weights and inputs. Let w = H E[W_h^2] and b = E[x^2] E[W_x^2]. From time
step to time step the variance v of a preactivation converges to a fixed point:

  v = w E[tanh(sqrt(v) z)^2] + b,   z ~ N(0, 1)

A step back in time then multiplies the mean square of a gradient by

  chi = w E[tanh'(sqrt(v) z)^2]

If chi is above one, gradients explode and the state is chaotic; if it is below one, gradients vanish. The theory has
one variance for all digits. Where the inputs outweigh the state, small digits saturate fewer units, and gradients grow
more than the theory says.
"""

from dataclasses import dataclass
from math import atanh, erfc, sqrt

import numpy as np

from dlreport.sequence.palindromes import DIGITS
from dlreport.sequence.thresholds import SATURATED

OF_MODEL = "VanillaRNN"
INPUT = sum(digit**2 for digit in range(DIGITS)) / DIGITS  # E[x^2] of a plain digit
ITERATIONS = 1000  # at most, to the fixed point; unless the inputs are very small, 60 are enough
# A grid for expectations over z. tanh(sqrt(v) z) is steep at 0, so a quadrature of few points would be off by percents.
Z = np.linspace(-8, 8, 4001)
DENSITY = np.exp(-(Z**2) / 2) / np.exp(-(Z**2) / 2).sum()


@dataclass(frozen=True)
class MeanField:
    variance: float  # v
    chi: float
    saturated: float  # share of units whose tanh is above SATURATED in size

    @property
    def growth(self) -> float:
        """Return the factor by which a step back in time multiplies a gradient's norm."""
        return sqrt(self.chi)


def mean_field(recurrent: float, inputs: float) -> MeanField:
    """Compute v, chi and the share of saturated units. `recurrent` is w and `inputs` is b, as defined above; with
    weights from N(0, 1) these are the number of units and INPUT."""

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
    """Return the `recurrent` at which chi is one, so that gradients neither grow nor shrink. It is found by bisection,
    as chi grows with `recurrent`."""
    low, high = 0.0, 1.0
    while mean_field(high, inputs).chi < 1:
        high *= 2
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if mean_field(middle, inputs).chi < 1 else (low, middle)
    return (low + high) / 2

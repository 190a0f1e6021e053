"""Thresholds of Part 1. docs/statistics.md gives the reason for each."""

from math import log

CONVERGED = 0.99  # a run with this accuracy or more has reached the optimum
RETAINED = 0.2  # the report's own limit: with a lower test accuracy a run does not retain the first digit (claim 3)
CHANCE = 0.1  # how often a guess among ten digits is right
GUESS_LOSS = -log(CHANCE)  # the loss if all digits are given equal probability; with a higher loss nothing is learned
SATURATED = 0.99  # beyond it a tanh's absolute value, a sigmoid, or one minus a sigmoid is saturated
FADED = 0.01  # a gradient has vanished if it is less than this share of the gradient at the last time step

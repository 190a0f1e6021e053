"""Thresholds of Part 1. docs/statistics.md has the reasons."""

from math import log

CONVERGED = 0.99  # accuracy from which a run has reached the optimum
RETAINED = 0.2  # the report's own line: below it in the test the first digit is not retained (claim 3)
CHANCE = 0.1  # how often a guess among ten digits is right
GUESS_LOSS = -log(CHANCE)  # what it costs to give them equal probability: above it nothing is learned
SATURATED = 0.99  # of a tanh's absolute value, or of a sigmoid's or its complement
FADED = 0.01  # a gradient that is less than this of what it was at the last time step has vanished

"""Thresholds of Part 1."""

CONVERGED = 0.99  # accuracy from which a run has reached the optimum
RETAINED = 0.2  # the report's own line: below it in the test the first digit is not retained (claim 3)
SATURATED = 0.99  # of a tanh's absolute value, or of a sigmoid's or its complement
FADED = 0.01  # a gradient that is less than this of what it was at the last time step has vanished

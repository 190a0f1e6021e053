"""Lines that we draw, which the report names too; those of the sequence curves are in curves.py."""

SATURATED = 0.99  # of a tanh's absolute value, or of a sigmoid's or its complement
CLOSE_SHARE = 0.01  # of a digit's test images that are closer to a training image than what counts as close
JUMP = 0.5  # a step of half the way is no gradual transition

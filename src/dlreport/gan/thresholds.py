"""Thresholds of Part 2."""

CLOSE_SHARE = 0.01  # of a digit's test images that are closer to a training image than what counts as close
JUMP = 0.5  # a step of half the way is no gradual transition
COPIED = 2  # times as many images close to a training image as among real ones would be copies

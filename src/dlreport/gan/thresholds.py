"""Thresholds of Part 2, and how much is looked at."""

CLOSE_SHARE = 0.01  # of a digit's test images that are closer to a training image than what counts as close
JUMP = 1 / 3  # of the way in one step: of eight steps that is 3.5 times the mean of the other seven
COPIED = 2  # times as many images close to a training image as among real ones would be copies
JUDGED = 2000  # images of each kind for the discriminator's accuracy: a standard error of 0.011 at most

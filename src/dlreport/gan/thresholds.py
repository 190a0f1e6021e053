"""Thresholds of Part 2, and how many images are judged."""

CLOSE_SHARE = 0.01  # an image is close to a training image if only this share of its digit's test images is closer
JUMP = 1 / 3  # a step over this share of the way is a jump: of eight steps, it is 3.5 times the mean of the others
COPIED = 2  # generated images would be copies if their share of close ones were over this many times that of real ones
JUDGED = 2000  # images of each kind for the discriminator's accuracy, so its standard error is at most 0.011

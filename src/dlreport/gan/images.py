"""MNIST's images: their size, the number of different digits, and the pixels as the networks see them. Report, part 2,
"Data"."""

from torch import Tensor

SIDE = 28
DIGITS = 10


def normalise(pixels: Tensor) -> Tensor:
    """Map uint8 images [N, 28, 28] to float32 [N, 784] in [-1, 1]: scaled to [0, 1], then (x - 0.5) / 0.5."""
    return pixels.flatten(1).float().div_(127.5).sub_(1)


def as_pictures(images: Tensor) -> Tensor:
    """Round images in [-1, 1], of any shape, to the nearest of the 256 greys of a picture. Real images have these.

    A generator's background is nearly, but never quite, black. No eye sees that, but a network might, and could tell
    generated images from real ones by it.
    """
    return images.add(1).mul_(127.5).round_().div_(127.5).sub_(1)


def as_images(pixels: Tensor) -> Tensor:
    """Map uint8 images [N, 28, 28] to float32 [N, 1, 28, 28] in [-1, 1], the shape that `samples.generate` returns."""
    return normalise(pixels).view(-1, 1, SIDE, SIDE)

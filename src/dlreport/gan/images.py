"""MNIST's images: how large they are and of how many digits, and their pixels as the networks see them. Report, part 2,
"Data"."""

from torch import Tensor

SIDE = 28
DIGITS = 10


def normalise(pixels: Tensor) -> Tensor:
    """uint8 images [N, 28, 28] -> float32 [N, 784] in [-1, 1]: scaled to [0, 1], then (x - 0.5) / 0.5."""
    return pixels.flatten(1).float().div_(127.5).sub_(1)


def as_pictures(images: Tensor) -> Tensor:
    """Images in [-1, 1] at the nearest of the 256 greys that a picture has, as real ones are; of the same shape.

    A generator's background is nearly, never quite, black: no eye sees that, but a network may, and tell generated
    images from real ones by it.
    """
    return images.add(1).mul_(127.5).round_().div_(127.5).sub_(1)


def as_images(pixels: Tensor) -> Tensor:
    """The same as the generator draws them: [N, 1, 28, 28]."""
    return normalise(pixels).view(-1, 1, SIDE, SIDE)

"""Gradients of the GAN's networks by gan.c."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from dlreport import native

SOURCE = "gan.c"
ACTIVATIONS = ("none", "LeakyReLU", "Tanh")  # as numbered in gan.c


@dataclass(frozen=True)
class Network:
    """A chain of layers, and its values, flat and in the order of the layers."""

    shapes: list[tuple[int, int, int, int]]  # inputs, outputs, BatchNorm (0 or 1), activation (an index in ACTIVATIONS)
    parameters: Tensor
    running: Tensor  # means and variances of BatchNorm

    @property
    def parameter_count(self) -> int:
        return sum(inputs * outputs + outputs * (3 if norm else 1) for inputs, outputs, norm, _ in self.shapes)

    @property
    def running_count(self) -> int:
        return sum(2 * outputs * norm for _, outputs, norm, _ in self.shapes)


def gradients(
    real: Tensor | None,
    z: Tensor,
    generator: Network,
    discriminator: Network,
    constants: tuple[float, float, float],
    gradients: Tensor,
    precision: str,
) -> float:
    """The discriminator's loss for real images [B, P] and latents z [B, Z]; with `real` None the generator's.

    Its gradients by that network's parameters are written into `gradients`; the generator's running means and
    variances move. `constants`: LeakyReLU's slope, BatchNorm's epsilon and momentum. Raises MemoryError.
    """
    B = len(z)
    loss = ctypes.c_float()
    networks: list[object] = []
    for network in (generator, discriminator):
        shapes = [value for layer in network.shapes for value in layer]
        networks += [len(network.shapes), (ctypes.c_int * len(shapes))(*shapes)]
        networks.append(native.address(network.parameters, torch.float32, network.parameter_count))
        networks.append(native.address(network.running, torch.float32, network.running_count))
    trained = generator if real is None else discriminator
    images = None if real is None else native.address(real, torch.float32, B, discriminator.shapes[0][0])
    native.call(
        *(SOURCE, "gan_gradients"),
        *(B, images, native.address(z, torch.float32, B, generator.shapes[0][0])),
        *networks,
        *native.floats(*constants),
        native.address(gradients, torch.float32, trained.parameter_count),
        *(ctypes.byref(loss), ctypes.byref(native.products(precision))),
    )
    return loss.value

"""Gradients of the GAN's networks by gan.c."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from dlreport import native

SOURCE = "gan.c"
ACTIVATIONS = ("none", "LeakyReLU", "Tanh")  # as numbered in layer.h


@dataclass(frozen=True)
class Network:
    """A chain of layers, and its values, flat and in the order of the layers."""

    shapes: list[tuple[int, ...]]  # inputs, outputs, BatchNorm (0 or 1), activation (an index in ACTIVATIONS)
    parameters: Tensor
    running: Tensor  # means and variances of BatchNorm

    @property
    def parameter_count(self) -> int:
        return sum(inputs * outputs + outputs * (3 if norm else 1) for inputs, outputs, norm, _ in self.shapes)

    @property
    def running_count(self) -> int:
        return sum(2 * outputs * norm for _, outputs, norm, _ in self.shapes)


class Shape(ctypes.Structure):
    """As in layer.h."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("inputs", "outputs", "norm", "activation")]


class Layers(ctypes.Structure):
    """A network, as in layer.h."""

    _fields_ = [
        ("count", ctypes.c_size_t),
        ("shapes", ctypes.POINTER(Shape)),
        *((name, ctypes.c_void_p) for name in ("parameters", "running")),
    ]

    @classmethod
    def of(cls, network: Network) -> "Layers":
        shapes = (Shape * len(network.shapes))(*(Shape(*shape) for shape in network.shapes))
        parameters = native.address(network.parameters, torch.float32, network.parameter_count)
        return cls(
            len(shapes), shapes, parameters, native.address(network.running, torch.float32, network.running_count)
        )


class Step(ctypes.Structure):
    """As in gan.c."""

    _fields_ = [
        ("B", ctypes.c_size_t),
        *((name, ctypes.c_void_p) for name in ("real", "z")),
        *((name, Layers) for name in ("generator", "discriminator")),
        *((name, ctypes.c_float) for name in ("slope", "epsilon", "momentum", "loss")),
        ("gradients", ctypes.c_void_p),
        ("threads", ctypes.c_size_t),
        ("products", native.Products),
    ]


def gradients(
    real: Tensor | None,
    z: Tensor,
    generator: Network,
    discriminator: Network,
    constants: tuple[float, float, float],
    gradients: Tensor,
    precision: str,
    threads: int,
) -> float:
    """The discriminator's loss for real images [B, P] and latents z [B, Z]; with `real` None the generator's.

    Its gradients by that network's parameters are written into `gradients`; the generator's running means and
    variances move. `constants`: LeakyReLU's slope, BatchNorm's epsilon and momentum. Raises MemoryError.
    """
    B = len(z)
    trained = generator if real is None else discriminator
    step = Step(
        B,
        None if real is None else native.address(real, torch.float32, B, discriminator.shapes[0][0]),
        native.address(z, torch.float32, B, generator.shapes[0][0]),
        *(Layers.of(network) for network in (generator, discriminator)),
        *(*constants, torch.nan),
        native.address(gradients, torch.float32, trained.parameter_count),
        threads,
        native.products(precision),
    )
    native.call(SOURCE, "gan_gradients", step)
    return step.loss

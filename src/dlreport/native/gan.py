"""Computes the gradients of the GAN's networks by gan.c."""

import ctypes
from dataclasses import dataclass

import torch
from torch import Tensor

from dlreport import native

SOURCE = "gan.c"
ACTIVATIONS = ("none", "LeakyReLU", "Tanh")  # in the order of the enum in layer.h


@dataclass(frozen=True)
class Network:
    """A network as a chain of layers. Its values are in two flat tensors, in the order of the layers."""

    shapes: list[tuple[int, ...]]  # inputs, outputs, BatchNorm (0 or 1), activation (an index in ACTIVATIONS)
    parameters: Tensor
    running: Tensor  # BatchNorm's running means and variances

    @property
    def parameter_count(self) -> int:
        return sum(inputs * outputs + outputs * (3 if norm else 1) for inputs, outputs, norm, _ in self.shapes)

    @property
    def running_count(self) -> int:
        return sum(2 * outputs * norm for _, outputs, norm, _ in self.shapes)


class Shape(ctypes.Structure):
    """Mirrors layer.h's Shape."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("inputs", "outputs", "norm", "activation")]


class Layers(ctypes.Structure):
    """Mirrors layer.h's Network."""

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
    """Mirrors gan.c's Step."""

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
    """Return the discriminator's loss for real images [B, P] and latents z [B, Z], or the generator's if `real` is
    None.

    Writes the loss's gradients by that network's parameters into `gradients`, and moves the generator's running means
    and variances. `constants` are LeakyReLU's slope, BatchNorm's epsilon and its momentum. Raises MemoryError if there
    is too little memory.
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

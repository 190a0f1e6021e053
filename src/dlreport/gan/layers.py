"""Makes layers as PyTorch does, but with initial weights from a random stream of our own."""

import torch
from torch import nn


def layer(kind: type[nn.Module], *arguments: int, generator: torch.Generator, **options: int) -> nn.Module:
    """Return a linear or convolutional layer with PyTorch's default initialisation, U(-a, a) with
    a = 1/sqrt(fan_in)."""
    made = nn.utils.skip_init(kind, *arguments, **options)  # its own init would draw from torch's global stream
    bound = made.weight[0].numel() ** -0.5
    for parameter in (made.weight, made.bias):
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return made

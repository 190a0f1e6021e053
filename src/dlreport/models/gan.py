"""Generator, discriminator and the losses between them. Report, part 2.

Shapes: B batch, Z latent dim, P = 784 pixels of a 28 x 28 image in [-1, 1].
  latent z [B, Z] -> generator -> image [B, P] -> discriminator -> logit [B] -> sigmoid -> probability of "real" [B]
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

PIXELS = 784
SLOPE = 0.2


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's default for Linear, U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weight and bias, from our own stream."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    # skip_init: nn.Linear's own initialisation would draw from torch's global stream.
    return nn.utils.skip_init(nn.Linear, inputs, outputs)


class Generator(nn.Module):
    """Z-128-256-512-1024-784; BatchNorm1d on all hidden layers but the first, LeakyReLU 0.2, Tanh at the end."""

    def __init__(self, latent_dim: int, generator: torch.Generator):
        super().__init__()
        widths = [128, 256, 512, 1024]
        layers: list[nn.Module] = [_linear(latent_dim, widths[0]), nn.LeakyReLU(SLOPE)]
        for inputs, outputs in pairwise(widths):
            layers += [_linear(inputs, outputs), nn.BatchNorm1d(outputs, eps=1e-5, momentum=0.1), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, _linear(widths[-1], PIXELS), nn.Tanh())
        _initialise(self, generator)

    def forward(self, z: Tensor) -> Tensor:
        """z [B, Z] -> images [B, P] in [-1, 1]."""
        return self.layers(z)


class Discriminator(nn.Module):
    """784-512-256-1 with LeakyReLU 0.2 and a sigmoid."""

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.layers = nn.Sequential(
            _linear(PIXELS, 512), nn.LeakyReLU(SLOPE), _linear(512, 256), nn.LeakyReLU(SLOPE), _linear(256, 1)
        )
        _initialise(self, generator)

    def logits(self, images: Tensor) -> Tensor:
        """images [B, P] -> logits [B], the sigmoid's argument."""
        return self.layers(images).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, P] -> probability of being real [B]."""
        return torch.sigmoid(self.logits(images))


# Binary cross entropy of p = sigmoid(l): BCE(p, 1) = -log p = softplus(-l) and BCE(p, 0) = -log(1 - p) = softplus(l).
# The same numbers as BCE on p, without the cancellation (and PyTorch's clamp at -100) where p rounds to 0 or 1.


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """BCE(D(x), 1) + BCE(D(G(z)), 0), each a batch mean, from logits [B] -> scalar."""
    return nn.functional.softplus(-real).mean() + nn.functional.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """The non-saturating BCE(D(G(z)), 1), a batch mean, from logits [B] -> scalar."""
    return nn.functional.softplus(-fake).mean()

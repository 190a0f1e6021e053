"""The generator, the discriminator, and their losses. Report, part 2.

Shapes: B batch, Z latent dim, P = 784 pixels of a 28 x 28 image in [-1, 1].
  latent z [B, Z] -> generator -> image [B, P] -> discriminator -> logit [B] -> sigmoid -> probability of "real" [B]
"""

from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from dlreport.gan.layers import layer

PIXELS = 784
SLOPE = 0.2  # LeakyReLU's, below zero
EPSILON, MOMENTUM = 1e-5, 0.1  # BatchNorm's


class Generator(nn.Module):
    """Has layers of Z-128-256-512-1024-784 units, BatchNorm1d on all hidden layers but the first, LeakyReLU 0.2, and
    Tanh at the end."""

    def __init__(self, latent_dim: int, generator: torch.Generator):
        super().__init__()
        widths = [128, 256, 512, 1024]
        linear = partial(layer, nn.Linear, generator=generator)
        layers = [linear(latent_dim, widths[0]), nn.LeakyReLU(SLOPE)]
        for inputs, outputs in pairwise(widths):
            norm = nn.BatchNorm1d(outputs, eps=EPSILON, momentum=MOMENTUM)
            layers += [linear(inputs, outputs), norm, nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, linear(widths[-1], PIXELS), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Map z [B, Z] to images [B, P] in [-1, 1]."""
        return self.layers(z)


class Discriminator(nn.Module):
    """Has layers of 784-512-256-1 units, LeakyReLU 0.2, and a sigmoid at the end."""

    def __init__(self, generator: torch.Generator):
        super().__init__()
        linear = partial(layer, nn.Linear, generator=generator)
        self.layers = nn.Sequential(
            linear(PIXELS, 512), nn.LeakyReLU(SLOPE), linear(512, 256), nn.LeakyReLU(SLOPE), linear(256, 1)
        )

    def logits(self, images: Tensor) -> Tensor:
        """Map images [B, P] to logits [B], the sigmoid's arguments."""
        return self.layers(images).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, P] to their probabilities of being real [B]."""
        return torch.sigmoid(self.logits(images))


# Binary cross entropy of p = sigmoid(l): BCE(p, 1) = -log p = softplus(-l) and BCE(p, 0) = -log(1 - p) = softplus(l).
# The same numbers as BCE on p, but without cancellation (and PyTorch's clamp at -100) where p rounds to 0 or 1.


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return BCE(D(x), 1) + BCE(D(G(z)), 0), each a batch mean, from logits [B] -> scalar."""
    return nn.functional.softplus(-real).mean() + nn.functional.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Return the non-saturating loss BCE(D(G(z)), 1), a batch mean, from logits [B] -> scalar."""
    return nn.functional.softplus(-fake).mean()


def layer_table(latent_dim: int) -> list[dict[str, str | int]]:
    """Return a row for each layer of both networks: network, layer as PyTorch prints it, number of parameters."""
    chance = torch.Generator()
    networks: dict[str, Generator | Discriminator]
    networks = {"generator": Generator(latent_dim, chance), "discriminator": Discriminator(chance)}
    return [
        {"network": name, "layer": str(layer), "parameters": sum(p.numel() for p in layer.parameters())}
        for name, network in networks.items()
        for layer in network.layers
    ]

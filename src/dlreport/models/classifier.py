"""A small convolutional network that tells images apart: the judge of the GAN's. Ours; the report has none.

Shapes: N images [N, 1, 28, 28] in [-1, 1] -> features [N, 128] -> logits [N, classes].
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

FEATURES = 128


def _layer(kind: type[nn.Module], *arguments: int, generator: torch.Generator, **options: int) -> nn.Module:
    """PyTorch's default initialisation, U(-1/sqrt(fan_in), 1/sqrt(fan_in)), drawn from our own stream."""
    layer = nn.utils.skip_init(kind, *arguments, **options)
    bound = layer.weight[0].numel() ** -0.5
    for parameter in (layer.weight, layer.bias):
        nn.init.uniform_(parameter, -bound, bound, generator=generator)
    return layer


class Classifier(nn.Module):
    """Two convolutions 3 x 3 of 32 and 64 channels, each with BatchNorm, ReLU and max-pooling; 128 features; logits."""

    def __init__(self, classes: int, generator: torch.Generator):
        super().__init__()
        channels = [1, 32, 64]
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(channels):
            layers.append(_layer(nn.Conv2d, inputs, outputs, generator=generator, kernel_size=3, padding=1))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), _layer(nn.Linear, 7 * 7 * channels[-1], FEATURES, generator=generator), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.head = _layer(nn.Linear, FEATURES, classes, generator=generator)

    @classmethod
    def of_digits(cls, weights: dict[str, Tensor]) -> "Classifier":
        """The trained judge, in eval mode, from its weights."""
        model = cls(10, torch.Generator())
        model.load_state_dict(weights)
        return model.eval()

    def forward(self, images: Tensor) -> Tensor:
        """images [N, 1, 28, 28] -> logits [N, classes]."""
        return self.head(self.features(images))

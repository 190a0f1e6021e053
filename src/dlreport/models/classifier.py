"""A small convolutional network that tells images apart: the judge of the GAN's. Ours; the report has none.

Shapes: N images [N, 1, 28, 28] in [-1, 1] -> features [N, 128] -> logits [N, classes].
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from dlreport.models.layers import layer

FEATURES = 128


class Classifier(nn.Module):
    """Two convolutions 3 x 3 of 32 and 64 channels, each with BatchNorm, ReLU and max-pooling; 128 features; logits."""

    def __init__(self, classes: int, generator: torch.Generator):
        super().__init__()
        channels = [1, 32, 64]
        layers = []
        for inputs, outputs in pairwise(channels):
            layers.append(layer(nn.Conv2d, inputs, outputs, generator=generator, kernel_size=3, padding=1))
            layers += [nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.Flatten(), layer(nn.Linear, 7 * 7 * channels[-1], FEATURES, generator=generator), nn.ReLU()]
        self.features = nn.Sequential(*layers)
        self.head = layer(nn.Linear, FEATURES, classes, generator=generator)

    @classmethod
    def of_digits(cls, weights: dict[str, Tensor]) -> "Classifier":
        """The trained judge, in eval mode, from its weights."""
        model = cls(10, torch.Generator())
        model.load_state_dict(weights)
        return model.eval()

    def forward(self, images: Tensor) -> Tensor:
        """images [N, 1, 28, 28] -> logits [N, classes]."""
        return self.head(self.features(images))

"""What the classifier makes of images. Ours; the report has none.

Shapes: N images [N, 1, 28, 28] in [-1, 1], F features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from dlreport.models.classifier import Classifier

CHUNK = 250  # images at once: more are no faster, and take more memory


@dataclass(frozen=True)
class Seen:
    """Images and, on the CPU, what the classifier makes of them."""

    images: Tensor
    features: Tensor  # [N, F]
    digits: Tensor  # the likeliest [N]
    confidence: Tensor  # the probability of that [N]

    @classmethod
    @torch.no_grad()
    def by(cls, model: Classifier, images: Tensor) -> "Seen":
        """By a model in eval mode, on the images' device."""
        parts = []
        for batch in images.split(CHUNK):
            features = model.features(batch)
            confidence, digits = model.head(features).softmax(1).max(1)
            parts.append((features.cpu(), digits.cpu(), confidence.cpu()))
        return cls(images, *map(torch.cat, zip(*parts, strict=True)))

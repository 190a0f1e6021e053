"""Measures a walk in latent space. This is ours; the report judges by eye. Shapes: N images along the walk."""

import pandas as pd
from torch import Tensor

from dlreport.gan.classifier import Classifier, read


def step_shares(points: Tensor) -> Tensor:
    """Return the Euclidean distances between neighbours in a row of points [N, ...], as shares of their sum [N - 1].

    In a perfectly even walk each is 1 / (N - 1). If the walk is a single jump, one of them is 1.
    """
    steps = points.flatten(1).diff(dim=0).norm(dim=1)
    return steps / steps.sum().clamp(min=1e-30)  # zeros if the images do not differ at all


def measure_walk(images: Tensor, position: Tensor, classifier: Classifier) -> pd.DataFrame:
    """Measure images [N, 1, 28, 28] at their positions [N] on the way -> a row for each, with the step to it."""
    reading = read(classifier, images)
    return pd.DataFrame(
        {
            "weight": position,
            "digit": reading.digits,
            "confidence": reading.confidence,
            "pixel_step": [None, *step_shares(images).tolist()],
            "feature_step": [None, *step_shares(reading.features).tolist()],
        }
    )

"""A walk in latent space, measured. Ours; the report judges by eye. Shapes: N images along the walk."""

import pandas as pd
from torch import Tensor

from dlreport.gan.classifier import Classifier, read


def step_shares(points: Tensor) -> Tensor:
    """Euclidean distances between neighbours of a row of points [N, ...] as shares of their sum [N - 1].

    1 / (N - 1) each is a perfectly even walk; a 1 is a single jump.
    """
    steps = points.flatten(1).diff(dim=0).norm(dim=1)
    return steps / steps.sum().clamp(min=1e-30)  # images that do not differ at all: zeros


def measure_walk(images: Tensor, position: Tensor, classifier: Classifier) -> pd.DataFrame:
    """Images [N, 1, 28, 28] and their position [N] on the way -> a row for each, with the step that leads to it."""
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

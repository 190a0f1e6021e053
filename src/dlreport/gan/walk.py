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


def measure_walk(
    images: Tensor, position: Tensor, classifier: Classifier
) -> tuple[pd.DataFrame, dict[str, float | int]]:
    """Images [N, 1, 28, 28] and their position [N] on the way -> a row for each, and the whole walk's measures."""
    reading = read(classifier, images)
    pixel_steps, feature_steps = step_shares(images), step_shares(reading.features)
    table = pd.DataFrame(
        {
            "weight": position,
            "digit": reading.digits,
            "confidence": reading.confidence,
            "pixel_step": [None, *pixel_steps.tolist()],
            "feature_step": [None, *feature_steps.tolist()],
        }
    )
    return table, {
        "largest_step_share": pixel_steps.max().item(),
        "largest_step_share_features": feature_steps.max().item(),
        "digit_changes": int((reading.digits.diff() != 0).sum()),
        "least_confidence": reading.confidence.min().item(),
    }

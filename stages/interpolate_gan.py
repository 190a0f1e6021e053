"""Walk in latent space with the saved generator: the report's straight line, and between random vectors."""

from pathlib import Path

import pandas as pd
import torch

from dlreport import figures
from dlreport.config import load_params
from dlreport.evaluation.classifier import Seen
from dlreport.evaluation.gan import generate, line_latents, pair_latents, spherical, step_shares, straight, tile
from dlreport.io import read_tensors, write_csv, write_figure, write_metrics
from dlreport.models.classifier import Classifier
from dlreport.runtime import prepare
from stage import run

PLOTS = Path("plots/gan")


def main() -> None:
    params = load_params()
    prepare(threads=1)
    weights = read_tensors(Path("models/gan/0/generator.pt"))
    model = Classifier.of_digits(read_tensors(Path("models/classifier.pt")))

    latents = line_latents(params.gan)
    images = generate(weights, latents)
    seen = Seen.by(model, images)
    pixel_steps, feature_steps = step_shares(images), step_shares(seen.features)
    walk = {
        "weight": latents[:, 0],
        "digit": seen.digits,
        "confidence": seen.confidence,
        "pixel_step": [None, *pixel_steps.tolist()],
        "feature_step": [None, *feature_steps.tolist()],
    }
    write_csv(PLOTS / "interpolation.csv", pd.DataFrame(walk))
    metrics = {
        "largest_step_share": pixel_steps.max().item(),
        "largest_step_share_features": feature_steps.max().item(),
        "digit_changes": int((seen.digits.diff() != 0).sum()),
        "least_confidence": seen.confidence.min().item(),
    }
    write_metrics(Path("metrics/gan/interpolation.json"), metrics)
    labels = [f"{weight:.3g}" for weight in latents[:, 0].tolist()]
    title = "from the all-zeros (0) to the all-ones (1) latent vector"
    write_figure(PLOTS / "interpolation.png", figures.image_grid(tile(images, len(images)), title, labels))

    ends = pair_latents(params.gan, params.seed)
    walks = [way(a, b, len(latents)) for a, b in ends for way in (straight, spherical)]
    pairs = tile(generate(weights, torch.cat(walks)), len(latents))
    title = "between random latent vectors: straight, and spherical below it"
    write_figure(PLOTS / "interpolation_pairs.png", figures.image_grid(pairs, title))


if __name__ == "__main__":
    run(main)

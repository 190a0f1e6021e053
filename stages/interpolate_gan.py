"""Walk in latent space with the saved generator: the report's straight line, and between random vectors."""

from pathlib import Path

from common.stage import run

import torch

from dlreport.config import load_params
from dlreport.gan import figures
from dlreport.gan.classifier import Classifier
from dlreport.gan.samples import generate, line_latents, pair_latents, spherical, straight
from dlreport.gan.walk import measure_walk
from dlreport.io import read_tensors, write_csv, write_figure, write_metrics
from dlreport.runtime import prepare

PLOTS = Path("plots/gan")


def main() -> None:
    params = load_params()
    prepare(threads=1)
    weights = read_tensors(Path("models/gan/0/generator.pt"))
    classifier = Classifier.of_digits(read_tensors(Path("models/classifier.pt")))

    latents = line_latents(params.gan)
    images = generate(weights, latents)
    table, metrics = measure_walk(images, latents[:, 0], classifier)
    write_csv(PLOTS / "interpolation.csv", table)
    write_metrics(Path("metrics/gan/interpolation.json"), metrics)
    labels = [f"{weight:.3g}" for weight in latents[:, 0].tolist()]
    title = "from the all-zeros (0) to the all-ones (1) latent vector"
    write_figure(PLOTS / "interpolation.png", figures.image_grid(images, title, len(images), labels))

    ends = pair_latents(params.gan, params.seed)
    walks = [way(a, b, len(latents)) for a, b in ends for way in (straight, spherical)]
    title = "between random latent vectors: straight, and spherical below it"
    pairs = figures.image_grid(generate(weights, torch.cat(walks)), title, columns=len(latents))
    write_figure(PLOTS / "interpolation_pairs.png", pairs)


if __name__ == "__main__":
    run(main)

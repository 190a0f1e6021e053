"""Walk in latent space with the trained generators.

Each replicate's generator walks along the report's straight line. The first one also walks between random vectors.
"""

from pathlib import Path

from common.stage import run

import pandas as pd
import torch

from dlreport.config import load_params
from dlreport.gan import figures
from dlreport.gan.classifier import Classifier
from dlreport.gan.courses import whole_walks
from dlreport.gan.samples import generate, line_latents, pair_latents, spherical, straight
from dlreport.gan.walk import measure_walk
from dlreport.io import read_tensors, write_csv, write_figure, write_metrics
from dlreport.runtime import prepare

PLOTS = Path("plots/gan")


def main() -> None:
    params = load_params()
    prepare(threads=1)
    generators = [
        read_tensors(Path(f"models/gan/{replicate}/generator.safetensors"))
        for replicate in range(params.gan.replicates)
    ]
    classifier = Classifier.of_digits(read_tensors(Path("models/classifier.safetensors")))

    latents = line_latents(params.gan)
    walks = [generate(weights, latents) for weights in generators]
    measured = [measure_walk(images, latents[:, 0], classifier) for images in walks]
    table = pd.concat(measured, keys=range(len(walks)), names=["replicate", None]).reset_index("replicate")
    write_csv(PLOTS / "interpolation.csv", table)
    write_metrics(Path("metrics/gan/interpolation.json"), whole_walks(table).mean().to_dict())
    labels = [f"{weight:.3g}" for weight in latents[:, 0].tolist()]
    title = "from the all-zeros (0) to the all-ones (1) latent vector"
    write_figure(PLOTS / "interpolation.png", figures.image_grid(walks[0], title, len(latents), labels))

    ends = pair_latents(params.gan, params.seed)
    ways = [way(a, b, len(latents)) for a, b in ends for way in (straight, spherical)]
    title = "between random latent vectors: straight, and spherical below it"
    pairs = figures.image_grid(generate(generators[0], torch.cat(ways)), title, columns=len(latents))
    write_figure(PLOTS / "interpolation_pairs.png", pairs)


if __name__ == "__main__":
    run(main)

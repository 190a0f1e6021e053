"""The GAN's losses and architecture as numbers; figures of the losses and of what evaluate_gan measured."""

from pathlib import Path

from common.stage import run

import pandas as pd

from dlreport.config import load_params
from dlreport.gan import figures
from dlreport.gan.networks import layer_table
from dlreport.io import read_csv, read_tensors, write_csv, write_figure, write_metrics

PLOTS = Path("plots/gan")


def main() -> None:
    losses = read_csv(PLOTS / "losses.csv")
    last = losses[losses["epoch"] == losses["epoch"].max()].mean()
    metrics = {
        **{f"{name}_loss": float(last[name]) for name in ("discriminator", "generator")},
        "training_images": len(read_tensors(Path("data/mnist/train.pt"))["images"]),
    }
    write_metrics(Path("metrics/gan/training.json"), metrics)
    write_csv(PLOTS / "layers.csv", pd.DataFrame(layer_table(load_params().gan.latent_dim)))
    write_figure(PLOTS / "losses.png", figures.losses(losses))
    write_figure(PLOTS / "quality_by_epoch.png", figures.quality_by_epoch(read_csv(PLOTS / "quality_by_epoch.csv")))
    pairs = read_tensors(Path("models/closest_pairs.pt"))  # [2, digits, 1, 28, 28]
    title = "of each digit the generated image (above) that is closest to a training image (below)"
    write_figure(PLOTS / "closest_pairs.png", figures.image_grid(pairs.flatten(0, 1), title, columns=pairs.shape[1]))


if __name__ == "__main__":
    run(main)

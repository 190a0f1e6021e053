"""Write the GAN's last losses and a table of its layers, and draw the images that are closest to training images."""

from pathlib import Path

from common.stage import run

import pandas as pd

from dlreport.config import load_params
from dlreport.gan import figures
from dlreport.gan.networks import layer_table
from dlreport.io import read_csv, read_tensors, write_csv, write_figure, write_metrics

PLOTS = Path("plots/gan")


def main() -> None:
    losses, labels = read_csv(PLOTS / "losses.csv"), read_tensors(Path("data/mnist/train.safetensors"))["labels"]
    last = losses[losses["epoch"] == losses["epoch"].max()].mean()
    metrics = {f"{name}_loss": float(last[name]) for name in ("discriminator", "generator")}
    metrics["training_images"] = len(labels)
    write_metrics(Path("metrics/gan/training.json"), metrics)
    write_csv(PLOTS / "layers.csv", pd.DataFrame(layer_table(load_params().gan.latent_dim)))
    pairs = read_tensors(Path("models/closest_pairs.safetensors"))  # a dict with the fields of quality.Pairs
    read_as = [f"{digit} ({share:.3f})" for digit, share in zip(pairs["digits"], pairs["confidence"], strict=True)]
    title = "generated images that are closest to training images (below), and how they are read"
    grid = figures.image_grid(pairs["images"].flatten(0, 1), title, len(read_as), read_as)
    write_figure(PLOTS / "closest_pairs.png", grid)


if __name__ == "__main__":
    run(main)

"""The GAN's losses and architecture as numbers, and the loss figure."""

from pathlib import Path

import pandas as pd
import torch

from common.stage import run
from dlreport.config import load_params
from dlreport.gan import figures
from dlreport.gan.networks import Discriminator, Generator, layer_table
from dlreport.io import read_csv, read_tensors, write_csv, write_figure, write_metrics


def main() -> None:
    losses = read_csv(Path("plots/gan/losses.csv"))
    networks = {
        "generator": Generator(load_params().gan.latent_dim, torch.Generator()),
        "discriminator": Discriminator(torch.Generator()),
    }
    last = losses[losses["epoch"] == losses["epoch"].max()].mean()
    metrics = {
        **{f"{name}_loss": float(last[name]) for name in ("discriminator", "generator")},
        "training_images": len(read_tensors(Path("data/mnist/train.pt"))["images"]),
    }
    write_metrics(Path("metrics/gan/training.json"), metrics)
    write_csv(Path("plots/gan/layers.csv"), pd.DataFrame(layer_table(networks)))
    write_figure(Path("plots/gan/losses.png"), figures.losses(losses))


if __name__ == "__main__":
    run(main)

"""Train the GAN; keep generators along the way."""

from pathlib import Path

import pandas as pd

from dlreport.config import load_params
from dlreport.errors import run
from dlreport.io import read_tensors, write_csv, write_tensors
from dlreport.models.gan import Generator
from dlreport.runtime import workers
from dlreport.training.gan import train_gan
from dlreport.training.progress import start_logging


def keep(epoch: int, generator: Generator) -> None:
    write_tensors(Path(f"models/gan/snapshots/{epoch:04d}.pt"), generator.state_dict())


def main() -> None:
    start_logging()
    params = load_params()
    pixels = read_tensors(Path("data/mnist/train.pt"))["images"]

    generator, discriminator, losses = train_gan(
        pixels, params.gan, params.seed, params.device, params.precision, workers(), keep
    )

    write_tensors(Path("models/gan/generator.pt"), generator.state_dict())
    write_tensors(Path("models/gan/discriminator.pt"), discriminator.state_dict())
    epochs = range(1, params.gan.epochs + 1)
    write_csv(Path("plots/gan/losses.csv"), pd.DataFrame({"epoch": epochs, **losses}))


if __name__ == "__main__":
    run(main)

"""Train the GAN; keep generators along the way."""

from pathlib import Path

import pandas as pd
from torch import Tensor

from dlreport.config import load_params
from dlreport.io import read_tensors, write_csv, write_tensors
from dlreport.runtime import workers
from dlreport.training.checkpoint import Checkpoints, stop_by_signal
from dlreport.training.gan import train_gan
from dlreport.training.progress import start_logging
from stage import run

# the settings that a checkpoint is good for: all that change a weight, or which are kept
DECIDING = {"latent_dim", "epochs", "batch_size", "learning_rate", "betas", "average", "snapshot_every"}


def write(replicate: int, name: str, weights: dict[str, Tensor]) -> None:
    write_tensors(Path(f"models/gan/{replicate}/{name}.pt"), weights)


def main() -> None:
    start_logging()
    params = load_params()
    pixels = read_tensors(Path("data/mnist/train.pt"))["images"]

    settings = params.model_dump(include={"seed": True, "device": True, "precision": True, "gan": DECIDING})
    checkpoints = Checkpoints.of(Path(".checkpoints/GAN"), params.checkpoint_seconds, settings, pixels)
    options = params.device, params.precision, workers()

    stop_by_signal()
    losses = []
    for replicate in range(params.gan.replicates):

        def keep(epoch: int, weights: dict[str, Tensor], replicate: int = replicate) -> None:
            write(replicate, f"snapshots/{epoch:04d}", weights)

        trained = train_gan(pixels, params.gan, params.seed, replicate, *options, keep, checkpoints)

        for name in ("generator", "discriminator", "average"):
            write(replicate, name, getattr(trained, name).state_dict())
        epochs = range(1, params.gan.epochs + 1)
        losses.append(pd.DataFrame({"replicate": replicate, "epoch": epochs, **trained.losses}))
    write_csv(Path("plots/gan/losses.csv"), pd.concat(losses))
    checkpoints.remove()


if __name__ == "__main__":
    run(main)

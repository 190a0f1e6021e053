"""Train the replicates of the GAN, and keep generators along the way."""

from pathlib import Path

from common.stage import run

import pandas as pd

from dlreport.checkpoint import Checkpoints, stop_by_signal
from dlreport.config import load_params
from dlreport.gan.engines import is_native
from dlreport.gan.training import train_replicates
from dlreport.io import read_tensors, write_csv, write_tensors
from dlreport.progress import start_logging
from dlreport.runtime import select_device, workers

# keys that change no weight
NOT_DECIDING = {"replicates", "grid_images", "interpolation_points", "interpolation_pairs"}


def main() -> None:
    start_logging()
    params = load_params()
    pixels = read_tensors(Path("data/mnist/train.safetensors"))["images"]
    where = select_device(params.device)
    settings = {**params.model_dump(include={"seed", "precision"}), "device": where.type}
    settings["native"] = is_native(where, params.precision)
    settings["gan"] = params.gan.model_dump(exclude=NOT_DECIDING)
    checkpoints = Checkpoints.of(Path(".checkpoints/GAN"), params.checkpoint_seconds, settings, pixels)
    stop_by_signal()
    tables = []
    for replicate, trained in enumerate(train_replicates(pixels, params, workers(), checkpoints)):
        files = {f"snapshots/{epoch:04d}": weights for epoch, weights in trained.snapshots.items()}
        files |= {name: getattr(trained, name) for name in ("generator", "discriminator", "average")}
        for name, weights in files.items():
            write_tensors(Path(f"models/gan/{replicate}/{name}.safetensors"), weights)
        epochs = range(1, params.gan.epochs + 1)
        shown = {**trained.losses, **trained.accuracies}
        tables.append(pd.DataFrame({"replicate": replicate, "epoch": epochs, **shown}))
    write_csv(Path("plots/gan/losses.csv"), pd.concat(tables))
    checkpoints.remove()


if __name__ == "__main__":
    run(main)

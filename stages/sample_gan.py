"""Draw images of the same latent vectors by the generator of each kept epoch, and write the final generator for the
report's page."""

from pathlib import Path

from common.stage import run

import torch

from dlreport.config import load_params
from dlreport.gan import figures
from dlreport.gan.explorer import encode, fold
from dlreport.gan.networks import Generator
from dlreport.gan.samples import at_epoch, generate, grid_latents
from dlreport.io import read_tensors, write_figure, write_json
from dlreport.runtime import prepare


def main() -> None:
    params = load_params()
    prepare(threads=1)
    latents = grid_latents(params.gan, params.seed)

    def draw(weights: str, picture: str, title: str) -> None:
        images = generate(read_tensors(Path(f"models/gan/0/{weights}.safetensors")), latents)
        write_figure(Path(f"plots/gan/{picture}.png"), figures.image_grid(images, title))

    for epoch in params.gan.snapshot_epochs():
        draw(f"snapshots/{epoch:04d}", f"grids/{epoch:04d}", at_epoch(epoch))
    draw("generator", "final_grid", f"end of training, epoch {params.gan.epochs}")

    generator = Generator(params.gan.latent_dim, torch.Generator())
    generator.load_state_dict(read_tensors(Path("models/gan/0/generator.safetensors")))
    write_json(Path("report/generator.json"), encode(fold(generator)))


if __name__ == "__main__":
    run(main)

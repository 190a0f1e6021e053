"""Draw the same latent vectors by the generator of each kept epoch."""

from pathlib import Path

from common.stage import run
from dlreport.config import load_params
from dlreport.gan import figures
from dlreport.gan.samples import generate, grid_latents, tile
from dlreport.io import read_tensors, write_figure
from dlreport.runtime import prepare


def main() -> None:
    params = load_params()
    prepare(threads=1)
    latents = grid_latents(params.gan, params.seed)
    for epoch in params.gan.snapshot_epochs():
        weights = read_tensors(Path(f"models/gan/0/snapshots/{epoch:04d}.pt"))
        title = f"after epoch {epoch}" if epoch else "before training"
        write_figure(
            Path(f"plots/gan/grids/{epoch:04d}.png"), figures.image_grid(tile(generate(weights, latents)), title)
        )
    final = tile(generate(read_tensors(Path("models/gan/0/generator.pt")), latents))
    write_figure(
        Path("plots/gan/final_grid.png"), figures.image_grid(final, f"end of training, epoch {params.gan.epochs}")
    )


if __name__ == "__main__":
    run(main)

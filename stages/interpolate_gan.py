"""Walk a straight line in latent space with the saved generator."""

from pathlib import Path

from dlreport import figures
from dlreport.config import load_params
from dlreport.evaluation.gan import generate, largest_step_share, line_latents, tile
from dlreport.io import read_tensors, write_figure, write_metrics
from stage import run


def main() -> None:
    latents = line_latents(load_params().gan)
    images = generate(read_tensors(Path("models/gan/generator.pt")), latents)
    metrics = {"steps": len(images) - 1, "largest_step_share": largest_step_share(images)}
    write_metrics(Path("metrics/gan/interpolation.json"), metrics)
    labels = [f"{weight:.3g}" for weight in latents[:, 0].tolist()]
    title = "from the all-zeros (0) to the all-ones (1) latent vector"
    write_figure(Path("plots/gan/interpolation.png"), figures.image_grid(tile(images, len(images)), title, labels))


if __name__ == "__main__":
    run(main)

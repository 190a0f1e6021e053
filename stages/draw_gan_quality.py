"""Draw what evaluate_gan measured."""

from pathlib import Path

import torch

from common.stage import run
from dlreport.gan import figures
from dlreport.gan.samples import tile
from dlreport.io import read_csv, read_tensors, write_figure

PLOTS = Path("plots/gan")


def main() -> None:
    write_figure(PLOTS / "quality_by_epoch.png", figures.quality_by_epoch(read_csv(PLOTS / "quality_by_epoch.csv")))
    generated, training = read_tensors(Path("models/closest_pairs.pt"))
    pairs = tile(torch.cat([generated, training]), len(generated))
    title = "of each digit the generated image (above) that is closest to a training image (below)"
    write_figure(PLOTS / "closest_pairs.png", figures.image_grid(pairs, title))


if __name__ == "__main__":
    run(main)

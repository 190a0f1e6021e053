"""Write the generator for the report's page, which draws images in the browser."""

from pathlib import Path

import torch

from dlreport.config import load_params
from dlreport.io import read_tensors, write_json
from dlreport.models.gan import Generator
from dlreport.report.explorer import encode, fold
from stage import run


def main() -> None:
    generator = Generator(load_params().gan.latent_dim, torch.Generator())
    generator.load_state_dict(read_tensors(Path("models/gan/0/generator.pt")))
    write_json(Path("models/explorer.json"), encode(fold(generator)))


if __name__ == "__main__":
    run(main)

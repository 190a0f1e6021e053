"""Write the generator for the report's page, which draws images in the browser."""

from pathlib import Path

import torch

from common.stage import run
from dlreport.config import load_params
from dlreport.gan.explorer import encode, fold
from dlreport.gan.networks import Generator
from dlreport.io import read_tensors, write_json


def main() -> None:
    generator = Generator(load_params().gan.latent_dim, torch.Generator())
    generator.load_state_dict(read_tensors(Path("models/gan/0/generator.pt")))
    write_json(Path("models/explorer.json"), encode(fold(generator)))


if __name__ == "__main__":
    run(main)

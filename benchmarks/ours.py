"""This repository's code in the harness: the engine's own step and its own supply of batches."""

from collections.abc import Callable
from itertools import chain, count, islice
from pathlib import Path

import torch
from cells import Cell, read_mnist

from dlreport.config import load_params
from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator
from dlreport.training import sequence
from dlreport.sequence.engines import Native
from dlreport.gan.engines import NativeGan

PARAMS = Path(__file__).resolve().parents[1] / "params.yaml"


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(cell: Cell, precision: str = "fp32") -> Callable[[int], None]:
    """A function that runs the next n training steps; precision "fp32" | "bf16" of the matrix products."""
    return (build_gan if cell.kind == "GAN" else build_sequence)(cell, precision)


def build_gan(cell: Cell, precision: str) -> Callable[[int], None]:
    settings = load_params(PARAMS).gan
    images = normalise(read_mnist()["images"])
    networks = Generator(settings.latent_dim, seeded(0)), Discriminator(seeded(1))
    engine = NativeGan(*networks, settings, seeded(2), precision)
    order = seeded(3)
    batches = chain.from_iterable(torch.randperm(len(images), generator=order).split(cell.batch) for _ in count())

    def run(steps: int) -> None:
        torch.stack([engine.step(images[batch]) for batch in islice(batches, steps)])

    return run


def build_sequence(cell: Cell, precision: str) -> Callable[[int], None]:
    settings = load_params(PARAMS).sequence
    task = sequence.Cell(cell.kind, cell.length)
    engine = Native(sequence.build_model(task, cell.hidden, seeded(0)), settings, precision)
    data = [seeded(1)]

    block = sequence.BLOCK // cell.batch

    def run(steps: int) -> None:
        for start in range(0, steps, block):
            engine.train(*sequence.draw(cell.length, cell.batch, min(block, steps - start), data))

    return run

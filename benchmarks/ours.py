"""This repository's code in the harness: the engine's own step and its own supply of batches."""

from collections.abc import Callable
from itertools import chain, count, islice

import torch
from workloads import PARAMS, Workload, read_mnist

from dlreport.config import load_params
from dlreport.gan.engines import build_engine
from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator
from dlreport.sequence.engines import Autograd, Native
from dlreport.sequence.task import Task
from dlreport.sequence.training import BLOCK, draw, is_native


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def build(workload: Workload, precision: str = "fp32") -> Callable[[int], None]:
    """A function that runs the next n training steps; precision "fp32" | "bf16" of the matrix products."""
    return (build_gan if workload.kind == "GAN" else build_sequence)(workload, precision)


def build_gan(workload: Workload, precision: str) -> Callable[[int], None]:
    settings = load_params(PARAMS).gan
    images = normalise(read_mnist()["images"])
    networks = Generator(settings.latent_dim, seeded(0)), Discriminator(seeded(1))
    engine = build_engine(*networks, settings, seeded(2), precision)
    order = seeded(3)
    batches = chain.from_iterable(torch.randperm(len(images), generator=order).split(workload.batch) for _ in count())

    def run(steps: int) -> None:
        torch.stack([engine.step(images[batch]) for batch in islice(batches, steps)])

    return run


def build_sequence(workload: Workload, precision: str) -> Callable[[int], None]:
    settings = load_params(PARAMS).sequence
    task = Task(workload.kind, workload.length)
    model = task.build(workload.hidden, seeded(0))
    native = is_native(task, torch.device("cpu"), precision)
    engine = Native(model, settings, precision) if native else Autograd([model], settings, precision)
    data = [seeded(1)]
    block = BLOCK // workload.batch

    def run(steps: int) -> None:
        for start in range(0, steps, block):
            engine.train(*draw(workload.length, workload.batch, min(block, steps - start), data))

    return run

"""This repository's code in the harness: the engine's own step and its own supply of batches."""

from collections.abc import Callable
from itertools import chain, count, islice

import torch
from workloads import PARAMS, Workload, images_of

from dlreport.config import load_params
from dlreport.gan.engines import build_engine as build_gan_engine
from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator
from dlreport.sequence.task import Task
from dlreport.sequence.training import build_engine, draw, steps_of_block


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def awaited(run: Callable[[int], None], device: str) -> Callable[[int], None]:
    """The same, but it ends when the device has."""

    def run_to_its_end(count: int) -> None:
        run(count)
        if device == "cuda":
            torch.cuda.synchronize()

    return run_to_its_end


def build(
    workload: Workload, precision: str = "fp32", device: str = "cpu", replicates: int = 1, noise: int = 0
) -> Callable[[int], None]:
    """A function that runs the next n training steps; precision "fp32" | "bf16" of the matrix products. `replicates`
    of a sequence model are trained at once; `noise` is for images_of."""
    where = torch.device(device)
    if workload.kind == "GAN":
        return awaited(build_gan(workload, precision, where, noise), device)
    return awaited(build_sequence(workload, precision, where, replicates), device)


def build_gan(workload: Workload, precision: str, device: torch.device, noise: int) -> Callable[[int], None]:
    settings = load_params(PARAMS).gan.model_copy(update={"batch_size": workload.batch})
    images = normalise(images_of(noise)).to(device)
    networks = Generator(settings.latent_dim, seeded(0)).to(device), Discriminator(seeded(1)).to(device)
    engine = build_gan_engine(*networks, settings, seeded(2), precision)
    order = seeded(3)
    batches = chain.from_iterable(
        torch.randperm(len(images), generator=order).to(device).split(workload.batch) for _ in count()
    )
    done = 0

    def run(steps: int) -> None:
        nonlocal done
        chosen = [*islice(batches, steps)]
        while chosen:
            block = [batch for batch in chosen[: engine.block] if len(batch) == len(chosen[0])]
            chosen = chosen[len(block) :]
            engine.train(images[torch.stack(block)], done)
            done += len(block)

    return run


def build_sequence(workload: Workload, precision: str, device: torch.device, replicates: int) -> Callable[[int], None]:
    shape = {"hidden_dim": workload.hidden, "batch_size": workload.batch}
    settings = load_params(PARAMS).sequence.model_copy(update=shape)
    task = Task(workload.kind, workload.length)
    models = [task.build(workload.hidden, seeded(r)).to(device) for r in range(replicates)]
    engine = build_engine(task, models, settings, device, precision)
    data = [seeded(replicates + r) for r in range(replicates)]
    block, ahead = steps_of_block(workload.batch, device), []

    def run(steps: int) -> None:
        """As in training, the next steps' data are drawn while a GPU trains on these."""
        for start in range(0, steps, block):
            count = min(block, steps - start)
            now = ahead.pop() if ahead else None
            if now is None or len(now[0]) != count:
                now = draw(workload.length, workload.batch, count, data, device)
            engine.train(*now)
            ahead.append(draw(workload.length, workload.batch, count, data, device))

    return run

"""The GAN's training loop. Report, part 2, "Training"."""

from collections.abc import Callable

import torch
from torch import Tensor

from dlreport.config import GAN_THREADS, Gan
from dlreport.errors import UserError
from dlreport.models.gan import Discriminator, Generator
from dlreport.runtime import check_precision, prepare, select_device
from dlreport.streams import stream
from dlreport.training.engines import native_engine
from dlreport.training.gan_engines import build_engine
from dlreport.training.progress import log, progress

Losses = dict[str, list[float]]


def normalise(pixels: Tensor) -> Tensor:
    """uint8 images [N, 28, 28] -> float32 [N, 784] in [-1, 1]: scaled to [0, 1], then (x - 0.5) / 0.5."""
    return pixels.flatten(1).float().div_(127.5).sub_(1)


def snapshot_epochs(settings: Gan) -> list[int]:
    """The numbers of finished epochs at which the generator is kept: 0, every `snapshot_every`-th, and the last."""
    return [*range(0, settings.epochs, settings.snapshot_every), settings.epochs]


def train_gan(
    pixels: Tensor,
    settings: Gan,
    seed: int,
    device: str,
    precision: str,
    threads: int,
    keep: Callable[[int, Generator], None],
) -> tuple[Generator, Discriminator, Losses]:
    """Train on uint8 images [N, 28, 28]; `keep(epoch, generator)` is called at each of `snapshot_epochs`.

    The native engine, whose numbers do not depend on them, uses up to `threads`; autograd's, on a CPU, one.

    Returns the two networks and the mean losses by epoch, [epochs] each. Raises UserError naming the epoch if a loss
    is no longer finite.
    """
    if len(pixels) % settings.batch_size == 1:
        raise UserError(
            f"gan.batch_size: {settings.batch_size} leaves one image of {len(pixels)} for the last batch, "
            "and BatchNorm needs two; choose another size"
        )
    where = select_device(device)
    check_precision(precision, where)
    prepare(min(threads, GAN_THREADS) if native_engine(where.type, precision) else 1)
    generator = Generator(settings.latent_dim, stream(seed, "gan", "init", "generator")).to(where)
    discriminator = Discriminator(stream(seed, "gan", "init", "discriminator")).to(where)
    order = stream(seed, "gan", "order")
    engine = build_engine(generator, discriminator, settings, stream(seed, "gan", "noise"), precision)
    images = normalise(pixels).to(where)  # the whole set at once: 188 MB for the 60,000
    kept_at = set(snapshot_epochs(settings))
    losses: Losses = {"discriminator": [], "generator": []}

    keep(0, generator)
    for epoch in progress(range(1, settings.epochs + 1), "GAN"):
        batches = torch.randperm(len(images), generator=order).to(where).split(settings.batch_size)
        d_mean, g_mean = torch.stack([engine.step(images[batch]) for batch in batches]).mean(0).tolist()
        losses["discriminator"].append(d_mean)
        losses["generator"].append(g_mean)
        log.info("GAN epoch %d discriminator loss %.4f generator loss %.4f", epoch, d_mean, g_mean)
        if not d_mean + g_mean < float("inf"):
            raise UserError(f"GAN: a loss is no longer finite in epoch {epoch}; lower gan.learning_rate")
        if epoch in kept_at:
            keep(epoch, generator)
    return generator, discriminator, losses

"""The GAN's training loop. Report, part 2, "Training"."""

from collections.abc import Callable

import torch
from torch import Tensor

from dlreport.config import Gan
from dlreport.errors import UserError
from dlreport.models.gan import Discriminator, Generator, discriminator_gradients, generator_gradients
from dlreport.runtime import DTYPES, check_precision, prepare, select_device
from dlreport.streams import stream
from dlreport.training.progress import log, progress

Losses = dict[str, list[float]]


def normalise(pixels: Tensor) -> Tensor:
    """uint8 images [N, 28, 28] -> float32 [N, 784] in [-1, 1]: scaled to [0, 1], then (x - 0.5) / 0.5."""
    return pixels.flatten(1).float().div_(127.5).sub_(1)


def snapshot_epochs(settings: Gan) -> list[int]:
    """The numbers of finished epochs at which the generator is kept: 0, every `snapshot_every`-th, and the last."""
    return [*range(0, settings.epochs, settings.snapshot_every), settings.epochs]


def gan_step(
    generator: Generator, discriminator: Discriminator, settings: Gan, noise: torch.Generator, precision: str
) -> Callable[[Tensor], Tensor]:
    """A training step: takes real images [B, P], updates both networks, returns the losses (discriminator, generator).

    The losses [2] stay on the networks' device: reading a number each step would wait for it.
    """
    device = next(generator.parameters()).device
    dtype = DTYPES[precision]
    adam = {"lr": settings.learning_rate, "betas": tuple(settings.betas), "fused": True}
    generator_adam = torch.optim.Adam(generator.parameters(), **adam)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), **adam)
    for_discriminator, for_generator = discriminator_gradients, generator_gradients
    if device.type == "cuda":  # as CUDA graphs: launching their kernels one by one would cost more than they compute
        for_discriminator, for_generator = (
            torch.compile(gradients, mode="reduce-overhead") for gradients in (for_discriminator, for_generator)
        )

    def latents(count: int) -> Tensor:
        return torch.randn(count, settings.latent_dim, generator=noise).to(device)

    def update(adam: torch.optim.Adam, gradients: list[Tensor]) -> None:
        for parameter, gradient in zip(adam.param_groups[0]["params"], gradients, strict=True):
            parameter.grad = gradient
        adam.step()

    @torch.no_grad()
    def step(real: Tensor) -> Tensor:
        d_loss, gradients = for_discriminator(discriminator, generator, real, latents(len(real)), dtype)
        update(discriminator_adam, gradients)
        g_loss, gradients = for_generator(discriminator, generator, latents(len(real)), dtype)
        update(generator_adam, gradients)
        return torch.stack([d_loss, g_loss])

    return step


def train_gan(
    pixels: Tensor, settings: Gan, seed: int, device: str, precision: str, keep: Callable[[int, Generator], None]
) -> tuple[Generator, Discriminator, Losses]:
    """Train on uint8 images [N, 28, 28]; `keep(epoch, generator)` is called at each of `snapshot_epochs`.

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
    prepare(settings.threads)
    generator = Generator(settings.latent_dim, stream(seed, "gan", "init", "generator")).to(where)
    discriminator = Discriminator(stream(seed, "gan", "init", "discriminator")).to(where)
    order = stream(seed, "gan", "order")
    train_batch = gan_step(generator, discriminator, settings, stream(seed, "gan", "noise"), precision)
    images = normalise(pixels).to(where)  # the whole set at once: 188 MB for the 60,000
    kept_at = set(snapshot_epochs(settings))
    losses: Losses = {"discriminator": [], "generator": []}

    keep(0, generator)
    for epoch in progress(range(1, settings.epochs + 1), "GAN"):
        batches = torch.randperm(len(images), generator=order).to(where).split(settings.batch_size)
        d_mean, g_mean = torch.stack([train_batch(images[batch]) for batch in batches]).mean(0).tolist()
        losses["discriminator"].append(d_mean)
        losses["generator"].append(g_mean)
        log.info("GAN epoch %d discriminator loss %.4f generator loss %.4f", epoch, d_mean, g_mean)
        if not d_mean + g_mean < float("inf"):
            raise UserError(f"GAN: a loss is no longer finite in epoch {epoch}; lower gan.learning_rate")
        if epoch in kept_at:
            keep(epoch, generator)
    return generator, discriminator, losses

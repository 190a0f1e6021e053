"""Latent vectors, and the images of a trained generator from them. Report, part 2, "Shown".

Shapes: N images; Z latent dim.
"""

import torch
from torch import Tensor

from dlreport.config import GanSettings
from dlreport.gan.images import SIDE
from dlreport.gan.networks import Generator
from dlreport.streams import stream

CHUNK = 1000  # images drawn at once, for the memory's sake


def at_epoch(epoch: int) -> str:
    """Of which stage of training a generator is, in words."""
    return f"after epoch {epoch}" if epoch else "before training"


@torch.no_grad()
def generate(weights: dict[str, Tensor], latents: Tensor) -> Tensor:
    """Images [N, 1, 28, 28] in [-1, 1] of latents [N, Z], by a generator with these weights in eval mode."""
    generator = Generator(latents.shape[1], torch.Generator())
    generator.load_state_dict(weights)
    generator.eval()
    return torch.cat([generator(part) for part in latents.split(CHUNK)]).view(-1, 1, SIDE, SIDE)


def grid_latents(settings: GanSettings, seed: int) -> Tensor:
    """The one fixed noise [grid_images, Z] of all sample grids."""
    return torch.randn(settings.grid_images, settings.latent_dim, generator=stream(seed, "gan", "grid"))


def line_latents(settings: GanSettings) -> Tensor:
    """The straight line [interpolation_points + 2, Z] from the all-zeros to the all-ones latent vector, with both."""
    ends = torch.zeros(settings.latent_dim), torch.ones(settings.latent_dim)
    return straight(*ends, settings.interpolation_points + 2)


def pair_latents(settings: GanSettings, seed: int) -> Tensor:
    """Ends [interpolation_pairs, 2, Z] of walks between random latent vectors."""
    return torch.randn(settings.interpolation_pairs, 2, settings.latent_dim, generator=stream(seed, "gan", "pairs"))


def straight(a: Tensor, b: Tensor, points: int) -> Tensor:
    """`points` vectors on the straight line from a [Z] to b [Z], with both -> [points, Z]."""
    return torch.lerp(a, b, torch.linspace(0, 1, points)[:, None])


def spherical(a: Tensor, b: Tensor, points: int) -> Tensor:
    """The same along the great circle (Shoemake, 1985): between vectors of one norm it keeps that norm, while the
    straight line cuts through the middle, where there are hardly any samples of a normal distribution."""
    angle = torch.acos(torch.cosine_similarity(a, b, dim=0))
    t = torch.linspace(0, 1, points)[:, None]
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)

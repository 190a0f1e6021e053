"""Draws latent vectors, and images of a trained generator from them. Report, part 2, "Shown".

Shapes: N images; Z latent dim.
"""

import torch
from torch import Tensor

from dlreport.config import GanSettings
from dlreport.gan.images import SIDE
from dlreport.gan.networks import Generator
from dlreport.streams import stream

CHUNK = 1000  # images drawn at once, to save memory


def at_epoch(epoch: int) -> str:
    """Say in words from which stage of training a generator is."""
    return f"after epoch {epoch}" if epoch else "before training"


@torch.no_grad()
def generate(weights: dict[str, Tensor], latents: Tensor) -> Tensor:
    """Return images [N, 1, 28, 28] in [-1, 1] from latents [N, Z], by a generator with these weights in eval mode."""
    generator = Generator(latents.shape[1], torch.Generator())
    generator.load_state_dict(weights)
    generator.eval()
    return torch.cat([generator(part) for part in latents.split(CHUNK)]).view(-1, 1, SIDE, SIDE)


def grid_latents(settings: GanSettings, seed: int) -> Tensor:
    """Return the latents [grid_images, Z] of all sample grids; they are the same for each grid."""
    return torch.randn(settings.grid_images, settings.latent_dim, generator=stream(seed, "gan", "grid"))


def line_latents(settings: GanSettings) -> Tensor:
    """Return latents [interpolation_points + 2, Z] on the straight line from all zeros to all ones, both included."""
    ends = torch.zeros(settings.latent_dim), torch.ones(settings.latent_dim)
    return straight(*ends, settings.interpolation_points + 2)


def pair_latents(settings: GanSettings, seed: int) -> Tensor:
    """Return the two ends of each walk between random latent vectors [interpolation_pairs, 2, Z]."""
    return torch.randn(settings.interpolation_pairs, 2, settings.latent_dim, generator=stream(seed, "gan", "pairs"))


def straight(a: Tensor, b: Tensor, points: int) -> Tensor:
    """Return `points` vectors [points, Z] on the straight line from a [Z] to b [Z], both included."""
    return torch.lerp(a, b, torch.linspace(0, 1, points)[:, None])


def spherical(a: Tensor, b: Tensor, points: int) -> Tensor:
    """Return `points` vectors [points, Z] along the great circle from a [Z] to b [Z], both included (Shoemake, 1985).

    Between vectors of one norm it keeps that norm. The straight line cuts through the middle, where a normal
    distribution has hardly any samples.
    """
    angle = torch.acos(torch.cosine_similarity(a, b, dim=0))
    t = torch.linspace(0, 1, points)[:, None]
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)

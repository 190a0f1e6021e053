"""Pictures from a trained generator. Report, part 2, "Shown".

Shapes: N images; Z latent dim; pixels [height, width] in [0, 1] of one picture that holds them all.
"""

import torch
from torch import Tensor

from dlreport.config import Gan
from dlreport.models.gan import Generator
from dlreport.streams import stream

SIDE = 28
GRID_COLUMNS = 8


@torch.no_grad()
def generate(weights: dict[str, Tensor], latents: Tensor) -> Tensor:
    """Images [N, 1, 28, 28] in [-1, 1] of latents [N, Z], by a generator with these weights in eval mode."""
    generator = Generator(latents.shape[1], torch.Generator())
    generator.load_state_dict(weights)
    return generator.eval()(latents).view(-1, 1, SIDE, SIDE)


def grid_latents(settings: Gan, seed: int) -> Tensor:
    """The one fixed noise [grid_images, Z] of all sample grids."""
    return torch.randn(settings.grid_images, settings.latent_dim, generator=stream(seed, "gan", "grid"))


def line_latents(settings: Gan) -> Tensor:
    """The straight line [interpolation_points + 2, Z] from the all-zeros to the all-ones latent vector, with both."""
    weights = torch.linspace(0, 1, settings.interpolation_points + 2)
    return weights[:, None].expand(-1, settings.latent_dim)


def largest_step_share(images: Tensor) -> float:
    """Largest of the Euclidean distances between neighbours of a row of images [N, 1, 28, 28], as share of their sum.

    1 / (N - 1) is a perfectly even walk; 1 is a single jump.
    """
    steps = images.flatten(1).diff(dim=0).norm(dim=1)
    return (steps.max() / steps.sum()).item()


def tile(images: Tensor, columns: int = GRID_COLUMNS) -> Tensor:
    """Images [N, 1, 28, 28] as one picture, min-max normalised over all of them together."""
    from torchvision.utils import make_grid  # here, as its import takes seconds

    return make_grid(images, nrow=columns, normalize=True)[0]


def layer_table(networks: dict[str, torch.nn.Module]) -> list[dict[str, str | int]]:
    """A row per layer (network, layer as PyTorch prints it, parameters) of networks with a `layers` sequence."""
    return [
        {"network": name, "layer": str(layer), "parameters": sum(p.numel() for p in layer.parameters())}
        for name, network in networks.items()
        for layer in network.layers
    ]

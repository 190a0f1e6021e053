"""Pictures from a generator, and walks through its latent space."""

import pytest
import torch

from dlreport.gan.networks import Generator
from dlreport.gan.samples import generate, grid_latents, line_latents, spherical, straight
from dlreport.gan.walk import step_shares
from helpers import seeded


def test_grid_noise_is_fixed_and_the_line_goes_from_zeros_to_ones(params):
    assert torch.equal(grid_latents(params.gan, 1), grid_latents(params.gan, 1))
    assert not torch.equal(grid_latents(params.gan, 1), grid_latents(params.gan, 2))
    assert grid_latents(params.gan, 1).shape == (64, 100)
    line = line_latents(params.gan)
    assert line.shape == (9, 100)
    assert not line[0].any()
    assert (line[-1] == 1).all()
    torch.testing.assert_close(line.diff(dim=0), torch.full((8, 100), 1 / 8))


def test_generate_is_in_eval_mode():
    generator = Generator(4, seeded(1))
    latents = torch.randn(5, 4, generator=seeded(2))
    together = generate(generator.state_dict(), latents)
    assert together.shape == (5, 1, 28, 28)
    alone = torch.cat([generate(generator.state_dict(), z[None]) for z in latents])
    torch.testing.assert_close(together, alone)  # in train mode BatchNorm would mix the batch (and refuse one image)


def test_step_shares():
    even = torch.arange(9.0).view(9, 1, 1, 1).expand(9, 1, 28, 28)
    assert step_shares(even).tolist() == pytest.approx([1 / 8] * 8)
    jump = torch.zeros(9, 1, 28, 28)
    jump[4:] = 1
    assert step_shares(jump).tolist() == [0, 0, 0, 1, 0, 0, 0, 0]


def test_straight_and_spherical_walks_have_their_ends_and_the_sphere_its_norm():
    a, b = torch.nn.functional.normalize(torch.randn(2, 50, generator=seeded(1))) * 7
    for way in (straight, spherical):
        walk = way(a, b, 9)
        assert walk.shape == (9, 50)
        torch.testing.assert_close(walk[[0, -1]], torch.stack([a, b]))
    torch.testing.assert_close(spherical(a, b, 9).norm(dim=1), torch.full((9,), 7.0))
    torch.testing.assert_close(straight(a, b, 9)[4], (a + b) / 2)
    assert straight(a, b, 9)[4].norm() < 6

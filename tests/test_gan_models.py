"""The GAN's networks and losses against their definitions."""

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator, discriminator_loss, generator_loss, layer_table
from helpers import seeded


def described(network: nn.Module) -> list[tuple]:
    """Kind and settings of each layer, as PyTorch's own attributes give them."""
    settings = {
        nn.Linear: lambda layer: (layer.in_features, layer.out_features),
        nn.BatchNorm1d: lambda layer: (layer.num_features, layer.eps, layer.momentum, layer.affine),
        nn.LeakyReLU: lambda layer: (layer.negative_slope,),
        nn.Tanh: lambda layer: (),
    }
    return [(type(layer), *settings[type(layer)](layer)) for layer in network.layers]


def test_generator_layers():
    assert described(Generator(100, seeded())) == [
        (nn.Linear, 100, 128),
        (nn.LeakyReLU, 0.2),
        (nn.Linear, 128, 256),
        (nn.BatchNorm1d, 256, 1e-5, 0.1, True),
        (nn.LeakyReLU, 0.2),
        (nn.Linear, 256, 512),
        (nn.BatchNorm1d, 512, 1e-5, 0.1, True),
        (nn.LeakyReLU, 0.2),
        (nn.Linear, 512, 1024),
        (nn.BatchNorm1d, 1024, 1e-5, 0.1, True),
        (nn.LeakyReLU, 0.2),
        (nn.Linear, 1024, 784),
        (nn.Tanh,),
    ]


def test_discriminator_layers():
    assert described(Discriminator(seeded())) == [
        (nn.Linear, 784, 512),
        (nn.LeakyReLU, 0.2),
        (nn.Linear, 512, 256),
        (nn.LeakyReLU, 0.2),
        (nn.Linear, 256, 1),
    ]


def test_discriminator_gives_one_probability_per_image():
    discriminator = Discriminator(seeded())
    images = torch.rand(5, 784, generator=seeded(1)) * 2 - 1
    probability = discriminator(images)
    assert probability.shape == (5,)
    assert torch.equal(probability, discriminator.logits(images).sigmoid())


def test_generator_gives_images_in_minus_one_to_one():
    images = Generator(4, seeded())(torch.randn(6, 4, generator=seeded(1)))
    assert images.shape == (6, 784)
    assert images.abs().max() <= 1
    assert images.min() < 0 < images.max()


def linears(network: nn.Module) -> list[nn.Linear]:
    return [layer for layer in network.modules() if isinstance(layer, nn.Linear)]


@pytest.mark.parametrize("build", [lambda g: Generator(100, g), Discriminator], ids=["generator", "discriminator"])
def test_initialisation_is_pytorchs_default_drawn_from_our_generator(build):
    ours = linears(build(seeded(9)))
    with torch.random.fork_rng():
        torch.manual_seed(9)
        defaults = [nn.Linear(layer.in_features, layer.out_features) for layer in ours]
    for layer, default in zip(ours, defaults, strict=True):
        torch.testing.assert_close(layer.weight, default.weight, rtol=1e-5, atol=1e-7)
        torch.testing.assert_close(layer.bias, default.bias, rtol=1e-5, atol=1e-7)


def test_batch_norm_starts_at_identity():
    norms = [layer for layer in Generator(4, seeded()).layers if isinstance(layer, nn.BatchNorm1d)]
    assert len(norms) == 3
    for norm in norms:
        assert (norm.weight == 1).all()
        assert not norm.bias.any()
        assert not norm.running_mean.any()
        assert (norm.running_var == 1).all()


@pytest.mark.parametrize("build", [lambda g: Generator(4, g), Discriminator], ids=["generator", "discriminator"])
def test_building_leaves_the_global_random_state(build):
    before = torch.get_rng_state()
    build(seeded())
    assert torch.equal(torch.get_rng_state(), before)


logits = st.lists(st.floats(-12, 12), min_size=1, max_size=8)


def variable(values: list[float]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def bce(logit: torch.Tensor, label: int) -> torch.Tensor:
    probability = logit.sigmoid()
    return F.binary_cross_entropy(probability, torch.full_like(probability, label))


@given(logits, logits)
def test_discriminator_loss_is_the_two_cross_entropies_added(real, fake):
    ours, plain = ([variable(real), variable(fake)] for _ in range(2))
    loss, expected = discriminator_loss(*ours), bce(plain[0], 1) + bce(plain[1], 0)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(ours, plain, strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-6, atol=1e-9)


@given(logits)
def test_generator_loss_is_the_non_saturating_cross_entropy(fake):
    ours, plain = variable(fake), variable(fake)
    loss, expected = generator_loss(ours), bce(plain, 1)
    loss.backward()
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(ours.grad, plain.grad, rtol=1e-6, atol=1e-9)


def test_losses_stay_exact_where_a_probability_rounds_to_0_or_1():
    far = torch.tensor([500.0])
    assert discriminator_loss(-far, far).item() == 1000
    assert discriminator_loss(far, -far).item() == 0
    assert generator_loss(-far).item() == 500


def test_one_batch_through_the_discriminator_equals_two_passes():
    discriminator = Discriminator(seeded()).double()
    real, fake = torch.randn(2, 6, 784, generator=seeded(1), dtype=torch.float64)
    parameters = list(discriminator.parameters())
    both = discriminator.logits(torch.cat([real, fake]))
    together = discriminator_loss(both[:6], both[6:])
    apart = bce(discriminator.logits(real), 1) + bce(discriminator.logits(fake), 0)
    torch.testing.assert_close(together, apart, rtol=1e-10, atol=0)
    torch.testing.assert_close(torch.autograd.grad(together, parameters), torch.autograd.grad(apart, parameters))


def test_normalise_maps_bytes_to_minus_one_to_one():
    pixels = torch.arange(256, dtype=torch.uint8).repeat(49)[: 784 * 16].reshape(16, 28, 28)
    values = normalise(pixels)
    assert values.shape == (16, 784)
    assert values.dtype == torch.float32
    assert values.min() == -1
    assert values.max() == 1
    torch.testing.assert_close(values, (pixels.reshape(16, 784) / 255 - 0.5) / 0.5)


def test_layer_table_adds_up_to_the_parameter_counts():
    table = pd.DataFrame(layer_table(latent_dim=100))
    assert table.groupby("network")["parameters"].sum().to_dict() == {"generator": 1510032, "discriminator": 533505}

"""The GAN's native gradients against autograd's, and both engines against each other."""

import copy

import pytest
import torch
from torch import nn

from dlreport.config import GanSettings
from dlreport.gan.engines import AutogradGan, NativeGan
from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator, discriminator_loss, generator_loss
from dlreport.native import gan as native_gan
from dlreport.runtime import prepare
from helpers import needs_native, seeded, tiny_gan
from products import amx, replace

needs_fp32, needs_bf16 = (needs_native(native_gan.SOURCE, precision) for precision in ("fp32", "bf16"))


@pytest.fixture(
    params=[
        pytest.param("fp32", marks=needs_fp32),
        pytest.param("bf16", marks=needs_bf16),
        pytest.param("bf16 by AMX", marks=needs_fp32),
    ]
)
def precision(request, monkeypatch) -> str:
    name, _, by = request.param.partition(" by ")
    if by:
        replace(monkeypatch, bf16=amx)
    return name


@pytest.fixture
def tiny(params) -> GanSettings:
    return tiny_gan(params)


def networks(latent_dim: int = 4) -> tuple[Generator, Discriminator]:
    return Generator(latent_dim, seeded(1)), Discriminator(seeded(2))


def gradients_by_autograd(generator, discriminator, real, z) -> tuple[float, list[torch.Tensor]]:
    if real is None:
        loss = generator_loss(discriminator.logits(generator(z)))
        return loss.item(), list(torch.autograd.grad(loss, list(generator.parameters())))
    fake = generator(z).detach()
    loss = discriminator_loss(discriminator.logits(real), discriminator.logits(fake))
    return loss.item(), list(torch.autograd.grad(loss, list(discriminator.parameters())))


@pytest.mark.parametrize("trained", ["generator", "discriminator"])
@pytest.mark.parametrize("count", [16, 129])
def test_native_gradients_equal_autograds(digits, tiny, precision, trained, count):
    real = normalise(digits[:count]) if trained == "discriminator" else None
    z = torch.randn(count, 4, generator=seeded(3))
    start = networks()
    plain = [copy.deepcopy(network).double() for network in start]
    loss, gradients = gradients_by_autograd(*plain, None if real is None else real.double(), z.double())

    engine = NativeGan(*start, tiny, seeded(), precision)
    flat = torch.full_like(engine.networks[real is not None].parameters, torch.nan)
    own = native_gan.gradients(real, z, *engine.networks, engine.constants, flat, precision, threads=1)

    exact = precision == "fp32"
    assert own == pytest.approx(loss, rel=1e-5 if exact else 1e-2)
    parts = flat.split([gradient.numel() for gradient in gradients])
    rounding = 1e-5 * max(gradient.abs().max().item() for gradient in gradients)  # where a gradient is zero but for it
    for part, gradient in zip(parts, gradients, strict=True):
        error = (part.view_as(gradient).double() - gradient).norm()
        assert error <= (1e-4 if exact else 0.3) * gradient.norm() + rounding * gradient.numel() ** 0.5
    for norm, same_norm in zip(start[0].layers, plain[0].layers, strict=True):
        if isinstance(norm, nn.BatchNorm1d):
            rounding = {"rtol": 1e-4, "atol": 1e-6} if exact else {"rtol": 0.02, "atol": 1e-3}
            torch.testing.assert_close(norm.running_mean.double(), same_norm.running_mean, **rounding)
            torch.testing.assert_close(norm.running_var.double(), same_norm.running_var, **rounding)


def test_both_engines_train_alike(digits, tiny, precision):
    losses = []
    for engine in (NativeGan, AutogradGan):
        generator, discriminator = networks()
        trainer = engine(generator, discriminator, tiny, seeded(3), precision)
        losses.append(torch.stack([trainer.step(batch) for batch in normalise(digits).split(16)[:6]]))
        assert generator.layers[3].num_batches_tracked.item() == 12
    torch.testing.assert_close(*losses, rtol=1e-3 if precision == "fp32" else 0.03, atol=0)


def test_threads_change_no_number_of_the_native_engine(digits, params, precision):
    results = []
    for threads in (1, 2, 3):
        prepare(threads)
        both = networks(100)
        engine = NativeGan(*both, params.gan, seeded(3), precision)
        losses = torch.stack([engine.step(batch) for batch in normalise(digits).split(127)])  # 127, ..., 3
        results.append([losses, *(value for network in both for value in network.state_dict().values())])
    prepare(threads=1)
    for other in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(results[0], other, strict=True))


def test_autograds_losses_can_be_compiled_whole(digits, tiny):
    """As they are on a GPU; here traced without one."""
    losses = []
    for compiled in (False, True):
        engine = AutogradGan(*networks(), tiny, seeded(3), "fp32")
        if compiled:
            options = {"backend": "aot_eager", "fullgraph": True, "dynamic": False}
            engine.losses = tuple(torch.compile(loss, **options) for loss in engine.losses)
        losses.append(torch.stack([engine.step(batch) for batch in normalise(digits[:40]).split(16)]))
    torch.testing.assert_close(*losses)

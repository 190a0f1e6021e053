"""The GAN's native gradients against autograd's, and both engines against each other."""

import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

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


# BatchNorm subtracts the bias before it again: its gradient is rounding, which Adam makes steps of the full rate.
MOVED_BY_ROUNDING = {"layers.2.bias", "layers.5.bias", "layers.8.bias"}


@pytest.fixture
def tiny(params) -> GanSettings:
    return tiny_gan(params)


def networks(latent_dim: int = 4) -> tuple[Generator, Discriminator]:
    return Generator(latent_dim, seeded(1)), Discriminator(seeded(2))


def batches_of(pixels: torch.Tensor, count: int, size: int = 16) -> torch.Tensor:
    """The first images, [count, size, 784]."""
    return normalise(pixels[: count * size]).view(count, size, -1)


def with_average(settings: GanSettings, **values: float) -> GanSettings:
    return settings.model_copy(update={"average": settings.average.model_copy(update=values)})


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
    settings = with_average(tiny, every=2)
    engines = [kind(*networks(), settings, seeded(3), precision) for kind in (NativeGan, AutogradGan)]
    losses = [engine.train(batches_of(digits, 6), done=0) for engine in engines]
    exact = precision == "fp32"
    torch.testing.assert_close(*losses, rtol=1e-3 if exact else 0.03, atol=0)
    for network in ("generator", "discriminator", "average"):
        ours, theirs = (getattr(engine, network).state_dict() for engine in engines)
        start = networks()[network == "discriminator"].state_dict()
        for name, value in ours.items():
            if name.endswith("num_batches_tracked"):
                assert value == theirs[name] > 0
            elif exact and not (network != "discriminator" and name in MOVED_BY_ROUNDING):
                moved = (value - start[name]).norm()
                assert (theirs[name] - value).norm() <= 0.1 * moved, name
                assert moved > 0


@pytest.mark.parametrize("kind", [pytest.param(NativeGan, marks=needs_native(native_gan.SOURCE, "fp32")), AutogradGan])
def test_the_average_is_pytorchs_to_the_last_bit(digits, tiny, kind):
    settings = with_average(tiny, every=3, decay=0.9)
    engine = kind(*networks(), settings, seeded(3), "fp32")
    decay = get_ema_multi_avg_fn(settings.average.decay)
    reference = AveragedModel(engine.generator, multi_avg_fn=decay, use_buffers=True)
    for done, real in enumerate(batches_of(digits, 11)):
        engine.train(real[None], done)
        if (done + 1) % 3 == 0:
            reference.update_parameters(engine.generator)
    average = engine.average.state_dict()
    assert all(torch.equal(average[name], value) for name, value in reference.module.state_dict().items())
    assert not torch.equal(average["layers.0.weight"], engine.generator.state_dict()["layers.0.weight"])


def test_iterations_in_blocks_are_those_one_by_one(digits, tiny):
    """Of autograd's engine; latents and shares of the average are then drawn ahead."""
    results = []
    for cuts in ([7], [1] * 7, [3, 4]):
        engine = AutogradGan(*networks(), with_average(tiny, every=2), seeded(3), "fp32")
        losses, done = [], 0
        for real in batches_of(digits, 7).split(cuts):
            losses.append(engine.train(real, done))
            done += len(real)
        parts = (engine.generator, engine.discriminator, engine.average)
        results.append([torch.cat(losses), *(value for part in parts for value in part.state_dict().values())])
    for other in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(results[0], other, strict=True))


def test_a_state_saved_by_one_form_is_gone_on_from_by_the_other(digits, tiny):
    """As where `device: auto` finds a GPU the next time."""
    real = batches_of(digits, 4)
    first, second, through = (AutogradGan(*networks(), tiny, seeded(3), "fp32") for _ in range(3))
    expected = through.train(real, done=0)
    first.train(real[:2], done=0)
    state = first.state_dict()
    state["generator_adam"]["param_groups"][0]["capturable"] = True
    second.load_state_dict(state)
    assert torch.equal(second.train(real[2:], done=2), expected[2:])


def test_threads_change_no_number_of_the_native_engine(digits, params, precision):
    results = []
    for threads in (1, 2, 3):
        prepare(threads)
        both = networks(100)
        engine = NativeGan(*both, with_average(params.gan, every=2), seeded(3), precision)
        batches = enumerate(normalise(digits).split(127))  # 127, ..., 3
        losses = torch.cat([engine.train(batch[None], done) for done, batch in batches])
        parts = (*both, engine.average)
        results.append([losses, *(value for part in parts for value in part.state_dict().values())])
    prepare(threads=1)
    for other in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(results[0], other, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_autograds_losses_can_be_compiled_whole_and_once(digits, tiny, precision):
    """As they are on a GPU; here traced without one. Compiling again, while a graph is recorded, would fail."""
    losses = []
    for compiled in (False, True):
        engine = AutogradGan(*networks(), tiny, seeded(3), precision)
        if compiled:
            options = {"backend": "aot_eager", "fullgraph": True, "dynamic": False}
            engine.losses_of_whole_batches = tuple(torch.compile(loss, **options) for loss in engine.losses)
        first = engine.train(batches_of(digits, 1), done=0)
        with torch.compiler.set_stance("fail_on_recompile"):
            smaller = engine.train(normalise(digits[:8])[None], done=1)
            losses.append(torch.cat([first, smaller, engine.train(batches_of(digits, 3), done=2)]))
    torch.testing.assert_close(*losses)

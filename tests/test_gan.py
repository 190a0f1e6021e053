import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from dlreport import native
from dlreport.config import Gan
from dlreport.data.images import normalise
from dlreport.errors import UserError
from dlreport.models.gan import Discriminator, Generator, discriminator_loss, generator_loss
from dlreport.runtime import prepare
from dlreport.streams import stream
from dlreport.training.gan import train_gan
from dlreport.training.gan_engines import AutogradGan, NativeGan
from helpers import needs_native, seeded

SEED = 11

PRECISIONS = [pytest.param(precision, marks=needs_native(precision)) for precision in ("fp32", "bf16")]


@pytest.fixture
def tiny(params) -> Gan:
    values = {"latent_dim": 4, "epochs": 2, "batch_size": 16, "snapshot_every": 20}
    return params.gan.model_copy(update=values)


def train(pixels, settings, seed=SEED, keep=lambda epoch, weights: None, replicate=0):
    return train_gan(pixels, settings, seed, replicate, "cpu", "fp32", 1, keep)


def weights(network: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in network.state_dict().items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def test_parameter_counts_are_the_reports():
    networks = Generator(100, seeded()), Discriminator(seeded())
    assert [sum(p.numel() for p in network.parameters()) for network in networks] == [1_510_032, 533_505]


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


@given(st.integers(1, 500), st.integers(1, 600))
def test_snapshots_are_at_0_every_nth_and_the_last_epoch(epochs, every):
    settings = Gan.model_construct(epochs=epochs, snapshot_every=every)
    kept = settings.snapshot_epochs()
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    assert kept[-1] == epochs
    assert set(kept) - {epochs} == {epoch for epoch in range(epochs) if epoch % every == 0}


def test_keep_is_called_at_each_snapshot_epoch_with_that_epochs_generator(digits, tiny):
    kept = {}
    settings = tiny.model_copy(update={"epochs": 3, "snapshot_every": 2})
    generator, *_, losses = train(digits[:20], settings, keep=lambda epoch, w: kept.update({epoch: copy.deepcopy(w)}))
    assert list(kept) == settings.snapshot_epochs() == [0, 2, 3]
    assert same(kept[0], weights(Generator(4, stream(SEED, "gan", "init", "generator"))))
    assert not same(kept[0], kept[2])
    assert not same(kept[2], kept[3])
    assert same(kept[3], weights(generator))
    assert {name: len(values) for name, values in losses.items()} == {"discriminator": 3, "generator": 3}
    shorter, *_ = train(digits[:20], settings.model_copy(update={"epochs": 2}))
    assert same(kept[2], weights(shorter))


def test_a_replicate_is_the_run_of_a_later_seed(digits, tiny):
    replicate, run = train(digits[:20], tiny, replicate=1), train(digits[:20], tiny, seed=SEED + 1)
    assert same(weights(replicate.generator), weights(run.generator))
    assert replicate.losses == run.losses


def test_same_seed_gives_the_same_weights_and_losses(digits, tiny):
    first, again, other = train(digits[:20], tiny), train(digits[:20], tiny), train(digits[:20], tiny, seed=SEED + 1)
    for network in (0, 1, 2):
        assert same(weights(first[network]), weights(again[network]))
        assert not same(weights(first[network]), weights(other[network]))
    assert first.losses == again.losses != other.losses


def test_the_average_is_of_every_nth_iterations_weights_and_changes_no_training(digits, tiny):
    def run(epochs: int, **average):
        changes = {"epochs": epochs, "batch_size": 10, "average": tiny.average.model_copy(update=average)}
        return train(digits[:40], tiny.model_copy(update=changes))

    first, second = (weights(run(epochs, every=3, decay=0.5).generator) for epochs in (1, 2))  # iterations 4 and 8
    averaged = run(2, every=4, decay=0.75)
    assert same(weights(averaged.generator), second)
    for name, value in weights(averaged.average).items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * second[name], rtol=1e-5, atol=1e-6)


def test_training_leaves_the_global_random_state(digits, tiny):
    before = torch.get_rng_state()
    train(digits[:20], tiny)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_epoch_uses_every_image_once_in_a_new_order_with_the_smaller_batch_last(digits, tiny, monkeypatch):
    batches = []
    step = NativeGan.step

    def recording(self, real):
        batches.append(real)
        return step(self, real)

    monkeypatch.setattr(NativeGan, "step", recording)
    train(digits[:40], tiny)

    assert [len(batch) for batch in batches] == [16, 16, 8, 16, 16, 8]
    epochs = torch.cat(batches[:3]), torch.cat(batches[3:])
    for epoch in epochs:
        assert torch.equal(torch.unique(epoch, dim=0), torch.unique(normalise(digits[:40]), dim=0))
    assert not torch.equal(*epochs)


@pytest.mark.parametrize(("images", "batch_size"), [(33, 16), (17, 16), (1, 16)])
def test_a_batch_size_that_leaves_one_image_is_refused(digits, tiny, images, batch_size):
    with pytest.raises(UserError, match=rf"^gan\.batch_size: {batch_size} leaves one image of {images} "):
        train(digits[:images], tiny.model_copy(update={"batch_size": batch_size}))


def test_a_loss_that_is_not_finite_ends_training_naming_the_epoch(digits, tiny):
    with pytest.raises(UserError, match=r"finite in epoch 1, batch 1; lower gan\.learning_rate"):
        train(digits[:40], tiny.model_copy(update={"learning_rate": 1e38}))


def plain_epoch(pixels: torch.Tensor, settings: Gan) -> tuple[Generator, Discriminator, list[float], list[float]]:
    """One epoch as the report tells it: BCE on probabilities, two passes through D, plain Adam."""
    generator = Generator(settings.latent_dim, stream(SEED, "gan", "init", "generator"))
    discriminator = Discriminator(stream(SEED, "gan", "init", "discriminator"))
    options = {"lr": settings.learning_rate, "betas": tuple(settings.betas), "foreach": False, "fused": False}
    generator_adam = torch.optim.Adam(generator.parameters(), **options)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), **options)
    order, noise = stream(SEED, "gan", "order"), stream(SEED, "gan", "noise")
    images = (pixels.reshape(-1, 784) / 255 - 0.5) / 0.5
    criterion = nn.BCELoss()
    d_losses, g_losses = [], []
    for batch in torch.randperm(len(images), generator=order).split(settings.batch_size):
        real = images[batch]
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))

        fake = generator(torch.randn(len(real), settings.latent_dim, generator=noise)).detach()
        d_loss = criterion(discriminator(real), ones) + criterion(discriminator(fake), zeros)
        discriminator_adam.zero_grad()
        d_loss.backward()
        discriminator_adam.step()

        fake = generator(torch.randn(len(real), settings.latent_dim, generator=noise))
        g_loss = criterion(discriminator(fake), ones)
        generator_adam.zero_grad()
        g_loss.backward()
        generator_adam.step()
        d_losses.append(d_loss.item())
        g_losses.append(g_loss.item())
    return generator, discriminator, d_losses, g_losses


def test_one_epoch_agrees_with_its_plain_form(digits, tiny):
    settings = tiny.model_copy(update={"epochs": 1})
    generator, discriminator, d_losses, g_losses = plain_epoch(digits[:40], settings)
    ours = train(digits[:40], settings)

    assert ours.losses["discriminator"] == pytest.approx([math.fsum(d_losses) / 3], rel=1e-5)
    assert ours.losses["generator"] == pytest.approx([math.fsum(g_losses) / 3], rel=1e-5)
    initial = [
        Generator(4, stream(SEED, "gan", "init", "generator")),
        Discriminator(stream(SEED, "gan", "init", "discriminator")),
    ]
    # BatchNorm subtracts the bias before it again: its gradient is rounding, which Adam makes steps of the full rate.
    moved_by_rounding = {"layers.2.bias", "layers.5.bias", "layers.8.bias"}
    for mine, plain, start in zip(ours[:2], (generator, discriminator), initial, strict=True):
        for key, value in plain.state_dict().items():
            difference, moved = mine.state_dict()[key] - value, value - start.state_dict()[key]
            if isinstance(mine, Generator) and key in moved_by_rounding:
                assert difference.abs().max() < 2 * 3 * settings.learning_rate, key
            else:
                assert difference.double().norm() <= 5e-3 * moved.double().norm(), key


@pytest.fixture
def start(tiny) -> tuple[Generator, Discriminator]:
    return Generator(4, stream(SEED, "gan", "init", "generator")), Discriminator(
        stream(SEED, "gan", "init", "discriminator")
    )


def gradients_by_autograd(generator, discriminator, real, z) -> tuple[float, list[torch.Tensor]]:
    if real is None:
        loss = generator_loss(discriminator.logits(generator(z)))
        return loss.item(), list(torch.autograd.grad(loss, list(generator.parameters())))
    fake = generator(z).detach()
    loss = discriminator_loss(discriminator.logits(real), discriminator.logits(fake))
    return loss.item(), list(torch.autograd.grad(loss, list(discriminator.parameters())))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("trained", ["generator", "discriminator"])
@pytest.mark.parametrize("count", [16, 129])
def test_native_gradients_equal_autograds(digits, tiny, start, precision, trained, count):
    real = normalise(digits[:count]) if trained == "discriminator" else None
    z = torch.randn(count, 4, generator=seeded(3))
    plain = [copy.deepcopy(network).double() for network in start]
    loss, gradients = gradients_by_autograd(*plain, None if real is None else real.double(), z.double())

    engine = NativeGan(*start, tiny, seeded(), precision)
    flat = torch.full_like(engine.networks[real is not None].parameters, torch.nan)
    own = native.gan_gradients(real, z, *engine.networks, engine.constants, flat, precision)

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


@pytest.mark.parametrize("precision", PRECISIONS)
def test_both_engines_train_alike(digits, tiny, precision):
    losses = []
    for engine in (NativeGan, AutogradGan):
        networks = Generator(4, seeded(1)), Discriminator(seeded(2))
        trainer = engine(*networks, tiny, seeded(3), precision)
        losses.append(torch.stack([trainer.step(batch) for batch in normalise(digits).split(16)[:6]]))
        assert networks[0].layers[3].num_batches_tracked.item() == 12
    torch.testing.assert_close(*losses, rtol=1e-3 if precision == "fp32" else 0.03, atol=0)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_threads_change_no_number_of_the_native_engine(digits, params, precision):
    results = []
    for threads in (1, 2, 3):
        prepare(threads)
        networks = Generator(100, seeded(1)), Discriminator(seeded(2))
        engine = NativeGan(*networks, params.gan, seeded(3), precision)
        losses = torch.stack([engine.step(batch) for batch in normalise(digits).split(127)])  # 127, ..., 3
        results.append([losses, *(value for network in networks for value in network.state_dict().values())])
    prepare(threads=1)
    for other in results[1:]:
        assert all(torch.equal(*pair) for pair in zip(results[0], other, strict=True))


def test_autograds_losses_can_be_compiled_whole(digits, tiny):
    """As they are on a GPU; here traced without one."""
    losses = []
    for compiled in (False, True):
        engine = AutogradGan(Generator(4, seeded(1)), Discriminator(seeded(2)), tiny, seeded(3), "fp32")
        if compiled:
            options = {"backend": "aot_eager", "fullgraph": True, "dynamic": False}
            engine.losses = tuple(torch.compile(loss, **options) for loss in engine.losses)
        losses.append(torch.stack([engine.step(batch) for batch in normalise(digits[:40]).split(16)]))
    torch.testing.assert_close(*losses)

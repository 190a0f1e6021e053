"""The GAN's training: its epochs, what it keeps, and one epoch in its plain form."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dlreport.config import GanSettings
from dlreport.errors import UserError
from dlreport.gan.engines import AutogradGan, Engine, NativeGan
from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator
from dlreport.gan.thresholds import JUDGED
from dlreport.gan.training import ACCURACIES, GanRun, discriminator_accuracy, train_gan, train_replicates
from dlreport.streams import stream
from helpers import gan_params, tiny_gan

SEED = 11


@pytest.fixture
def tiny(params) -> GanSettings:
    return tiny_gan(params)


def train(pixels, settings, seed=SEED, replicate=0) -> GanRun:
    return train_gan(pixels, gan_params(settings, seed), 1, replicate)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


def untrained() -> tuple[Generator, Discriminator]:
    """As a training of this seed begins."""
    return (
        Generator(4, stream(SEED, "gan", "init", "generator")),
        Discriminator(stream(SEED, "gan", "init", "discriminator")),
    )


@given(st.integers(1, 500), st.integers(1, 600))
def test_snapshots_are_at_0_every_nth_and_the_last_epoch(epochs, every):
    settings = GanSettings.model_construct(epochs=epochs, snapshot_every=every)
    kept = settings.snapshot_epochs()
    assert kept == sorted(set(kept))
    assert kept[0] == 0
    assert kept[-1] == epochs
    assert set(kept) - {epochs} == {epoch for epoch in range(epochs) if epoch % every == 0}


def test_a_snapshot_is_kept_at_each_snapshot_epoch_of_that_epochs_generator(digits, tiny):
    settings = tiny.model_copy(update={"epochs": 3, "snapshot_every": 2})
    run = train(digits[:20], settings)
    kept = run.snapshots
    assert list(kept) == settings.snapshot_epochs() == [0, 2, 3]
    assert same(kept[0], untrained()[0].state_dict())
    assert not same(kept[0], kept[2])
    assert not same(kept[2], kept[3])
    assert same(kept[3], run.generator)
    assert {name: len(values) for name, values in run.losses.items()} == {"discriminator": 3, "generator": 3}
    shorter = train(digits[:20], settings.model_copy(update={"epochs": 2}))
    assert same(kept[2], shorter.generator)


def test_a_replicate_is_the_run_of_a_later_seed(digits, tiny):
    replicate, run = train(digits[:20], tiny, replicate=1), train(digits[:20], tiny, seed=SEED + 1)
    assert same(replicate.generator, run.generator)
    assert (replicate.losses, replicate.accuracies) == (run.losses, run.accuracies)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_replicates_are_trained_in_their_order_in_one_process_or_two(digits, tiny, workers):
    settings = tiny.model_copy(update={"replicates": 2, "epochs": 1})
    runs = train_replicates(digits[:20], gan_params(settings, SEED), workers)
    assert len(runs) == 2
    for replicate, run in enumerate(runs):
        alone = train(digits[:20], settings, replicate=replicate)
        assert same(run.generator, alone.generator)
        assert (run.losses, run.accuracies) == (alone.losses, alone.accuracies)


def test_same_seed_gives_the_same_weights_and_losses(digits, tiny):
    first, again, other = train(digits[:20], tiny), train(digits[:20], tiny), train(digits[:20], tiny, seed=SEED + 1)
    for network in ("generator", "discriminator", "average"):
        assert same(getattr(first, network), getattr(again, network))
        assert not same(getattr(first, network), getattr(other, network))
    assert first.losses == again.losses != other.losses


def test_the_average_is_of_every_nth_iterations_weights_and_changes_no_training(digits, tiny):
    def run(epochs: int, **average):
        changes = {"epochs": epochs, "batch_size": 10, "average": tiny.average.model_copy(update=average)}
        return train(digits[:40], tiny.model_copy(update=changes))

    first, second = (run(epochs, every=3, decay=0.5).generator for epochs in (1, 2))  # iterations 4 and 8
    averaged = run(2, every=4, decay=0.75)
    assert same(averaged.generator, second)
    for name, value in averaged.average.items():
        if not name.endswith("num_batches_tracked"):
            torch.testing.assert_close(value, 0.75 * first[name] + 0.25 * second[name], rtol=1e-5, atol=1e-6)


class Brightness(nn.Module):
    """In place of a discriminator: an image is real to it if its sum is positive."""

    def logits(self, images: torch.Tensor) -> torch.Tensor:
        return images.sum(1)


def test_the_discriminators_accuracy_is_its_share_of_right_answers_to_images_in_eval_mode():
    generator = untrained()[0]
    real = torch.tensor([1.0, 2.0, -1.0, 3.0])[:, None].expand(4, 784)
    latents = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    of_real, of_generated = discriminator_accuracy(generator, Brightness(), real, latents).tolist()
    assert of_real == 0.75
    assert generator.training
    assert same(generator.state_dict(), before)  # no running statistic has moved
    images = generator.eval()(latents)
    assert of_generated == pytest.approx((images.sum(1) < 0).double().mean().item())
    assert 0 < of_generated < 1


def test_the_accuracy_of_each_epoch_is_that_of_its_networks_and_changes_no_training(digits, tiny, monkeypatch):
    run = train(digits[:20], tiny)
    assert {name: len(values) for name, values in run.accuracies.items()} == dict.fromkeys(ACCURACIES, 2)
    generator, discriminator = untrained()
    generator.load_state_dict(run.generator)
    discriminator.load_state_dict(run.discriminator)
    latents = torch.randn(JUDGED, tiny.latent_dim, generator=stream(SEED, "gan", "accuracy", 2))
    last = discriminator_accuracy(generator, discriminator, normalise(digits[:20]), latents)
    assert [run.accuracies[name][-1] for name in ACCURACIES] == pytest.approx(last.tolist())
    nothing = torch.zeros(2)
    monkeypatch.setattr("dlreport.gan.training.discriminator_accuracy", lambda *networks_and_images: nothing)
    without = train(digits[:20], tiny)
    assert without.losses == run.losses
    for network in ("generator", "discriminator", "average"):
        assert same(getattr(without, network), getattr(run, network))


def test_training_leaves_the_global_random_state(digits, tiny):
    before = torch.get_rng_state()
    train(digits[:20], tiny)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("block", [1, 2, 16])
def test_each_epoch_uses_every_image_once_in_a_new_order_with_the_smaller_batch_last(digits, tiny, monkeypatch, block):
    batches = []
    for engine in (NativeGan, AutogradGan):  # whichever there is

        def recording(self, real, done, train=engine.train):
            batches.extend(real)
            return train(self, real, done)

        monkeypatch.setattr(engine, "train", recording)
    monkeypatch.setattr(Engine, "block", block)
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


def plain_epoch(pixels: torch.Tensor, settings: GanSettings) -> tuple[nn.Module, nn.Module, list[float], list[float]]:
    """One epoch as the report tells it: BCE on probabilities, two passes through D, plain Adam."""
    generator, discriminator = untrained()
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
    # BatchNorm subtracts the bias before it again: its gradient is rounding, which Adam makes steps of the full rate.
    moved_by_rounding = {"layers.2.bias", "layers.5.bias", "layers.8.bias"}
    trained = (ours.generator, ours.discriminator)
    for mine, plain, start in zip(trained, (generator, discriminator), untrained(), strict=True):
        for key, value in plain.state_dict().items():
            difference, moved = mine[key] - value, value - start.state_dict()[key]
            if isinstance(plain, Generator) and key in moved_by_rounding:
                assert difference.abs().max() < 2 * 3 * settings.learning_rate, key
            else:
                assert difference.double().norm() <= 5e-3 * moved.double().norm(), key

"""The classifier, and the measures of the generator's images, against their definitions."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlreport.config import ClassifierSettings
from dlreport.gan.classifier import FEATURES, Classifier, read, train_classifier
from dlreport.gan.images import as_images
from dlreport.gan.quality import (
    Reference,
    fid,
    kid,
    memorised,
    nearest,
    precision_recall_density_coverage,
    quick_measures,
    two_sample,
)
from dlreport.statistics.intervals import wilson
from helpers import seeded


@pytest.fixture
def settings(params) -> ClassifierSettings:
    return params.classifier.model_copy(update={"batch_size": 32})


def train(mnist, settings, epochs=1, seed=1) -> Classifier:
    images, labels = as_images(mnist["train"]["images"]), mnist["train"]["labels"]
    return train_classifier(images, labels, 10, epochs, settings, seed, "test")


def test_the_classifier_learns_real_digits(mnist, settings):
    model = train(mnist, settings, epochs=8)
    images = as_images(mnist["test"]["images"])
    reading = read(model, images)
    assert reading.features.shape == (128, FEATURES)
    assert (reading.features >= 0).all()
    probabilities = model(images).softmax(1)
    torch.testing.assert_close(reading.confidence, probabilities.amax(1))
    assert (reading.digits == probabilities.argmax(1)).all()
    assert (reading.digits == mnist["test"]["labels"]).double().mean() > 0.85


def test_training_follows_its_seed_alone(mnist, settings):
    before = torch.get_rng_state()
    first, again, other = train(mnist, settings), train(mnist, settings), train(mnist, settings, seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_initialisation_is_pytorchs_default():
    model = Classifier(10, seeded())
    for layer, fan_in in (
        (model.features[0], 9),
        (model.features[4], 32 * 9),
        (model.features[9], 3136),
        (model.head, 128),
    ):
        for parameter in (layer.weight, layer.bias):
            assert parameter.detach().abs().max() <= fan_in**-0.5
        assert layer.weight.detach().std() == pytest.approx((3 * fan_in) ** -0.5, rel=0.1)


def test_fid_is_that_of_the_formula():
    """|m - n|^2 + tr(S + T - 2 (S T)^(1/2)), here with a root by eigenvectors of S^(1/2) T S^(1/2)."""
    a, b = (
        torch.randn(400, 6, generator=seeded(1)).double(),
        1.5 * torch.randn(300, 6, generator=seeded(2)).double() + 0.3,
    )
    S, T = np.cov(a.numpy().T), np.cov(b.numpy().T)
    values, vectors = np.linalg.eigh(S)
    root = vectors * np.sqrt(values) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ T @ root)).sum()
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum().item() + np.trace(S) + np.trace(T) - 2 * cross
    assert fid(a.float(), b.float()) == pytest.approx(expected, rel=1e-4)
    assert fid(a, a) == pytest.approx(0, abs=1e-6)


def test_kid_is_zero_for_one_distribution_and_not_for_two():
    a, b = (torch.randn(1500, 5, generator=seeded(seed)) for seed in (1, 2))
    before = torch.get_rng_state()
    assert abs(kid(a, b, seeded(3))) < 0.06
    assert kid(a, b + 1, seeded(3)) > 0.5
    assert kid(a, b, seeded(3)) == kid(a, b, seeded(3)) != kid(a, b, seeded(4))
    assert torch.equal(torch.get_rng_state(), before)


@given(st.integers(2, 20), st.integers(2, 20), st.integers(1, 7))
def test_nearest_in_parts_is_nearest(queries, among, chunk):
    a, b = torch.randn(queries, 3, generator=seeded(queries)), torch.randn(among, 3, generator=seeded(among + 50))
    distances, indices = nearest(a, b, 2, chunk)
    exact = (a[:, None].double() - b).norm(dim=2)
    torch.testing.assert_close(distances.double(), exact.sort(1).values[:, :2], rtol=1e-4, atol=1e-5)
    assert torch.equal(indices[:, 0], exact.argmin(1))


def by_definition(real: torch.Tensor, other: torch.Tensor, k: int) -> dict[str, float]:
    def radius(rows):
        return (rows[:, None] - rows).norm(dim=2).sort(1).values[:, k]

    distances = (other[:, None] - real).norm(dim=2)
    inside = distances < radius(real)
    return {
        "precision": inside.any(1).double().mean().item(),
        "recall": (distances < radius(other)[:, None]).any(0).double().mean().item(),
        "density": inside.sum().item() / (k * len(other)),
        "coverage": inside.any(0).double().mean().item(),
    }


@pytest.mark.parametrize("shift", [0.0, 1.0, 100.0])
def test_precision_recall_density_and_coverage_are_as_defined(shift):
    real, other = torch.randn(60, 4, generator=seeded(1)), torch.randn(60, 4, generator=seeded(2)) + shift
    found = precision_recall_density_coverage(real, other, k=3, chunk=7)
    assert found == pytest.approx(by_definition(real.double(), other.double(), 3))
    if shift == 100:
        assert set(found.values()) == {0.0}


def test_two_samples_of_one_set_cannot_be_told_apart_and_noise_can(params, mnist):
    images = as_images(mnist["train"]["images"])
    quality = params.quality.model_copy(update={"two_sample_epochs": 3})
    small = params.model_copy(
        update={"quality": quality, "classifier": params.classifier.model_copy(update={"batch_size": 32})}
    )
    noise = torch.rand(192, 1, 28, 28, generator=seeded()) * 2 - 1
    same = [*two_sample(images[:192], images[192:], small, "same").values()]
    other = [*two_sample(images[:192], noise, small, "noise").values()]
    for accuracy, *interval in (same, other):
        right = accuracy * 192  # of the two halves that were held back
        assert right == pytest.approx(round(right))
        assert interval == pytest.approx(wilson(round(right), 192, quality.confidence))
    assert same[0] < 0.65
    assert other[0] > 0.95


def test_the_test_images_themselves_are_perfect_and_one_digit_alone_is_not(params, mnist, settings):
    model = train(mnist, settings, epochs=4)
    test, split = as_images(mnist["test"]["images"]), mnist["train"]
    real = Reference.build(mnist["test"], split, model)
    quality = params.quality.model_copy(update={"confident": 0.5})
    same = quick_measures(read(model, test), real, quality)
    assert same["fid"] == pytest.approx(0, abs=1e-3)
    assert (same["precision"], same["recall"], same["coverage"]) == (1, 1, 1)
    assert same["digits_missing"] == 0
    ones = as_images(split["images"][split["labels"] == 1])
    alone = quick_measures(read(model, ones), real, quality)
    assert alone["digits_missing"] >= 7
    assert alone["digits_total_variation"] > 0.7
    assert alone["fid"] > 10 * abs(same["fid"])


def test_copies_of_training_images_are_memorised_and_test_images_are_not(mnist, settings):
    """A hundredth, which sets the limit, is less than one image here: of a digit's test images at most one is below."""
    model = train(mnist, settings, epochs=4)
    test, digits = (as_images(mnist[split]["images"]) for split in ("test", "train"))
    real = Reference.build(mnist["test"], mnist["train"], model)
    share, _ = memorised(read(model, test), real)
    assert share < 0.15
    copies = read(model, digits[:50] * 0.99)
    share, (images, nearest_ones) = memorised(copies, real)
    assert share == 1
    torch.testing.assert_close(images, nearest_ones * 0.99)
    assert len(images) == len(copies.digits.unique())
    share, (images, nearest_ones) = memorised(read(model, digits), real, of_training=True)
    assert share < 1
    assert not any(torch.equal(*pair) for pair in zip(images, nearest_ones, strict=True))

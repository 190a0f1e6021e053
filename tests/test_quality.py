"""The classifier, and the measures of the generator's images, against their definitions."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlreport.config import ClassifierSettings
from dlreport.gan import classifier, quality
from dlreport.gan.classifier import FEATURES, Classifier, Reading, read, train_classifier
from dlreport.gan.distances import fid, kid, nearest, precision_density_coverage, reach, recall
from dlreport.gan.images import as_images, as_pictures, normalise
from dlreport.gan.quality import (
    Reference,
    fid_by_digit,
    matched,
    matched_fid,
    measure,
    memorised,
    quick_measures,
    shares_of,
    two_sample,
)
from dlreport.statistics.intervals import exact
from dlreport.streams import stream
from helpers import seeded


@pytest.fixture(scope="module")
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


def test_training_is_by_adamw_under_one_cycle_of_the_rate(mnist, settings):
    """Batches of 16, 16 and 8 of 40 images, in another order each epoch."""
    images, labels = as_images(mnist["train"]["images"][:40]), mnist["train"]["labels"][:40]
    settings = settings.model_copy(update={"batch_size": 16, "weight_decay": 0.1})
    found = train_classifier(images, labels, 10, 2, settings, 1, "test")
    model, order = Classifier(10, stream(1, "test", "init")), stream(1, "test", "order")
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=settings.learning_rate, total_steps=6)
    for _ in range(2):
        for batch in torch.randperm(40, generator=order).split(16):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    torch.testing.assert_close(found.state_dict(), model.state_dict())


def test_the_judge_reads_each_image_by_itself(mnist, settings, monkeypatch):
    """It is in eval mode: in train mode BatchNorm would mix the batch."""
    images = as_images(mnist["train"]["images"][:20])
    trained = train_classifier(images, mnist["train"]["labels"][:20], 10, 1, settings, 1, "test")
    untouched = {name: value.clone() for name, value in trained.state_dict().items()}
    for model in (trained, Classifier.of_digits(untouched)):
        together = read(model, images).features
        torch.testing.assert_close(torch.cat([read(model, image[None]).features for image in images]), together)
        with monkeypatch.context() as parts:
            parts.setattr(classifier, "CHUNK", 8)
            reading = read(model, images)
        torch.testing.assert_close(reading.features, together)
        torch.testing.assert_close(reading.confidence, model(images).softmax(1).amax(1))
    torch.testing.assert_close(trained.state_dict(), untouched)


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


def test_kid_of_whole_sets_is_that_of_the_formula():
    """Sets of fewer than a subset's 1,000 are taken whole, whatever the stream: means of (a b / F + 1)^3 over pairs."""
    a, b = torch.randn(2, 300, 5, generator=seeded(1)).double() + torch.tensor([0, 0.5]).view(2, 1, 1)

    def kernel(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x @ y.T / 5 + 1) ** 3

    within = [(kernel(x, x).sum() - kernel(x, x).trace()) / (300 * 299) for x in (a, b)]
    expected = (sum(within) - 2 * kernel(a, b).mean()).item()
    assert [kid(a, b, seeded(seed)) for seed in (1, 2)] == pytest.approx([expected] * 2, rel=1e-6)
    assert kid(a, b[:200], seeded(1)) == pytest.approx(expected, rel=0.5)


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
    found = precision_density_coverage(real, reach(real, 3), other, k=3, chunk=7)
    found["recall"] = recall(real, other, k=3, chunk=7)
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
        assert interval == pytest.approx(exact(round(right), 192, quality.confidence))
    assert same[0] < 0.65
    assert other[0] > 0.95


def test_two_samples_are_judged_on_random_halves_that_were_not_learned(params, monkeypatch):
    """Images that say who they are: of 20 real ones 1 to 20, of the others -1 to -20."""
    real, other = (sign * torch.arange(1.0, 21).view(20, 1, 1, 1) for sign in (1, -1))
    learned = {}

    def train(images, labels, classes, epochs, *rest):
        learned.update(images=images.flatten().tolist(), labels=labels.tolist(), epochs=epochs)

    def read(model, images):
        learned["judged"] = images.flatten().tolist()
        return Reading(images, images, (images.flatten() < 0).long(), images)

    monkeypatch.setattr(quality, "train_classifier", train)
    monkeypatch.setattr(quality, "read", read)
    settings = params.quality.model_copy(update={"two_sample_epochs": 3, "confidence": 0.9})
    found = two_sample(real, other, params.model_copy(update={"quality": settings}), "them")
    assert [*found.values()] == pytest.approx([1, *exact(20, 20, 0.9)])
    assert learned["epochs"] == 3
    assert sorted(learned["images"] + learned["judged"]) == [*range(-20, 0), *range(1, 21)]
    assert learned["labels"] == [0] * 10 + [1] * 10 == [int(image < 0) for image in learned["images"]]
    halves = [{abs(image) for image in part} for part in (learned["images"][:10], learned["images"][10:])]
    assert halves[0] != halves[1]
    assert {*range(1, 11)} not in halves


def test_the_test_images_themselves_are_perfect_and_one_digit_alone_is_not(params, mnist, settings):
    model = train(mnist, settings, epochs=4)
    test, split = as_images(mnist["test"]["images"]), mnist["train"]
    real = Reference.build(mnist["test"], split, model, params.quality.neighbours)
    quality = params.quality.model_copy(update={"confident": 0.5})
    same = quick_measures(read(model, test), real, quality)
    assert same["fid"] == pytest.approx(0, abs=1e-3)
    assert (same["precision"], same["coverage"]) == (1, 1)
    assert same["fid_matched"] == pytest.approx(0, abs=1e-3)
    assert same["distinct_matched"] == 128
    assert same["digits_missing"] == 0
    ones = as_images(split["images"][split["labels"] == 1])
    alone = quick_measures(read(model, ones), real, quality)
    assert alone["digits_missing"] >= 7
    assert alone["digits_total_variation"] > 0.7
    assert math.isnan(alone["fid_matched"])
    assert alone["fid"] > 10 * abs(same["fid"])


@given(st.lists(st.integers(0, 9), max_size=60), st.lists(st.integers(0, 9), min_size=10, max_size=10))
def test_matched_rows_hold_each_digit_as_often_as_asked_and_none_again_before_all(digits, counts):
    digits, counts = torch.tensor(digits, dtype=torch.long), torch.tensor(counts)
    for digit, rows in enumerate(matched(digits, counts)):
        there = (digits == digit).nonzero()[:, 0].tolist()
        assert len(rows) == (counts[digit] if there else 0)
        assert rows.tolist()[: len(there)] == there[: len(rows)]  # the first ones
        times = [rows.tolist().count(row) for row in there]
        assert sum(times) == len(rows)
        assert max(times, default=0) - min(times, default=0) <= 1


@pytest.fixture(scope="module")
def real(mnist, settings) -> Reference:
    return Reference.build(mnist["test"], mnist["train"], train(mnist, settings, epochs=4), 5)


def drawn(real: Reference, shares: list[int]) -> Reading:
    """Of the test images as read, each digit's first ones, again and again: as many as `shares` says."""
    rows = torch.cat(matched(real.test.digits, torch.tensor(shares)))
    parts = (part[rows] for part in (real.test.images, real.test.features, real.test.digits, real.test.confidence))
    return Reading(*parts)


def test_shares_and_confidence_are_measured_as_defined(params, mnist, real):
    """Of 129 images one is read as 0 and none as 1; half of the training set's 384 labels are wherever they are."""
    settings = params.quality.model_copy(update={"missing_below": 0.01, "confident": 0.8, "neighbours": 5})
    reading = drawn(real, [1, 0, *[16] * 8])
    confidence = torch.linspace(0.5, 1, 129)
    found = quick_measures(Reading(reading.images, reading.features, reading.digits, confidence), real, settings)
    shares = torch.tensor([1, 0, *[16] * 8]) / 129
    labels = torch.bincount(mnist["train"]["labels"], minlength=10) / 384
    assert found["digits_total_variation"] == pytest.approx((shares - labels).abs().sum().item() / 2)
    assert found["digits_missing"] == 2
    assert found["unsure"] == pytest.approx((confidence < 0.8).double().mean().item())
    rows = (real.test.features, real.radius, reading.features)
    expected = precision_density_coverage(*rows, k=5)
    assert {name: found[name] for name in expected} == pytest.approx(expected)


def test_matched_shares_undo_a_drift_of_shares_and_nothing_else(real):
    """Real images of which one digit is there far too often: by matched shares they are as the real ones."""
    counts = real.counts.tolist()
    drifted = drawn(real, [5 * count if digit == 1 else count for digit, count in enumerate(counts)])
    assert fid(real.test.features, drifted.features) > 1
    found = matched_fid(drifted, real)
    assert found["fid_matched"] == pytest.approx(0, abs=1e-3)
    assert found["distinct_matched"] == len(real.test.digits)
    blurred = Reading(drifted.images, drifted.features * 0.9, drifted.digits, drifted.confidence)
    assert matched_fid(blurred, real)["fid_matched"] > 0.5
    few = matched_fid(drawn(real, [min(count, 3) for count in counts]), real)
    assert few["fid_matched"] > 0.5
    assert few["distinct_matched"] == sum(min(count, 3) for count in counts)


def test_fid_by_digit_is_that_of_the_images_of_one_digit(real):
    changed = Reading(real.test.images, real.test.features.clone(), real.test.digits, real.test.confidence)
    changed.features[changed.digits == 7] += 1
    found = fid_by_digit(changed, real)
    assert found[7] == pytest.approx(FEATURES, rel=1e-3)
    assert [*found[:7], *found[8:]] == pytest.approx([0] * 9, abs=1e-3)
    without = real.test.digits != 3
    parts = (part[without] for part in (real.test.images, real.test.features, real.test.digits, real.test.confidence))
    missing = fid_by_digit(Reading(*parts), real)
    assert [digit for digit, distance in enumerate(missing) if math.isnan(distance)] == [3]
    single = fid_by_digit(real.test, replace(real, test=drawn(real, [1, *[4] * 9])))  # one has no spread to compare
    assert [digit for digit, distance in enumerate(single) if math.isnan(distance)] == [0]


def test_all_is_measured_of_each_training_and_the_last_kept_generator_is_the_final_one(params, mnist, real):
    """Training t's images after epoch e: training images, each epoch others; its average's are noise."""
    gan = params.gan.model_copy(update={"replicates": 2, "epochs": 2, "snapshot_every": 1})
    quality = params.quality.model_copy(update={"two_sample_epochs": 1})
    small = params.model_copy(update={"gan": gan, "quality": quality})

    def draw(replicate: int, network: str) -> torch.Tensor:
        if network == "average":
            return torch.rand(128, 1, 28, 28, generator=seeded(replicate)) * 2 - 1
        return real.train[(first := 60 * replicate + 64 * int(network.removeprefix("snapshots/"))) : first + 128]

    found = measure(draw, real, small)
    assert list(zip(found.by_epoch["replicate"], found.by_epoch["epoch"], strict=True)) == [
        (replicate, epoch) for replicate in (0, 1) for epoch in (0, 1, 2)
    ]
    sets = found.sets.set_index(["images", "replicate"])
    assert list(sets.index) == [
        *((name, k) for name in ("generator", "average") for k in (0, 1)),
        ("training images", 0),
    ]
    last = found.by_epoch[found.by_epoch["epoch"] == 2].set_index("replicate")
    assert sets.loc["generator", "fid"].tolist() == last["fid"].tolist()
    assert sets["recall"].isna().tolist() == [False, False, True, True, False]  # of averages the quick measures alone
    assert sets.at[("training images", 0), "near_training"] < 1 == sets.at[("generator", 1), "near_training"]
    shares = found.shares.set_index(["replicate", "epoch", "digit"])["share"]
    assert shares.groupby(level=[0, 1]).sum().tolist() == pytest.approx([1] * 6)
    assert shares[1, 2].tolist() == pytest.approx(
        shares_of(read(real.model, draw(1, "snapshots/0002")).digits).tolist()
    )
    assert found.shares["real"].tolist() == pytest.approx(real.shares.tolist() * 6)
    final = draw(0, "snapshots/0002")
    assert all(any(torch.equal(image, one) for one in final) for image in found.pairs.images[0])
    assert sets["fid"]["average"].nunique() == 2
    reading = read(real.model, final)
    assert sets.at[("generator", 0), "recall"] == recall(real.test.features, reading.features, small.quality.neighbours)
    draws = stream(small.seed, "quality", "kid", "generator 0")
    assert sets.at[("generator", 0), "kid"] == pytest.approx(kid(real.test.features, reading.features, draws))
    assert len(found.by_digit) == 10 * len(sets)
    assert found.by_digit.groupby(["images", "replicate"])["share"].sum().tolist() == pytest.approx([1] * 5)


def test_close_is_nearer_than_all_but_a_hundredth_of_a_digits_test_images(mnist, real):
    test, train = (as_images(mnist[split]["images"]).flatten(1).double() for split in ("test", "train"))
    distances = torch.cdist(test, train).amin(1)
    by_digit = [distances[mnist["test"]["labels"] == digit].numpy() for digit in range(10)]
    for share, is_it in ((0.01, True), (0.012, False)):
        expected = [np.quantile(own, share) for own in by_digit]
        assert (real.close.tolist() == pytest.approx(expected, rel=1e-4)) == is_it


def test_what_is_memorised_is_judged_by_each_digits_own_limit_and_shown_by_the_closest(real):
    halves = torch.tensor([0.0] * 5 + [1e9] * 5)
    share, pairs = memorised(real.test, replace(real, close=halves))
    assert share == pytest.approx((real.test.digits >= 5).double().mean().item())
    distances = torch.cdist(real.test.images.flatten(1), real.train.flatten(1)).amin(1)
    closest = [distances[real.test.digits == digit].min().item() for digit in pairs.digits]
    shown = (pairs.images[0] - pairs.images[1]).flatten(1).norm(dim=1)
    assert shown.tolist() == pytest.approx(closest, rel=1e-4)


def test_copies_of_training_images_are_memorised_and_test_images_are_not(real):
    """A hundredth, which sets the limit, is less than one image here: of a digit's test images at most one is below."""
    digits = real.train
    share, _ = memorised(real.test, real)
    assert share < 0.15
    copies = read(real.model, digits[:50] * 0.99)
    share, pairs = memorised(copies, real)
    assert share == 1
    images, nearest_ones = pairs.images
    torch.testing.assert_close(images, nearest_ones * 0.99)
    assert pairs.digits.tolist() == copies.digits.unique().tolist()
    again = read(real.model, images)
    assert torch.equal(again.digits, pairs.digits)
    torch.testing.assert_close(again.confidence, pairs.confidence)
    share, pairs = memorised(read(real.model, digits), real, of_training=True)
    assert share < 1
    assert not any(torch.equal(*pair) for pair in zip(*pairs.images, strict=True))


def test_pictures_have_the_greys_of_real_images_and_no_others(digits):
    real = as_images(digits[:50])
    assert torch.equal(as_pictures(real), real)
    drawn = (real + 0.01 * torch.randn(real.shape, generator=seeded(0))).clamp(-1, 1)
    pictures = as_pictures(drawn)
    greys = normalise(torch.arange(256).view(1, 16, 16))
    assert torch.isin(pictures, greys).all()
    assert not torch.isin(drawn, greys).all()
    assert (pictures - drawn).abs().max() <= 1 / 255 + 1e-6

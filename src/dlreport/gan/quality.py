"""Measures how like the data the generator's images are. This is ours; the report judges by eye.

Shapes: N images [N, 1, 28, 28] in [-1, 1], with features [N, F] and probabilities [N, 10] by the classifier; R real
images, which are those of the test set, with features and probabilities of their own.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor

from dlreport.config import Params, QualitySettings
from dlreport.gan.classifier import Classifier, Reading, read, train_classifier
from dlreport.gan.distances import fid, kid, nearest, precision_density_coverage, reach, recall
from dlreport.gan.images import DIGITS, as_images
from dlreport.gan.thresholds import CLOSE_SHARE
from dlreport.progress import log
from dlreport.statistics.intervals import exact
from dlreport.streams import stream

Draw = Callable[[int, str], Tensor]  # replicate and network -> images


def two_sample(real: Tensor, other: Tensor, params: Params, name: str) -> dict[str, float]:
    """Train a fresh classifier on one half of each set to tell them apart. Return its accuracy on the other halves,
    with its confidence interval.

    An accuracy of 0.5 means that it cannot tell them apart (Lopez-Paz & Oquab, 2017). The halves are drawn at random,
    since the first half of MNIST's test set was written by other people than the second.
    """
    half, chance = len(real) // 2, stream(params.seed, "two-sample", name, "halves")
    halves = [torch.randperm(len(real), generator=chance)[: 2 * half].split(half) for _ in range(2)]
    images = [torch.cat([real[a], other[b]]) for a, b in zip(*halves, strict=True)]
    labels = torch.arange(2).repeat_interleave(half)  # on the CPU, where `read` puts its digits
    epochs, settings = params.quality.two_sample_epochs, params.classifier
    model = train_classifier(images[0], labels.to(real.device), 2, epochs, settings, params.seed, f"two-sample {name}")
    right = int((read(model, images[1]).digits == labels).sum())
    low, high = exact(right, len(labels), params.quality.confidence)
    return {"two_sample_accuracy": right / len(labels), "two_sample_low": low, "two_sample_high": high}


@dataclass(frozen=True)
class Reference:
    """Holds the real images to compare with, and the classifier that reads all images."""

    model: Classifier
    test: Reading  # of the test images, which the GAN has never seen
    train: Tensor  # the images that the GAN was trained on [M, 1, 28, 28]
    shares: Tensor  # of each digit in the training set [10]
    # Of each digit's test images, CLOSE_SHARE are closer to their nearest training image than this distance [10].
    close: Tensor
    radius: Tensor  # of the balls around the test images' features, from `reach` [R]

    @property
    def counts(self) -> Tensor:
        """Return how many of the test images the classifier reads as each digit [10]."""
        return torch.bincount(self.test.digits, minlength=DIGITS)

    @classmethod
    def build(
        cls, test: dict[str, Tensor], train: dict[str, Tensor], model: Classifier, neighbours: int
    ) -> "Reference":
        """Build the reference from the splits of MNIST as `mnist.decode` returns them. The images go to the model's
        device. The balls around the test images' features reach to as many as `neighbours` neighbours."""
        where = next(model.parameters()).device
        seen, unseen = (as_images(split["images"]).to(where) for split in (train, test))
        distances = nearest(unseen.flatten(1), seen.flatten(1))[0][:, 0].cpu()
        close = [distances[test["labels"] == digit].quantile(CLOSE_SHARE) for digit in range(DIGITS)]
        reading = read(model, unseen)
        radius = reach(on_device(reading), neighbours)
        return cls(model, reading, seen, shares_of(train["labels"]), torch.stack(close), radius)


def on_device(reading: Reading) -> Tensor:
    """Return a reading's features [N, F] on the device of its images."""
    return reading.features.to(reading.images.device)


def shares_of(digits: Tensor) -> Tensor:
    """Return the share of each digit [10] among digits [N]."""
    return torch.bincount(digits, minlength=DIGITS).double() / len(digits)


def matched(digits: Tensor, counts: Tensor) -> list[Tensor]:
    """Return for each digit the indices of as many elements of `digits` [N] with its value as `counts` [10] says. They
    are the first ones; if these are too few, they repeat. A digit that is missing has no indices."""
    rows = [(digits == digit).nonzero()[:, 0] for digit in range(DIGITS)]
    return [
        found[torch.arange(count) % len(found)] if len(found) else found
        for found, count in zip(rows, counts.tolist(), strict=True)
    ]


def matched_fid(reading: Reading, real: Reference) -> dict[str, float]:
    """Return the FID of images that are chosen so that the classifier reads each digit as often as among the test
    images. This FID depends on how the digits look, and not on how many of each there are. NaN if one is missing.

    Also return how many of these images are distinct. The rest are repetitions.
    """
    counts = real.counts
    rows = matched(reading.digits, counts)
    chosen = torch.cat(rows)
    whole = all(len(found) == count for found, count in zip(rows, counts.tolist(), strict=True))
    distance = fid(real.test.features, reading.features[chosen]) if whole else nan
    return {"fid_matched": distance, "distinct_matched": len(chosen.unique())}


def fid_by_digit(reading: Reading, real: Reference) -> list[float]:
    """Return for each digit the FID between the images and the test images that the classifier reads as this digit. It
    is NaN for a digit that is missing.

    As many images are taken of both, since FID depends on how many there are, and the more so the fewer there are.
    """
    distances = []
    for digit, rows in enumerate(matched(reading.digits, real.counts)):
        those = real.test.features[real.test.digits == digit]
        distances.append(fid(those, reading.features[rows]) if min(len(rows), len(those)) > 1 else nan)
    return distances


def quick_measures(reading: Reading, real: Reference, settings: QualitySettings) -> dict[str, float]:
    """Return the measures that are quick to compute, for a set of as many images as there are test images.

    `digits_total_variation` is half the sum of the absolute differences between the digits' shares and their shares in
    the training set.
    """
    shares = shares_of(reading.digits)
    return {
        "fid": fid(real.test.features, reading.features),
        **matched_fid(reading, real),
        **precision_density_coverage(on_device(real.test), real.radius, on_device(reading), settings.neighbours),
        "digits_missing": int((shares < settings.missing_below).sum()),
        "digits_total_variation": 0.5 * (shares - real.shares).abs().sum().item(),
        "unsure": (reading.confidence < settings.confident).double().mean().item(),
    }


class Pairs(NamedTuple):
    """For each of the D digits that were found: the image closest to a training image, and that training image."""

    images: Tensor  # the images, then the training images [2, D, 1, 28, 28]
    digits: Tensor  # as which the classifier reads the images [D]
    confidence: Tensor  # the probabilities of these digits [D]


def memorised(reading: Reading, real: Reference, of_training: bool = False) -> tuple[float, Pairs]:
    """Return the share of images that are closer to a training image than all but a hundredth of their digit's test
    images are, and the closest pairs.

    Each digit has its own distance, since a 1 is close to another 1 without being its copy. With `of_training` the
    images are training images themselves, and the nearest other training image counts.
    """
    found = nearest(reading.images.flatten(1), real.train.flatten(1), 1 + of_training)
    distances, indices = (each[:, -1].cpu() for each in found)
    closest = [
        min(rows.tolist(), key=distances.__getitem__)
        for digit in range(DIGITS)
        if len(rows := (reading.digits == digit).nonzero()[:, 0])
    ]
    share = (distances < real.close[reading.digits]).double().mean().item()
    images = torch.stack([reading.images[closest], real.train[indices[closest]]]).cpu()
    return share, Pairs(images, reading.digits[closest], reading.confidence[closest])


def slow_measures(reading: Reading, real: Reference, params: Params, name: str) -> dict[str, float]:
    """Return the measures that take longer, besides `memorised`. `name` is that of the random streams."""
    return {
        "recall": recall(on_device(real.test), on_device(reading), params.quality.neighbours),
        "kid": kid(real.test.features, reading.features, stream(params.seed, "quality", "kid", name)),
        **two_sample(real.test.images, reading.images, params, name),
    }


@dataclass(frozen=True)
class Measured:
    """Holds what was measured. A set of images comes from a replicate's final generator, from its averaged generator,
    or from the training images."""

    by_epoch: pd.DataFrame  # each replicate's generator at each kept epoch
    shares: pd.DataFrame  # each digit's share of these generators' images, and as `real` of the training images
    sets: pd.DataFrame  # a row for each set of images
    by_digit: pd.DataFrame  # a row for each digit of each set
    pairs: Pairs  # of the first final generator


def measure(draw: Draw, real: Reference, params: Params) -> Measured:
    """Measure everything. The generator at each kept epoch and the averaged generator of each replicate get the quick
    measures. The final generators get all measures, and so do training images as a yardstick: they are real, but not
    those of the test set."""
    by_epoch, shares, sets, pairs = [], [], [], []
    by_digit: list[dict[str, Any]] = []

    def keep(images: str, replicate: int, reading: Reading, found: dict[str, float]) -> None:
        near_training, closest = memorised(reading, real, of_training=images == "training images")
        which = {"images": images, "replicate": replicate}
        sets.append({**which, **found, "near_training": near_training})
        measured = zip(shares_of(reading.digits).tolist(), fid_by_digit(reading, real), strict=True)
        by_digit.extend({**which, "digit": digit, "share": s, "fid": f} for digit, (s, f) in enumerate(measured))
        pairs.append(closest)
        log.info("%s %d fid %.3f share near training images %.4f", images, replicate, found["fid"], near_training)

    for replicate in range(params.gan.replicates):
        for epoch in params.gan.snapshot_epochs():
            reading = read(real.model, draw(replicate, f"snapshots/{epoch:04d}"))
            quick, when = quick_measures(reading, real, params.quality), {"replicate": replicate, "epoch": epoch}
            by_epoch.append({**when, **quick})
            both = zip(shares_of(reading.digits).tolist(), real.shares.tolist(), strict=True)
            shares += [{**when, "digit": d, "share": share, "real": true} for d, (share, true) in enumerate(both)]
            log.info("GAN-%d epoch %d fid %.3f coverage %.3f", replicate, epoch, quick["fid"], quick["coverage"])
        # The generator of the last kept epoch is the final one.
        keep("generator", replicate, reading, quick | slow_measures(reading, real, params, f"generator {replicate}"))
    for replicate in range(params.gan.replicates):
        reading = read(real.model, draw(replicate, "average"))
        keep("average", replicate, reading, quick_measures(reading, real, params.quality))
    reading = read(real.model, real.train[: len(real.test.images)])
    name, quick = "training images", quick_measures(reading, real, params.quality)
    keep(name, 0, reading, quick | slow_measures(reading, real, params, name))
    return Measured(pd.DataFrame(by_epoch), pd.DataFrame(shares), pd.DataFrame(sets), pd.DataFrame(by_digit), pairs[0])

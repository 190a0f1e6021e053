"""How like the data the generator's images are, by numbers. Ours; the report judges by eye.

Shapes: N images [N, 1, 28, 28] in [-1, 1], their features [N, F] and probabilities [N, 10] by the classifier; R real
images, those of the test set, with the same of theirs.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from math import nan
from typing import Any, NamedTuple

import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from dlreport.config import Params, QualitySettings
from dlreport.gan.classifier import Classifier, Reading, read, train_classifier
from dlreport.gan.images import DIGITS, as_images
from dlreport.gan.thresholds import CLOSE_SHARE
from dlreport.progress import log
from dlreport.statistics.intervals import exact
from dlreport.streams import stream

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000  # as the paper's authors use it
Draw = Callable[[int, str], Tensor]  # replicate and network -> images


class _Features(nn.Identity):
    """Passes on features that were computed before; `num_features` is how torchmetrics asks how many there are."""

    def __init__(self, count: int):
        super().__init__()
        self.num_features = count


def _between(metric: Callable[..., Metric], real: Tensor, other: Tensor, **options: int) -> Any:
    """torchmetrics wants images and a network for their features; here are these features already."""
    with warnings.catch_warnings(action="ignore"):  # that KID keeps the features in memory
        between = metric(_Features(real.shape[1]), **options)
    between.update(real.double(), real=True)
    between.update(other.double(), real=False)
    return between.compute()


def fid(real: Tensor, other: Tensor) -> float:
    """Frechet distance between normal distributions fitted to features [R, F] and [N, F] (Heusel et al., 2017)."""
    return _between(FrechetInceptionDistance, real, other).item()


def kid(real: Tensor, other: Tensor, generator: torch.Generator) -> float:
    """Squared maximum mean discrepancy under a cubic kernel, unbiased (Binkowski et al., 2018)."""
    size = min(KID_SUBSET_SIZE, len(real), len(other))
    with torch.random.fork_rng(devices=[]):  # torchmetrics draws its subsets from the global stream
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        mean, _ = _between(KernelInceptionDistance, real, other, subsets=KID_SUBSETS, subset_size=size)
    return mean.item()


def nearest(queries: Tensor, among: Tensor, k: int = 1, chunk: int = 200) -> tuple[Tensor, Tensor]:
    """Euclidean distances [Q, k] of queries [Q, F] to the nearest rows of `among` [M, F], and these rows' indices."""
    squares = among.square().sum(1)  # |a - b|^2 = |a|^2 + |b|^2 - 2 a b; torch.cdist would copy `among` for each part
    found = []
    for part in queries.split(chunk):
        own = part.square().sum(1, keepdim=True)
        square = torch.addmm(squares.expand(len(part), -1), part, among.T, alpha=-2) + own
        found.append(square.topk(k, largest=False))
    distances, indices = zip(*found, strict=True)
    return torch.cat(distances).clamp_(min=0).sqrt_(), torch.cat(indices)


def reach(rows: Tensor, k: int) -> Tensor:
    """By row the radius [R] of the ball around it that reaches to its k-th neighbour."""
    return nearest(rows, rows, k + 1)[0][:, -1]  # the nearest row is the row itself


def precision_density_coverage(
    real: Tensor, radius: Tensor, other: Tensor, k: int, chunk: int = 200
) -> dict[str, float]:
    """By balls around the real rows, to the k-th neighbour (Kynkaanniemi et al., 2019; Naeem et al., 2020).

    Precision: share of the others inside a real ball; density: real balls around another, over k; coverage: share of
    real balls that hold one of the others.
    """
    inside = torch.cat([torch.cdist(part, real) < radius for part in other.split(chunk)])  # [N, R]
    return {
        "precision": inside.any(1).double().mean().item(),
        "density": inside.sum(1).double().mean().item() / k,
        "coverage": inside.any(0).double().mean().item(),
    }


def recall(real: Tensor, other: Tensor, k: int, chunk: int = 200) -> float:
    """Share of real rows inside a ball around another (Kynkaanniemi et al., 2019): precision with the roles swapped."""
    return precision_density_coverage(other, reach(other, k), real, k, chunk)["precision"]


def two_sample(real: Tensor, other: Tensor, params: Params, name: str) -> dict[str, float]:
    """Accuracy, with its interval, of a fresh classifier on the halves of both sets that it was not trained on.

    0.5 means that it cannot tell them apart (Lopez-Paz & Oquab, 2017). The halves are drawn at random: the first half
    of MNIST's test set was written by other people than the second.
    """
    half, chance = len(real) // 2, stream(params.seed, "two-sample", name, "halves")
    halves = [torch.randperm(len(real), generator=chance)[: 2 * half].split(half) for _ in range(2)]
    images = [torch.cat([real[a], other[b]]) for a, b in zip(*halves, strict=True)]
    labels = torch.arange(2).repeat_interleave(half)  # on the CPU, as what `read` finds
    epochs, settings = params.quality.two_sample_epochs, params.classifier
    model = train_classifier(images[0], labels.to(real.device), 2, epochs, settings, params.seed, f"two-sample {name}")
    right = int((read(model, images[1]).digits == labels).sum())
    low, high = exact(right, len(labels), params.quality.confidence)
    return {"two_sample_accuracy": right / len(labels), "two_sample_low": low, "two_sample_high": high}


@dataclass(frozen=True)
class Reference:
    """The real images to compare with, and the classifier that reads all images."""

    model: Classifier
    test: Reading  # of the test set's, never seen by the GAN
    train: Tensor  # what the GAN was trained on [M, 1, 28, 28]
    shares: Tensor  # of each digit in the training set [10]
    close: Tensor  # the distance to the nearest training image that a hundredth of a digit's test images undercut [10]
    radius: Tensor  # of the balls around the test images' features, as of `reach` [R]

    @property
    def counts(self) -> Tensor:
        """How many of the test images the classifier reads as each digit [10]."""
        return torch.bincount(self.test.digits, minlength=DIGITS)

    @classmethod
    def build(
        cls, test: dict[str, Tensor], train: dict[str, Tensor], model: Classifier, neighbours: int
    ) -> "Reference":
        """From the splits of MNIST as `mnist.decode` gives them; images go to the model's device. `neighbours` is how
        many the balls around the test images' features reach to."""
        where = next(model.parameters()).device
        seen, unseen = (as_images(split["images"]).to(where) for split in (train, test))
        distances = nearest(unseen.flatten(1), seen.flatten(1))[0][:, 0].cpu()
        close = [distances[test["labels"] == digit].quantile(CLOSE_SHARE) for digit in range(DIGITS)]
        reading = read(model, unseen)
        radius = reach(on_device(reading), neighbours)
        return cls(model, reading, seen, shares_of(train["labels"]), torch.stack(close), radius)


def on_device(reading: Reading) -> Tensor:
    """Its features [N, F], where its images are."""
    return reading.features.to(reading.images.device)


def shares_of(digits: Tensor) -> Tensor:
    """Share of each digit [10] among them [N]."""
    return torch.bincount(digits, minlength=DIGITS).double() / len(digits)


def matched(digits: Tensor, counts: Tensor) -> list[Tensor]:
    """For each digit as many rows of `digits` [N] that hold it as `counts` [10] says: the first ones, and where these
    are too few the same again and again. No rows for a digit that there is none of."""
    rows = [(digits == digit).nonzero()[:, 0] for digit in range(DIGITS)]
    return [
        found[torch.arange(count) % len(found)] if len(found) else found
        for found, count in zip(rows, counts.tolist(), strict=True)
    ]


def matched_fid(reading: Reading, real: Reference) -> dict[str, float]:
    """FID of images among which the classifier reads each digit as often as among the test images: it is moved by how
    the digits look, and not by how many of each there are. NaN if a digit is missing.

    Also how many of these images are distinct: the rest are there again.
    """
    counts = real.counts
    rows = matched(reading.digits, counts)
    chosen = torch.cat(rows)
    whole = all(len(found) == count for found, count in zip(rows, counts.tolist(), strict=True))
    distance = fid(real.test.features, reading.features[chosen]) if whole else nan
    return {"fid_matched": distance, "distinct_matched": len(chosen.unique())}


def fid_by_digit(reading: Reading, real: Reference) -> list[float]:
    """FID between the images and the test images that the classifier reads as each digit, NaN for one that is missing.

    As many images of both, since FID depends on how many there are, and the fewer the more.
    """
    distances = []
    for digit, rows in enumerate(matched(reading.digits, real.counts)):
        those = real.test.features[real.test.digits == digit]
        distances.append(fid(those, reading.features[rows]) if min(len(rows), len(those)) > 1 else nan)
    return distances


def quick_measures(reading: Reading, real: Reference, settings: QualitySettings) -> dict[str, float]:
    """The measures that are quick, of a set of as many images as there are test images.

    `digits_total_variation` is half the sum of absolute differences between the shares of the digits and the training
    set's.
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
    """Of each digit there is, the image that is closest to a training image, and that one; D digits."""

    images: Tensor  # above the training images [2, D, 1, 28, 28]
    digits: Tensor  # as which the classifier reads the upper ones [D]
    confidence: Tensor  # with this probability [D]


def memorised(reading: Reading, real: Reference, of_training: bool = False) -> tuple[float, Pairs]:
    """Share of images that are closer to a training image than all but a hundredth of their digit's test images are,
    and the closest pairs.

    Digit by digit, as a 1 is close to another 1 without being its copy. With `of_training` the images are training
    images, and the nearest one is another.
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
    """The measures that take longer, beside `memorised`; `name` is that of the random streams."""
    return {
        "recall": recall(on_device(real.test), on_device(reading), params.quality.neighbours),
        "kid": kid(real.test.features, reading.features, stream(params.seed, "quality", "kid", name)),
        **two_sample(real.test.images, reading.images, params, name),
    }


@dataclass(frozen=True)
class Measured:
    """What was measured. A set of images is of a replicate's final generator, of its average, or of training images."""

    by_epoch: pd.DataFrame  # each replicate's generator at each kept epoch
    shares: pd.DataFrame  # of each digit among the images of these, and `real` among the training images
    sets: pd.DataFrame  # a row for each set of images
    by_digit: pd.DataFrame  # and for each digit of each
    pairs: Pairs  # of the first final generator


def measure(draw: Draw, real: Reference, params: Params) -> Measured:
    """The quick measures of each replicate's generator at each kept epoch and of its average, and all of each final
    generator and of training images, the yardstick: real, but not the test set's."""
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
        # The last kept one is the final generator.
        keep("generator", replicate, reading, quick | slow_measures(reading, real, params, f"generator {replicate}"))
    for replicate in range(params.gan.replicates):
        reading = read(real.model, draw(replicate, "average"))
        keep("average", replicate, reading, quick_measures(reading, real, params.quality))
    reading = read(real.model, real.train[: len(real.test.images)])
    name, quick = "training images", quick_measures(reading, real, params.quality)
    keep(name, 0, reading, quick | slow_measures(reading, real, params, name))
    return Measured(pd.DataFrame(by_epoch), pd.DataFrame(shares), pd.DataFrame(sets), pd.DataFrame(by_digit), pairs[0])

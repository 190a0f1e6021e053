"""How like the data the generator's images are, by numbers. Ours; the report judges by eye.

Shapes: N images [N, 1, 28, 28] in [-1, 1], their features [N, F] and probabilities [N, 10] by the classifier; R real
images, those of the test set, with the same of theirs.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from statistics import mean, stdev

import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from dlreport.config import Params, QualitySettings
from dlreport.gan.classifier import Classifier, Reading, read, train_classifier
from dlreport.gan.thresholds import CLOSE_SHARE
from dlreport.progress import log
from dlreport.statistics.intervals import wilson
from dlreport.streams import stream

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000  # as the paper's authors use it
Draw = Callable[..., Tensor]  # replicate, network, and which set of images -> images


class _Given(nn.Module):
    """torchmetrics wants images and a network; here features that are there already."""

    def __init__(self, num_features: int):
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


def _between(metric, real: Tensor, other: Tensor):
    metric.update(real.double(), real=True)
    metric.update(other.double(), real=False)
    return metric.compute()


def fid(real: Tensor, other: Tensor) -> float:
    """Frechet distance between normal distributions fitted to features [R, F] and [N, F] (Heusel et al., 2017)."""
    return _between(FrechetInceptionDistance(_Given(real.shape[1])), real, other).item()


def kid(real: Tensor, other: Tensor, generator: torch.Generator) -> float:
    """Squared maximum mean discrepancy under a cubic kernel, unbiased (Binkowski et al., 2018)."""
    size = min(KID_SUBSET_SIZE, len(real), len(other))
    with warnings.catch_warnings(action="ignore"):  # that it keeps the features in memory
        metric = KernelInceptionDistance(_Given(real.shape[1]), subsets=KID_SUBSETS, subset_size=size)
    with torch.random.fork_rng(devices=[]):  # torchmetrics draws its subsets from the global stream
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        mean, _ = _between(metric, real, other)
    return mean.item()


def nearest(queries: Tensor, among: Tensor, k: int = 1, chunk: int = 200) -> tuple[Tensor, Tensor]:
    """Euclidean distances [Q, k] of queries [Q, F] to the nearest rows of `among` [M, F], and these rows' indices."""
    squares = among.square().sum(1)  # |a - b|^2 = |a|^2 + |b|^2 - 2 a b; torch.cdist would copy `among` for each part
    found = []
    for part in queries.split(chunk):
        square = torch.addmm(squares.expand(len(part), -1), part, among.T, alpha=-2) + part.square().sum(
            1, keepdim=True
        )
        found.append(square.topk(k, largest=False))
    distances, indices = zip(*found, strict=True)
    return torch.cat(distances).clamp_(min=0).sqrt_(), torch.cat(indices)


def precision_recall_density_coverage(real: Tensor, other: Tensor, k: int, chunk: int = 200) -> dict[str, float]:
    """By balls around each row that reach to its k-th neighbour (Kynkaanniemi et al., 2019; Naeem et al., 2020).

    Precision: share of the others inside a real ball; recall: the reverse; density: real balls around another, over k;
    coverage: share of real balls that hold one of the others.
    """
    real_radius = nearest(real, real, k + 1)[0][:, -1]  # the nearest is the row itself
    other_radius = nearest(other, other, k + 1)[0][:, -1]
    counts, covered, recalled = [], torch.zeros(len(real), dtype=torch.bool), torch.zeros(len(real), dtype=torch.bool)
    for part, radius in zip(other.split(chunk), other_radius.split(chunk), strict=True):
        distances = torch.cdist(part, real)
        inside = distances < real_radius
        counts.append(inside.sum(1))
        covered |= inside.any(0)
        recalled |= (distances < radius[:, None]).any(0)
    count = torch.cat(counts)
    return {
        "precision": (count > 0).double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": count.double().mean().item() / k,
        "coverage": covered.double().mean().item(),
    }


def two_sample(real: Tensor, other: Tensor, params: Params, name: str) -> tuple[float, float, float]:
    """Accuracy, with its interval, of a fresh classifier on the halves of both sets that it was not trained on.

    0.5 means that it cannot tell them apart (Lopez-Paz & Oquab, 2017). The halves are drawn at random: the first half
    of MNIST's test set was written by other people than the second.
    """
    half, chance = len(real) // 2, stream(params.seed, "two-sample", name, "halves")
    halves = [torch.randperm(len(real), generator=chance)[: 2 * half].split(half) for _ in range(2)]
    images = [torch.cat([real[a], other[b]]) for a, b in zip(*halves, strict=True)]
    labels = torch.arange(2).repeat_interleave(half)
    epochs, settings = params.quality.two_sample_epochs, params.classifier
    model = train_classifier(images[0], labels, 2, epochs, settings, params.seed, f"two-sample {name}")
    right = int((read(model, images[1]).digits == labels).sum())
    return right / len(labels), *wilson(right, len(labels), params.quality.confidence)


@dataclass(frozen=True)
class Reference:
    """The real images to compare with: the test set's, never seen by the GAN, and all that it was trained on."""

    test: Reading
    train: Tensor  # [M, 1, 28, 28]
    shares: Tensor  # of each digit in the training set [10]
    close: Tensor  # the distance to the nearest training image that a hundredth of a digit's test images undercut [10]

    @classmethod
    def build(
        cls, test: Tensor, test_labels: Tensor, train: Tensor, train_labels: Tensor, model: Classifier
    ) -> "Reference":
        distances = nearest(test.flatten(1), train.flatten(1))[0][:, 0]
        close = [distances[test_labels == digit].quantile(CLOSE_SHARE) for digit in range(10)]
        shares = torch.bincount(train_labels, minlength=10).double() / len(train_labels)
        return cls(read(model, test), train, shares, torch.stack(close))


def quick_measures(reading: Reading, real: Reference, settings: QualitySettings) -> dict[str, float]:
    """The measures that are quick, of a set of as many images as there are test images.

    `digits_total_variation` is half the sum of absolute differences between the shares of the digits and the training
    set's.
    """
    shares = torch.bincount(reading.digits, minlength=10).double() / len(reading.digits)
    return {
        "fid": fid(real.test.features, reading.features),
        **precision_recall_density_coverage(real.test.features, reading.features, settings.neighbours),
        "digits_missing": int((shares < settings.missing_below).sum()),
        "digits_total_variation": 0.5 * (shares - real.shares).abs().sum().item(),
        "unsure": (reading.confidence < settings.confident).double().mean().item(),
    }


def memorised(reading: Reading, real: Reference, of_training: bool = False) -> tuple[float, Tensor]:
    """Share of images that are closer to a training image than all but a hundredth of their digit's test images are,
    and the closest pair of each digit there is, images above training images [2, digits, 1, 28, 28].

    Digit by digit, as a 1 is close to another 1 without being its copy. With `of_training` the images are training
    images, and the nearest one is another.
    """
    distances, indices = (
        found[:, -1] for found in nearest(reading.images.flatten(1), real.train.flatten(1), 1 + of_training)
    )
    closest = [
        min(rows.tolist(), key=distances.__getitem__)
        for digit in range(10)
        if len(rows := (reading.digits == digit).nonzero()[:, 0])
    ]
    share = (distances < real.close[reading.digits]).double().mean().item()
    return share, torch.stack([reading.images[closest], real.train[indices[closest]]])


def all_measures(
    name: str,
    draw: Callable[[int], Tensor],
    real: Reference,
    model: Classifier,
    params: Params,
    of_training: bool = False,
) -> tuple[dict[str, float], Tensor]:
    """All measures of the sets of images draw(0), draw(1), ..., and the closest pairs as of `memorised`.

    FID is the mean over the sets, all else of the first.
    """
    reading = read(model, draw(0))
    first = quick_measures(reading, real, params.quality)
    others = (read(model, draw(repeat)).features for repeat in range(1, params.quality.repeats))
    fids = [first["fid"], *(fid(real.test.features, other) for other in others)]
    near_training, pairs = memorised(reading, real, of_training)
    accuracy, low, high = two_sample(real.test.images, reading.images, params, name)
    row = {
        **first,
        "fid": mean(fids),
        "fid_sd": stdev(fids),
        "kid": kid(real.test.features, reading.features, stream(params.seed, "quality", "kid", name)),
        "near_training": near_training,
        "two_sample_accuracy": accuracy,
        "two_sample_low": low,
        "two_sample_high": high,
    }
    return row, pairs


def measure_snapshots(draw: Draw, real: Reference, model: Classifier, params: Params) -> pd.DataFrame:
    """The quick measures of each replicate's generator at each kept epoch, by one set of images."""
    rows = []
    for replicate, epoch in product(range(params.gan.replicates), params.gan.snapshot_epochs()):
        reading = read(model, draw(replicate, f"snapshots/{epoch:04d}"))
        found = quick_measures(reading, real, params.quality)
        log.info("GAN-%d epoch %d fid %.3f coverage %.3f", replicate, epoch, found["fid"], found["coverage"])
        rows.append({"replicate": replicate, "epoch": epoch, **found})
    return pd.DataFrame(rows)


def measure_sources(draw: Draw, real: Reference, model: Classifier, params: Params) -> tuple[pd.DataFrame, Tensor]:
    """All measures of each replicate's final generator and its average, and of training images, which are the best
    attainable: real, but not the test set's. Also the closest pairs of the first generator."""
    rows, pairs = [], []
    for network, replicate in product(("generator", "average"), range(params.gan.replicates)):
        name = f"{network} {replicate}"
        row, closest = all_measures(name, partial(draw, replicate, network), real, model, params)
        rows.append({"images": network, "replicate": replicate, **row})
        pairs.append(closest)
    reference = real.train.split(len(real.test.images))
    row, _ = all_measures("training images", reference.__getitem__, real, model, params, of_training=True)
    rows.append({"images": "training images", "replicate": 0, **row})
    return pd.DataFrame(rows), pairs[0]

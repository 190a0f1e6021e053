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
from typing import Any

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
from dlreport.statistics.intervals import wilson
from dlreport.streams import stream

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000  # as the paper's authors use it
Draw = Callable[..., Tensor]  # replicate, network, and which set of images -> images


def _between(metric: type[Metric], real: Tensor, other: Tensor, **options: int) -> Any:
    """torchmetrics wants images and a network for their features; here are these features already."""
    network = nn.Identity()
    network.num_features = real.shape[1]
    with warnings.catch_warnings(action="ignore"):  # that KID keeps the features in memory
        between = metric(network, **options)
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


def precision_recall_density_coverage(real: Tensor, other: Tensor, k: int, chunk: int = 200) -> dict[str, float]:
    """By balls around each row that reach to its k-th neighbour (Kynkaanniemi et al., 2019; Naeem et al., 2020).

    Precision: share of the others inside a real ball; recall: the reverse; density: real balls around another, over k;
    coverage: share of real balls that hold one of the others.
    """
    # the nearest row is the row itself
    real_radius, other_radius = (nearest(rows, rows, k + 1)[0][:, -1] for rows in (real, other))
    parts, recalled = [], torch.zeros(len(real), dtype=torch.bool, device=real.device)
    for part, radius in zip(other.split(chunk), other_radius.split(chunk), strict=True):
        distances = torch.cdist(part, real)
        parts.append(distances < real_radius)
        recalled |= (distances < radius[:, None]).any(0)
    inside = torch.cat(parts)  # [N, R]
    return {
        "precision": inside.any(1).double().mean().item(),
        "recall": recalled.double().mean().item(),
        "density": inside.sum(1).double().mean().item() / k,
        "coverage": inside.any(0).double().mean().item(),
    }


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
    low, high = wilson(right, len(labels), params.quality.confidence)
    return {"two_sample_accuracy": right / len(labels), "two_sample_low": low, "two_sample_high": high}


@dataclass(frozen=True)
class Reference:
    """The real images to compare with, and the classifier that reads all images."""

    model: Classifier
    test: Reading  # of the test set's, never seen by the GAN
    train: Tensor  # what the GAN was trained on [M, 1, 28, 28]
    shares: Tensor  # of each digit in the training set [10]
    close: Tensor  # the distance to the nearest training image that a hundredth of a digit's test images undercut [10]

    @classmethod
    def build(cls, test: dict[str, Tensor], train: dict[str, Tensor], model: Classifier) -> "Reference":
        """From the splits of MNIST as `mnist.decode` gives them; images go to the model's device."""
        where = next(model.parameters()).device
        seen, unseen = (as_images(split["images"]).to(where) for split in (train, test))
        distances = nearest(unseen.flatten(1), seen.flatten(1))[0][:, 0].cpu()
        close = [distances[test["labels"] == digit].quantile(CLOSE_SHARE) for digit in range(DIGITS)]
        return cls(model, read(model, unseen), seen, _shares(train["labels"]), torch.stack(close))


def _shares(digits: Tensor) -> Tensor:
    """Of each digit [10] among them [N]."""
    return torch.bincount(digits, minlength=DIGITS).double() / len(digits)


def quick_measures(reading: Reading, real: Reference, settings: QualitySettings) -> dict[str, float]:
    """The measures that are quick, of a set of as many images as there are test images.

    `digits_total_variation` is half the sum of absolute differences between the shares of the digits and the training
    set's.
    """
    shares = _shares(reading.digits)
    return {
        "fid": fid(real.test.features, reading.features),
        **precision_recall_density_coverage(
            *(each.features.to(each.images.device) for each in (real.test, reading)), settings.neighbours
        ),
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
    found = nearest(reading.images.flatten(1), real.train.flatten(1), 1 + of_training)
    distances, indices = (each[:, -1].cpu() for each in found)
    closest = [
        min(rows.tolist(), key=distances.__getitem__)
        for digit in range(DIGITS)
        if len(rows := (reading.digits == digit).nonzero()[:, 0])
    ]
    share = (distances < real.close[reading.digits]).double().mean().item()
    return share, torch.stack([reading.images[closest], real.train[indices[closest]]]).cpu()


def all_measures(
    name: str, draw: Callable[[int], Tensor], real: Reference, params: Params, of_training: bool = False
) -> tuple[dict[str, float], Tensor]:
    """All measures of the sets of images draw(0), draw(1), ..., and the closest pairs as of `memorised`.

    FID is the mean over the sets, all else of the first.
    """
    readings = (read(real.model, draw(repeat)) for repeat in range(params.quality.repeats))
    first = next(readings)
    quick = quick_measures(first, real, params.quality)
    fids = [quick["fid"], *(fid(real.test.features, other.features) for other in readings)]
    near_training, pairs = memorised(first, real, of_training)
    row = {
        **quick,
        "fid": mean(fids),
        "fid_sd": stdev(fids),
        "kid": kid(real.test.features, first.features, stream(params.seed, "quality", "kid", name)),
        "near_training": near_training,
        **two_sample(real.test.images, first.images, params, name),
    }
    return row, pairs


def measure_snapshots(draw: Draw, real: Reference, params: Params) -> pd.DataFrame:
    """The quick measures of each replicate's generator at each kept epoch, by one set of images."""
    rows = []
    for replicate, epoch in product(range(params.gan.replicates), params.gan.snapshot_epochs()):
        found = quick_measures(read(real.model, draw(replicate, f"snapshots/{epoch:04d}")), real, params.quality)
        log.info("GAN-%d epoch %d fid %.3f coverage %.3f", replicate, epoch, found["fid"], found["coverage"])
        rows.append({"replicate": replicate, "epoch": epoch, **found})
    return pd.DataFrame(rows)


def measure_sources(draw: Draw, real: Reference, params: Params) -> tuple[pd.DataFrame, Tensor]:
    """All measures of each replicate's final generator and its average, and of training images, which are the best
    attainable: real, but not the test set's. Also the closest pairs of the first generator."""
    rows, pairs = [], []
    for network, replicate in product(("generator", "average"), range(params.gan.replicates)):
        row, closest = all_measures(f"{network} {replicate}", partial(draw, replicate, network), real, params)
        rows.append({"images": network, "replicate": replicate, **row})
        pairs.append(closest)
    reference = real.train.split(len(real.test.images))
    row, _ = all_measures("training images", reference.__getitem__, real, params, of_training=True)
    rows.append({"images": "training images", "replicate": 0, **row})
    return pd.DataFrame(rows), pairs[0]

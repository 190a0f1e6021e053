"""Measures how near two sets of images are, by the features that a classifier computes of them.

Shapes: N images with features [N, F]; R real images, which are those of the test set, with features [R, F].
"""

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

KID_SUBSETS, KID_SUBSET_SIZE = 100, 1000  # as the paper's authors use them


class _Features(nn.Identity):
    """Passes on features that were computed before. torchmetrics reads from `num_features` how many there are."""

    def __init__(self, count: int):
        super().__init__()
        self.num_features = count


def _between(metric: Callable[..., Metric], real: Tensor, other: Tensor, **options: int) -> Any:
    """Return a metric of torchmetrics between two sets of features. It expects images and a network for their features;
    here the features are there already, so the network passes them on."""
    with warnings.catch_warnings(action="ignore"):  # the warning that KID keeps features in memory
        between = metric(_Features(real.shape[1]), **options)
    between.update(real.double(), real=True)
    between.update(other.double(), real=False)
    return between.compute()


def fid(real: Tensor, other: Tensor) -> float:
    """Return the Frechet distance between normal fits to features [R, F] and to features [N, F] (Heusel et al.,
    2017)."""
    return _between(FrechetInceptionDistance, real, other).item()


def kid(real: Tensor, other: Tensor, generator: torch.Generator) -> float:
    """Return the squared maximum mean discrepancy under a cubic kernel, unbiased (Binkowski et al., 2018)."""
    size = min(KID_SUBSET_SIZE, len(real), len(other))
    with torch.random.fork_rng(devices=[]):  # torchmetrics draws its subsets from the global stream
        torch.manual_seed(int(torch.randint(2**62, (1,), generator=generator)))
        mean, _ = _between(KernelInceptionDistance, real, other, subsets=KID_SUBSETS, subset_size=size)
    return mean.item()


def nearest(queries: Tensor, among: Tensor, k: int = 1, chunk: int = 200) -> tuple[Tensor, Tensor]:
    """Return the Euclidean distances [Q, k] of queries [Q, F] to the k nearest rows of `among` [M, F], and the indices
    of these rows [Q, k]."""
    squares = among.square().sum(1)  # |a - b|^2 = |a|^2 + |b|^2 - 2 a b; torch.cdist would copy `among` for each part
    found = []
    for part in queries.split(chunk):
        own = part.square().sum(1, keepdim=True)
        square = torch.addmm(squares.expand(len(part), -1), part, among.T, alpha=-2) + own
        found.append(square.topk(k, largest=False))
    distances, indices = zip(*found, strict=True)
    return torch.cat(distances).clamp_(min=0).sqrt_(), torch.cat(indices)


def reach(rows: Tensor, k: int) -> Tensor:
    """Return for each row the radius [R] of the ball around it that reaches to its k-th neighbour."""
    return nearest(rows, rows, k + 1)[0][:, -1]  # the nearest row is the row itself


def precision_density_coverage(
    real: Tensor, radius: Tensor, other: Tensor, k: int, chunk: int = 200
) -> dict[str, float]:
    """Return three measures by balls around the real rows [R, F], each of which reaches to the row's k-th neighbour.

    - precision  the share of the other rows [N, F] that are inside a real ball (Kynkaanniemi et al., 2019)
    - density    how many real balls are around another row, on average, over k (Naeem et al., 2020)
    - coverage   the share of real balls that hold another row (Naeem et al., 2020)
    """
    inside = torch.cat([torch.cdist(part, real) < radius for part in other.split(chunk)])  # [N, R]
    return {
        "precision": inside.any(1).double().mean().item(),
        "density": inside.sum(1).double().mean().item() / k,
        "coverage": inside.any(0).double().mean().item(),
    }


def recall(real: Tensor, other: Tensor, k: int, chunk: int = 200) -> float:
    """Return the share of real rows inside a ball around another row (Kynkaanniemi et al., 2019). It is precision with
    the roles swapped."""
    return precision_density_coverage(other, reach(other, k), real, k, chunk)["precision"]

"""Decides the statements on the GAN: claims 5 to 9 of the published report, and findings of ours. Their words are in
claims.yaml.

Each training gives one number, and Student's interval of the mean over the trainings decides. For a ratio we average
the logarithm, and for a share the log-odds. Unlike a ratio or a share, these have no bounds.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dlreport.config import Params
from dlreport.gan.courses import loss_course
from dlreport.gan.thresholds import COPIED, JUMP
from dlreport.statistics.claims import OURS, Claims, Statement, means_of_fifths
from dlreport.statistics.intervals import student
from dlreport.statistics.verdicts import UNDECIDED, Outcome, mean_in_range

FILE = Path(__file__).with_name("claims.yaml")
FEWEST = 3  # trainings that decide: with two, Student's interval reaches 13 standard errors to either side
MAJORITY = 0.5  # "most" means a larger share than this
TAKEN_BACK = 0.5  # share of its first move that a loss takes back: less could be noise
LOSS_SETTLED = 0.01  # share by which a settled loss may move: from epoch to epoch it moves by a third of that
FID_SETTLED = 0.1  # share by which a settled FID may move: two sets of one generator's images differ by nearly that
TOLD_APART = 0.55  # share of right answers to "real or generated?": a twentieth better than a guess
GUESS = 0.5  # share of right answers of a guess between two
# The standard deviation of the losses' sum over that of the discriminator's loss: far below one, but not the zero of a
# zero-sum game
SUM_SPREAD = 0.1
SMALLEST_SHARE = 5e-5  # half an image of 10,000: a smaller share, such as none, counts as this
MEASURES = {"fid": "FID", "fid_matched": "FID at matched shares of the digits"}


@dataclass(frozen=True)
class GanEvidence:
    """Holds what the stages of Part 2 found. Each table has a column that names the replicate."""

    params: Params
    losses: pd.DataFrame  # by epoch, with the discriminator's accuracies
    quality: pd.DataFrame  # by set of images
    quality_by_epoch: pd.DataFrame
    shares: pd.DataFrame  # of each digit among the images, by epoch
    walks: pd.DataFrame  # as courses.whole_walks makes them


class Scale(NamedTuple):
    """Holds functions that take values to the scale on which they are averaged, and back."""

    to: Callable
    back: Callable
    shows: Callable[[float, str], str]  # half an interval and its numbers' format -> the power in words


def _log_odds(share: float) -> float:
    with np.errstate(divide="ignore"):
        return np.log(share) - np.log1p(-np.asarray(share, dtype=float))


PLAIN = Scale(np.asarray, np.asarray, lambda half, form: f"shows a mean {format(half, form)} beyond the threshold")
RATIO = Scale(np.log, np.exp, lambda half, _: f"shows a ratio {np.exp(half):.2f} times the threshold")
SHARE = Scale(
    _log_odds,
    lambda odds: 1 / (1 + np.exp(-odds)),
    lambda half, _: f"shows odds {np.exp(half):.3g} times the threshold's",
)


@dataclass(frozen=True)
class Trainings:
    """Decides statements by one value from each training."""

    confidence: float

    def mean(
        self, values: Iterable[float], low: float, high: float, form: str, what: str = "", scale: Scale = PLAIN
    ) -> Outcome:
        """Decide whether the mean over the trainings lies from `low` to `high`. A training without a value has NaN.

        The mean is taken on `scale`. The evidence begins with the words `what`, and has numbers in the format `form`.
        """
        values = np.asarray(list(values), dtype=float)
        each = "trainings " + ", ".join("no value" if np.isnan(value) else format(value, form) for value in values)
        if np.isnan(values).all():
            each = "no value in any training"
        if np.isnan(values).any():
            return Outcome(UNDECIDED, each, self.confidence, power="decides nothing without the measure")
        if len(values) < FEWEST:
            return Outcome(UNDECIDED, each, self.confidence)
        scaled, least, most = scale.to(values).tolist(), scale.to(low).item(), scale.to(high).item()
        ends = student(scaled, self.confidence)
        centre, *interval = (format(number, form) for number in scale.back(np.array([np.mean(scaled), *ends])))
        found = mean_in_range(scaled, least, most, self.confidence)
        evidence = f"{what} {centre} ({' to '.join(interval)}); {each}".lstrip()
        if ends[0] == ends[1]:
            evidence = f"{what} {centre} in all {len(values)} trainings".lstrip()
        power = scale.shows((ends[1] - ends[0]) / 2, form) if ends[0] < ends[1] else "all trainings alike"
        # Values can all lie on a threshold: a discriminator that calls all images real is right on 0.5 in each training
        verdict = UNDECIDED if ends[0] == ends[1] and ends[0] in (least, most) else found.verdict
        return Outcome(verdict, evidence, self.confidence, found.p, power)

    def share(self, values: pd.Series, low: float = 0, high: float = 1, what: str = "") -> Outcome:
        """Decide as `mean` does, by log-odds. Shares within SMALLEST_SHARE of 0 or 1 are first moved there."""
        return self.mean(values.clip(SMALLEST_SHARE, 1 - SMALLEST_SHARE), low, high, ".1%", what, SHARE)

    def ratio(
        self, values: pd.Series, low: float = 0, high: float = np.inf, what: str = "ratio of later to earlier"
    ) -> Outcome:
        """Decide as `mean` does, by logarithms."""
        with np.errstate(divide="ignore"):
            return self.mean(values.clip(SMALLEST_SHARE), low, high, ".2f", what, RATIO)


def check(e: GanEvidence) -> Iterator[Statement]:
    """Yield all statements."""
    claims = Claims(
        FILE,
        jump=JUMP,
        copied=COPIED,
        most=MAJORITY,
        back=TAKEN_BACK,
        settled=LOSS_SETTLED,
        steady=FID_SETTLED,
        guess=GUESS,
        alike=SUM_SPREAD,
        apart=TOLD_APART,
        confident=e.params.quality.confident,
        missing_below=e.params.quality.missing_below,
    )
    trainings = Trainings(e.params.sequence.test.confidence)
    yield from _images(e, claims, trainings)
    yield from _losses(e, claims, trainings)
    yield from _long_run(e, claims, trainings)

    for column, space in (
        ("largest_step_share", "pixels"),
        ("largest_step_share_features", "the classifier's features"),
    ):
        yield claims.state(7, "gradual", trainings.share(e.walks[column], high=JUMP), space=space)


def _images(e: GanEvidence, claims: Claims, trainings: Trainings) -> Iterator[Statement]:
    """Yield claim 5, and our finding on whether images are copies."""
    by_epoch = e.quality_by_epoch.pivot(index="epoch", columns="replicate")
    if {40, 100} <= set(by_epoch.index):
        yield claims.state(
            5, "outlines", trainings.share(1 - by_epoch["unsure"].loc[40], low=MAJORITY, what="share of clear images")
        )
        change = by_epoch["fid"].loc[100] / by_epoch["fid"].loc[40]
        yield claims.state(5, "better", trainings.ratio(change, high=1))
    quality = e.quality.set_index("images")
    real = quality.loc["training images"]
    told_apart = quality.loc[["generator"], "two_sample_accuracy"]
    yield claims.state(5, "indistinguishable", trainings.share(told_apart, high=TOLD_APART, what="it is right on"))
    rarest = e.shares[e.shares["epoch"] == e.shares["epoch"].max()].groupby("replicate")["share"].min()
    yield claims.state(
        5, "complete", trainings.share(rarest, low=e.params.quality.missing_below, what="the rarest digit's share is")
    )
    for images, of in (("generator", "generated images"), ("average", "averaged generator's images")):
        near = quality.loc[[images], "near_training"].clip(SMALLEST_SHARE) / max(real["near_training"], SMALLEST_SHARE)
        yield claims.state(
            OURS,
            "copies",
            trainings.ratio(near, high=COPIED, what="share of close images, over that of real images:"),
            of=of,
        )


def _losses(e: GanEvidence, claims: Claims, trainings: Trainings) -> Iterator[Statement]:
    """Yield claims 6, 8 and 9, as far as they are about the losses and the discriminator's accuracy."""
    by_epoch = e.losses.pivot(index="epoch", columns="replicate")
    half, fifth = by_epoch[len(by_epoch) // 2 :], by_epoch[len(by_epoch) * 4 // 5 :]
    for network, first, then in (("discriminator", "fall", "rise"), ("generator", "rise", "fall")):
        back = by_epoch[network].apply(_taken_back, falls_first=first == "fall")
        outcome = trainings.mean(back, TAKEN_BACK, np.inf, ".0%", "part of its first move that it takes back:")
        yield claims.state(6, "turns", outcome, network=network, first=first, then=then)
    for network, move, opposite, sign in (
        ("discriminator", "decline", "rise", -1),
        ("generator", "rise", "decline", 1),
    ):
        words = f"smallest {move} from one fifth to the next, below 0 a {opposite}:"
        steps = sign * means_of_fifths(half[network]).diff().dropna()
        least = steps.min() if len(steps) == 4 else steps.min() * np.nan
        yield claims.state(6, "steadily", trainings.mean(least, 0, np.inf, ".3f", words), network=network, move=move)
    for network in ("discriminator", "generator"):
        moved = fifth[network].apply(_moved)
        yield claims.state(
            8, "losses", trainings.mean(moved, -LOSS_SETTLED, LOSS_SETTLED, ".1%", "moves by"), network=network
        )
    right = {kind: half[f"accuracy_{kind}"] for kind in ("real", "generated")}
    right["real and generated"] = (right["real"] + right["generated"]) / 2  # there are as many of both
    for kind, accuracy in right.items():
        outcome = trainings.share(accuracy.min(), low=GUESS, what="lowest accuracy")
        yield claims.state(9, "outperforms", outcome, kind=kind)
    sums = half["discriminator"] + half["generator"]
    spread = sums.std() / half["discriminator"].std()
    yield claims.state(
        9,
        "zero_sum",
        trainings.ratio(
            spread, high=SUM_SPREAD, what="standard deviation of the sum, over that of the discriminator's loss:"
        ),
    )


def _long_run(e: GanEvidence, claims: Claims, trainings: Trainings) -> Iterator[Statement]:
    """Yield claims 6 and 8, as far as they are about the images of the second half, and our finding on a drift of the
    digits' shares."""
    by_epoch = e.quality_by_epoch.pivot(index="epoch", columns="replicate")
    kept, end = by_epoch.index, by_epoch.index.max()
    half, late = (kept[kept >= share * end].min() for share in (0.5, 0.8))
    for column, measure in MEASURES.items():
        change = {epoch: by_epoch[column].loc[end] / by_epoch[column].loc[epoch] for epoch in kept}
        change[end] = change[end] * np.nan  # an epoch cannot be compared with itself
        improves = trainings.ratio(change[half], high=1)
        yield claims.state(6, "improves", improves, measure=measure, epoch=half)
        converged = trainings.ratio(change[late], 1 - FID_SETTLED, 1 + FID_SETTLED)
        yield claims.state(8, "images", converged, measure=measure, epoch=late)
    if 100 in kept:
        rise, left = (by_epoch[column].loc[end] - by_epoch[column].loc[100] for column in MEASURES)
        drift = trainings.mean(1 - left / rise.where(rise > 0), MAJORITY, np.inf, ".0%", "part that is gone")
        yield claims.state(OURS, "drift", drift)


def _taken_back(losses: pd.Series, falls_first: bool) -> float:
    """Return the share of its first move that a loss takes back, or 0 without such a move. `losses` are by epoch."""
    course = loss_course(losses, falls_first)
    away = abs(course.first - course.turn)
    return abs(course.back - course.turn) / away if away else 0.0


def _moved(losses: pd.Series) -> float:
    """Return how far a loss moves over these epochs along its least-squares line, as a share of its mean. Return NaN
    for a single epoch."""
    if len(losses) < 2:
        return np.nan
    slope = np.polyfit(losses.index, losses, 1)[0]
    return slope * (losses.index[-1] - losses.index[0]) / losses.mean()

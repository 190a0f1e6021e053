"""Claims 5 to 7 of the published report, and a finding of ours on the GAN, decided. Their words are in claims.yaml."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from dlreport.config import Params
from dlreport.gan.thresholds import COPIED, JUMP
from dlreport.statistics.claims import OURS, Claims, Statement, means_of_fifths
from dlreport.statistics.verdicts import UNDECIDED, Outcome, single_run

FILE = Path(__file__).with_name("claims.yaml")
MOST = 0.5  # share of the images that are recognisable
SPREADS = 2  # standard deviations of FID over sets of images: a smaller difference could be chance
BACK = 0.5  # share of a loss's first move that it takes back: less could be noise


@dataclass(frozen=True)
class GanEvidence:
    """What the stages of Part 2 found. Tables are by replicate."""

    params: Params
    losses: pd.DataFrame
    quality: pd.DataFrame
    quality_by_epoch: pd.DataFrame
    interpolation: dict[str, float]


def check(e: GanEvidence) -> Iterator[Statement]:
    """All statements, claim by claim; ours last."""
    values = {"jump": JUMP, "copied": COPIED, "most": MOST, "spreads": SPREADS, "back": BACK}
    claims = Claims(FILE, **values, **e.params.quality.model_dump(include={"confident", "missing_below"}))
    quality = e.quality.groupby("images").mean()
    generator, real = quality.loc["generator"], quality.loc["training images"]
    by_epoch = e.quality_by_epoch.groupby("epoch").mean()
    fids = by_epoch["fid"]
    if {40, 100} <= set(by_epoch.index):
        sure = 1 - by_epoch.at[40, "unsure"]
        yield claims.state(5, "outlines", single_run(sure > MOST, f"{sure:.1%}"))
        better = fids[100] + SPREADS * generator["fid_sd"] < fids[40]
        yield claims.state(5, "better", single_run(better, f"FID {fids[40]:.1f} and {fids[100]:.1f}"))
    told_apart = [row["two_sample_accuracy"] for row in (generator, real)]
    alike = generator["two_sample_low"] <= real["two_sample_high"]
    evidence = "{:.1%} told apart, training images {:.1%}".format(*told_apart)
    yield claims.state(5, "indistinguishable", single_run(alike, evidence))
    missing = generator["digits_missing"]
    yield claims.state(5, "complete", single_run(missing == 0, f"{missing:.0f} missing"))

    means = e.losses.groupby("epoch").mean()
    blocks = means_of_fifths(means[len(means) // 2 :])
    for network, first, then in (("discriminator", "fall", "rise"), ("generator", "rise", "fall")):
        turns = _turns(means[network], first == "fall")
        yield claims.state(6, "turns", turns, network=network, first=first, then=then)
    for network, move in (("discriminator", "decline"), ("generator", "rise")):
        yield claims.state(6, "steadily", _steadily(blocks[network], move), network=network, move=move)
    improves = fids.iloc[-1] <= fids.min() + SPREADS * generator["fid_sd"]
    evidence = f"FID {fids.iloc[-1]:.1f} at the end, {fids.min():.1f} at epoch {fids.idxmin()}"
    yield claims.state(6, "improves", single_run(improves, evidence))

    for name, space in (("largest_step_share", "pixels"), ("largest_step_share_features", "the classifier's features")):
        step = e.interpolation[name]
        yield claims.state(7, "gradual", single_run(step < JUMP, f"{step:.1%}"), space=space)

    near = [row["near_training"] for row in (generator, real)]
    evidence = "{:.1%} close to a training image, of real ones {:.1%}".format(*near)
    yield claims.state(OURS, "copies", single_run(near[0] <= COPIED * near[1], evidence))


class LossCourse(NamedTuple):
    """An epoch-mean loss in three parts: its start, its first turn, the long run. Report, part 2, claim 6."""

    first: float
    turn_epoch: int  # where it is lowest (or highest) within the first fifth of the epochs
    turn: float
    back_epoch: int  # where it is highest (or lowest) after the turn, within half the epochs from there
    back: float
    last: float
    trend: float  # slope of the least-squares line over the second half, per 100 epochs


def loss_course(losses: pd.Series, falls_first: bool) -> LossCourse:
    """Course of a loss, means by epoch, that the report says first falls (or rises) and then turns."""
    signed = losses if falls_first else -losses
    turn = signed.iloc[: max(1, len(losses) // 5)].idxmin()
    back = signed.loc[turn:].iloc[: max(1, len(losses) // 2)].idxmax()
    late = losses.iloc[len(losses) // 2 :]
    trend = 100 * np.polyfit(late.index, late, 1)[0] if len(late) > 1 else 0.0
    return LossCourse(losses.iloc[0], turn, losses[turn], back, losses[back], losses.iloc[-1], trend)


def _turns(losses: pd.Series, falls_first: bool) -> Outcome:
    """Whether a loss [epochs] takes back BACK of its first move, or more."""
    course = loss_course(losses, falls_first)
    away, again = course.first - course.turn, course.back - course.turn
    if not falls_first:
        away, again = -away, -again
    turn, back = f"{course.turn:.3f} (epoch {course.turn_epoch})", f"{course.back:.3f} (epoch {course.back_epoch})"
    return single_run(away > 0 and again >= BACK * away, f"{course.first:.3f}, {turn}, {back}")


def _steadily(fifths: pd.Series, move: str) -> Outcome:
    if len(fifths) < 5:
        return Outcome(UNDECIDED, "too few epochs")
    steps = fifths.diff().dropna()
    steadily = (steps < 0).all() if move == "decline" else (steps > 0).all()
    return single_run(bool(steadily), ", ".join(f"{value:.3f}" for value in fifths))

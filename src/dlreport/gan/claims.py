"""Claims 5 to 7 of the published report, and a finding of ours on the GAN. Report, part 2.

Each statement's test was written down when the numbers of one GAN were known; LATER marks those of a later day.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pandas as pd

from dlreport.config import Params
from dlreport.gan.losses import loss_course
from dlreport.gan.thresholds import COPIED, JUMP
from dlreport.statistics.claims import LATER, Found, Statement, Wording, means_of_fifths
from dlreport.statistics.verdicts import UNDECIDED, Outcome, single_run


@dataclass(frozen=True)
class GanEvidence:
    """What the stages of Part 2 found. Tables are by replicate."""

    params: Params
    losses: pd.DataFrame
    quality: pd.DataFrame
    quality_by_epoch: pd.DataFrame
    interpolation: dict[str, float]


def check(e: GanEvidence) -> list[Statement]:
    """All statements, claim by claim; ours last."""
    parts: dict[int | None, Callable[[GanEvidence], Found]] = {5: images, 6: losses, 7: walk, None: ours}
    return [replace(statement, claim=claim) for claim, part in parts.items() for statement in part(e)]


def images(e: GanEvidence) -> Found:
    by_epoch = e.quality_by_epoch.groupby("epoch").mean()
    quality = e.quality.groupby("images").mean()
    generator, reference = quality.loc["generator"], quality.loc["training images"]
    confident = e.params.quality.confident
    if {40, 100} <= set(by_epoch.index):
        sure = 1 - by_epoch.at[40, "unsure"]
        yield Statement(
            "epoch 40: the outlines are recognisable as digits",
            f"share of images that the classifier reads with {confident:.0%} or more: above a half",
            "one training decides",
            single_run(sure > 0.5, f"{sure:.1%}"),
            Wording("most images of epoch 40", "are", "are not", "digits to the classifier"),
            "images",
        )
        fids = by_epoch.loc[[40, 100], "fid"].tolist()
        yield Statement(
            "epoch 100: better than at epoch 40",
            "FID lower by more than twice the final generator's standard deviation over sets of images",
            "one training decides",
            single_run(fids[1] + 2 * generator["fid_sd"] < fids[0], f"FID {fids[0]:.1f} and {fids[1]:.1f}"),
            Wording("the images of epoch 100", "are better", "are not better", "than those of epoch 40"),
            "images",
        )
    low, accuracy, between_real = (
        *(generator["two_sample_low"], generator["two_sample_accuracy"]),
        reference["two_sample_accuracy"],
    )
    yield Statement(
        "the end: almost indistinguishable from the data set",
        "a classifier trained to tell them apart does it no better than real images of two sets",
        "the interval reaches that of training images",
        single_run(
            low <= reference["two_sample_high"], f"{accuracy:.1%} told apart, training images {between_real:.1%}"
        ),
        Wording("a classifier", "cannot tell", "can tell", "the final images from real ones"),
        "images",
    )
    yield Statement(
        "the end: every digit is drawn",
        "no digit with a share below the least one",
        "part of being like the data",
        single_run(generator["digits_missing"] == 0, f"{generator['digits_missing']:.0f} missing"),
        Wording("the final generator", "draws every digit", "does not draw every digit"),
        "images",
    )


def losses(e: GanEvidence) -> Found:
    means = e.losses.groupby("epoch").mean()
    for name, falls_first in (("discriminator", True), ("generator", False)):
        course = loss_course(means[name], falls_first)
        sign = 1 if falls_first else -1
        first, then = ("falls", "rises") if falls_first else ("rises", "falls")
        turn, back = f"{course.turn:.3f} (epoch {course.turn_epoch})", f"{course.back:.3f} (epoch {course.back_epoch})"
        away, again = sign * (course.first - course.turn), sign * (course.back - course.turn)
        yield Statement(
            f"the {name}'s loss {first} first, then {then}{LATER}",
            "from the first epoch to the extreme of the first fifth, and from there half of that or more back",
            "less could be noise; one training decides",
            single_run(away > 0 and again >= away / 2, f"{course.first:.3f}, {turn}, {back}"),
            Wording(
                f"the {name}'s loss", f"first {first}, then {then}", f"does not first {first[:-1]} and then {then[:-1]}"
            ),
            "losses",
        )
    blocks = means_of_fifths(means[len(means) // 2 :])
    for name, sign, word in (("discriminator", -1, "declines"), ("generator", 1, "rises")):
        steps = sign * blocks[name].diff().dropna()
        outcome = Outcome(UNDECIDED, "too few epochs")
        if len(blocks) == 5:
            outcome = single_run(bool((steps > 0).all()), ", ".join(f"{value:.3f}" for value in blocks[name]))
        yield Statement(
            f"in the long run the {name}'s loss {word} steadily",
            "means of fifths of the second half, each beyond the one before",
            "steadily: without a turn",
            outcome,
            Wording(f"in the long run the {name}'s loss", word, f"does not {word[:-1]}", "steadily"),
            "losses",
        )
    fids = e.quality_by_epoch.groupby("epoch")["fid"].mean()
    last, best, spread = fids.iloc[-1], fids.min(), e.quality.groupby("images")["fid_sd"].mean()["generator"]
    yield Statement(
        "the images still improve in the long run",
        "FID at the end no more than twice the standard deviation over sets of images above the least of all epochs",
        "one training decides",
        single_run(last <= best + 2 * spread, f"FID {last:.1f} at the end, {best:.1f} at epoch {fids.idxmin()}"),
        Wording("by FID the images", "still improve", "do not improve", "to the end"),
        "images",
    )


def walk(e: GanEvidence) -> Found:
    for name, words in (("largest_step_share", "pixels"), ("largest_step_share_features", "the classifier's features")):
        yield Statement(
            f"the transition from zeros to ones is gradual in {words}",
            f"largest step between neighbours less than {JUMP:.0%} of the way",
            "a step of half the way would be a jump",
            single_run(e.interpolation[name] < JUMP, f"{e.interpolation[name]:.1%}"),
            Wording("the walk from zeros to ones", "is gradual", "jumps", f"in {words}, by its largest step"),
            "walk",
        )


def ours(e: GanEvidence) -> Found:
    near = e.quality.groupby("images")["near_training"].mean()
    generated, real = near["generator"], near["training images"]
    yield Statement(
        "the end: the images are no copies of training images",
        f"share of images close to a training image at most {COPIED} times that of other training images",
        "some digits of the plainest form are close to others",
        single_run(generated <= COPIED * real, f"{generated:.1%} close to a training image, of real ones {real:.1%}"),
        Wording("the generated images", "show no sign", "show signs", "of copying training images"),
        "images",
    )

"""Claims 5 to 7, of the GAN. Report, part 2, "Claims made in the text"."""

from dlreport.evaluation.curves import loss_course
from dlreport.evaluation.evidence import LATER, Evidence, Found, fifths
from dlreport.evaluation.thresholds import JUMP
from dlreport.evaluation.verdicts import UNDECIDED, Outcome, holds


def images(e: Evidence) -> Found:
    by_epoch = e.quality_by_epoch.groupby("epoch").mean()
    quality = e.quality.groupby("images").mean()
    own, reference = quality.loc["generator"], quality.loc["training images"]
    confident = e.params.quality.confident
    if {40, 100} <= set(by_epoch.index):
        sure = 1 - by_epoch.at[40, "unsure"]
        yield (
            "epoch 40: the outlines are recognisable as digits",
            f"share of images that the classifier reads with {confident:.0%} or more: above a half",
            "one training decides",
            holds(sure > 0.5, f"{sure:.1%}"),
        )
        fids = by_epoch.loc[[40, 100], "fid"].tolist()
        yield (
            "epoch 100: better than at epoch 40",
            "FID lower by more than twice the final generator's standard deviation over sets of images",
            "one training decides",
            holds(fids[1] + 2 * own["fid_sd"] < fids[0], f"FID {fids[0]:.1f} and {fids[1]:.1f}"),
        )
    low, accuracy, theirs = own["two_sample_low"], own["two_sample_accuracy"], reference["two_sample_accuracy"]
    yield (
        "the end: almost indistinguishable from the data set",
        "a classifier trained to tell them apart does it no better than real images of two sets",
        "the interval reaches that of training images",
        holds(low <= reference["two_sample_high"], f"{accuracy:.1%} told apart, training images {theirs:.1%}"),
    )
    yield (
        "the end: every digit is drawn",
        "no digit with a share below the least one",
        "part of being like the data",
        holds(own["digits_missing"] == 0, f"{own['digits_missing']:.0f} missing"),
    )


def losses(e: Evidence) -> Found:
    means = e.losses.groupby("epoch").mean()
    for name, falls_first in (("discriminator", True), ("generator", False)):
        course = loss_course(means[name], falls_first)
        sign = 1 if falls_first else -1
        first, then = ("falls", "rises") if falls_first else ("rises", "falls")
        turn, back = f"{course.turn:.3f} (epoch {course.turn_epoch})", f"{course.back:.3f} (epoch {course.back_epoch})"
        away, again = sign * (course.first - course.turn), sign * (course.back - course.turn)
        yield (
            f"the {name}'s loss {first} first, then {then}{LATER}",
            "from the first epoch to the extreme of the first fifth, and from there half of that or more back",
            "less could be noise; one training decides",
            holds(away > 0 and again >= away / 2, f"{course.first:.3f}, {turn}, {back}"),
        )
    blocks = fifths(means[len(means) // 2 :])
    for name, sign, word in (("discriminator", -1, "declines"), ("generator", 1, "rises")):
        steps = sign * blocks[name].diff().dropna()
        yield (
            f"in the long run the {name}'s loss {word} steadily",
            "means of fifths of the second half, each beyond the one before",
            "steadily: without a turn",
            holds(bool((steps > 0).all()), ", ".join(f"{value:.3f}" for value in blocks[name]))
            if len(blocks) == 5
            else Outcome(UNDECIDED, "too few epochs"),
        )
    fids = e.quality_by_epoch.groupby("epoch")["fid"].mean()
    last, best, spread = fids.iloc[-1], fids.min(), e.quality.groupby("images")["fid_sd"].mean()["generator"]
    yield (
        "the images still improve in the long run",
        "FID at the end no more than twice the standard deviation over sets of images above the least of all epochs",
        "one training decides",
        holds(last <= best + 2 * spread, f"FID {last:.1f} at the end, {best:.1f} at epoch {fids.idxmin()}"),
    )


def walk(e: Evidence) -> Found:
    for name, words in (("largest_step_share", "pixels"), ("largest_step_share_features", "the classifier's features")):
        yield (
            f"the transition from zeros to ones is gradual in {words}",
            f"largest step between neighbours less than {JUMP:.0%} of the way",
            "a step of half the way would be a jump",
            holds(e.interpolation[name] < JUMP, f"{e.interpolation[name]:.1%}"),
        )

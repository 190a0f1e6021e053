"""Makes what the templates read on Part 2, from what the stages computed."""

from operator import itemgetter
from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.gan.courses import loss_course, whole_walks
from dlreport.gan.networks import discriminator_loss, generator_loss
from dlreport.gan.samples import at_epoch
from dlreport.gan.thresholds import CLOSE_SHARE, JUDGED
from dlreport.report.shared import Row, records, source_code

MISLEADING = 0.1  # if the precision of noise is above this, the page warns that precision alone can mislead


def context(params: Params, results: dict[str, Any]) -> dict[str, Any]:
    """Return what the templates read on Part 2, by name. `results` are those that context.build takes."""
    return {
        "gan": results["gan"],
        "gan_code": source_code(discriminator_loss, generator_loss),
        "layer_rows": records(results["layers"]),
        "parameter_counts": results["layers"].groupby("network")["parameters"].sum().to_dict(),
        "trainings_in_words": _trainings(params.gan.replicates),
        **_losses(results["losses"]),
        **_images(results),
        "walk_rows": _walk_rows(results["walks"]),
    }


def _trainings(count: int) -> str:
    return (
        "There was one training."
        if count == 1
        else f"Thin lines are the {count} trainings, thick ones their median; numbers in the text are means over them."
    )


def _losses(table: pd.DataFrame) -> dict[str, Any]:
    """Describe the course of the losses by epoch, as means over the trainings."""
    losses = table.groupby("epoch").mean()
    return {
        "loss_courses": {
            name: loss_course(losses[name], name == "discriminator") for name in ("discriminator", "generator")
        },
        "last_losses": losses.iloc[-1].to_dict(),
        "judged_images": JUDGED,
    }


def _images(results: dict[str, Any]) -> dict[str, Any]:
    """Return how good the images are, by epoch and at the end."""
    epochs = records(results["quality_by_epoch"].groupby("epoch").mean().reset_index())
    shares = results["digit_shares"]
    last = shares[shares["epoch"] == shares["epoch"].max()]
    drawn, share = records(last.groupby("digit")["share"].mean().reset_index()), itemgetter("share")
    return {
        "classifier": results["classifier"],
        "close_share": CLOSE_SHARE,
        "shown_grids": [_grid(epoch) for epoch in _claimed_grids(results["grid_epochs"])],
        "epoch_rows": epochs,
        "best_epoch": min(epochs, key=itemgetter("fid")),
        "misleading_epoch": _misleading(epochs[0]),
        "rarest": min(drawn, key=share),
        "commonest": max(drawn, key=share),
        "measures_of": _measures(results["quality"]),
        "digit_rows": _digit_rows(results["quality_by_digit"]),
    }


def _grid(epoch: int) -> dict[str, str]:
    return {"caption": at_epoch(epoch), "path": f"../plots/gan/grids/{epoch:04d}.png"}


def _claimed_grids(epochs: list[int]) -> list[int]:
    """Return those epochs with a grid that are the first, the last, or named by claim 5."""
    return [epoch for epoch in epochs if epoch in {epochs[0], 40, 100, epochs[-1]}]


def _misleading(first: Row) -> Row | None:
    """Return the row of the epoch before training, when all images are noise, if its precision is high all the same."""
    precision = first["precision"]
    return first if precision is not None and precision > MISLEADING else None


def _measures(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """Summarise each measure of each set of images over the trainings."""
    measures = table.columns.drop(["images", "replicate"])
    return {
        images: {name: _spread(rows[name]) for name in measures} for images, rows in table.groupby("images", sort=False)
    }


def _spread(values: pd.Series) -> dict[str, float | None]:
    """Return the mean of a measure over the trainings, or None if it was not taken, and the extremes if they differ."""
    extremes = (values.min(), values.max()) if values.nunique() > 1 else (None, None)
    mean = None if values.isna().all() else values.mean()
    return {"mean": mean, "least": extremes[0], "greatest": extremes[1]}


def _digit_rows(table: pd.DataFrame) -> list[Row]:
    """Return, for each digit, the share of generated and of real images that show it, and the FID of both. All are
    means over the trainings."""
    means = table.groupby(["images", "digit"])[["share", "fid"]].mean().astype(object)
    generated, real = (means.where(means.notna(), None).loc[images] for images in ("generator", "training images"))
    return [{"digit": d, "generated": generated.loc[d], "real": real.loc[d]} for d in generated.index]


def _walk_rows(table: pd.DataFrame) -> list[Row]:
    """Return a row for each training's walk, with the digits along it."""
    digits = table.groupby("replicate")["digit"].agg(list)
    return [{**whole, "digits": digits[k]} for k, whole in whole_walks(table).to_dict("index").items()]

"""All that the report's templates read, from what the stages computed. Nothing is judged here: verdicts and their
sentences come from the table of claims."""

from collections import defaultdict
from dataclasses import dataclass
from math import log
from statistics import median
from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.gan.claims import FILE as GAN_CLAIMS
from dlreport.gan.losses import loss_course
from dlreport.gan.thresholds import CLOSE_SHARE
from dlreport.sequence.claims import FILE as SEQUENCE_CLAIMS
from dlreport.sequence.curves import course
from dlreport.sequence.gradients import first_over_last, memory_column
from dlreport.sequence.models import model_class
from dlreport.sequence.thresholds import CONVERGED, SATURATED
from dlreport.statistics.claims import Claims, counts

CLASSES = 10  # digits
# sections of params.yaml: those that can change a number
SHOWN = {"seed", "precision", "sequence", "longer", "gradients", "ablation", "gan", "classifier", "quality"}


@dataclass(frozen=True)
class Results:
    """Contents of the files that the pipeline wrote, and the published figures."""

    published: dict[str, Any]
    comparison: pd.DataFrame
    curves: dict[tuple[str, int], pd.DataFrame]  # by (model, length)
    gan_metrics: dict[str, Any]
    gan_losses: pd.DataFrame
    gan_layers: pd.DataFrame
    grid_epochs: list[int]
    interpolation: dict[str, Any]
    walk: pd.DataFrame
    classifier: dict[str, Any]
    quality: pd.DataFrame  # rows for generator, average, training images, by replicate
    quality_by_epoch: pd.DataFrame
    claims: pd.DataFrame  # a row per statement
    longer: pd.DataFrame  # a row per replicate
    ablation: pd.DataFrame  # a row per variant, length and replicate
    gradients: pd.DataFrame  # by model, length, replicate, when, and time step t
    frontier: pd.DataFrame  # the study's: a row per variant, with the longest length that it solves
    study: dict[str, Any]  # the study's params.yaml


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, None where a cell is empty, which pandas reads as NaN."""
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _model(name: str) -> dict[str, Any]:
    """What the model says of itself."""
    model = model_class(name)
    start = " = ".join(f"{part}_0" for part in model.STATE)
    return {"start": f"${start} = 0$", "beginning": model.BEGINNING, "equations": model.EQUATIONS}


def _grid(epoch: int) -> dict[str, str]:
    caption = f"after epoch {epoch}" if epoch else "before training"
    return {"caption": caption, "path": f"../plots/gan/grids/{epoch:04d}.png"}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections to dotted keys, as they can be set on a command line."""
    flat = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _ablation_means(table: pd.DataFrame) -> dict[str, dict[int, dict[str, float]]]:
    """By variant and length the mean test accuracy, and how many runs are solved, and reached CONVERGED."""
    cells = table.groupby(["variant", "length"], sort=False)
    means = cells.agg(test_accuracy=("test_accuracy", "mean"), solved=("solved", "sum"), reached=("reached", "count"))
    return {variant: group.droplevel(0).to_dict("index") for variant, group in means.groupby(level=0, sort=False)}


def _at_the_ends(table: pd.DataFrame) -> list[dict[str, Any]]:
    """By model and length, after training: the gradient at the first step over that at the last (the replicates'
    median; also of the median sequence), saturation, and what the model can do with its gates held."""
    shown = ["saturated_tanh", "saturated_gates", "frozen_gates_accuracy"]
    rows = []
    for (model, length), found in table[table["when"] == "end"].groupby(["model", "length"], sort=False):
        columns = {"share": memory_column(found), "share_median": "gradient_median"}
        shares = {name: median(first_over_last(found, column)) for name, column in columns.items()}
        rows.append({"model": model, "length": length, **shares, **found[shown].mean()})
    return _records(pd.DataFrame(rows))


def _logged(length: int, results: Results) -> dict[str, dict[int, dict[str, list[float]]]]:
    """By model and step loss and accuracy in the published log, and here in the window with that step."""
    found = {}
    for model, lines in results.published["sequence"]["log"].items():
        if length in lines and (curve := results.curves.get((model, length))) is not None:
            means = curve.groupby("step")[["loss_mean", "accuracy_mean"]].mean()
            steps = [step for step in lines[length] if step <= means.index[-1]]
            here = {step: means[means.index >= step].iloc[0].tolist() for step in steps}
            found[model] = {step: {"published": lines[length][step], "here": here[step]} for step in steps}
    return found


def _said(claims: pd.DataFrame) -> dict[str, list[str]]:
    """The sentences of the statements by section of the report; none of a section without statements."""
    return defaultdict(list, claims.groupby("section", sort=False)["sentence"].agg(list).to_dict())


def build(params: Params, results: Results) -> dict[str, Any]:
    sequence, lengths = params.sequence, sorted(params.sequence.lengths)
    courses = [
        {"model": model, "length": length, **course(curve, CONVERGED, sequence.steps, sequence.average_from)}
        for (model, length), curve in results.curves.items()
    ]
    losses = results.gan_losses.groupby("epoch").mean()
    quality = results.quality.groupby("images", sort=False).mean().to_dict("index")
    fids = results.quality_by_epoch.groupby("epoch").mean().reset_index().to_dict("records")
    logged = {length: found for length in lengths if (found := _logged(length, results))}
    claims, of_sequences = results.claims.astype({"claim": "Int64"}), Claims(SEQUENCE_CLAIMS)
    return {
        "seed": params.seed,
        "precision": params.precision,
        "s": sequence,
        "longer": params.longer,
        "ablation": params.ablation,
        "g": params.gan,
        "q": params.quality,
        "gradient_sequences": params.gradients.sequences,
        "settings": _flat(params.model_dump(include=SHOWN, exclude_unset=True)),
        "published": results.published,
        # what was judged
        "claims": {claim: group.to_dict("records") for claim, group in claims.groupby("claim")},
        "ours": claims[claims["claim"].isna()].to_dict("records"),
        "counts": counts(claims),
        "said": _said(claims),
        "claimed": of_sequences.each("published") | Claims(GAN_CLAIMS).each("published"),
        "claim_of_length": {length: claim for claim, found in of_sequences.each("lengths").items() for length in found},
        # thresholds
        "converged": CONVERGED,
        "saturated": SATURATED,
        "close_share": CLOSE_SHARE,
        "guess_accuracy": 1 / CLASSES,
        "guess_loss": log(CLASSES),
        # part 1
        "models": {name: _model(name) for name in sequence.models},
        "window": -(-sequence.steps // sequence.curve_points),
        "rows": sorted(_records(results.comparison), key=lambda row: row["length"]),
        "by_length": {length: [row for row in courses if row["length"] == length] for length in lengths},
        "logged": logged,
        "logged_steps": {n: sorted({step for rows in logs.values() for step in rows}) for n, logs in logged.items()},
        "longer_runs": results.longer.to_dict("records"),
        "gradients": _at_the_ends(results.gradients),
        "ablation_means": _ablation_means(results.ablation),
        "frontier": results.frontier.to_dict("records"),
        "frontier_solved_at": results.study["solved_at"],
        "frontier_lengths": results.study["lengths"],
        # part 2
        "gan": results.gan_metrics,
        "layers": results.gan_layers.to_dict("records"),
        "parameters": results.gan_layers.groupby("network")["parameters"].sum().to_dict(),
        "courses": {
            "discriminator": loss_course(losses["discriminator"], falls_first=True),
            "generator": loss_course(losses["generator"], falls_first=False),
        },
        "grids": [_grid(epoch) for epoch in results.grid_epochs],
        "classifier": results.classifier,
        "quality": quality,
        "fid_ratio": quality["generator"]["fid"] / quality["training images"]["fid"],
        "fids": fids,
        "best": min(fids, key=lambda row: row["fid"]),
        "interpolation": results.interpolation,
        "walk": results.walk.to_dict("records"),
    }

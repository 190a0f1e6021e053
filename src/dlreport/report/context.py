"""All that the report's template reads, from what the stages computed."""

from dataclasses import dataclass
from math import log
from statistics import median
from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.evaluation.curves import CONVERGED, RETAINED, carried, first_over_last, loss_course, steps_to_reach
from dlreport.evaluation.thresholds import CLOSE_SHARE, JUMP, SATURATED
from dlreport.report.findings import conclude, find, helps_alone, slows_with_length, what_helps

CLASSES = 10  # digits
# sections of params.yaml: those that can change a number
SHOWN = {"seed", "precision", "sequence", "longer", "gradients", "ablation", "gan", "classifier", "quality"}


@dataclass(frozen=True)
class Results:
    """Contents of the files that the pipeline wrote, and the published figures."""

    published: dict[str, Any]
    comparison: pd.DataFrame
    curves: dict[str, pd.DataFrame]  # by cell, MODEL-LENGTH
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
    longer_curve: pd.DataFrame
    ablation: pd.DataFrame  # a row per variant, length and replicate
    gradients: pd.DataFrame  # by model, length, replicate, when, and time step t
    frontier: pd.DataFrame  # the study's: a row per variant, with the longest length that it solves
    study: dict[str, Any]  # the study's params.yaml
    machine: dict[str, str]  # on which the training stages ran; empty if that is not recorded


def _grid(epoch: int) -> dict[str, str]:
    caption = f"after epoch {epoch}" if epoch else "before training"
    return {"caption": caption, "path": f"../plots/gan/grids/{epoch:04d}.png"}


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections to dotted keys, as `dvc exp run -S` takes them."""
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
    median; also of the median sequence), saturation, and what the LSTM can do with its gates held."""
    shown = ("saturated_tanh", "saturated_gates", "frozen_gates_accuracy")
    rows = []
    for (model, length), cell in table[table["when"] == "end"].groupby(["model", "length"], sort=False):
        ways = {"share": carried(model), "share_median": "gradient_median"}
        shares = {name: median(first_over_last(cell, column)) for name, column in ways.items()}
        rows.append({"model": model, "length": length, **shares, **cell[[*shown]].mean()})
    return rows


def _logged(length: int, results: Results) -> dict[str, dict[int, dict[str, list[float]]]]:
    """By model and step loss and accuracy in the published log, and here in the window with that step."""
    found = {}
    for model, lines in results.published["sequence"]["log"].items():
        if length in lines and (curve := results.curves.get(f"{model}-{length}")) is not None:
            means = curve.groupby("step")[["loss_mean", "accuracy_mean"]].mean()
            steps = [step for step in lines[length] if step <= means.index[-1]]
            here = {step: means[means.index >= step].iloc[0].tolist() for step in steps}
            found[model] = {step: {"published": lines[length][step], "here": here[step]} for step in steps}
    return found


def build(params: Params, results: Results) -> dict[str, Any]:
    sequence = params.sequence
    # NaN is how pandas reads an empty cell: a length that the published report does not have.
    rows = results.comparison.astype(object).where(results.comparison.notna(), None).to_dict("records")
    findings = [find(row, results.curves["{model}-{length}".format(**row)], sequence) for row in rows]
    losses = results.gan_losses.groupby("epoch").mean()
    return {
        "seed": params.seed,
        "s": sequence,
        "g": params.gan,
        "settings": _flat(params.model_dump(include=SHOWN, exclude_unset=True)),
        "published": results.published,
        "rows": sorted(rows, key=lambda row: row["length"]),
        "findings": findings,
        "by_length": {n: [f for f in findings if f.length == n] for n in sorted(sequence.lengths)},
        "slows": {name: slows_with_length([f for f in findings if f.model == name]) for name in sequence.models},
        "lstm": conclude(findings),
        "window": -(-sequence.steps // sequence.curve_points),
        "converged": CONVERGED,
        "not_retained": RETAINED,
        "guess_accuracy": 1 / CLASSES,
        "guess_loss": log(CLASSES),
        "gan": results.gan_metrics,
        "layers": results.gan_layers.to_dict("records"),
        "parameters": results.gan_layers.groupby("network")["parameters"].sum().to_dict(),
        "discriminator_course": loss_course(losses["discriminator"], falls_first=True),
        "generator_course": loss_course(losses["generator"], falls_first=False),
        "grids": [_grid(epoch) for epoch in results.grid_epochs],
        "interpolation": results.interpolation,
        "walk": results.walk.to_dict("records"),
        "classifier": results.classifier,
        "q": params.quality,
        "quality": results.quality.groupby("images", sort=False).mean().reset_index().to_dict("records"),
        "fids": (fids := results.quality_by_epoch.groupby("epoch").mean().reset_index().to_dict("records")),
        "best": min(fids, key=lambda row: row["fid"]),
        "claims": {claim: group.to_dict("records") for claim, group in results.claims.groupby("claim")},
        "verdicts": results.claims["verdict"].value_counts().to_dict(),
        "longer": params.longer,
        "longer_runs": results.longer.to_dict("records"),
        "longer_reached": sum(step is not None for step in steps_to_reach(results.longer_curve, CONVERGED)),
        "longer_tested": int((results.longer["test_accuracy"] >= CONVERGED).sum()),
        "ablation": params.ablation,
        "ablation_means": _ablation_means(results.ablation),
        "ablation_help": (helps := what_helps(results.ablation)),
        "alone": helps_alone(helps, params.ablation.changes),
        "gradients": _at_the_ends(results.gradients),
        "longest": max(sequence.lengths),
        "frontier": results.frontier.to_dict("records"),
        "frontier_solved_at": results.study["solved_at"],
        "frontier_lengths": results.study["lengths"],
        "logged": (logged := {n: found for n in sorted(sequence.lengths) if (found := _logged(n, results))}),
        "logged_steps": {n: sorted({step for rows in logs.values() for step in rows}) for n, logs in logged.items()},
        "saturated": SATURATED,
        "close_share": CLOSE_SHARE,
        "jump": JUMP,
        "gradient_sequences": params.gradients.sequences,
        "precision": params.precision,
        "machine": results.machine,
    }

"""Makes the charts of the report, each under the name by which the report's templates show it."""

import pandas as pd

from dlreport.config import Params
from dlreport.drawing import Chart, rows
from dlreport.gan import figures as of_gan
from dlreport.sequence import figures as of_sequence
from dlreport.sequence.mean_field import INPUT, OF_MODEL, mean_field
from dlreport.sequence.models import colours

GRADIENTS = ["model", "length", "replicate", "when", "t", "gradient_low", "gradient_median", "gradient_high"]
GROWTH = ["model", "length", "replicate", "when", "back", "growth_low", "growth_median", "growth_high", "growth_rms"]


def _with_published_losses(curves: pd.DataFrame, log: dict) -> pd.DataFrame:
    """Return the rows of the curves, and rows for the published training logs of the same models and lengths."""
    drawn = set(zip(curves["model"], curves["length"], strict=True))
    published = [
        {"model": model, "length": length, "step": step, "published": loss}
        for model, by_length in log.items()
        for length, lines in by_length.items()
        if (model, length) in drawn
        for step, (loss, _) in lines.items()
    ]
    return pd.concat([curves.drop(columns="accuracy"), pd.DataFrame(published)])


def _with_theory(gradients: pd.DataFrame, hidden_dim: int) -> pd.DataFrame:
    """Return the rows of the gradients at the longest length, and rows for what mean-field theory predicts before
    training."""
    longest = gradients["length"].max()
    back = range(int(gradients["back"].max()) + 1)
    growth = mean_field(hidden_dim, INPUT).growth
    theory = {"model": OF_MODEL, "length": longest, "when": of_sequence.THEORY, "back": back}
    theory["growth_rms"] = [growth**k for k in back]
    known = gradients.loc[gradients["length"] == longest, GROWTH]
    return pd.concat([known, pd.DataFrame(theory)]) if OF_MODEL in set(known["model"]) else known


def _saturated(gradients: pd.DataFrame) -> pd.DataFrame:
    """Return the shares of saturated units, with a row for each kind of unit that a model has."""
    shares = gradients.rename(columns={"saturated_tanh": "tanh units", "saturated_gates": "gates"})
    keys = ["model", "length", "replicate", "when", "t"]
    return shares.melt(keys, ["tanh units", "gates"], "units", "share").dropna(subset="share")


def _answers(confusion: pd.DataFrame) -> pd.DataFrame:
    """Return the share of each answer by first digit. The shares are means over the replicates."""
    counts = confusion.pivot_table(
        index=["model", "length", "replicate", "digit"], columns="answer", values="sequences"
    )
    shares = counts.div(counts.sum(axis=1), axis=0).groupby(["model", "length", "digit"], sort=False).mean()
    return shares.stack().rename("share").reset_index()


def _by_digit(confusion: pd.DataFrame) -> pd.DataFrame:
    """Return each replicate's accuracy by first digit."""
    keys = ["model", "length", "replicate", "digit"]
    right = confusion[confusion["digit"] == confusion["answer"]].set_index(keys)["sequences"]
    return (right / confusion.groupby(keys)["sequences"].sum()).rename("accuracy").reset_index()


def _steps(walks: pd.DataFrame) -> pd.DataFrame:
    """Return the share of the way that each step of a walk takes, in pixels and in the classifier's features."""
    numbered = walks.assign(step=walks.groupby("replicate").cumcount())
    named = numbered.rename(columns={"pixel_step": "pixels", "feature_step": "features"})
    return named.melt(["replicate", "step"], ["pixels", "features"], "space", "share").dropna(subset="share")


def build(params: Params, results: dict) -> dict[str, Chart]:
    """Make the charts from the `results` that context.build takes."""
    models, gradients = colours(params.sequence.models), results["gradients"]
    lengths = sorted(params.sequence.lengths)
    variants = {
        name: results[name].assign(variant=results[name]["variant"].str.replace("_", " "))
        for name in ("ablation_runs", "ablation_curves")
    }
    curves = variants["ablation_curves"]
    predicted = params.sequence.initialisation == "as_reported"  # the theory is about weights from N(0, 1)
    growth = _with_theory(gradients, params.sequence.hidden_dim) if predicted else gradients
    losses = _with_published_losses(results["thin_curves"], results["published"]["sequence"]["log"])
    walks = _steps(results["walks"])
    return {
        "accuracy_by_length": of_sequence.accuracy_by_length(rows(results["runs"]), models),
        "accuracy_curves": of_sequence.accuracy_curves(rows(results["thin_curves"].drop(columns="loss"), 3), models),
        "loss_curves": of_sequence.loss_curves(rows(losses, 3), models),
        "growth": of_sequence.growth(rows(growth, 3), models),
        "gradients": of_sequence.gradients(rows(gradients[GRADIENTS], 3), models, lengths),
        "saturation": of_sequence.saturation(rows(_saturated(gradients), 2), models, lengths),
        "probe": of_sequence.probe(rows(results["probe"], 3), models),
        "confusion": of_sequence.confusion(rows(_answers(results["confusion"]), 3), models, lengths),
        "accuracy_by_digit": of_sequence.accuracy_by_digit(rows(_by_digit(results["confusion"]), 3), models),
        "ablation": of_sequence.ablation(rows(variants["ablation_runs"])),
        "ablation_curves": of_sequence.ablation_curves(
            rows(curves.drop(columns="loss"), 3), [*curves["variant"].unique()]
        ),
        "study": of_sequence.study(rows(of_sequence.with_variants(results["study_summary"]))),
        "losses": of_gan.losses(rows(results["losses"])),
        "quality_by_epoch": of_gan.quality_by_epoch(rows(results["quality_by_epoch"])),
        "digit_shares": of_gan.digit_shares(rows(results["digit_shares"])),
        "walk": of_gan.walk(rows(walks), 1 / max(walks["step"].nunique(), 1)),
    }

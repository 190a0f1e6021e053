"""What the training curves show, as numbers.

A sequence curve has a row per replicate and window: replicate, step, loss_mean, loss_min, loss_max, accuracy_mean, ….
A GAN curve is a series of epoch means, indexed by epoch.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd

CONVERGED = 0.99  # accuracy from which a run is said to have reached the optimum
RETAINED = 0.2  # the report's own line: below it in the test the first digit is not retained (claim 3)


def over_replicates(curve: pd.DataFrame) -> pd.DataFrame:
    """By step, of loss and accuracy: `_mean` over replicates of the windows' means, `_low` and `_high` their extremes.

    Of a single replicate these are the extremes of each window's steps.
    """
    several = curve["replicate"].nunique() > 1
    columns = {}
    for name in ("loss", "accuracy"):
        for column, how, of_one in (("mean", "mean", "mean"), ("low", "min", "min"), ("high", "max", "max")):
            columns[f"{name}_{column}"] = (f"{name}_{'mean' if several else of_one}", how)
    return curve.groupby("step", as_index=False).agg(**columns)


def _by_replicate(curve: pd.DataFrame) -> list[pd.DataFrame]:
    return [one for _, one in curve.groupby("replicate")]


def steps_to_reach(curve: pd.DataFrame, threshold: float) -> list[int | None]:
    """Of each replicate the last step of the first window whose mean accuracy is at least `threshold`, or None."""
    reached = [one.loc[one["accuracy_mean"] >= threshold, "step"] for one in _by_replicate(curve)]
    return [None if steps.empty else int(steps.iloc[0]) for steps in reached]


def window_spread(curve: pd.DataFrame, average_from: int) -> list[float]:
    """How much each replicate fluctuates at its end: standard deviation of accuracy's window means from `average_from`
    on."""
    late = curve[curve["step"] >= average_from]
    return [float(one["accuracy_mean"].std(ddof=0)) for one in _by_replicate(late)]


def _late_halves(curve: pd.DataFrame, column: str, average_from: int) -> list[tuple[float, float]]:
    """Of each replicate the means of a column over both halves of the windows from `average_from` on; equal if there is
    one window alone."""
    halves = []
    for one in _by_replicate(curve[curve["step"] >= average_from]):
        values, half = one[column], len(one) // 2
        halves.append((values[:half].mean(), values[half:].mean()) if half else (values.mean(), values.mean()))
    return halves


def late_gain(curve: pd.DataFrame, average_from: int) -> list[float]:
    """How much the accuracy of each replicate still rises at the end, between these halves."""
    return [float(second - first) for first, second in _late_halves(curve, "accuracy_mean", average_from)]


def late_fall(curve: pd.DataFrame, average_from: int) -> list[float]:
    """By which share the loss of each replicate still falls at the end, between these halves."""
    return [float(1 - second / first) for first, second in _late_halves(curve, "loss_mean", average_from)]


def knee(curve: pd.DataFrame) -> list[float]:
    """Of each replicate the step at which two straight lines, one before and one after it, fit the loss best."""
    steps = []
    for one in _by_replicate(curve):
        x, y = one["step"].to_numpy(dtype=float), one["loss_mean"].to_numpy()
        errors = {
            x[k]: sum(np.polyfit(x[part], y[part], 1, full=True)[1].sum() for part in (slice(k), slice(k, None)))
            for k in range(3, len(x) - 3)
        }
        steps.append(min(errors, key=errors.get, default=inf))
    return steps


def carried(model: str) -> str:
    """The column of the gradient that carries a model's memory: d loss / d c_t of the LSTM, else d loss / d h_t."""
    return "gradient_cell" if model == "LSTM" else "gradient"


def first_over_last(gradients: pd.DataFrame, column: str) -> list[float]:
    """Of each replicate of one model a gradient at the first time step over that at the last.

    The table has a row per replicate and time step t.
    """
    by_step = gradients.pivot(index="replicate", columns="t", values=column)
    return (by_step.iloc[:, 0] / by_step.iloc[:, -1]).tolist()


@dataclass(frozen=True)
class LossCourse:
    """An epoch-mean loss in three parts: its start, its first turn, the long run. Report, part 2, claim 6."""

    first: float
    turn_epoch: int  # where it is lowest (or highest) within the first fifth of the epochs
    turn: float
    back_epoch: int  # where it is highest (or lowest) after the turn, within half the epochs from there
    back: float
    last: float
    trend: float  # slope of the least-squares line over the second half, per 100 epochs


def loss_course(losses: pd.Series, falls_first: bool) -> LossCourse:
    """Course of a loss [epochs] that the report says first falls (or rises) and then turns."""
    first, last = losses.iloc[0], losses.iloc[-1]
    signed = losses if falls_first else -losses
    turn = signed.iloc[: max(1, len(losses) // 5)].idxmin()
    back = signed.loc[turn:].iloc[: max(1, len(losses) // 2)].idxmax()
    late = losses.iloc[len(losses) // 2 :]
    trend = 100 * np.polyfit(late.index, late, 1)[0] if len(late) > 1 else 0.0
    return LossCourse(first, int(turn), losses[turn], int(back), losses[back], last, float(trend))

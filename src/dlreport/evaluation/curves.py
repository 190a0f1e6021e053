"""What the training curves show, as numbers.

A sequence curve has a row per replicate and window: replicate, step, loss_mean, loss_min, loss_max, accuracy_mean, ….
A GAN curve is a series of epoch means, indexed by epoch.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd


def over_replicates(curve: pd.DataFrame) -> pd.DataFrame:
    """Mean over replicates of each window's means, and the extremes of all: the same columns without `replicate`."""
    how = {column: column.rsplit("_")[-1] for column in curve.columns if column not in ("replicate", "step")}
    return curve.groupby("step", as_index=False).agg(how)


def steps_to_reach(curve: pd.DataFrame, threshold: float) -> int | None:
    """Last step of the first window whose mean accuracy (over replicates) is at least `threshold`, or None."""
    reached = over_replicates(curve).query("accuracy_mean >= @threshold")
    return None if reached.empty else int(reached["step"].iloc[0])


def window_spread(curve: pd.DataFrame, average_from: int) -> float:
    """How much a run fluctuates at its end: standard deviation of accuracy's window means from `average_from` on."""
    late = curve[curve["step"] >= average_from]
    return float(late.groupby("replicate")["accuracy_mean"].std(ddof=0).mean())


def late_gain(curve: pd.DataFrame, average_from: int) -> float:
    """How much accuracy still rises at the end: mean over the second half of the windows from `average_from` on, minus
    that over the first half."""
    late = over_replicates(curve).query("step >= @average_from")["accuracy_mean"]
    half = len(late) // 2
    return float(late[half:].mean() - late[:half].mean()) if half else 0.0


@dataclass(frozen=True)
class LossCourse:
    """An epoch-mean loss in three parts: its start, its first turn, the long run. Report, part 2, claim 6."""

    first: float
    turn_epoch: int  # where it is lowest (or highest) within the first fifth of the epochs
    turn: float
    back_epoch: int  # where it is highest (or lowest) after the turn, within the first half
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

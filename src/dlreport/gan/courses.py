"""Summaries of the tables of Part 2: the course of a loss, and each walk in latent space."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class LossCourse(NamedTuple):
    """The course of a loss, as means by epoch, in three parts: start, first turn, long run. Report, part 2, claim 6."""

    first: float
    turn_epoch: int  # where it is lowest (or highest) within the first fifth of the epochs
    turn: float
    back_epoch: int  # where it is highest (or lowest) after the turn, within half the epochs from there
    back: float
    last: float
    trend: float  # slope of the least-squares line over the second half, per 100 epochs


def loss_course(losses: pd.Series, falls_first: bool) -> LossCourse:
    """Return the course of a loss, given as means by epoch, that the report says first falls (or rises), then turns."""
    signed = losses if falls_first else -losses
    turn = signed.iloc[: max(1, len(losses) // 5)].idxmin()
    back = signed.loc[turn:].iloc[: max(1, len(losses) // 2)].idxmax()
    late = losses.iloc[len(losses) // 2 :]
    trend = 100 * np.polyfit(late.index, late, 1)[0] if len(late) > 1 else 0.0
    return LossCourse(losses.iloc[0], turn, losses[turn], back, losses[back], losses.iloc[-1], trend)


def whole_walks(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise the rows of `walk.measure_walk`, of all replicates, in one row for each replicate's whole walk."""
    walks = table.groupby("replicate")
    return pd.DataFrame(
        {
            "largest_step_share": walks["pixel_step"].max(),
            "largest_step_share_features": walks["feature_step"].max(),
            "digit_changes": walks["digit"].agg(lambda digits: (digits.diff().dropna() != 0).sum()),
            "least_confidence": walks["confidence"].min(),
        }
    )

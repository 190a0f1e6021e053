"""What the GAN's losses show, as numbers. A loss is a series of epoch means, indexed by epoch."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


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

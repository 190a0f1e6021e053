"""What the training curves show, as numbers and as one long table.

A curve file has a row per replicate and window: replicate, step, loss_mean, loss_min, loss_max, accuracy_mean, ….
"""

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


def value_near(curve: pd.DataFrame, column: str, step: int) -> float:
    """The column's value (mean over replicates) in the window that holds `step`, or the last one."""
    rows = over_replicates(curve)
    after = rows[rows["step"] >= step]
    return float((after if len(after) else rows.tail(1))[column].iloc[0])

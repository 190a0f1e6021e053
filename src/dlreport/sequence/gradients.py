"""What the traced gradients show, as numbers. A table has a row per replicate and time step t."""

import pandas as pd


def memory_column(gradients: pd.DataFrame) -> str:
    """The gradient by the part of one model's state that carries its memory: d loss / d c_t, or where there is no c
    d loss / d h_t."""
    return "gradient_cell" if gradients["gradient_cell"].notna().any() else "gradient"


def first_over_last(gradients: pd.DataFrame, column: str) -> list[float]:
    """Of each replicate of one model a gradient at the first time step over that at the last."""
    by_step = gradients.pivot(index="replicate", columns="t", values=column)
    return (by_step.iloc[:, 0] / by_step.iloc[:, -1]).tolist()

"""A training's steps in few numbers."""

import numpy as np


def mean_accuracy(accuracy: np.ndarray, average_from: int) -> float:
    """The report's training accuracy: mean of `accuracy` [steps] from `average_from` up to, not including, the last."""
    return float(accuracy[average_from:-1].mean(dtype=np.float64))


def windowed(loss: np.ndarray, accuracy: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Mean, min and max of loss and accuracy [steps] over windows of `size` steps (the last may be shorter).

    Returns columns [windows]; `step` is the last step of each window.
    """
    steps = len(loss)
    starts = np.arange(0, steps, size)
    stops = np.minimum(starts + size, steps)
    columns = {"step": stops - 1}
    for name, values in (("loss", loss), ("accuracy", accuracy)):
        columns[f"{name}_mean"] = np.add.reduceat(values.astype(np.float64), starts) / (stops - starts)
        columns[f"{name}_min"] = np.minimum.reduceat(values, starts)
        columns[f"{name}_max"] = np.maximum.reduceat(values, starts)
    return columns


def single_steps(loss: np.ndarray, accuracy: np.ndarray, every: int) -> dict[str, np.ndarray]:
    """Loss and accuracy [steps] of each `every`-th step and of the last, as the report's training logs print them."""
    steps = np.unique([*range(0, len(loss), every), len(loss) - 1])
    return {"step": steps, "loss": loss[steps], "accuracy": accuracy[steps]}

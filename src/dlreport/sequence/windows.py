"""Summaries of the loss and accuracy of a training's steps."""

import numpy as np


def mean_accuracy(accuracy: np.ndarray, average_from: int) -> float:
    """Return the report's training accuracy: the mean of `accuracy` [steps] from step `average_from` on, without the
    last step."""
    return float(accuracy[average_from:-1].mean(dtype=np.float64))


def windowed(loss: np.ndarray, accuracy: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Compute mean, minimum and maximum of loss and accuracy [steps] over windows of `size` steps. The last window may
    be shorter.

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
    """Return loss and accuracy [steps] at every `every`-th step and at the last, as the report's training logs print
    them."""
    steps = np.unique([*range(0, len(loss), every), len(loss) - 1])
    return {"step": steps, "loss": loss[steps], "accuracy": accuracy[steps]}

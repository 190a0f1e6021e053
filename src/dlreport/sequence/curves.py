"""Numbers that describe training curves and traced gradients.

A curve has a row for each replicate and window of steps: replicate, step, loss_mean, loss_min, loss_max, accuracy_mean,
…. `step` is the last step of the window. A table of gradients has a row for each replicate and time step t. A list that
a function returns has a number for each replicate.
"""

from math import inf, log10, sqrt
from statistics import median, median_high

import numpy as np
import pandas as pd

POINTS = 40  # the most points that a thinned curve has for a replicate


def thinned(curve: pd.DataFrame, points: int = POINTS) -> pd.DataFrame:
    """Return a curve of fewer points for a chart: replicate, step, accuracy, loss. Each point has the means over
    several windows, so many that a replicate has at most `points` points, and the last step of these windows."""
    windows = curve.groupby("replicate").cumcount()
    group = windows // -(-(windows.max() + 1) // points)
    columns = {"step": ("step", "last"), "accuracy": ("accuracy_mean", "mean"), "loss": ("loss_mean", "mean")}
    return curve.groupby(["replicate", group]).agg(**columns).droplevel(1).reset_index()


def _by_replicate(curve: pd.DataFrame) -> list[pd.DataFrame]:
    return [one for _, one in curve.groupby("replicate")]


def steps_to_reach(curve: pd.DataFrame, threshold: float) -> list[float]:
    """Return the last step of each replicate's first window with a mean accuracy of at least `threshold`. It is
    infinite if there is no such window."""
    reached = [one.loc[one["accuracy_mean"] >= threshold, "step"] for one in _by_replicate(curve)]
    return [inf if steps.empty else int(steps.iloc[0]) for steps in reached]


def window_spread(curve: pd.DataFrame, average_from: int) -> list[float]:
    """Return how much each replicate fluctuates at the end of training: the standard deviation of its windows' mean
    accuracies from step `average_from` on."""
    late = curve[curve["step"] >= average_from]
    return [float(one["accuracy_mean"].std(ddof=0)) for one in _by_replicate(late)]


def excess_spread(curve: pd.DataFrame, average_from: int, batch_size: int) -> list[float]:
    """Return the part of `window_spread` that the random batches do not explain.

    The variance of each replicate's windows is reduced by that of a binomial share, p (1 - p) / sequences, where p is a
    window's accuracy. The result is the square root of what is left, or 0 if nothing is left.
    """
    steps = curve.groupby("replicate")["step"].diff().fillna(curve["step"] + 1)  # in each window; the last has fewer
    noise = curve["accuracy_mean"] * (1 - curve["accuracy_mean"]) / (batch_size * steps)
    drawn = curve.assign(noise=noise)[curve["step"] >= average_from].groupby("replicate")["noise"].mean()
    return [sqrt(max(0.0, s**2 - d)) for s, d in zip(window_spread(curve, average_from), drawn, strict=True)]


def _late_halves(curve: pd.DataFrame, column: str, average_from: int) -> list[tuple[float, float]]:
    """Return each replicate's means of a column over the first and the second half of its windows from step
    `average_from` on. The two are equal if there is only one window."""
    halves = []
    for one in _by_replicate(curve[curve["step"] >= average_from]):
        values, half = one[column], len(one) // 2
        halves.append((values[:half].mean(), values[half:].mean()) if half else (values.mean(), values.mean()))
    return halves


def late_gain(curve: pd.DataFrame, average_from: int) -> list[float]:
    """Return how much each replicate's accuracy still rises at the end, from the first to the second of the halves of
    `_late_halves`."""
    return [float(second - first) for first, second in _late_halves(curve, "accuracy_mean", average_from)]


def late_fall(curve: pd.DataFrame, average_from: int) -> list[float]:
    """Return the share by which each replicate's loss still falls at the end, from the first to the second of the
    halves of `_late_halves`."""
    return [float(1 - second / first) for first, second in _late_halves(curve, "loss_mean", average_from)]


def knee(curve: pd.DataFrame) -> list[float]:
    """Return the step of each replicate at which two straight lines, one before and one after it, fit the loss best.
    It is infinite if there are fewer than seven windows."""
    steps = []
    for one in _by_replicate(curve):
        x, y = one["step"].to_numpy(dtype=float), one["loss_mean"].to_numpy()
        before, after = _errors_of_lines(x, y), _errors_of_lines(x[::-1], y[::-1])[::-1]
        errors = {x[k]: before[k - 1] + after[k] for k in range(3, len(x) - 3)}
        steps.append(min(errors, key=errors.__getitem__, default=inf))
    return steps


def _errors_of_lines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return, for each n, the sum of the squared errors of the least-squares line through the first n points. It is
    computed from running sums, since fitting each line anew would take a thousand times as long."""
    x, y, n = (x - x.mean()) / np.ptp(x), y - y.mean(), np.arange(1, len(x) + 1)
    sum_x, sum_y = x.cumsum(), y.cumsum()
    xx, xy, yy = (x * x).cumsum() - sum_x**2 / n, (x * y).cumsum() - sum_x * sum_y / n, (y * y).cumsum() - sum_y**2 / n
    with np.errstate(invalid="ignore"):  # for n = 1 it divides 0 by 0: one point has no line
        return yy - xy**2 / xx


def course(curve: pd.DataFrame, threshold: float, steps: int, average_from: int) -> dict[str, float]:
    """Summarise one task's training by medians over the replicates: the loss of the first window, of the first window
    that ends after a tenth of the steps, and of the last; `reached` from `steps_to_reach`; `gain` and `spread` from
    `late_gain` and `window_spread`."""
    loss = curve.groupby("step")["loss_mean"].median()
    return {
        "loss_first": loss.iloc[0],
        "loss_tenth": loss[loss.index >= steps // 10].iloc[0],
        "loss_last": loss.iloc[-1],
        "reached": median_high(steps_to_reach(curve, threshold)),
        "gain": median(late_gain(curve, average_from)),
        "spread": median(window_spread(curve, average_from)),
    }


def first_over_last(gradients: pd.DataFrame) -> list[float]:
    """Return each replicate's median, over the sequences, of the gradient at the first time step divided by that at the
    last. The table must be of one model, one length and one `when`."""
    return gradients.pivot(index="replicate", columns="t", values="growth_median").iloc[:, 0].tolist()


def distance_from_one(ratios: list[float]) -> list[float]:
    """Return how far each ratio is from 1, in powers of ten, whether above or below. It is infinite for 0."""
    return [abs(log10(ratio)) if ratio > 0 else inf for ratio in ratios]


def with_growth(gradients: pd.DataFrame) -> pd.DataFrame:
    """Add the columns that a chart of the growth draws.

    `back` counts the time steps back from the last one. `growth_rms` is the root mean square of the sequences'
    gradients, by c_t if the model has a cell state and else by h_t, divided by that at the last time step.
    """
    run = ["model", "length", "replicate", "when"]
    rms = gradients["gradient_cell"].fillna(gradients["gradient"])
    last = gradients.groupby(run)["t"].transform("max")
    at_last = rms.where(gradients["t"] == last).groupby([gradients[name] for name in run]).transform("max")
    return gradients.assign(back=last - gradients["t"], growth_rms=rms / at_last)

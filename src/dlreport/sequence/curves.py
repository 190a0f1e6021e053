"""What the training curves and the traced gradients show, as numbers.

A curve has a row per replicate and window of steps: replicate, step, loss_mean, loss_min, loss_max, accuracy_mean, ….
A table of gradients has a row per replicate and time step t.
"""

from math import inf, log10, sqrt
from statistics import median, median_high

import numpy as np
import pandas as pd

POINTS = 60  # of a thinned curve


def thinned(curve: pd.DataFrame, points: int = POINTS) -> pd.DataFrame:
    """What a chart draws: replicate, step, accuracy and loss, means over as many windows as make at most `points` of
    them a replicate. A step is the last of its windows."""
    windows = curve.groupby("replicate").cumcount()
    group = windows // -(-(windows.max() + 1) // points)
    columns = {"step": ("step", "last"), "accuracy": ("accuracy_mean", "mean"), "loss": ("loss_mean", "mean")}
    return curve.groupby(["replicate", group]).agg(**columns).droplevel(1).reset_index()


def _by_replicate(curve: pd.DataFrame) -> list[pd.DataFrame]:
    return [one for _, one in curve.groupby("replicate")]


def steps_to_reach(curve: pd.DataFrame, threshold: float) -> list[float]:
    """Of each replicate the last step of the first window whose mean accuracy is at least `threshold`; infinite if none
    is."""
    reached = [one.loc[one["accuracy_mean"] >= threshold, "step"] for one in _by_replicate(curve)]
    return [inf if steps.empty else int(steps.iloc[0]) for steps in reached]


def window_spread(curve: pd.DataFrame, average_from: int) -> list[float]:
    """How much each replicate fluctuates at its end: standard deviation of accuracy's window means from `average_from`
    on."""
    late = curve[curve["step"] >= average_from]
    return [float(one["accuracy_mean"].std(ddof=0)) for one in _by_replicate(late)]


def excess_spread(curve: pd.DataFrame, average_from: int, batch_size: int) -> list[float]:
    """How much of `window_spread` is more than the draw of the batches: of each replicate the root of the windows'
    variance less that of a binomial share, p (1 - p) / sequences, of a window with accuracy p; 0 if nothing is left."""
    spreads, window = window_spread(curve, average_from), curve["step"].iloc[0] + 1  # steps of the first, a full one
    late = _by_replicate(curve[curve["step"] >= average_from])
    drawn = [float((one["accuracy_mean"] * (1 - one["accuracy_mean"])).mean()) / (batch_size * window) for one in late]
    return [sqrt(max(0.0, spread**2 - noise)) for spread, noise in zip(spreads, drawn, strict=True)]


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
        before, after = _errors_of_lines(x, y), _errors_of_lines(x[::-1], y[::-1])[::-1]
        errors = {x[k]: before[k - 1] + after[k] for k in range(3, len(x) - 3)}
        steps.append(min(errors, key=errors.__getitem__, default=inf))
    return steps


def _errors_of_lines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """For each n the squared errors, summed, of the least-squares line through the first n points. By running sums: to
    fit each line anew would take a thousand times as long."""
    x, y, n = (x - x.mean()) / np.ptp(x), y - y.mean(), np.arange(1, len(x) + 1)
    sum_x, sum_y = x.cumsum(), y.cumsum()
    xx, xy, yy = (x * x).cumsum() - sum_x**2 / n, (x * y).cumsum() - sum_x * sum_y / n, (y * y).cumsum() - sum_y**2 / n
    with np.errstate(invalid="ignore"):  # one point alone has no line
        return yy - xy**2 / xx


def course(curve: pd.DataFrame, threshold: float, steps: int, average_from: int) -> dict[str, float]:
    """One task's training in a few numbers, medians over replicates: the loss of the first window, after a tenth of the
    steps, and of the last; `reached` by `steps_to_reach`; `gain` and `spread` by `late_gain` and `window_spread`."""
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
    """Of each replicate of one model the median sequence's gradient at the first time step over that at the last."""
    return gradients.pivot(index="replicate", columns="t", values="growth_median").iloc[:, 0].tolist()


def distance_from_one(ratios: list[float]) -> list[float]:
    """How far each ratio is from 1, in powers of ten, whether above or below; infinite for 0."""
    return [abs(log10(ratio)) if ratio > 0 else inf for ratio in ratios]


def with_growth(gradients: pd.DataFrame) -> pd.DataFrame:
    """The table with what a chart of the growth draws: `back`, the steps back from the last, and `growth_rms`, the root
    mean square of the sequences' gradients, by c where there is one, over that at the last step."""
    run = ["model", "length", "replicate", "when"]
    rms = gradients["gradient_cell"].fillna(gradients["gradient"])
    last = gradients.groupby(run)["t"].transform("max")
    at_last = rms.where(gradients["t"] == last).groupby([gradients[name] for name in run]).transform("max")
    return gradients.assign(back=last - gradients["t"], growth_rms=rms / at_last)

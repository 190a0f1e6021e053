"""What the training curves show, as numbers."""

from math import inf

import numpy as np
import pandas as pd
import pytest

import made_up
from dlreport.sequence.curves import (
    course,
    distance_from_one,
    excess_spread,
    first_over_last,
    knee,
    late_gain,
    steps_to_reach,
    thinned,
    window_spread,
    with_growth,
)


def curve(*replicates: list[float]) -> pd.DataFrame:
    """Windows of ten steps with these mean accuracies, and losses ten times as large."""
    runs = [(np.array(values), 10 * np.array(values)) for values in replicates]
    return made_up.curve(10 * np.arange(len(replicates[0])) + 9, *runs, extremes=0.1)


def test_steps_to_reach():
    assert steps_to_reach(curve([0.2, 0.99, 0.5, 1], [0.2, 0.98, 0.98, 0.98]), 0.99) == [19, inf]


def test_window_spread_is_within_each_replicate():
    # Replicates at different levels, each constant, do not fluctuate.
    assert window_spread(curve([0, 0.5, 0.5], [0, 0.9, 0.9]), 10) == pytest.approx([0, 0])
    assert window_spread(curve([0, 0.4, 0.6], [0, 0.8, 1.2]), 10) == pytest.approx([0.1, 0.2])
    assert window_spread(curve([0, 0.4]), 9) == pytest.approx([0.2])  # with the window that ends there


def test_excess_spread_is_what_the_draw_of_batches_does_not_explain():
    """Windows of ten steps of ten sequences: 100 draws. At 0.5 their standard deviation is 0.05 by chance alone."""
    assert excess_spread(curve([0, 0.45, 0.55], [0, 0.37, 0.63]), 10, 10) == pytest.approx(
        [(0.05**2 - (0.25 - 0.05**2) / 100) ** 0.5, (0.13**2 - (0.25 - 0.13**2) / 100) ** 0.5]
    )
    assert excess_spread(curve([0, 0.46, 0.54]), 10, 10) == [0]


def test_a_shorter_last_window_has_more_of_its_spread_by_chance():
    """Two windows of ten steps and one of five, of ten sequences each."""
    table = made_up.curve(np.array([9, 19, 24]), (np.array([0, 0.3, 0.7]), np.zeros(3)))
    assert excess_spread(table, 10, 10) == pytest.approx([(0.2**2 - 0.21 * (1 / 100 + 1 / 50) / 2) ** 0.5])


def test_a_run_that_only_guesses_has_no_excess_spread_on_average():
    rng, windows, sequences = np.random.default_rng(0), 100, 1280
    guesses = rng.binomial(sequences, 0.1, size=(20, windows)) / sequences
    found = curve(*guesses.tolist())
    spread, excess = np.mean(window_spread(found, 0)), np.mean(excess_spread(found, 0, 128))
    assert spread == pytest.approx((0.09 / sequences) ** 0.5, rel=0.05)
    assert excess < spread / 3


def test_the_nearest_to_1_has_kept_most_whether_it_shrank_or_grew():
    assert distance_from_one([1.0, 0.01, 100.0, 0.0]) == pytest.approx([0, 2, 2, inf])


def test_late_gain():
    assert late_gain(curve([0, 0.2, 0.3, 0.6, 0.7]), 10) == pytest.approx([0.4])
    assert late_gain(curve([0.5]), 0) == [0]


def test_a_thinned_curve_has_means_of_neighbouring_windows_of_each_replicate():
    table = thinned(curve([0.1, 0.3, 0.5], [0.4, 0.8, 0.6]), points=2)
    assert list(table.columns) == ["replicate", "step", "accuracy", "loss"]
    assert table.round(6).values.tolist() == [[0, 19, 0.2, 2], [0, 29, 0.5, 5], [1, 19, 0.6, 6], [1, 29, 0.6, 6]]
    assert thinned(curve([0.1, 0.3, 0.5]), points=3)["accuracy"].tolist() == pytest.approx([0.1, 0.3, 0.5])


def test_growth_is_by_the_memory_and_over_the_last_step_of_the_same_run():
    run = {"model": "LSTM", "length": 4, "replicate": 0, "when": "end", "t": [1, 2, 3]}
    lstm = pd.DataFrame({**run, "gradient": [9.0, 9.0, 9.0], "gradient_cell": [1.0, 2.0, 4.0]})
    vanilla = pd.DataFrame({**run, "model": "VanillaRNN", "gradient": [8.0, 4.0, 2.0], "gradient_cell": np.nan})
    table = with_growth(pd.concat([lstm, vanilla, vanilla.assign(replicate=1, gradient=[1.0, 1.0, 5.0])]))
    assert table["back"].tolist() == [2, 1, 0] * 3
    assert table["growth_rms"].tolist() == pytest.approx([0.25, 0.5, 1, 4, 2, 1, 0.2, 0.2, 1])


def test_the_knee_is_where_two_lines_fit_best():
    """Each line fitted anew, to random walks."""
    walks = np.random.default_rng(0).normal(size=(8, 30)).cumsum(axis=1)
    x, expected = 10.0 * np.arange(30) + 9, []
    for y in walks:
        parts = {k: (slice(k), slice(k, None)) for k in range(3, 27)}
        lines = {k: [np.polyfit(x[part], y[part], 1, full=True) for part in both] for k, both in parts.items()}
        expected.append(x[min(lines, key=lambda k: sum(residuals.item() for _, residuals, *_ in lines[k]))])
    assert knee(curve(*walks.tolist())) == expected
    assert len(set(expected)) > 4
    assert knee(curve([0.1] * 6)) == [inf]


def test_a_gradient_at_the_first_step_over_that_at_the_last():
    values = {"replicate": [0, 0, 0, 1, 1, 1], "t": [2, 1, 3] * 2, "growth_median": [5, 0.5, 1, 9, 3, 1], "gradient": 7}
    assert first_over_last(pd.DataFrame(values)) == [0.5, 3]


def test_the_course_of_a_training_in_a_few_numbers():
    """Medians of four replicates that differ. A tenth of 190 steps is just the end of the second window."""
    quick, quicker = [0.2, 0.4, 0.6, 0.8, 1.0], [0.3, 0.5, 0.7, 0.9, 0.9]
    slow, never = [0.1, 0.1, 0.2, 0.6, 0.7], [0.1] * 5
    found = course(curve(quick, quicker, slow, never), 0.6, steps=190, average_from=10)
    expected = {"loss_first": 1.5, "loss_tenth": 2.5, "loss_last": 8, "reached": 39, "gain": 0.35}
    assert found == pytest.approx({**expected, "spread": (0.05**0.5 + 0.0275**0.5) / 2})

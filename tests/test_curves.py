"""What the training curves show, as numbers."""

from math import inf

import numpy as np
import pandas as pd
import pytest

import made_up
from dlreport.sequence.curves import late_gain, long_table, over_replicates, steps_to_reach, window_spread


def curve(*replicates: list[float]) -> pd.DataFrame:
    """Windows of ten steps with these mean accuracies, and losses ten times as large."""
    runs = [(np.array(values), 10 * np.array(values)) for values in replicates]
    return made_up.curve(10 * np.arange(len(replicates[0])) + 9, *runs, extremes=0.1)


def test_over_replicates_takes_the_mean_and_the_extremes_of_the_replicates():
    joined = over_replicates(curve([0.2, 0.4], [0.4, 0.8]))
    assert joined["step"].tolist() == [9, 19]
    assert joined["accuracy_mean"].tolist() == pytest.approx([0.3, 0.6])
    assert joined["accuracy_low"].tolist() == pytest.approx([0.2, 0.4])
    assert joined["accuracy_high"].tolist() == pytest.approx([0.4, 0.8])


def test_over_a_single_replicate_the_extremes_are_those_of_its_steps():
    joined = over_replicates(curve([0.2, 0.4]))
    assert joined["loss_mean"].tolist() == pytest.approx([2, 4])
    assert joined["loss_low"].tolist() == pytest.approx([1.9, 3.9])
    assert joined["loss_high"].tolist() == pytest.approx([2.1, 4.1])


def test_steps_to_reach():
    assert steps_to_reach(curve([0.2, 0.99, 0.5, 1], [0.2, 0.98, 0.98, 0.98]), 0.99) == [19, inf]


def test_window_spread_is_within_each_replicate():
    # Replicates at different levels, each constant, do not fluctuate.
    assert window_spread(curve([0, 0.5, 0.5], [0, 0.9, 0.9]), 10) == pytest.approx([0, 0])
    assert window_spread(curve([0, 0.4, 0.6], [0, 0.8, 1.2]), 10) == pytest.approx([0.1, 0.2])


def test_late_gain():
    assert late_gain(curve([0, 0.2, 0.3, 0.6, 0.7]), 10) == pytest.approx([0.4])
    assert late_gain(curve([0.5]), 0) == [0]


def test_the_long_table_is_of_accuracy_by_model_and_length():
    table = long_table({("LSTM", 5): curve([0.2, 0.4], [0.4, 0.8]), ("VanillaRNN", 10): curve([0.1], [0.3])})
    assert table.round(6).values.tolist() == [
        ["LSTM", 5, 9, 0.3, 0.2, 0.4],
        ["LSTM", 5, 19, 0.6, 0.4, 0.8],
        ["VanillaRNN", 10, 9, 0.2, 0.1, 0.3],
    ]
    assert list(table.columns) == ["model", "length", "step", "mean", "low", "high"]

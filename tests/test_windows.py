"""A training's steps as windows, and the mean accuracy at its end."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlreport.sequence.windows import mean_accuracy, single_steps, windowed


def test_mean_accuracy_starts_at_the_step_and_leaves_out_the_last():
    assert mean_accuracy(np.array([9, 9, 0.25, 0.75, 0.5, 9], dtype=np.float32), 2) == 0.5


def test_mean_accuracy_of_a_single_step():
    assert mean_accuracy(np.array([0, 0.5, 1], dtype=np.float32), 1) == 0.5


@given(st.integers(1, 300), st.integers(1, 80))
def test_windows_cover_every_step_once(steps, size):
    random = np.random.default_rng(steps)
    curves = {"loss": random.exponential(size=steps).astype("f4"), "accuracy": random.random(steps).astype("f4")}
    columns = windowed(**curves, size=size)
    last = columns["step"]
    sizes = np.diff(last, prepend=-1)
    assert last[-1] == steps - 1
    assert sizes[0] == min(size, steps)
    assert (sizes[:-1] == sizes[0]).all()
    assert 0 < sizes[-1] <= sizes[0]
    for name, values in curves.items():
        mean = columns[f"{name}_mean"]
        assert np.dot(mean, sizes) / steps == pytest.approx(values.astype(float).mean(), rel=1e-12)
        assert (columns[f"{name}_min"] <= mean).all()
        assert (mean <= columns[f"{name}_max"]).all()
        assert columns[f"{name}_min"].min() == values.min()
        assert columns[f"{name}_max"].max() == values.max()
    assert {len(column) for column in columns.values()} == {len(last)}


def test_windows_of_a_small_example():
    loss, accuracy = np.array([4, 2, 1, 3, 8], dtype="f4"), np.array([0, 1, 0.5, 0.5, 1], dtype="f4")
    columns = {name: column.tolist() for name, column in windowed(loss, accuracy, 2).items()}
    assert columns == {
        "step": [1, 3, 4],
        "loss_mean": [3, 2, 8],
        "loss_min": [2, 1, 8],
        "loss_max": [4, 3, 8],
        "accuracy_mean": [0.5, 0.5, 1],
        "accuracy_min": [0, 0.5, 1],
        "accuracy_max": [1, 0.5, 1],
    }


def test_single_steps_are_each_third_and_the_last():
    loss, accuracy = np.arange(8) * 2.0, np.arange(8) / 10
    found = {name: column.tolist() for name, column in single_steps(loss, accuracy, 3).items()}
    assert found == {"step": [0, 3, 6, 7], "loss": [0, 6, 12, 14], "accuracy": [0, 0.3, 0.6, 0.7]}
    assert single_steps(loss[:7], accuracy[:7], 3)["step"].tolist() == [0, 3, 6]  # once, if they are the same

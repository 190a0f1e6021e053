"""Our numbers beside the published ones."""

import numpy as np
import pandas as pd
import pytest

from dlreport.io import read_yaml
from dlreport.sequence.comparison import MEASURES, comparison_table, runs_table
from dlreport.sequence.models import MODELS
from dlreport.statistics.intervals import exact

PUBLISHED = {
    "mean_accuracy_steps_40000_50000": {"LSTM": {5: 0.99}},
    "test_accuracy": {"LSTM": {5: 0.5}},
}


def found(*accuracies: float) -> pd.DataFrame:
    """Replicates with these accuracies in the test, ten points less in training and twenty in the report's batch."""
    test = np.array(accuracies)
    return pd.DataFrame(
        {
            "train_accuracy_mean": test - 0.1,
            "test_accuracy": test,
            "test_accuracy_report_batch": test - 0.2,
            "solved": (test >= 0.99).astype(int),
            "test_sequences": 1000,
        }
    )


def test_comparison_is_of_the_median_run():
    """One run of seven has little to say, and no interval goes beyond 1."""
    accuracies = (1.0, 0.9, 0.97, 0.3, 0.98, 0.99, 0.96)
    (row,) = comparison_table({("LSTM", 5): found(*accuracies)}, PUBLISHED, 0.95).to_dict("records")
    assert (row["replicates"], row["solved"]) == (7, pytest.approx(2 / 7))
    for name, less in (("train_accuracy_mean", 0.1), ("test_accuracy", 0.0)):
        assert row[name] == pytest.approx(0.97 - less)
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((0.3 - less, 1.0 - less))
    assert row["test_accuracy_report_batch"] == pytest.approx(0.77)


def test_few_runs_have_no_interval_and_models_may_have_different_numbers():
    tasks = {("LSTM", 5): found(*[0.9] * 6), ("VanillaRNN", 5): found(*[0.9] * 5)}
    table = comparison_table(tasks, PUBLISHED, 0.95)
    assert table["replicates"].tolist() == [6, 5]
    assert table["test_accuracy_low"].tolist() == pytest.approx([0.9, np.nan], nan_ok=True)


def test_comparison_has_the_published_figure_where_there_is_one():
    tasks = {("LSTM", 5): found(0.8), ("LSTM", 6): found(0.8), ("VanillaRNN", 5): found(0.8)}
    table = comparison_table(tasks, PUBLISHED, 0.95)
    assert table["published_train_accuracy_mean"].tolist() == pytest.approx([0.99, np.nan, np.nan], nan_ok=True)
    assert table["published_test_accuracy"].tolist() == pytest.approx([0.5, np.nan, np.nan], nan_ok=True)
    single = table.loc[0, ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]].tolist()
    assert single == pytest.approx([0.8, *exact(800, 1000, 0.95)])
    assert table["train_accuracy_mean"].tolist() == pytest.approx([0.7] * 3)
    assert table["train_accuracy_mean_low"].isna().all()


def test_published_figures_are_the_reports(repository):
    sequence = read_yaml(repository / "published.yaml")["sequence"]
    assert sequence["mean_accuracy_steps_40000_50000"]["VanillaRNN"][10] == 0.7600197519751976
    for model, lengths in sequence["test_accuracy"].items():
        assert model in MODELS
        for length, value in lengths.items():
            assert (value * sequence["test_sequences"]).is_integer()
            assert sequence["log"][model][length][0]


def test_the_table_of_runs_has_each_accuracy_under_its_measure_beside_the_published_one():
    table = runs_table({("LSTM", 5): found(1.0, 0.9), ("VanillaRNN", 5): found(0.3)}, PUBLISHED)
    training, test = MEASURES
    rows = table.astype(object).where(table.notna(), None).round(6).values.tolist()
    assert rows == [
        ["LSTM", 5, 0, training, 0.9, 0.99],
        ["LSTM", 5, 1, training, 0.8, 0.99],
        ["LSTM", 5, 0, test, 1.0, 0.5],
        ["LSTM", 5, 1, test, 0.9, 0.5],
        ["VanillaRNN", 5, 0, training, pytest.approx(0.2), None],
        ["VanillaRNN", 5, 0, test, 0.3, None],
    ]

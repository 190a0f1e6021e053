"""Our numbers beside the published ones."""

from typing import Any

import pandas as pd

from dlreport.evaluation.intervals import wilson

Cells = dict[tuple[str, int], dict[str, Any]]


def comparison_table(metrics: Cells, published: dict[str, Any]) -> pd.DataFrame:
    """A row per cell: our metrics and the published figures, empty where the report has none for the length.

    `metrics` maps (model, length) to the cell's metrics; `published` is the sequence section of published.yaml.
    """
    train, test = published["mean_accuracy_steps_40000_50000"], published["test_accuracy"]
    return pd.DataFrame(
        {
            "model": model,
            "length": length,
            **values,
            "published_train_accuracy_mean": train.get(model, {}).get(length),
            "published_test_accuracy": test.get(model, {}).get(length),
        }
        for (model, length), values in metrics.items()
    )


def accuracy_rows(table: pd.DataFrame, published: dict[str, Any], confidence: float) -> pd.DataFrame:
    """Test accuracy as a long table: model, length, source (here or published), accuracy, low, high of its interval."""
    trials = published["test_sequences"]
    rows = []
    for row in table.itertuples():
        cell = {"model": row.model, "length": row.length}
        ours = (row.test_accuracy, row.test_accuracy_low, row.test_accuracy_high)
        rows.append(cell | {"source": "here"} | dict(zip(("accuracy", "low", "high"), ours, strict=True)))
        theirs = row.published_test_accuracy
        if pd.notna(theirs):
            low, high = wilson(theirs * trials, trials, confidence)
            rows.append(cell | {"source": "published", "accuracy": theirs, "low": low, "high": high})
    return pd.DataFrame(rows)

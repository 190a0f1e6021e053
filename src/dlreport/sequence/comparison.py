"""Tables of our accuracies beside the published ones."""

from typing import Any, NamedTuple

import pandas as pd

from dlreport.statistics.intervals import exact, of_median

Replicates = dict[tuple[str, int], pd.DataFrame]


class Measure(NamedTuple):
    """Says where to find an accuracy."""

    ours: str  # the column of our tables
    published: str  # the key of published.yaml


TRAINING, TEST = "training, at the end", "test"
MEASURES = {
    TRAINING: Measure("train_accuracy_mean", "mean_accuracy_steps_40000_50000"),
    TEST: Measure("test_accuracy", "test_accuracy"),
}


def published_value(published: dict[str, Any], measure: Measure, model: str, length: int) -> float | None:
    """Return the published accuracy of a model at a length, or None if there is none."""
    return published[measure.published].get(model, {}).get(length)


def comparison_table(tasks: Replicates, published: dict[str, Any], confidence: float) -> pd.DataFrame:
    """Return a row for each task: the medians over its replicates, their intervals, and the published figures where
    there are any.

    `tasks` has a table for each (model, length), with a row for each replicate and the columns train_accuracy_mean,
    test_accuracy, test_accuracy_report_batch, test_sequences, solved. `published` is the sequence section of
    published.yaml.

    In the result `solved` is the share of the replicates that solve the task. The columns `_low` and `_high` are the
    interval of the median, by `of_median`; they are empty where there are too few replicates. A single replicate has
    the exact interval of its test accuracy instead, which allows for the draw of the test's sequences.
    """
    rows = []
    for (model, length), found in tasks.items():
        row = {"model": model, "length": length, "replicates": len(found), "solved": found["solved"].mean()}
        row["test_accuracy_report_batch"] = found["test_accuracy_report_batch"].median()
        for measure in MEASURES.values():
            name = measure.ours
            row[name] = found[name].median()
            row[f"{name}_low"], row[f"{name}_high"] = of_median(found[name].tolist(), confidence)
        if len(found) == 1:
            trials = int(found["test_sequences"].iloc[0])
            interval = exact(round(row["test_accuracy"] * trials), trials, confidence)
            row["test_accuracy_low"], row["test_accuracy_high"] = interval
        for measure in MEASURES.values():
            row[f"published_{measure.ours}"] = published_value(published, measure, model, length)
        rows.append(row)
    return pd.DataFrame(rows)


def runs_table(tasks: Replicates, published: dict[str, Any]) -> pd.DataFrame:
    """Return the rows of a chart: our accuracy for each task, replicate and measure, and the published accuracy if
    there is one."""
    tables = [
        pd.DataFrame(
            {
                "model": model,
                "length": length,
                "replicate": range(len(found)),
                "measure": name,
                "accuracy": found[measure.ours],
                "published": published_value(published, measure, model, length),
            }
        )
        for (model, length), found in tasks.items()
        for name, measure in MEASURES.items()
    ]
    return pd.concat(tables)

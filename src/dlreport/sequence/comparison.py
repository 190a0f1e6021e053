"""Our numbers beside the published ones."""

from typing import Any

import pandas as pd

from dlreport.statistics.intervals import exact, of_median

MEASURES = {  # in words; our column, and published.yaml's key
    "training, at the end": ("train_accuracy_mean", "mean_accuracy_steps_40000_50000"),
    "test": ("test_accuracy", "test_accuracy"),
}
Replicates = dict[tuple[str, int], pd.DataFrame]


def comparison_table(tasks: Replicates, published: dict[str, Any], confidence: float) -> pd.DataFrame:
    """A row per task: medians over its replicates with intervals, and the published figures where there are any.

    `tasks` maps (model, length) to a row per replicate: train_accuracy_mean, test_accuracy, test_accuracy_report_batch,
    test_sequences, solved; `published` is the sequence section of published.yaml. `solved` is the share of the
    replicates. The intervals, `_low` and `_high`, are of the median over replicates, by `of_median`: empty where there
    are too few. Of a single one there is the exact interval of the test, for the draw of its sequences.
    """
    train, test = published["mean_accuracy_steps_40000_50000"], published["test_accuracy"]
    rows = []
    for (model, length), found in tasks.items():
        row = {"model": model, "length": length, "replicates": len(found), "solved": found["solved"].mean()}
        row["test_accuracy_report_batch"] = found["test_accuracy_report_batch"].median()
        for name in ("train_accuracy_mean", "test_accuracy"):
            row[name] = found[name].median()
            row[f"{name}_low"], row[f"{name}_high"] = of_median(found[name].tolist(), confidence)
        if len(found) == 1:
            trials = int(found["test_sequences"].iloc[0])
            interval = exact(round(row["test_accuracy"] * trials), trials, confidence)
            row["test_accuracy_low"], row["test_accuracy_high"] = interval
        row["published_train_accuracy_mean"] = train.get(model, {}).get(length)
        row["published_test_accuracy"] = test.get(model, {}).get(length)
        rows.append(row)
    return pd.DataFrame(rows)


def runs_table(tasks: Replicates, published: dict[str, Any]) -> pd.DataFrame:
    """What a chart draws: a row per task, replicate and measure, with the accuracy and the published one, if any."""
    tables = [
        pd.DataFrame(
            {
                **{"model": model, "length": length, "replicate": range(len(found)), "measure": measure},
                **{"accuracy": found[ours], "published": published[theirs].get(model, {}).get(length)},
            }
        )
        for (model, length), found in tasks.items()
        for measure, (ours, theirs) in MEASURES.items()
    ]
    return pd.concat(tables)

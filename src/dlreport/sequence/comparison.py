"""Our numbers beside the published ones."""

from typing import Any

import numpy as np
import pandas as pd

from dlreport.statistics.intervals import student, wilson

Replicates = dict[tuple[str, int], pd.DataFrame]


def comparison_table(tasks: Replicates, published: dict[str, Any], confidence: float) -> pd.DataFrame:
    """A row per task: means over its replicates with intervals, and the published figures, empty where there are none.

    `tasks` maps (model, length) to a row per replicate: train_accuracy_mean, test_accuracy, test_accuracy_report_batch,
    test_sequences, solved; `published` is the sequence section of published.yaml. The intervals, `_low` and `_high`,
    are of the mean over replicates; of a single one there is Wilson's for the test, for the draw of its sequences.
    """
    train, test = published["mean_accuracy_steps_40000_50000"], published["test_accuracy"]
    rows = []
    for (model, length), found in tasks.items():
        row = {"model": model, "length": length, "replicates": len(found), "solved": found["solved"].mean()}
        row["test_accuracy_report_batch"] = found["test_accuracy_report_batch"].mean()
        for name in ("train_accuracy_mean", "test_accuracy"):
            row[name] = found[name].mean()
            row[f"{name}_low"], row[f"{name}_high"] = np.clip(student(found[name].tolist(), confidence), 0, 1).tolist()
        if len(found) == 1:
            trials = found["test_sequences"].iloc[0]
            interval = wilson(row["test_accuracy"] * trials, trials, confidence)
            row["test_accuracy_low"], row["test_accuracy_high"] = interval
        row["published_train_accuracy_mean"] = train.get(model, {}).get(length)
        row["published_test_accuracy"] = test.get(model, {}).get(length)
        rows.append(row)
    return pd.DataFrame(rows)

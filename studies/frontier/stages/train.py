"""Train and test every run of the grid that has no result yet, and write the table of all runs."""

from functools import partial
from pathlib import Path

import pandas as pd
import torch

import grid
from dlreport.checkpoint import stop_by_signal
from dlreport.errors import Interrupted, UserError, run
from dlreport.executor import run_each
from dlreport.io import read_json, write_csv, write_json
from dlreport.progress import log, start_logging
from dlreport.provenance import recorded
from dlreport.runtime import workers

KEPT = Path(".checkpoints/frontier")


def main() -> None:
    start_logging()
    study = grid.load_study()
    runs = grid.runs(study)
    # Each finished run has a file. Only this process writes these files, so a cluster's nodes need no common disk.
    paths = {each: KEPT / grid.fingerprint(study, each.model) / f"{each}.json" for each in runs}
    missing = [each for each in runs if not paths[each].exists()]
    log.info("%d runs, %d of them kept from before", len(runs), len(runs) - len(missing))
    if missing:
        train(missing, paths, study)

    results = [read_json(paths[each]) for each in runs]
    write_csv(grid.HERE / "runs.csv", pd.DataFrame([result["row"] for result in results]))
    seconds = sum(result["core_seconds"] for result in results)
    log.info("all runs together took %d core seconds", seconds)


def train(runs: list[grid.Run], paths: dict[grid.Run, Path], study: grid.Study) -> None:
    """Train these runs, and write each result as soon as its run ends."""
    stop_by_signal()
    runs = sorted(runs, key=lambda each: -each.cost)  # longest first, so that no long run starts near the end
    train_one = partial(grid.train_run, study)
    try:
        for number, (index, result) in enumerate(run_each(train_one, runs, min(workers(), len(runs))), 1):
            each, row = runs[index], result["row"]
            if result["torch"] != torch.__version__:
                versions = f"{result['torch']}, this one {torch.__version__}"
                raise UserError(f"a machine of the cluster has PyTorch {versions}; install requirements.txt there")
            write_json(paths[each], result)
            test = "diverged" if row["diverged"] else f"test accuracy {row['test_accuracy']:.4f}"
            log.info("%d of %d: %s, %s", number, len(runs), each, test)
    except Interrupted as stop:
        raise Interrupted(stop.number, "all finished runs are kept; run it again to go on from there") from None


if __name__ == "__main__":
    run(recorded("frontier", "cpu")(main))

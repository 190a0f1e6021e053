"""Train and test every run of the grid that is not kept from before; write the table of all."""

import time
from pathlib import Path

import pandas as pd
import torch

import grid
from dlreport.checkpoint import stop_by_signal
from dlreport.errors import UserError, run
from dlreport.executor import run_each
from dlreport.io import read_json, write_csv, write_json
from dlreport.manifest import entry
from dlreport.progress import log, start_logging
from dlreport.runtime import workers

KEPT = Path(".checkpoints/frontier")
LINE_SECONDS = 1  # between two lines of progress, at least


def main() -> None:
    start_logging()
    start = time.perf_counter()
    study = grid.load_study()
    runs = grid.runs(study)
    # A file for each finished run, written by this process alone: the nodes of a cluster need no disk in common.
    paths = {each: KEPT / grid.fingerprint(study, each.model) / f"{each}.json" for each in runs}
    missing = [each for each in runs if not paths[each].exists()]
    log.info("%d runs, %d of them kept from before", len(runs), len(runs) - len(missing))
    if missing:
        train(missing, paths, study)

    results = [read_json(paths[each]) for each in runs]
    write_csv(grid.HERE / "runs.csv", pd.DataFrame([result["row"] for result in results]))
    seconds = sum(result["core_seconds"] for result in results)
    said = {"runs": len(runs), "trained_now": len(missing), "core_seconds_of_all_runs": round(seconds)}
    write_json(grid.HERE / "manifest.json", {**entry(time.perf_counter() - start, "cpu"), **said})


def train(runs: list[grid.Run], paths: dict[grid.Run, Path], study: grid.Study) -> None:
    """Train these and keep each result when it comes."""
    stop_by_signal()
    done = Progress(runs)
    # The longest first: what starts last is what the end has to wait for.
    longest_first = sorted(runs, key=lambda each: -each.cost)
    task = grid.Train(study)
    for index, result in run_each(task, longest_first, min(workers(), len(runs))):
        if result["torch"] != torch.__version__:
            raise UserError(
                f"a machine of the cluster has PyTorch {result['torch']}, this one {torch.__version__}; "
                "install requirements.txt there"
            )
        each = longest_first[index]
        write_json(paths[each], result)
        done.add(each, result["row"]["test_accuracy"])


class Progress:
    """A line for a finished run, with the time left by the runs' costs; not more than one in LINE_SECONDS."""

    def __init__(self, runs: list[grid.Run]):
        self.number, self.runs = 0, len(runs)
        self.cost, self.left = (sum(each.cost for each in runs),) * 2
        self.start = self.said = time.monotonic()

    def add(self, each: grid.Run, accuracy: float | None) -> None:
        self.number += 1
        self.left -= each.cost
        now = time.monotonic()
        if now - self.said >= LINE_SECONDS or not self.left:
            self.said = now
            minutes = (now - self.start) * self.left / (self.cost - self.left) / 60
            test = "diverged" if accuracy is None else f"test accuracy {accuracy:.4f}"
            log.info("%d of %d, about %.0f min left: %s %s", self.number, self.runs, minutes, each, test)


if __name__ == "__main__":
    run(main)

"""Trace gradients back through time in one model at one length: before, half-way through and after training."""

from pathlib import Path

import pandas as pd

from common.arguments import parse
from common.stage import run
from dlreport.config import load_params
from dlreport.io import read_tensors, write_csv
from dlreport.runtime import prepare
from dlreport.sequence.task import Task
from dlreport.sequence.tracing import trace_replicate

MODELS = Path("models/sequence")


def main() -> None:
    task = Task(*parse(__doc__, "model"))
    params = load_params()
    prepare(threads=1)
    kept = zip(read_tensors(MODELS / f"halfway/{task}.pt"), read_tensors(MODELS / f"{task}.pt"), strict=True)
    tables = [
        trace_replicate(task, replicate, {"halfway": halfway, "end": end}, params)
        for replicate, (halfway, end) in enumerate(kept)
    ]
    write_csv(Path(f"plots/gradients/by_task/{task}.csv"), pd.concat(tables))


if __name__ == "__main__":
    run(main)

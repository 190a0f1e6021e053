"""Test one model at one length, trace its gradients back through time, and probe its memory."""

from pathlib import Path

from common.arguments import parse
from common.stage import run
from common.testing import evaluate_replicates

import pandas as pd

from dlreport.config import load_params
from dlreport.io import read_tensors, write_csv, write_metrics
from dlreport.sequence.memory import confusion, probe_replicates
from dlreport.sequence.task import Task
from dlreport.sequence.tracing import trace_replicate

MODELS = Path("models/sequence")


def main() -> None:
    task, params = Task(*parse(__doc__, "model")), load_params()
    replicates = evaluate_replicates("sequence", str(task), task, params)
    evaluate_replicates("sequence/halfway", str(task), task, params)
    means = {name: float(replicates[name].mean()) for name in ("train_accuracy_mean", "test_accuracy", "solved")}
    write_metrics(Path(f"metrics/sequence/{task}.json"), means)

    halfways, ends = read_tensors(MODELS / f"halfway/{task}.safetensors"), read_tensors(MODELS / f"{task}.safetensors")
    traced = [
        trace_replicate(task, replicate, {"halfway": halfway, "end": end}, params)
        for replicate, (halfway, end) in enumerate(zip(halfways, ends, strict=True))
    ]
    write_csv(Path(f"plots/gradients/by_task/{task}.csv"), pd.concat(traced))
    write_csv(Path(f"plots/memory/probe/{task}.csv"), probe_replicates(task, ends, params))
    answers = [confusion(task, replicate, end, params) for replicate, end in enumerate(ends)]
    write_csv(Path(f"plots/memory/confusion/{task}.csv"), pd.concat(answers))


if __name__ == "__main__":
    run(main)

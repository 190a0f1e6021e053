"""Train every replicate of one model at one length."""

from pathlib import Path

from common.arguments import parse
from common.stage import run
from common.training import trained, write_training, write_weights
from dlreport.config import load_params
from dlreport.progress import start_logging
from dlreport.sequence.task import Task

MODELS = Path("models/sequence")


def main() -> None:
    start_logging()
    task = Task(*parse(__doc__, "model"))
    params = load_params()
    settings = params.sequence
    curves, accuracy = Path(f"plots/sequence/curves/{task}.csv"), Path(f"metrics/sequence/train/{task}.json")
    with trained(str(task), task, settings, params) as runs:
        write_training(runs, settings, MODELS / f"{task}.pt", curves, accuracy)
        write_weights(MODELS / f"halfway/{task}.pt", [run.halfway for run in runs])


if __name__ == "__main__":
    run(main)

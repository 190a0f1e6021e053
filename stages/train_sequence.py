"""Train every replicate of one model at one length."""

from common.arguments import parse
from common.stage import run
from common.training import train

from dlreport.config import load_params
from dlreport.sequence.task import Task


def main() -> None:
    task, params = Task(*parse(__doc__, "model")), load_params()
    train("sequence", str(task), task, params.sequence, params.sequence.runs_of(task.model), params)


if __name__ == "__main__":
    run(main)

"""Train the VanillaRNN for longer than the report did, to check what it says of an earlier assignment (claim 2)."""

from common.stage import run
from common.training import train

from dlreport.config import load_params
from dlreport.sequence.task import Task


def main() -> None:
    params = load_params()
    longer = params.longer
    settings = params.sequence.model_copy(update={"steps": longer.steps, "average_from": longer.average_from})
    train("longer", "", Task("VanillaRNN", longer.length, "longer"), settings, longer.replicates, params)


if __name__ == "__main__":
    run(main)

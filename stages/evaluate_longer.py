"""Test the VanillaRNN that was trained for longer."""

from common.stage import run
from common.testing import evaluate_replicates

from dlreport.config import load_params
from dlreport.sequence.task import Task


def main() -> None:
    params = load_params()
    evaluate_replicates("longer", "", Task("VanillaRNN", params.longer.length, "longer"), params)


if __name__ == "__main__":
    run(main)

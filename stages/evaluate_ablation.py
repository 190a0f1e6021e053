"""Test one variant of the VanillaRNN at one length."""

from common.arguments import parse
from common.stage import run
from common.testing import evaluate_replicates

from dlreport.config import load_params
from dlreport.sequence.task import Task


def main() -> None:
    variant, length = parse(__doc__, "variant")
    evaluate_replicates("ablation", f"{variant}-{length}", Task("VanillaRNN", length), load_params())


if __name__ == "__main__":
    run(main)

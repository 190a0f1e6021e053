"""Test one variant of the VanillaRNN at one length."""

from common.arguments import parse
from common.stage import run
from common.testing import evaluate_replicates

from dlreport.config import load_params
from dlreport.sequence.task import Task


def main() -> None:
    (variant, length), params = parse(__doc__, "variant"), load_params()
    settings = params.ablation.changes[variant].applied(params.sequence)
    changed = params.model_copy(update={"sequence": settings})
    evaluate_replicates("ablation", f"{variant}-{length}", Task("VanillaRNN", length), changed)


if __name__ == "__main__":
    run(main)

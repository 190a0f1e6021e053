"""Train the VanillaRNN at one length with one or more settings changed. Is its difficulty in the model, or in how it
starts?"""

from common.arguments import parse
from common.stage import run
from common.training import train

from dlreport.config import load_params
from dlreport.sequence.task import Task


def main() -> None:
    (variant, length), params = parse(__doc__, "variant"), load_params()
    sequence, own = params.sequence, params.ablation
    settings = own.changes[variant].applied(sequence.first_half())
    train("ablation", f"{variant}-{length}", Task("VanillaRNN", length), settings, own.replicates, params)


if __name__ == "__main__":
    run(main)

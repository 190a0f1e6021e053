"""Train the VanillaRNN at one length with one thing changed: is it the model that has difficulty, or its beginning?"""

from common.arguments import parse
from common.stage import run
from common.training import train
from dlreport.config import load_params
from dlreport.sequence.task import Task


def main() -> None:
    (variant, length), params = parse(__doc__, "variant"), load_params()
    own = params.ablation
    changes = {"replicates": own.replicates, "steps": own.steps, "average_from": own.average_from}
    settings = own.changes[variant].applied(params.sequence.model_copy(update=changes))
    train("ablation", f"{variant}-{length}", Task("VanillaRNN", length), settings, params)


if __name__ == "__main__":
    run(main)

"""Train the VanillaRNN at one length with one thing changed: is it the model that has difficulty, or its beginning?"""

from common.arguments import parse
from common.stage import run
from common.training import train

from dlreport.config import load_params
from dlreport.sequence.task import Task


def main() -> None:
    (variant, length), params = parse(__doc__, "variant"), load_params()
    sequence, change = params.sequence, params.ablation.changes[variant]
    changes = {"steps": sequence.halfway, "average_from": sequence.average_from // 2}
    changes |= {name: getattr(change, name) for name in change.model_fields_set}
    settings = sequence.model_copy(update=changes)
    train("ablation", f"{variant}-{length}", Task("VanillaRNN", length), settings, params.ablation.replicates, params)


if __name__ == "__main__":
    run(main)

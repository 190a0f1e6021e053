"""Train the VanillaRNN at one length with one thing changed: is it the model that has difficulty, or its beginning?"""

from pathlib import Path

from common.arguments import parse
from common.stage import run
from common.training import trained, write_training
from dlreport.config import load_params
from dlreport.progress import start_logging
from dlreport.sequence import variants
from dlreport.sequence.task import Task


def main() -> None:
    start_logging()
    variant, length = parse(__doc__, "variant")
    key = f"{variant}-{length}"
    params = load_params()
    settings = variants.changed(params, variant)
    paths = (f"models/ablation/{key}.pt", f"plots/ablation/curves/{key}.csv", f"metrics/ablation/train/{key}.json")
    with trained(f"ablation-{key}", Task("VanillaRNN", length), settings, params) as runs:
        write_training(runs, settings, *map(Path, paths))


if __name__ == "__main__":
    run(main)

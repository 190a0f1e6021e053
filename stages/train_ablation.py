"""Train the VanillaRNN at one length with one thing changed: is it the model that has difficulty, or its beginning?"""

from pathlib import Path

from dlreport.config import load_params
from dlreport.training import variants
from dlreport.training.progress import start_logging
from dlreport.training.sequence import Cell
from matrix import parse_variant
from stage import run
from training import trained, write_training


def main() -> None:
    start_logging()
    variant, length = parse_variant(__doc__)
    key = f"{variant}-{length}"
    params = load_params()
    settings = variants.changed(params, variant)
    paths = (f"models/ablation/{key}.pt", f"plots/ablation/curves/{key}.csv", f"metrics/ablation/train/{key}.json")
    with trained(f"ablation-{key}", Cell("VanillaRNN", length), settings, params) as runs:
        write_training(runs, settings, *map(Path, paths))


if __name__ == "__main__":
    run(main)

"""Trace gradients back through time in the sequence models, before, during and after training."""

from itertools import product
from pathlib import Path

import pandas as pd
import torch

from dlreport import figures
from dlreport.config import load_params
from dlreport.data import palindromes
from dlreport.evaluation.gradients import frozen_gates_accuracy, reach
from dlreport.io import read_tensors, write_csv, write_figure, write_metrics
from dlreport.models.lstm import LSTM
from dlreport.runtime import prepare
from dlreport.streams import stream
from dlreport.training.sequence import Cell, build_model
from stage import run

MODELS, PLOTS = Path("models/sequence"), Path("plots/gradients")
SEQUENCES = 1000


def main() -> None:
    params = load_params()
    prepare(threads=1)
    settings = params.sequence
    rows, frozen = [], []
    for cell, replicate in product(
        [Cell(*pair) for pair in product(settings.models, settings.lengths)], range(settings.replicates)
    ):
        name = ("sequence", str(cell), replicate)
        x, target = palindromes.sample(SEQUENCES, cell.length, stream(params.seed, *name, "gradients"))
        start = build_model(cell, settings.hidden_dim, stream(params.seed, *name, "init"), settings.initialisation)
        states = {
            "start": start.state_dict(),
            "halfway": read_tensors(MODELS / f"halfway/{cell}.pt")[replicate],
            "end": read_tensors(MODELS / f"{cell}.pt")[replicate],
        }
        for when, weights in states.items():
            model = build_model(cell, settings.hidden_dim, torch.Generator())
            model.load_state_dict(weights)
            if when == "end" and isinstance(model, LSTM):
                left = frozen_gates_accuracy(model, x, target)
                frozen.append({"length": cell.length, "replicate": replicate, "accuracy": left})
            found = pd.DataFrame(reach(model, x, target))
            found.insert(0, "t", range(1, len(found) + 1))
            rows.append(found.assign(model=cell.model, length=cell.length, replicate=replicate, when=when))
    table = pd.concat(rows).set_index(["model", "length", "replicate", "when", "t"]).reset_index()
    write_csv(PLOTS / "by_time_step.csv", table)
    write_csv(PLOTS / "frozen_gates.csv", pd.DataFrame(frozen, columns=["length", "replicate", "accuracy"]))
    write_figure(PLOTS / "gradients.png", figures.gradients(table))
    write_figure(PLOTS / "saturation.png", figures.saturation(table))

    longest = table[(table["length"] == max(settings.lengths)) & (table["when"] == "end")]
    shares = longest.groupby("model", sort=False)["saturated_tanh"].mean()
    metrics = {f"saturated_tanh_{model}": float(share) for model, share in shares.items()}
    write_metrics(Path("metrics/gradients.json"), metrics)


if __name__ == "__main__":
    run(main)

"""Trace gradients back through time in one model at one length: before, half-way through and after training."""

from pathlib import Path

import pandas as pd
import torch

from cell import parse_cell
from dlreport.config import load_params
from dlreport.data import palindromes
from dlreport.evaluation.gradients import frozen_gates_accuracy, reach
from dlreport.io import read_tensors, write_csv
from dlreport.models.lstm import LSTM
from dlreport.runtime import prepare
from dlreport.streams import stream
from dlreport.training.sequence import build_model
from stage import run

MODELS = Path("models/sequence")
SEQUENCES = 1000


def main() -> None:
    cell = parse_cell(__doc__)
    params = load_params()
    prepare(threads=1)
    settings = params.sequence
    rows = []
    kept = (read_tensors(MODELS / f"halfway/{cell}.pt"), read_tensors(MODELS / f"{cell}.pt"))
    for replicate, (halfway, end) in enumerate(zip(*kept, strict=True)):
        name = ("sequence", str(cell), replicate)
        x, target = palindromes.sample(SEQUENCES, cell.length, stream(params.seed, *name, "gradients"))
        start = build_model(cell, settings.hidden_dim, stream(params.seed, *name, "init"), settings.initialisation)
        for when, weights in (("start", start.state_dict()), ("halfway", halfway), ("end", end)):
            model = build_model(cell, settings.hidden_dim, torch.Generator())
            model.load_state_dict(weights)
            held = when == "end" and isinstance(model, LSTM)
            frozen = frozen_gates_accuracy(model, x, target) if held else None
            found = pd.DataFrame({"frozen_gates_accuracy": frozen, **reach(model, x, target)})
            rows.append(found.assign(replicate=replicate, when=when, t=found.index + 1))
    columns = ["replicate", "when", "t", "gradient", "gradient_cell", "saturated_tanh", "saturated_gates"]
    write_csv(
        Path(f"plots/gradients/cells/{cell}.csv"), pd.concat(rows).reindex(columns=[*columns, "frozen_gates_accuracy"])
    )


if __name__ == "__main__":
    run(main)

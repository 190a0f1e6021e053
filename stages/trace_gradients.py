"""Trace gradients back through time in one model at one length: before, half-way through and after training."""

from pathlib import Path

import pandas as pd
import torch

from dlreport.config import load_params
from dlreport.data import palindromes
from dlreport.evaluation.gradients import gate_control, reach
from dlreport.io import read_tensors, write_csv
from dlreport.models.lstm import LSTM
from dlreport.runtime import prepare
from dlreport.streams import stream
from dlreport.training.sequence import build_model
from matrix import parse_cell
from stage import run

MODELS = Path("models/sequence")
COLUMNS = [
    *("replicate", "when", "t", "gradient", "gradient_cell", "gradient_median", "saturated_tanh", "saturated_gates"),
    *("accuracy", "frozen_gates_accuracy"),
]


def main() -> None:
    cell = parse_cell(__doc__)
    params = load_params()
    prepare(threads=1)
    settings = params.sequence
    rows = []
    kept = (read_tensors(MODELS / f"halfway/{cell}.pt"), read_tensors(MODELS / f"{cell}.pt"))
    for replicate, (halfway, end) in enumerate(zip(*kept, strict=True)):
        name = ("sequence", str(cell), replicate)
        x, target = palindromes.sample(params.gradients.sequences, cell.length, stream(params.seed, *name, "gradients"))
        start = build_model(cell, settings.hidden_dim, stream(params.seed, *name, "init"), settings.initialisation)
        for when, weights in (("start", start.state_dict()), ("halfway", halfway), ("end", end)):
            model = build_model(cell, settings.hidden_dim, torch.Generator())
            model.load_state_dict(weights)
            control = gate_control(model, x, target) if when == "end" and isinstance(model, LSTM) else {}
            found = pd.DataFrame({**control, **reach(model, x, target)})
            rows.append(found.assign(replicate=replicate, when=when, t=found.index + 1))
    write_csv(Path(f"plots/gradients/cells/{cell}.csv"), pd.concat(rows).reindex(columns=COLUMNS))


if __name__ == "__main__":
    run(main)

"""How far a gradient reaches back in time, how saturated the units are, and what a model's gates do. Ours; the report
only tells of the vanishing gradient (claim 4).

Shapes: B sequences, T time steps, H hidden dim; x [B, T, 1], target [B]; each part of the state and each unit [B, H].
"""

from copy import deepcopy

import pandas as pd
import torch
from torch import Tensor

from dlreport.config import Params
from dlreport.sequence import palindromes
from dlreport.sequence.models.base import SequenceModel, State, Units, accuracy, cross_entropy
from dlreport.sequence.task import Task
from dlreport.sequence.thresholds import SATURATED

COLUMNS = [
    *("replicate", "when", "t", "gradient", "gradient_cell", "gradient_median", "saturated_tanh", "saturated_gates"),
    *("accuracy", "frozen_gates_accuracy"),
]


def trace(model: SequenceModel, x: Tensor, held: tuple[Tensor, ...] | None = None) -> tuple[list[State], list[Units]]:
    """Run a model step by step: its states and units, T of each. `held` as for the model's `step`."""
    state, states, units = model.start(len(x)), [], []
    for x_t in x.unbind(1):
        state, of_step = model.step(x_t, state, held)
        states.append(state)
        units.append(of_step)
    return states, units


def _gates(model: SequenceModel, units: list[Units]) -> list[Tensor]:
    """The gates side by side [B, gates * H], T of them."""
    return [torch.cat([of_step[gate] for gate in model.GATES], dim=1) for of_step in units]


def reach(model: SequenceModel, x: Tensor, target: Tensor) -> dict[str, list[float]]:
    """By time step t: `gradient`, the norm of a sequence's d loss / d h_t (the other parts of the state held fixed); of
    a model with a memory of its own beside h `gradient_cell`, that of d loss / d c_t; root mean squares over the batch.
    `gradient_median`: of the part that carries the memory the batch's median, as few sequences can make up a mean
    square. `saturated_tanh`, `saturated_gates`: shares of units.

    In float64: a gradient may be smaller than float32 can tell.
    """
    model, x = deepcopy(model).double(), x.double()
    states, units = trace(model, x)
    loss = cross_entropy(model.logits(states[-1][0]), target)
    gradients = torch.autograd.grad(loss, [part for parts in zip(*states, strict=True) for part in parts])
    # The loss is a mean over the batch, so a sequence's own gradient is B times larger.
    norms = torch.stack([len(x) * gradient.norm(dim=1) for gradient in gradients])  # [T for each part of the state, B]
    mean_squares, T = norms.square().mean(1).sqrt().tolist(), len(states)
    result = {
        "gradient": mean_squares[:T],
        "gradient_median": norms[-T:].median(1).values.tolist(),
        "saturated_tanh": [(of_step[model.TANH].abs() > SATURATED).double().mean().item() for of_step in units],
    }
    if len(model.STATE) > 1:
        result["gradient_cell"] = mean_squares[-T:]
    if model.GATES:
        # SATURATED or its complement: further from a half than SATURATED is
        far = [(value - 0.5).abs() > SATURATED - 0.5 for value in _gates(model, units)]
        result["saturated_gates"] = [value.double().mean().item() for value in far]
    return result


@torch.no_grad()
def gate_control(model: SequenceModel, x: Tensor, target: Tensor) -> dict[str, float]:
    """Accuracy as the model is, and what is left of it without control: `frozen_gates_accuracy`, with each gate of each
    unit held at its mean over sequences and steps. Nothing of a model without gates."""
    if not model.GATES:
        return {}
    free, units = trace(model, x)
    means = torch.stack(_gates(model, units)).mean((0, 1)).chunk(len(model.GATES))
    fixed, _ = trace(model, x, means)
    both = [accuracy(model.logits(states[-1][0]), target).item() for states in (free, fixed)]
    return dict(zip(("accuracy", "frozen_gates_accuracy"), both, strict=True))


def trace_replicate(task: Task, replicate: int, kept: dict[str, dict[str, Tensor]], params: Params) -> pd.DataFrame:
    """COLUMNS, a row for each time step t: at the start, as the replicate's stream gives it, and with the weights kept
    at other times; what the gates do only at the end."""
    settings = params.sequence
    x, target = palindromes.sample(
        params.gradients.sequences, task.length, task.stream(params.seed, replicate, "gradients")
    )
    initial = task.build(settings.hidden_dim, task.stream(params.seed, replicate, "init"), settings.initialisation)
    tables = []
    for when, weights in {"start": initial.state_dict(), **kept}.items():
        model = task.load(settings.hidden_dim, weights)
        control = gate_control(model, x, target) if when == "end" else {}
        found = pd.DataFrame({**control, **reach(model, x, target)})
        tables.append(found.assign(replicate=replicate, when=when, t=found.index + 1))
    return pd.concat(tables).reindex(columns=COLUMNS)

"""Measures how far a gradient reaches back in time, how saturated the units are, whether the gradients of two batches
agree, and what a model's gates do. The published report only mentions the vanishing gradient (claim 4); the
measurements are ours.

Shapes: B sequences, T time steps, H hidden dim, P parameters of a model; x [B, T, 1], target [B]; each part of the
state and each unit [B, H].
"""

from collections.abc import Collection
from copy import deepcopy
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from dlreport.config import Params
from dlreport.sequence import palindromes
from dlreport.sequence.models.base import SequenceModel, State, Units, accuracy, cross_entropy
from dlreport.sequence.task import Task
from dlreport.sequence.thresholds import FADED, SATURATED

COLUMNS = [
    *("replicate", "when", "t", "gradient", "gradient_cell", "gradient_median", "gradient_low", "gradient_high"),
    *("growth_median", "growth_low", "growth_high", "top_share", "saturated_tanh", "saturated_gates"),
    *("shrinks", "vanishes", "cosine", "accuracy", "held_accuracy"),  # these have the same value at all t
]
RANGE = (0.05, 0.95)  # two quantiles over the sequences
TOP = 0.01  # the top sequences are this share of all, those with the largest gradients
BATCHES = 8  # the gradients of so many batches are compared, each with each other


def trace(model: SequenceModel, x: Tensor) -> tuple[list[State], list[Units]]:
    """Run a model and record every time step. Returns T states, and T dictionaries of units."""
    state, states, units = model.start(len(x)), [], []
    for x_t in x.unbind(1):
        state, of_step = model.step(x_t, state)
        states.append(state)
        units.append(of_step)
    return states, units


def reach(model: SequenceModel, x: Tensor, target: Tensor) -> dict[str, Any]:
    """Measure, at each time step t, the norm of each sequence's gradient d loss / d state_t, and saturated units.

    The gradient by c_t includes what c_t does through h_t. The result has these entries, lists of T numbers except for
    the last two:

    gradient, gradient_cell  root mean squares over the sequences of the gradient by h_t and, if the model has a cell
                             state, by c_t. All other entries on gradients are by c_t if there is one, else by h_t.
    gradient_median, _low, _high  median over the sequences, and the ends of RANGE. A few sequences can make up a mean.
    growth_median, _low, _high    the same for a sequence's norm divided by its norm at the last time step
    top_share                the share of the mean square that comes from the TOP sequences
    saturated_tanh, saturated_gates  the share of tanh units and, if the model has gates, of gates that are saturated
    shrinks, vanishes        the share of sequences whose gradient is smaller at the first time step than at the last,
                             and the share of those where it is less than FADED times as large

    A sequence whose gradient is 0 at the last time step has no growth, and is left out of all entries on growth.

    All is computed in float64, since a gradient may be smaller than float32 can represent.
    """
    model, x = deepcopy(model).double(), x.double()
    states, units = trace(model, x)
    loss = cross_entropy(model.logits(states[-1][0]), target)
    gradients = torch.autograd.grad(loss, [part for parts in zip(*states, strict=True) for part in parts])
    # The loss is a mean over the batch, so the gradient of a sequence's own loss is B times larger.
    norms = torch.stack([len(x) * gradient.norm(dim=1) for gradient in gradients])  # [T for each part of the state, B]
    mean_squares, T = norms.square().mean(1).sqrt().tolist(), len(states)
    memory = norms[-T:]
    growth = memory / memory[-1]
    from_first = growth[0][~growth[0].isnan()]
    largest = memory.square().sort(1, descending=True).values[:, : -(-len(x) // round(1 / TOP))]
    result = {
        "gradient": mean_squares[:T],
        **_spread("gradient", memory),
        **_spread("growth", growth),
        "top_share": (largest.sum(1) / memory.square().sum(1)).tolist(),
        "saturated_tanh": [(of_step[model.TANH].abs() > SATURATED).double().mean().item() for of_step in units],
        "shrinks": (from_first < 1).double().mean().item(),
        "vanishes": (from_first < FADED).double().mean().item(),
    }
    if len(model.STATE) > 1:
        result["gradient_cell"] = mean_squares[-T:]
    if model.GATES:
        # A gate above SATURATED or below 1 - SATURATED is further from a half than SATURATED is.
        gates = [torch.cat([of_step[gate] for gate in model.GATES], dim=1) for of_step in units]
        result["saturated_gates"] = [((g - 0.5).abs() > SATURATED - 0.5).double().mean().item() for g in gates]
    return result


def _spread(name: str, values: Tensor) -> dict[str, list[float]]:
    """Return the median over the sequences, and the ends of RANGE, of values [T, B]. NaN is left out."""
    low, median, high = np.nanquantile(values, (RANGE[0], 0.5, RANGE[1]), axis=1).tolist()
    return {f"{name}_median": median, f"{name}_low": low, f"{name}_high": high}


def agreement(model: SequenceModel, batches: Collection[tuple[Tensor, Tensor]]) -> float:
    """Return the mean cosine between the gradients of two batches' losses by all parameters, over all pairs of batches.

    Its square root is about the cosine between a batch's gradient and the mean gradient of very many batches. Clipping
    does not change it.
    """
    model = deepcopy(model).double()
    directions = []
    for x, target in batches:
        gradient = torch.autograd.grad(cross_entropy(model(x.double()), target), [*model.parameters()])
        flat = torch.cat([part.flatten() for part in gradient])  # [P]
        directions.append(flat / flat.norm())
    cosines = torch.stack(directions) @ torch.stack(directions).T
    return cosines[torch.ones_like(cosines).triu(1).bool()].mean().item()


def hold(model: SequenceModel, x: Tensor, means: list[Units], gates: Collection[str]) -> Tensor:
    """Compute h_T [B, H] with these gates held at `means`, a dictionary of values [H] for each of the T time steps. The
    other gates take the values that follow from the states so reached."""
    state = model.start(len(x))
    for x_t, mean in zip(x.unbind(1), means, strict=True):
        _, units = model.step(x_t, state)
        state, _ = model.step(x_t, state, tuple((mean if gate in gates else units)[gate] for gate in model.GATES))
    return state[0]


@torch.no_grad()
def gate_control(model: SequenceModel, x: Tensor, target: Tensor) -> dict[str, float]:
    """Measure the model's accuracy, and what is left of it if gates are held.

    A held gate has, in each unit, its mean over the sequences at that time step. It still opens and closes with time,
    but does not react to the digits. `held_accuracy` is with all gates held, and `held_GATE_accuracy` with one. For a
    model without gates there is only `accuracy`.
    """
    states, units = trace(model, x)
    found = {"accuracy": accuracy(model.logits(states[-1][0]), target).item()}
    means = [{gate: of_step[gate].mean(0) for gate in model.GATES} for of_step in units]
    ways = {"held": model.GATES, **{f"held_{gate}": (gate,) for gate in model.GATES}} if model.GATES else {}
    for name, gates in ways.items():
        found[f"{name}_accuracy"] = accuracy(model.logits(hold(model, x, means, gates)), target).item()
    return found


def trace_replicate(task: Task, replicate: int, kept: dict[str, dict[str, Tensor]], params: Params) -> pd.DataFrame:
    """Measure a replicate at several times of its training. Returns a row for each time and time step t, with COLUMNS
    and held_GATE_accuracy for each gate.

    The time is in the column `when`. The weights of `start` are drawn again from the replicate's random stream; `kept`
    has the weights of the other times. The accuracies are measured only at `end`.
    """
    settings = params.sequence
    count, draws = params.gradients.sequences, task.stream(params.seed, replicate, "gradients")
    x, target = palindromes.sample(count, task.length, draws)
    batches = [palindromes.sample(settings.batch_size, task.length, draws) for _ in range(BATCHES)]
    initial = task.build(settings.hidden_dim, task.stream(params.seed, replicate, "init"), settings.initialisation)
    tables = []
    for when, weights in {"start": initial.state_dict(), **kept}.items():
        model = task.load(settings.hidden_dim, weights)
        control = gate_control(model, x, target) if when == "end" else {}
        found = pd.DataFrame({**control, **reach(model, x, target), "cosine": agreement(model, batches)})
        tables.append(found.assign(replicate=replicate, when=when, t=found.index + 1))
    held = [f"held_{gate}_accuracy" for gate in initial.GATES]
    return pd.concat(tables).reindex(columns=[*COLUMNS, *held])

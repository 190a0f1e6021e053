"""How far a gradient reaches back in time, how saturated the units are, whether the gradients of two batches agree, and
what a model's gates do. Ours; the report only tells of the vanishing gradient (claim 4).

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
    *("shrinks", "vanishes", "cosine", "accuracy", "held_accuracy"),  # the same at all t
]
RANGE = (0.05, 0.95)  # quantiles of the sequences
TOP = 0.01  # the sequences with the largest gradients: this share of them
BATCHES = 8  # whose gradients are compared, all with all


def trace(model: SequenceModel, x: Tensor) -> tuple[list[State], list[Units]]:
    """Run a model step by step: its states and units, T of each."""
    state, states, units = model.start(len(x)), [], []
    for x_t in x.unbind(1):
        state, of_step = model.step(x_t, state)
        states.append(state)
        units.append(of_step)
    return states, units


def reach(model: SequenceModel, x: Tensor, target: Tensor) -> dict[str, Any]:
    """By time step t, of the norms of each sequence's d loss / d state_t (by c_t with h_t following it):

    gradient, gradient_cell  root mean squares over the sequences by h_t and, in a model with a memory of its own beside
                             h, by c_t; all below are by the part that carries the memory
    gradient_median, _low, _high  median of the sequences and the ends of RANGE, as few sequences can make up a mean
    growth_median, _low, _high    the same of a sequence's norm over its own at the last step
    top_share                the share of the mean square that the TOP sequences make up
    saturated_tanh, saturated_gates  shares of units
    shrinks, vanishes        the shares of sequences whose gradient is smaller at the first step than at the last, and
                             less than FADED of it

    In float64: a gradient may be smaller than float32 can tell.
    """
    model, x = deepcopy(model).double(), x.double()
    states, units = trace(model, x)
    loss = cross_entropy(model.logits(states[-1][0]), target)
    gradients = torch.autograd.grad(loss, [part for parts in zip(*states, strict=True) for part in parts])
    # The loss is a mean over the batch, so a sequence's own gradient is B times larger.
    norms = torch.stack([len(x) * gradient.norm(dim=1) for gradient in gradients])  # [T for each part of the state, B]
    mean_squares, T = norms.square().mean(1).sqrt().tolist(), len(states)
    memory = norms[-T:]
    growth = memory / memory[-1]
    largest = memory.square().sort(1, descending=True).values[:, : -(-len(x) // round(1 / TOP))]
    result = {
        "gradient": mean_squares[:T],
        **_spread("gradient", memory),
        **_spread("growth", growth),
        "top_share": (largest.sum(1) / memory.square().sum(1)).tolist(),
        "saturated_tanh": [(of_step[model.TANH].abs() > SATURATED).double().mean().item() for of_step in units],
        "shrinks": (growth[0] < 1).double().mean().item(),
        "vanishes": (growth[0] < FADED).double().mean().item(),
    }
    if len(model.STATE) > 1:
        result["gradient_cell"] = mean_squares[-T:]
    if model.GATES:
        # SATURATED or its complement: further from a half than SATURATED is
        gates = [torch.cat([of_step[gate] for gate in model.GATES], dim=1) for of_step in units]
        result["saturated_gates"] = [((g - 0.5).abs() > SATURATED - 0.5).double().mean().item() for g in gates]
    return result


def _spread(name: str, values: Tensor) -> dict[str, list[float]]:
    """Median and RANGE over sequences of values [T, B]."""
    low, median, high = np.nanquantile(values, (RANGE[0], 0.5, RANGE[1]), axis=1).tolist()
    return {f"{name}_median": median, f"{name}_low": low, f"{name}_high": high}


def agreement(model: SequenceModel, batches: Collection[tuple[Tensor, Tensor]]) -> float:
    """The mean cosine between the gradients of two batches' losses by all parameters, over all pairs of batches. Its
    square root is about the cosine between a batch's gradient and the mean over very many batches. Clipping does not
    change it."""
    model = deepcopy(model).double()
    directions = []
    for x, target in batches:
        gradient = torch.autograd.grad(cross_entropy(model(x.double()), target), [*model.parameters()])
        flat = torch.cat([part.flatten() for part in gradient])  # [P]
        directions.append(flat / flat.norm())
    cosines = torch.stack(directions) @ torch.stack(directions).T
    return cosines[torch.ones_like(cosines).triu(1).bool()].mean().item()


def hold(model: SequenceModel, x: Tensor, means: list[Units], gates: Collection[str]) -> Tensor:
    """h_T [B, H] with these gates at `means` [H], T of them, and all others as they are on that way."""
    state = model.start(len(x))
    for x_t, mean in zip(x.unbind(1), means, strict=True):
        _, units = model.step(x_t, state)
        state, _ = model.step(x_t, state, tuple((mean if gate in gates else units)[gate] for gate in model.GATES))
    return state[0]


@torch.no_grad()
def gate_control(model: SequenceModel, x: Tensor, target: Tensor) -> dict[str, float]:
    """Accuracy as the model is, and what is left of it without control: each gate of each unit held at its mean over
    sequences at that time step, which still opens and closes it with time but not by what is read. `held_accuracy` with
    all gates held, `held_GATE_accuracy` with one. Of a model without gates the accuracy alone."""
    states, units = trace(model, x)
    found = {"accuracy": accuracy(model.logits(states[-1][0]), target).item()}
    means = [{gate: of_step[gate].mean(0) for gate in model.GATES} for of_step in units]
    ways = {"held": model.GATES, **{f"held_{gate}": (gate,) for gate in model.GATES}} if model.GATES else {}
    for name, gates in ways.items():
        found[f"{name}_accuracy"] = accuracy(model.logits(hold(model, x, means, gates)), target).item()
    return found


def trace_replicate(task: Task, replicate: int, kept: dict[str, dict[str, Tensor]], params: Params) -> pd.DataFrame:
    """COLUMNS and held_GATE_accuracy of each gate, a row for each time step t: at the start, as the replicate's stream
    gives it, and with the weights kept at other times; accuracy and what the gates do only at the end."""
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

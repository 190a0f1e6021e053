"""How far a gradient reaches back in time, how saturated the cells are, and what the LSTM's gates do. Ours; the report
only tells of the vanishing gradient (claim 4).

Shapes: B sequences, T time steps, H hidden dim; x [B, T, 1], target [B], h_t and c_t [B, H].
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlreport.evaluation.thresholds import SATURATED
from dlreport.models.head import accuracy, cross_entropy
from dlreport.models.lstm import LSTM


@dataclass(frozen=True)
class Trace:
    """What a model computes on its way: T of each."""

    h: list[Tensor]
    c: list[Tensor]  # of the LSTM, else empty
    sigmoids: list[Tensor]  # the gates i, f, o side by side, of the LSTM, else empty [B, 3H]
    tanhs: list[Tensor]  # the VanillaRNN's h, the LSTM's g


def trace(model: nn.Module, x: Tensor, gates: tuple[Tensor, ...] | None = None) -> Trace:
    """Run a model step by step; `gates`, if given, stand for the LSTM's i, f and o at every step, each [H]."""
    found = Trace([], [], [], [])
    if isinstance(model, LSTM):
        h, c = model.start(len(x))
        for x_t in x.unbind(1):
            *own, g = model.gates(x_t, h)
            i, f, o = gates or own
            h, c = model.step(c, i, f, o, g)
            found.h.append(h)
            found.c.append(c)
            found.sigmoids.append(torch.cat(own, dim=1))
            found.tanhs.append(g)
    else:
        h = model.start(len(x))
        for x_t in x.unbind(1):
            h = model.step(x_t, h)
            found.h.append(h)
        found.tanhs.extend(found.h)
    return found


def reach(model: nn.Module, x: Tensor, target: Tensor) -> dict[str, list[float]]:
    """By time step t: `gradient`, the norm of a sequence's d loss / d h_t (the LSTM's c_t held fixed), of the LSTM
    `gradient_cell`, that of d loss / d c_t, root mean squares over the batch; `gradient_median`, of the way that
    carries the memory (c_t, or h_t where there is none) the batch's median, as few sequences can make up a mean square;
    `saturated_tanh`, `saturated_gates`: shares of units.

    In float64: a gradient may be smaller than float32 can tell.
    """
    model, x = model.double(), x.double()
    found = trace(model, x)
    loss = cross_entropy(model.logits(found.h[-1]), target)
    gradients = torch.autograd.grad(loss, [*found.h, *found.c])
    # The loss is a mean over the batch, so a sequence's own gradient is B times larger.
    norms = torch.stack([len(x) * gradient.norm(dim=1) for gradient in gradients])  # [T or 2T, B]
    mean_squares, T = norms.square().mean(1).sqrt().tolist(), len(found.h)
    result = {
        "gradient": mean_squares[:T],
        "gradient_median": norms[-T:].median(1).values.tolist(),
        "saturated_tanh": [(value.abs() > SATURATED).double().mean().item() for value in found.tanhs],
    }
    if found.c:
        result["gradient_cell"] = mean_squares[T:]
        # 0.99 or its complement: further from a half than 0.49
        far = [(value - 0.5).abs() > SATURATED - 0.5 for value in found.sigmoids]
        result["saturated_gates"] = [value.double().mean().item() for value in far]
    return result


@torch.no_grad()
def gate_control(model: LSTM, x: Tensor, target: Tensor) -> dict[str, float]:
    """Accuracy as the model is, and what is left of it without control: `frozen_gates_accuracy`, with each gate of each
    unit held at its mean over sequences and steps."""
    free = trace(model, x)
    held = trace(model, x, torch.stack(free.sigmoids).mean((0, 1)).chunk(3))
    both = [accuracy(model.logits(found.h[-1]), target).item() for found in (free, held)]
    return dict(zip(("accuracy", "frozen_gates_accuracy"), both, strict=True))

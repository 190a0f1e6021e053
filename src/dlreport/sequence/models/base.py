"""What all sequence models share, including their loss and accuracy. What is special to a model is in its own file.

Shapes: B batch, T time steps, D input dim, H hidden dim, O classes. G is H times the number of recurrent blocks, which
stand side by side.
  x [B, T, D]   each part of the state and each unit [B, H]   logits [B, O]
  W_x [D, G]   W_h [H, G]   biases [G]   W_ph [H, O]   b_p [O]
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
Units = dict[str, Tensor]


def normal(generator: torch.Generator, *shape: int) -> nn.Parameter:
    """Return a parameter of this shape whose values are drawn from N(0, 1)."""
    return nn.Parameter(torch.randn(shape, generator=generator))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the mean over the batch of -log softmax(logits)[target]; logits [B, O], target [B] -> scalar."""
    hit = target[:, None] == torch.arange(logits.shape[1], device=logits.device)
    # Neither a gather, whose backward pass on CUDA adds in no fixed order, nor a product with `hit`, which would be NaN
    # where 0 meets an infinite logit.
    return -logits.log_softmax(1).where(hit, 0).sum(1).mean()


def accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """Return the share of the batch whose largest logit is the target's; logits [B, O], target [B] -> scalar."""
    return (logits.argmax(1) == target).float().mean()


class SequenceModel(nn.Module):
    """Reads T inputs, one at each time step, and answers after the last one: logits = h_T W_ph + b_p.

    A subclass has parameters with the names and shapes above, and the biases that its equations need. It defines `step`
    and the attributes below. All other code learns from these what it has to know of a model.
    """

    EQUATIONS: ClassVar[tuple[str, ...]]  # of a time step, in LaTeX; the logits' equation is the same for all models
    BEGINNING: ClassVar[str]  # the initialisation `as_reported` in words, for the report
    STATE: ClassVar[tuple[str, ...]] = ("h",)  # parts, all zero at the start; h is first, the last carries the memory
    TANH: ClassVar[str]  # the unit that is a tanh
    GATES: ClassVar[tuple[str, ...]] = ()  # the units that are sigmoids
    OPEN: ClassVar[tuple[int, ...]] = ()  # the blocks whose biases `orthogonal` and `identity` set to one, not to zero
    NATIVE: ClassVar[str | None] = None  # its time step in native/cell.h and gpu/sequence.py; None: autograd trains it

    W_x: nn.Parameter
    W_h: nn.Parameter
    W_ph: nn.Parameter
    b_p: nn.Parameter

    def step(self, x_t: Tensor, state: State, held: tuple[Tensor, ...] | None = None) -> tuple[State, Units]:
        """Make a time step: x_t [B, D], the state after t - 1 -> the state after t, and the units by name, each [B, H].

        `held` has a value [H] for each of GATES, in their order. The step uses these values in place of the gates', but
        still returns the gates' own.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits [B, O] from x [B, T, D]. Autograd can differentiate them."""
        state = self.start(len(x))
        for x_t in x.unbind(1):  # unbind, not x[:, t]: indexing makes autograd's backward quadratic in T
            state, _ = self.step(x_t, state)
        return self.logits(state[0])

    def start(self, batch: int) -> State:
        """Return the state before the first time step: zeros [B, H] for each part."""
        return (self.W_h.new_zeros(batch, len(self.W_h)),) * len(self.STATE)

    def logits(self, h: Tensor) -> Tensor:
        """Compute logits [B, O] from h_T [B, H]."""
        return h @ self.W_ph + self.b_p

    @classmethod
    def blocks(cls) -> int:
        """Return the number of recurrent blocks, G / H. It is read from a model of the smallest size."""
        W_h = cls(1, 1, 1, torch.Generator()).W_h
        return W_h.shape[1]

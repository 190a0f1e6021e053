"""What all sequence models share, their loss and accuracy too. What tells a model apart is in its own file.

Shapes: B batch, T time steps, D input dim, H hidden dim, O classes, K recurrent blocks side by side.
  x [B, T, D]   each part of the state and each unit [B, H]   logits [B, O]
  W_x [D, KH]   W_h [H, KH]   biases [KH]   W_ph [H, O]   b_p [O]
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
Units = dict[str, Tensor]


def normal(generator: torch.Generator, *shape: int) -> nn.Parameter:
    """A parameter drawn from N(0, 1)."""
    return nn.Parameter(torch.randn(shape, generator=generator))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the batch of -log softmax(logits)[target]; logits [B, O], target [B] -> scalar."""
    hit = target[:, None] == torch.arange(logits.shape[1], device=logits.device)
    # By no gather, whose backward pass adds in any order on CUDA; by no product, as 0 times an infinite logit is none.
    return -logits.log_softmax(1).where(hit, 0).sum(1).mean()


def accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """Share of the batch whose largest logit is the target; logits [B, O], target [B] -> scalar."""
    return (logits.argmax(1) == target).float().mean()


class SequenceModel(nn.Module):
    """Reads T inputs, one a time step, and answers after the last: logits = h_T W_ph + b_p.

    A model has parameters with the names and shapes above (biases as its equations want them), a `step`, and these
    records, which all else asks for.
    """

    EQUATIONS: ClassVar[tuple[str, ...]]  # of a step, in LaTeX; the logits are the same for all
    BEGINNING: ClassVar[str]  # how the parameters begin as reported, for the report
    STATE: ClassVar[tuple[str, ...]] = ("h",)  # h first; the last carries the memory; all are zero at the start
    TANH: ClassVar[str]  # the unit that is a tanh
    GATES: ClassVar[tuple[str, ...]] = ()  # the units that are sigmoids
    OPEN: ClassVar[tuple[int, ...]] = ()  # the blocks whose bias another initialisation sets to one, not to zero
    NATIVE: ClassVar[str | None] = None  # its time step in native/cell.h; without one autograd trains it

    W_x: nn.Parameter
    W_h: nn.Parameter
    W_ph: nn.Parameter
    b_p: nn.Parameter

    def step(self, x_t: Tensor, state: State, held: tuple[Tensor, ...] | None = None) -> tuple[State, Units]:
        """x_t [B, D], the state after t - 1 -> the state after t and the units of the step by name, each [B, H].

        `held`, each [H], stand for the values of GATES, in their order.
        """
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> logits [B, O], differentiable by autograd."""
        state = self.start(len(x))
        for x_t in x.unbind(1):  # unbind, not x[:, t]: indexing makes autograd's backward quadratic in T
            state, _ = self.step(x_t, state)
        return self.logits(state[0])

    def start(self, batch: int) -> State:
        """The state before the first step: zeros."""
        return (self.W_h.new_zeros(batch, len(self.W_h)),) * len(self.STATE)

    def logits(self, h: Tensor) -> Tensor:
        """h_T [B, H] -> logits [B, O]."""
        return h @ self.W_ph + self.b_p

    @classmethod
    def blocks(cls) -> int:
        """K, by a model of the least size."""
        W_h = cls(1, 1, 1, torch.Generator()).W_h
        return W_h.shape[1]

"""The VanillaRNN of the published report. Its backward pass is in native/sequence.c, that of one time step in
native/cell.h.

Shapes: as in base.py, with one recurrent block (G = H).

  h_t = tanh(x_t W_x + h_{t-1} W_h + b),  h_0 = 0
"""

import torch
from torch import Tensor, nn

from dlreport.sequence.models.base import SequenceModel, State, Units, normal


class VanillaRNN(SequenceModel):
    """The VanillaRNN of part 1 of the report. Weights are drawn from N(0, 1) without scaling by fan-in, and biases
    start at zero."""

    EQUATIONS = (r"h_t = \tanh(x_t W_{hx} + h_{t-1} W_{hh} + b_h)",)
    BEGINNING = "every $W$ is drawn from $N(0, 1)$, without scaling by fan-in, and the biases start at zero"
    TANH = "h"
    NATIVE = "vanilla_rnn"

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, generator: torch.Generator):
        super().__init__()
        self.W_x = normal(generator, input_dim, hidden_dim)
        self.W_h = normal(generator, hidden_dim, hidden_dim)
        self.b = nn.Parameter(torch.zeros(hidden_dim))
        self.W_ph = normal(generator, hidden_dim, output_dim)
        self.b_p = nn.Parameter(torch.zeros(output_dim))

    def step(self, x_t: Tensor, state: State, held: tuple[Tensor, ...] | None = None) -> tuple[State, Units]:
        (h,) = state
        h = torch.tanh(x_t @ self.W_x + h @ self.W_h + self.b)
        return (h,), {"h": h}

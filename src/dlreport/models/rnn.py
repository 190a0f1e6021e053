"""VanillaRNN from the report's equations. Its backward pass through time is in native/sequence.c.

Shapes: B batch, T time steps, D input dim, H hidden dim, O classes.
  x [B, T, D]   h_t [B, H]   logits [B, O]   W_hx [D, H]   W_hh [H, H]   W_ph [H, O]

  h_t = tanh(x_t W_hx + h_{t-1} W_hh + b_h),  h_0 = 0;   logits = h_T W_ph + b_o
"""

import torch
from torch import Tensor, nn

from dlreport.models.head import normal


class VanillaRNN(nn.Module):
    """Report, part 1. Weights from N(0, 1), biases zero: no scaling by fan-in."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, generator: torch.Generator):
        super().__init__()
        self.W_hx = normal(generator, input_dim, hidden_dim)
        self.W_hh = normal(generator, hidden_dim, hidden_dim)
        self.b_h = nn.Parameter(torch.zeros(hidden_dim))
        self.W_ph = normal(generator, hidden_dim, output_dim)
        self.b_o = nn.Parameter(torch.zeros(output_dim))

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> logits [B, O], differentiable by autograd."""
        h = self.start(len(x))
        for x_t in x.unbind(1):  # unbind, not x[:, t]: indexing makes autograd's backward quadratic in T
            h = self.step(x_t, h)
        return self.logits(h)

    def start(self, batch: int) -> Tensor:
        """h_0 [B, H]."""
        return self.W_hh.new_zeros(batch, len(self.W_hh))

    def step(self, x_t: Tensor, h: Tensor) -> Tensor:
        """x_t [B, D], h_{t-1} [B, H] -> h_t [B, H]."""
        return torch.tanh(x_t @ self.W_hx + h @ self.W_hh + self.b_h)

    def logits(self, h: Tensor) -> Tensor:
        """h_T [B, H] -> logits [B, O]."""
        return h @ self.W_ph + self.b_o

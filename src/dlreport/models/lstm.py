"""LSTM from the report's equations. Its backward pass through time is in native/sequence.c.

Shapes: B batch, T time steps, D input dim, H hidden dim, O classes.
  x [B, T, D]   h_t, c_t and each gate [B, H]   logits [B, O]
  W_x [D, 4H], W_h [H, 4H], b [4H]: the four blocks W_i*, W_f*, W_o*, W_g* side by side, so that one product serves all

  i, f, o = sigmoid(x_t W_*x + h_{t-1} W_*h + b_*),  g = tanh(x_t W_gx + h_{t-1} W_gh + b_g)
  c_t = g * i + c_{t-1} * f,  h_t = tanh(c_t) * o,  h_0 = c_0 = 0;   logits = h_T W_ph + b_p
"""

import torch
from torch import Tensor, nn

from dlreport.models.head import normal


class LSTM(nn.Module):
    """Report, part 1. Every parameter, the biases too, from N(0, 1). g is a tanh (the report's formula has sigma)."""

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, generator: torch.Generator):
        super().__init__()
        self.W_x = normal(generator, input_dim, 4 * hidden_dim)
        self.W_h = normal(generator, hidden_dim, 4 * hidden_dim)
        self.b = normal(generator, 4 * hidden_dim)
        self.W_ph = normal(generator, hidden_dim, output_dim)
        self.b_p = normal(generator, output_dim)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, T, D] -> logits [B, O], differentiable by autograd."""
        h, c = self.start(len(x))
        for x_t in x.unbind(1):  # unbind, not x[:, t]: indexing makes autograd's backward quadratic in T
            h, c = self.step(c, *self.gates(x_t, h))
        return self.logits(h)

    def start(self, batch: int) -> tuple[Tensor, Tensor]:
        """h_0 and c_0, each [B, H]."""
        zeros = self.W_h.new_zeros(batch, len(self.W_h))
        return zeros, zeros

    def gates(self, x_t: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """x_t [B, D], h_{t-1} [B, H] -> i, f, o, g of the step, each [B, H]."""
        H = len(self.W_h)
        z = x_t @ self.W_x + h @ self.W_h + self.b
        return *torch.sigmoid(z[:, : 3 * H]).chunk(3, dim=1), torch.tanh(z[:, 3 * H :])

    @staticmethod
    def step(c: Tensor, i: Tensor, f: Tensor, o: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
        """c_{t-1} and the step's gates -> h_t and c_t, each [B, H]."""
        c = g * i + c * f
        return torch.tanh(c) * o, c

    def logits(self, h: Tensor) -> Tensor:
        """h_T [B, H] -> logits [B, O]."""
        return h @ self.W_ph + self.b_p

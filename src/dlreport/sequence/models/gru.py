"""The GRU as PyTorch defines it: that of Cho et al. (2014), with the reset gate applied after the product. This model
is ours; the published report has no GRU.

Shapes: as in base.py, with three recurrent blocks, W_r*, W_z*, W_n* side by side (G = 3H). Each of the two products has
a bias [G] of its own.

  r, z = sigmoid(x_t W_*x + b_*x + h_{t-1} W_*h + b_*h)
  n = tanh(x_t W_nx + b_nx + r * (h_{t-1} W_nh + b_nh))
  h_t = (1 - z) * n + z * h_{t-1},  h_0 = 0
"""

import torch
from torch import Tensor

from dlreport.sequence.models.base import SequenceModel, State, Units, normal


class GRU(SequenceModel):
    """Draws every parameter, the biases too, from N(0, 1), as the published LSTM does."""

    EQUATIONS = (
        r"r_t = \sigma(x_t W_{rx} + b_{rx} + h_{t-1} W_{rh} + b_{rh})",
        r"z_t = \sigma(x_t W_{zx} + b_{zx} + h_{t-1} W_{zh} + b_{zh})",
        r"n_t = \tanh(x_t W_{nx} + b_{nx} + r_t \odot (h_{t-1} W_{nh} + b_{nh}))",
        r"h_t = (1 - z_t) \odot n_t + z_t \odot h_{t-1}",
    )
    BEGINNING = "every parameter, the biases too, is drawn from $N(0, 1)$ (ours: the published report has no GRU)"
    GATES = ("r", "z")
    TANH = "n"

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, generator: torch.Generator):
        super().__init__()
        self.W_x = normal(generator, input_dim, 3 * hidden_dim)
        self.W_h = normal(generator, hidden_dim, 3 * hidden_dim)
        self.b_x = normal(generator, 3 * hidden_dim)
        self.b_h = normal(generator, 3 * hidden_dim)
        self.W_ph = normal(generator, hidden_dim, output_dim)
        self.b_p = normal(generator, output_dim)

    def step(self, x_t: Tensor, state: State, held: tuple[Tensor, ...] | None = None) -> tuple[State, Units]:
        (h,) = state
        r_x, z_x, n_x = (x_t @ self.W_x + self.b_x).chunk(3, dim=1)
        r_h, z_h, n_h = (h @ self.W_h + self.b_h).chunk(3, dim=1)
        gates = torch.sigmoid(r_x + r_h), torch.sigmoid(z_x + z_h)
        r, z = held or gates
        n = torch.tanh(n_x + r * n_h)
        return ((1 - z) * n + z * h,), {"n": n, **dict(zip(self.GATES, gates, strict=True))}

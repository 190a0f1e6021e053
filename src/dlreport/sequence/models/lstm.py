"""The LSTM of the published report. Its backward pass is in native/sequence.c, that of one time step in
native/cell.h.

Shapes: as in base.py, with four recurrent blocks, W_i*, W_f*, W_o*, W_g* side by side (G = 4H), so that one product
serves all.

  i, f, o = sigmoid(x_t W_*x + h_{t-1} W_*h + b_*),  g = tanh(x_t W_gx + h_{t-1} W_gh + b_g)
  c_t = g * i + c_{t-1} * f,  h_t = tanh(c_t) * o,  h_0 = c_0 = 0
"""

import torch
from torch import Tensor

from dlreport.sequence.models.base import SequenceModel, State, Units, normal


class LSTM(SequenceModel):
    """The LSTM of part 1 of the report. Every parameter, the biases too, is drawn from N(0, 1). g is a tanh, although
    the published formula has a sigma."""

    EQUATIONS = (
        r"g_t = \tanh(x_t W_{gx} + h_{t-1} W_{gh} + b_g)",
        r"i_t = \sigma(x_t W_{ix} + h_{t-1} W_{ih} + b_i)",
        r"f_t = \sigma(x_t W_{fx} + h_{t-1} W_{fh} + b_f)",
        r"o_t = \sigma(x_t W_{ox} + h_{t-1} W_{oh} + b_o)",
        r"c_t = g_t \odot i_t + c_{t-1} \odot f_t",
        r"h_t = \tanh(c_t) \odot o_t",
    )
    BEGINNING = "every parameter, the biases too, is drawn from $N(0, 1)$"
    STATE = ("h", "c")
    GATES = ("i", "f", "o")
    TANH = "g"
    OPEN = (1,)  # the forget gate's block (Jozefowicz et al., 2015)
    NATIVE = "lstm"

    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int, generator: torch.Generator):
        super().__init__()
        self.W_x = normal(generator, input_dim, 4 * hidden_dim)
        self.W_h = normal(generator, hidden_dim, 4 * hidden_dim)
        self.b = normal(generator, 4 * hidden_dim)
        self.W_ph = normal(generator, hidden_dim, output_dim)
        self.b_p = normal(generator, output_dim)

    def step(self, x_t: Tensor, state: State, held: tuple[Tensor, ...] | None = None) -> tuple[State, Units]:
        h, c = state
        z = x_t @ self.W_x + h @ self.W_h + self.b
        sigmoids, z_g = z.split([3 * h.shape[1], h.shape[1]], dim=1)
        gates = torch.sigmoid(sigmoids).chunk(3, dim=1)
        g = torch.tanh(z_g)
        i, f, o = held or gates
        c = g * i + c * f
        return (torch.tanh(c) * o, c), {"g": g, **dict(zip(self.GATES, gates, strict=True))}

"""LSTM from the report's equations, with its backward pass through time written out.

Shapes: B batch, T time steps, D input dim, H hidden dim, O classes.
  x [B, T, D]   h_t, c_t and each gate [B, H]   logits [B, O]
  W_x [D, 4H], W_h [H, 4H], b [4H]: the four blocks W_i*, W_f*, W_o*, W_g* side by side, so that one product serves all

  i, f, o = sigmoid(x_t W_*x + h_{t-1} W_*h + b_*),  g = tanh(x_t W_gx + h_{t-1} W_gh + b_g)
  c_t = g * i + c_{t-1} * f,  h_t = tanh(c_t) * o,  h_0 = c_0 = 0;   logits = h_T W_ph + b_p
"""

import torch
from torch import Tensor, nn

from dlreport.kernels import call, product
from dlreport.models.head import head_backward, normal


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
        H = self.W_h.shape[0]
        h = c = x.new_zeros(x.shape[0], H)
        for x_t in x.unbind(1):  # unbind, not x[:, t]: indexing makes autograd's backward quadratic in T
            z = x_t @ self.W_x + h @ self.W_h + self.b
            i, f, o = torch.sigmoid(z[:, : 3 * H]).chunk(3, dim=1)
            g = torch.tanh(z[:, 3 * H :])
            c = g * i + c * f
            h = torch.tanh(c) * o
        return h @ self.W_ph + self.b_p

    @torch.no_grad()
    def loss_backward(self, x: Tensor, target: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Mean cross entropy and accuracy [2] of x [B, T, D], target [B]; fills every parameter's .grad. On the CPU.

        The gradients of this loss by the chain rule, the same numbers as autograd's to rounding. With z_t the gates'
        arguments: dc_t += dh_t * o * (1 - tanh(c_t)^2); dz = (dc g, dc c_{t-1}, dh tanh(c_t), dc i) times each gate's
        slope; dh_{t-1} = dz_t W_h^T, dc_{t-1} = dc_t * f. The weight gradient is one product over all time steps.
        `dtype` is that of the products over the hidden state.
        """
        B, T, D = x.shape
        H = self.W_h.shape[0]
        xs = x.transpose(0, 1).contiguous().unbind(0)
        W = self.W_h.to(dtype)
        z, h, tanh_c, c = (x.new_empty(steps, B, N) for steps, N in ((T, 4 * H), (T, H), (T, H), (T + 1, H)))
        zs, hs, tanh_cs, cs = z.unbind(0), h.unbind(0), tanh_c.unbind(0), c.unbind(0)  # cs[t] is c_{t-1}
        zs[0].zero_()
        cs[0].zero_()
        for t in range(T):
            if t:
                product(hs[t - 1], W, out=zs[t])
            call("lstm_forward", B, D, H, xs[t], self.W_x, self.b, cs[t], zs[t], cs[t + 1], tanh_cs[t], hs[t])

        result, dh = head_backward(hs[-1], self.W_ph, self.b_p, target)

        self.W_x.grad = torch.zeros_like(self.W_x)
        self.b.grad = torch.zeros_like(self.b)
        W_T = W.T.contiguous()
        dc = torch.zeros_like(dh)
        for t in range(T - 1, -1, -1):
            call("lstm_backward", B, D, H, xs[t], cs[t], tanh_cs[t], dh, dc, zs[t], self.W_x.grad, self.b.grad)
            if t:
                product(zs[t], W_T, out=dh)  # zs[t] is dz_t now
        self.W_h.grad = torch.empty_like(self.W_h)
        product(h[:-1].flatten(0, 1).T, z[1:].flatten(0, 1).to(dtype), out=self.W_h.grad)
        return result

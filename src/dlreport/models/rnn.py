"""VanillaRNN from the report's equations, with its backward pass through time written out.

Shapes: B batch, T time steps, D input dim, H hidden dim, O classes.
  x [B, T, D]   h_t [B, H]   logits [B, O]   W_hx [D, H]   W_hh [H, H]   W_ph [H, O]

  h_t = tanh(x_t W_hx + h_{t-1} W_hh + b_h),  h_0 = 0;   logits = h_T W_ph + b_o
"""

import torch
from torch import Tensor, nn

from dlreport.kernels import call, product
from dlreport.models.head import head_backward, normal


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
        h = x.new_zeros(x.shape[0], self.W_hh.shape[0])
        for x_t in x.unbind(1):  # unbind, not x[:, t]: indexing makes autograd's backward quadratic in T
            h = torch.tanh(x_t @ self.W_hx + h @ self.W_hh + self.b_h)
        return h @ self.W_ph + self.b_o

    @torch.no_grad()
    def loss_backward(self, x: Tensor, target: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """Mean cross entropy and accuracy [2] of x [B, T, D], target [B]; fills every parameter's .grad. On the CPU.

        The gradients of this loss by the chain rule, the same numbers as autograd's to rounding: with a_t the
        argument of tanh, da_t = dh_t * (1 - h_t^2) and dh_{t-1} = da_t W_hh^T. The weight gradient is one product
        over all time steps instead of a sum of T small ones. `dtype` is that of the products over the hidden state.
        """
        B, T, D = x.shape
        H = self.W_hh.shape[0]
        xs = x.transpose(0, 1).contiguous().unbind(0)
        W = self.W_hh.to(dtype)
        h = x.new_empty(T, B, H)
        hs = h.unbind(0)
        hs[0].zero_()
        for t in range(T):
            if t:
                product(hs[t - 1], W, out=hs[t])
            call("rnn_forward", B, D, H, xs[t], self.W_hx, self.b_h, hs[t])

        result, dh = head_backward(hs[-1], self.W_ph, self.b_o, target)

        self.W_hx.grad = torch.zeros_like(self.W_hx)
        self.b_h.grad = torch.zeros_like(self.b_h)
        W_T = W.T.contiguous()
        da = torch.empty_like(h)
        das = da.unbind(0)
        for t in range(T - 1, -1, -1):
            call("rnn_backward", B, D, H, xs[t], hs[t], dh, das[t], self.W_hx.grad, self.b_h.grad)
            if t:
                product(das[t], W_T, out=dh)
        self.W_hh.grad = torch.empty_like(self.W_hh)
        product(h[:-1].flatten(0, 1).T, da[1:].flatten(0, 1).to(dtype), out=self.W_hh.grad)
        return result

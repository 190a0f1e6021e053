"""VanillaRNN from the report's equations, with its backward pass through time written out.

Shapes: B batch, T time steps, D input dim, H hidden dim, O classes.
  x [B, T, D]   h_t [B, H]   logits [B, O]   W_hx [D, H]   W_hh [H, H]   W_ph [H, O]

  h_t = tanh(x_t W_hx + h_{t-1} W_hh + b_h),  h_0 = 0;   logits = h_T W_ph + b_o
"""

import torch
from torch import Tensor, nn

from dlreport.models.head import head_gradients, normal


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
    def loss_backward(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross entropy and accuracy (scalars) of x [B, T, D], target [B]; fills every parameter's .grad.

        The gradients of this loss by the chain rule, the same numbers as autograd's to rounding: with a_t the
        argument of tanh, da_t = dh_t * (1 - h_t^2) and dh_{t-1} = da_t W_hh^T. The weight gradient is one product
        over all time steps instead of a sum of T small ones.
        """
        B, T, D = x.shape
        xt = x.transpose(0, 1).reshape(T * B, D)
        # a_t starts as the input's share, [T, B, H]; the hidden share is added in place and tanh makes it h_t.
        h = torch.addmm(self.b_h, xt, self.W_hx).view(T, B, -1)
        h[0].tanh_()
        for t in range(1, T):
            h[t].addmm_(h[t - 1], self.W_hh).tanh_()

        loss, accuracy, dh = head_gradients(h[-1], self.W_ph, self.b_o, target)

        W_T = self.W_hh.T.contiguous()
        da = torch.empty_like(h)
        for t in range(T - 1, 0, -1):
            torch.ops.aten.tanh_backward.grad_input(dh, h[t], grad_input=da[t])
            torch.mm(da[t], W_T, out=dh)
        torch.ops.aten.tanh_backward.grad_input(dh, h[0], grad_input=da[0])

        all_da = da.flatten(0, 1)
        self.W_hh.grad = h[:-1].flatten(0, 1).T @ da[1:].flatten(0, 1)
        self.W_hx.grad = xt.T @ all_da
        self.b_h.grad = all_da.sum(0)
        return loss, accuracy

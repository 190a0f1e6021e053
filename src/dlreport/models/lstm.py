"""LSTM from the report's equations, with its backward pass through time written out.

Shapes: B batch, T time steps, D input dim, H hidden dim, O classes.
  x [B, T, D]   h_t, c_t and each gate [B, H]   logits [B, O]
  W_x [D, 4H], W_h [H, 4H], b [4H]: the four blocks W_i*, W_f*, W_o*, W_g* side by side, so that one product serves all

  i, f, o = sigmoid(x_t W_*x + h_{t-1} W_*h + b_*),  g = tanh(x_t W_gx + h_{t-1} W_gh + b_g)
  c_t = g * i + c_{t-1} * f,  h_t = tanh(c_t) * o,  h_0 = c_0 = 0;   logits = h_T W_ph + b_p
"""

import torch
from torch import Tensor, nn

from dlreport.models.head import head_gradients, normal


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
    def loss_backward(self, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Mean cross entropy and accuracy (scalars) of x [B, T, D], target [B]; fills every parameter's .grad.

        The gradients of this loss by the chain rule, the same numbers as autograd's to rounding. With z_t the gates'
        arguments: dc_t += dh_t * o * (1 - tanh(c_t)^2); dz = (dc g, dc c_{t-1}, dh tanh(c_t), dc i) times each gate's
        slope; dh_{t-1} = dz_t W_h^T, dc_{t-1} = dc_t * f. The weight gradient is one product over all time steps.
        """
        B, T, D = x.shape
        H = self.W_h.shape[0]
        xt = x.transpose(0, 1).reshape(T * B, D)
        # z_t starts as the input's share; the hidden share is added in place and the gates overwrite their arguments.
        z = torch.addmm(self.b, xt, self.W_x).view(T, B, 4 * H)
        c, tanh_c, h = (x.new_empty(T, B, H) for _ in range(3))
        for t in range(T):
            if t:
                z[t].addmm_(h[t - 1], self.W_h)
            z[t, :, : 3 * H].sigmoid_()
            z[t, :, 3 * H :].tanh_()
            i, f, o, g = z[t].chunk(4, dim=1)
            torch.mul(g, i, out=c[t])
            if t:
                c[t].addcmul_(c[t - 1], f)
            torch.tanh(c[t], out=tanh_c[t])
            torch.mul(tanh_c[t], o, out=h[t])

        loss, accuracy, dh = head_gradients(h[-1], self.W_ph, self.b_p, target)

        sigmoid_backward = torch.ops.aten.sigmoid_backward.grad_input
        tanh_backward = torch.ops.aten.tanh_backward.grad_input
        W_T = self.W_h.T.contiguous()
        dz = torch.empty_like(z)
        dc = torch.zeros_like(dh)
        for t in range(T - 1, -1, -1):
            i, f, o, g = z[t].chunk(4, dim=1)
            di, df, do, dg = dz[t].chunk(4, dim=1)
            dc += torch.ops.aten.tanh_backward(dh * o, tanh_c[t])
            sigmoid_backward(dh * tanh_c[t], o, grad_input=do)
            sigmoid_backward(dc * g, i, grad_input=di)
            tanh_backward(dc * i, g, grad_input=dg)
            if t == 0:
                df.zero_()  # c_0 = 0
                break
            sigmoid_backward(dc * c[t - 1], f, grad_input=df)
            dc *= f
            torch.mm(dz[t], W_T, out=dh)

        all_dz = dz.flatten(0, 1)
        self.W_h.grad = h[:-1].flatten(0, 1).T @ dz[1:].flatten(0, 1)
        self.W_x.grad = xt.T @ all_dz
        self.b.grad = all_dz.sum(0)
        return loss, accuracy

"""The update of weights by RMSprop or Adam, in one Triton kernel.

PyTorch's own kernel gives each block of threads 64K weights. On networks as small as these, that leaves most of the GPU
idle."""

import math
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024  # weights that one program takes


@triton.jit
def kernel(
    weights, gradients, squares, means, done, factors, count, rate, epsilon,
    beta, beta_gain, log_beta, alpha, alpha_gain, log_alpha, ADAM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Update BLOCK of a replicate's `count` weights. Their gradients are first multiplied by the replicate's factor."""
    r, k = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside, at = k < count, r * count + k
    gradient = tl.load(gradients + at, mask=inside, other=0.0) * tl.load(factors + r)
    square = tl.load(squares + at, mask=inside, other=0.0) * alpha + alpha_gain * gradient * gradient
    tl.store(squares + at, square, mask=inside)
    if ADAM:
        mean = tl.load(means + at, mask=inside, other=0.0) * beta + beta_gain * gradient
        tl.store(means + at, mean, mask=inside)
        # Both running means began at zero, so they hold only 1 - decay^steps of what they estimate. Divide by that.
        steps = tl.load(done).to(tl.float64)
        gradient = mean / (1 - tl.exp(steps * log_beta)).to(tl.float32)
        square = square / (1 - tl.exp(steps * log_alpha)).to(tl.float32)
    weight = tl.load(weights + at, mask=inside, other=0.0)
    tl.store(weights + at, weight - rate * gradient / (tl.sqrt_rn(square) + epsilon), mask=inside)


def update(
    weights: Tensor, gradients: Tensor, squares: Tensor, means: Tensor | None, done: Tensor, factors: Tensor,
    optimizer: tuple[float, float, float, float],
) -> None:  # fmt: skip
    """Update in place the weights [R, ...], the running squares of the gradients and, for Adam, their running means.
    Without `means` it is RMSprop.

    `done` [] is the number of steps, this one included. The gradients are multiplied by factors [R]. `optimizer` is the
    learning rate, the decay of the means, the decay of the squares, and epsilon.
    """
    rate, beta, alpha, epsilon = optimizer
    count, adam = weights[0].numel(), means is not None
    decays = beta, 1 - beta, math.log(beta) if adam else 0.0, alpha, 1 - alpha, math.log(alpha)
    tensors = weights, gradients, squares, means if adam else squares, done, factors
    kernel[len(weights), triton.cdiv(count, BLOCK)](*tensors, count, rate, epsilon, *decays, adam, BLOCK)


class Adam(torch.optim.Adam):
    """PyTorch's Adam with the update above, for a single parameter that holds a whole network."""

    def __init__(self, parameters: list[Tensor], **options: Any):
        super().__init__(parameters, **options)
        self.factors = torch.ones(1, device=parameters[0].device)

    def step(self) -> None:  # type: ignore[override]  # it takes no closure
        (group,) = self.param_groups
        (weights,) = group["params"]
        state = self.state[weights]
        if not state:
            state["step"] = torch.zeros((), device=weights.device)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weights), torch.zeros_like(weights)
        state["step"].add_(1)
        squares, means = state["exp_avg_sq"][None], state["exp_avg"][None]
        optimizer = group["lr"], *group["betas"], group["eps"]
        update(weights.detach()[None], weights.grad[None], squares, means, state["step"], self.factors, optimizer)

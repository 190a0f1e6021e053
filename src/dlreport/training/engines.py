"""One training step of a sequence model, in the two forms there are: ours on a CPU, autograd's everywhere.

Shapes: R replicates, B batch, T time steps, D input dim.
  A step takes x [R, B, T, D] and target [R, B], updates the weights, and returns loss and accuracy [2, R].
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from dlreport.config import Sequence
from dlreport.kernels import call, why_unavailable
from dlreport.models.head import accuracy, cross_entropy
from dlreport.runtime import DTYPES

ALPHA, EPSILON = 0.99, 1e-8  # RMSprop's, PyTorch's defaults
Step = Callable[[Tensor, Tensor], Tensor]


def has_kernels(device: torch.device) -> bool:
    """Whether `kernel_step` can run: on a CPU, with a C compiler."""
    return device.type == "cpu" and why_unavailable() is None


def clip(gradients: list[Tensor], max_norm: float) -> None:
    """Scale each replicate's gradients [R, ...], all parameters together, to a norm of at most `max_norm`, in place."""
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    factor = (max_norm / (squares.sqrt() + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))


def kernel_step(model: nn.Module, settings: Sequence, precision: str) -> Step:
    """Ours: the model's own backward pass and RMSprop, for one replicate (R = 1) in one thread of a CPU."""
    squares = [torch.zeros_like(parameter) for parameter in model.parameters()]
    dtype = DTYPES[precision]

    @torch.no_grad()
    def step(x: Tensor, target: Tensor) -> Tensor:
        result = model.loss_backward(x[0], target[0], dtype)
        parameters = list(model.parameters())
        if settings.clip.mode == "effective":
            clip([parameter.grad[None] for parameter in parameters], settings.clip.max_norm)
        for parameter, square in zip(parameters, squares, strict=True):
            N = parameter.numel()
            call("rmsprop", N, parameter.grad, settings.learning_rate, ALPHA, EPSILON, square, parameter.data)
        return result[:, None]

    return step


def autograd_step(models: list[nn.Module], settings: Sequence, precision: str) -> Step:
    """Autograd's, for all replicates at once: their weights stacked to [R, ...], and written back by each step.

    On CUDA one compiled graph: at batch 128 the launches of its many small kernels would cost more than they compute.
    """
    weights = {name: value.detach() for name, value in torch.func.stack_module_state(models)[0].items()}
    squares = {name: torch.zeros_like(value) for name, value in weights.items()}
    for name, value in weights.items():
        for replicate, model in enumerate(models):
            model.get_parameter(name).data = value[replicate]
    device = next(iter(weights.values())).device

    def loss(weights: dict[str, Tensor], x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = torch.func.functional_call(models[0], weights, (x,)).float()
        value = cross_entropy(logits, target)
        return value, torch.stack([value.detach(), accuracy(logits, target)])

    gradients_of = torch.func.vmap(torch.func.grad(loss, has_aux=True))

    def step(x: Tensor, target: Tensor) -> Tensor:
        gradients, result = gradients_of(weights, x, target)
        if settings.clip.mode == "effective":
            clip(list(gradients.values()), settings.clip.max_norm)
        for name, gradient in gradients.items():
            squares[name].mul_(ALPHA).addcmul_(gradient, gradient, value=1 - ALPHA)
            weights[name].addcdiv_(gradient, squares[name].sqrt().add_(EPSILON), value=-settings.learning_rate)
        return result.T

    if device.type != "cuda":
        return step
    for tensor in (*weights.values(), *squares.values()):
        torch._dynamo.mark_static_address(tensor)  # they are updated in place, which a CUDA graph allows only so
    compiled = torch.compile(step, mode="reduce-overhead")
    return lambda x, target: compiled(x, target).clone()  # the graph's own output is overwritten by its next run

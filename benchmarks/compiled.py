"""torch.compile of the ordinary form: a whole training step, forward and backward pass and the update, in one function.

The sequence models are this repository's own, under autograd; the GAN's networks are the notebook's.
"""

from collections.abc import Callable
from functools import partial

import torch
from notebook_gan import discriminator_network, generator_network
from torch import Tensor, nn
from torch.nn import functional
from workloads import CLASSES, LATENT, Workload, read_mnist

from dlreport.sequence import palindromes
from dlreport.sequence.models import model_class

Values = dict[str, Tensor]
OPTIONS = {"fullgraph": True, "dynamic": False}


def _parameters(module: nn.Module) -> Values:
    return {name: value.detach() for name, value in module.named_parameters()}


def build_sequence(workload: Workload) -> Callable[[int], None]:
    """RMSprop, as PyTorch defines it; loss and accuracy of every step are kept as tensors."""
    model = model_class(workload.kind)(1, workload.hidden, CLASSES, torch.Generator().manual_seed(0))
    weights = _parameters(model)
    squares = {name: torch.zeros_like(value) for name, value in weights.items()}
    data = torch.Generator().manual_seed(0)

    def loss_of(weights: Values, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        logits = torch.func.functional_call(model, weights, (x,))
        return functional.cross_entropy(logits, target), logits

    def step(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        gradients, (loss, logits) = torch.func.grad_and_value(loss_of, has_aux=True)(weights, x, target)
        for name, gradient in gradients.items():
            squares[name].mul_(0.99).addcmul_(gradient, gradient, value=0.01)
            weights[name].addcdiv_(gradient, squares[name].sqrt() + 1e-8, value=-0.001)
        return loss, (logits.argmax(1) == target).float().mean()

    step = torch.compile(step, **OPTIONS)

    def run(count: int) -> None:
        kept = torch.empty(count, 2)
        for row in kept:
            row[0], row[1] = step(*palindromes.sample(workload.batch, workload.length, data))

    return run


def _adam(values: Values, means: Values, squares: Values, gradients: Values, scale: Tensor) -> None:
    """`scale` [2]: what corrects the running means and squares for their start at zero."""
    for name, gradient in gradients.items():
        mean = means[name].lerp_(gradient, 0.5) / scale[0]
        square = squares[name].mul_(0.999).addcmul_(gradient, gradient, value=0.001) / scale[1]
        values[name].addcdiv_(mean, square.sqrt() + 1e-8, value=-2e-4)


def build_gan(workload: Workload) -> Callable[[int], None]:
    """Both networks' passes and both Adams; MNIST as one normalised tensor, the losses kept as tensors."""
    images = read_mnist()["images"].flatten(1).float().div_(127.5).sub_(1)
    networks = {"G": generator_network(), "D": discriminator_network()}
    for layer in networks["G"].modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.num_batches_tracked = None  # a count that nothing here needs, and that torch.func cannot move
    values = {name: _parameters(network) for name, network in networks.items()}
    moments = {
        name: [{key: torch.zeros_like(value) for key, value in own.items()} for _ in range(2)]
        for name, own in values.items()
    }
    bce = functional.binary_cross_entropy_with_logits
    generate, judge = (partial(torch.func.functional_call, network) for network in networks.values())

    def d_loss_of(own: Values, real: Tensor, fake: Tensor) -> Tensor:
        logits = judge(own, (torch.cat([real, fake]),))
        ones = torch.ones_like(logits[: len(real)])
        return bce(logits[: len(real)], ones) + bce(logits[len(real) :], 1 - ones)

    def g_loss_of(own: Values, z: Tensor) -> Tensor:
        logits = judge(values["D"], (generate(own, (z,)),))
        return bce(logits, torch.ones_like(logits))

    def step(real: Tensor, z: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        fake = generate(values["G"], (z[0],))
        gradients, d_loss = torch.func.grad_and_value(d_loss_of)(values["D"], real, fake)
        _adam(values["D"], *moments["D"], gradients, scale)
        gradients, g_loss = torch.func.grad_and_value(g_loss_of)(values["G"], z[1])
        _adam(values["G"], *moments["G"], gradients, scale)
        return d_loss, g_loss

    step, scale, decays = torch.compile(step, **OPTIONS), torch.zeros(2), torch.tensor([0.5, 0.999])

    def run(count: int) -> None:
        kept = torch.empty(count, 2)
        for row in kept:
            scale.lerp_(torch.ones(2), 1 - decays)
            real = images[torch.randint(len(images), (workload.batch,))]
            row[0], row[1] = step(real, torch.randn(2, workload.batch, LATENT), scale)

    return run


def build(workload: Workload) -> Callable[[int], None]:
    """A function that runs the next n training steps."""
    return build_gan(workload) if workload.kind == "GAN" else build_sequence(workload)

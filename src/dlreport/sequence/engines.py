"""The three engines that train a sequence model, a block of steps at a time.

`Native` is written in C and needs a CPU and a C compiler. `Fused` is written in Triton and needs CUDA. Both serve the
models that have a time step in native/cell.h and gpu/sequence.py. `Autograd` serves every other model and device, and
also steps in where the other two cannot run.

Shapes: K training steps, R replicates, B batch, T time steps, D input dim.
  `train` takes x [K, R, T, B, D] and target [K, R, B], updates the models' weights step by step, and returns loss and
  accuracy before each update [K, 2, R].
"""

import math

import torch
from torch import Tensor

from dlreport.config import SequenceSettings
from dlreport.gpu import LARGEST_H, OLDEST, Steps, without_triton
from dlreport.native import flatten
from dlreport.native import sequence as native_sequence
from dlreport.progress import log
from dlreport.sequence.models.base import SequenceModel, accuracy, cross_entropy

# PyTorch's defaults. The first decay is for the gradients' running mean, the second for that of their squares.
DECAYS, EPSILON = {"RMSprop": (0.0, 0.99), "Adam": (0.9, 0.999)}, 1e-8


def update_of(settings: SequenceSettings) -> tuple[tuple[float, float, float, float], float]:
    """Return (learning rate, decay of the gradients' mean, decay of their squares, epsilon), and the norm above which
    gradients are clipped. This norm is infinite if they are not clipped."""
    optimizer = settings.learning_rate, *DECAYS[settings.optimizer], EPSILON
    return optimizer, settings.clip.max_norm if settings.clip.mode == "effective" else math.inf


def fused_serves(model: SequenceModel, settings: SequenceSettings, length: int, device: torch.device) -> bool:
    """Whether `Fused` can train the model on this device. If a CUDA device cannot train a model that has a time step in
    gpu/sequence.py, a line in the log gives the reason."""
    if device.type != "cuda" or not model.NATIVE:
        return False
    reason = without_triton()
    if torch.cuda.get_device_capability(device) < OLDEST:
        reason = f"the GPU is older than compute capability {OLDEST[0]}.{OLDEST[1]}"
    elif settings.hidden_dim > LARGEST_H:
        reason = f"hidden_dim is over {LARGEST_H}"
    elif settings.batch_size * length * model.W_h.shape[1] >= 2**31:
        reason = "a batch has too many numbers to count in 32 bits"
    if reason:
        log.warning("%s; training by autograd, several times slower", reason)
    return not reason


class Native:
    """Trains one replicate (R = 1) on one thread of a CPU, by native/sequence.c."""

    def __init__(self, model: SequenceModel, settings: SequenceSettings, precision: str):
        assert model.NATIVE
        self.cell: str = model.NATIVE
        W_x, W_h, b, W_p, b_p = model.parameters()  # the order that sequence.c expects
        D, G, H, O = *W_x.shape, W_h.shape[0], len(b_p)
        assert [*W_h.shape, *b.shape, *W_p.shape] == [H, G, G, H, O]
        self.shapes = D, H, G, O
        self.precision = precision
        self.optimizer, self.max_norm = update_of(settings)
        self.weights = flatten(list(model.parameters()))
        self.squares, self.gradients = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self.means = torch.zeros_like(self.weights) if settings.optimizer == "Adam" else None
        self.done = torch.zeros((), dtype=torch.int64)  # the number of steps
        means = [] if self.means is None else [self.means]
        self.state = [self.weights, self.squares, *means, self.done]  # what a checkpoint needs to continue training

    def train(self, x: Tensor, target: Tensor) -> Tensor:
        state = int(self.done), self.weights, self.squares, self.means, self.gradients
        options = self.shapes, self.precision, self.optimizer, self.max_norm, *state
        results = native_sequence.train(self.cell, x[:, 0], target[:, 0], *options)
        self.done += len(x)
        return results[..., None]


class Fused:
    """Trains all replicates at once on CUDA, by gpu/sequence.py. The network holds their weights side by side, and the
    models' parameters become views of these."""

    def __init__(self, models: list[SequenceModel], settings: SequenceSettings, precision: str):
        from dlreport.gpu.sequence import Network  # imported here, since Triton is not installed everywhere

        (H, G), O = models[0].W_h.shape, len(models[0].b_p)
        self.device, cell = models[0].W_h.device, models[0].NATIVE
        assert cell
        optimizer, max_norm = update_of(settings)
        sizes = len(models), H, G // H, O
        self.network = Network(cell, *sizes, optimizer, max_norm, precision, self.device)
        for replicate, model in enumerate(models):
            for name, values in self.network.parameters(replicate).items():
                values.copy_(model.get_parameter(name).detach())
                model.get_parameter(name).data = values
        self.state = self.network.state  # what a checkpoint needs to continue training
        self.steps = Steps(self.network.step, self.device)

    def train(self, x: Tensor, target: Tensor) -> Tensor:
        return self.steps(x[..., 0].contiguous(), target)


def clip(gradients: list[Tensor], max_norm: float) -> None:
    """Scale gradients [R, ...] in place, so that each replicate's norm over all parameters is at most `max_norm`."""
    squares = torch.stack([gradient.flatten(1).square().sum(1) for gradient in gradients]).sum(0)
    factor = (max_norm / (squares.sqrt() + 1e-6)).clamp(max=1)
    for gradient in gradients:
        gradient.mul_(factor.view(-1, *[1] * (gradient.dim() - 1)))


class Autograd:
    """Trains all replicates at once on any device, by autograd. Their weights are stacked to [R, ...], and the models'
    parameters become views of these.

    Products of stacked matrices may round differently for different R, so a replicate's last digits can depend on the
    number of replicates. With bf16 the forward pass runs under autocast, which rounds the products' operands and their
    results. `Native` and `Fused` round the operands only.
    """

    def __init__(self, models: list[SequenceModel], settings: SequenceSettings, precision: str):
        self.model, self.settings, self.precision = models[0], settings, precision
        stacked, _ = torch.func.stack_module_state(models)
        self.weights = {name: value.detach() for name, value in stacked.items()}
        self.squares = {name: torch.zeros_like(value) for name, value in self.weights.items()}
        with_means = settings.optimizer == "Adam"
        self.means = {name: torch.zeros_like(value) for name, value in self.weights.items() if with_means}
        for name, value in self.weights.items():
            for replicate, model in enumerate(models):
                model.get_parameter(name).data = value[replicate]
        self.device = value.device
        # Adam divides its running mean and squares by these, 1 - decay^steps, since both started at zero.
        self.seen = torch.zeros(2, device=self.device)
        self.state = [*self.weights.values(), *self.squares.values(), *self.means.values(), self.seen]
        self.gradients = torch.func.vmap(torch.func.grad(self.loss, has_aux=True))
        self.train = Steps(self.step, self.device)

    def loss(self, weights: dict[str, Tensor], x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Compute one replicate's loss; x [T, B, D], target [B] -> loss, and loss and accuracy without gradient [2]."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            logits = torch.func.functional_call(self.model, weights, (x.transpose(0, 1),)).float()
        value = cross_entropy(logits, target)
        return value, torch.stack([value.detach(), accuracy(logits, target)])

    def step(self, x: Tensor, target: Tensor) -> Tensor:
        """Make one training step; x [R, T, B, D], target [R, B] -> loss and accuracy before the update [2, R]."""
        gradients, result = self.gradients(self.weights, x, target)
        if self.settings.clip.mode == "effective":
            clip(list(gradients.values()), self.settings.clip.max_norm)
        beta, alpha = DECAYS[self.settings.optimizer]
        rate = self.settings.learning_rate
        for seen, decay in zip(self.seen, (beta, alpha), strict=True):
            seen.mul_(decay).add_(1 - decay)
        for name, gradient in gradients.items():
            square = self.squares[name].mul_(alpha).addcmul_(gradient, gradient, value=1 - alpha)
            if self.settings.optimizer == "Adam":
                mean = self.means[name].lerp_(gradient, 1 - beta) / self.seen[0]
                self.weights[name].addcdiv_(mean, (square / self.seen[1]).sqrt() + EPSILON, value=-rate)
            else:
                self.weights[name].addcdiv_(gradient, square.sqrt() + EPSILON, value=-rate)
        return result.T

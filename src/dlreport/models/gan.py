"""Generator, discriminator and the losses between them. Report, part 2.

Shapes: B batch, Z latent dim, P = 784 pixels of a 28 x 28 image in [-1, 1].
  latent z [B, Z] -> generator -> image [B, P] -> discriminator -> logit [B] -> sigmoid -> probability of "real" [B]
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

PIXELS = 784
SLOPE = 0.2


def _initialise(module: nn.Module, generator: torch.Generator) -> None:
    """PyTorch's default for Linear, U(-1/sqrt(fan_in), 1/sqrt(fan_in)) for weight and bias, from our own stream."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            bound = layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.uniform_(layer.bias, -bound, bound, generator=generator)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    # skip_init: nn.Linear's own initialisation would draw from torch's global stream.
    return nn.utils.skip_init(nn.Linear, inputs, outputs)


@dataclass(frozen=True)
class Saved:
    """What a block's forward pass leaves for its backward pass."""

    x: Tensor  # its input, in the type of the products
    y: Tensor  # its output, after the activation
    normalised: tuple[Tensor, Tensor, Tensor] | None  # BatchNorm's input, and that input's mean and 1 / deviation


class Chain(nn.Module):
    """Blocks of Linear, BatchNorm (or none) and activation (or none), and the chain rule through them.

    The products are taken in the type of `weights`, the Linear layers' weights (float32 or bfloat16); all else, and
    every gradient, is float32.
    """

    layers: nn.Sequential

    def blocks(self) -> list[tuple[nn.Linear, nn.BatchNorm1d | None, nn.Module | None]]:
        """The layers by block."""
        grouped: list[list[nn.Module]] = []
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                grouped.append([layer, None, None])
            else:
                grouped[-1][1 if isinstance(layer, nn.BatchNorm1d) else 2] = layer
        return [tuple(block) for block in grouped]

    def weights(self, dtype: torch.dtype) -> list[Tensor]:
        """The Linear layers' weights in this type."""
        return [linear.weight.to(dtype) for linear, _, _ in self.blocks()]

    def forward_saved(self, x: Tensor, weights: list[Tensor]) -> tuple[Tensor, list[Saved]]:
        """Output in training mode (BatchNorm by the batch's statistics; the running ones move), and what it saved."""
        saved = []
        for W, (linear, norm, activation) in zip(weights, self.blocks(), strict=True):
            x = x.to(W.dtype)
            y = torch.addmm(linear.bias, x, W.T) if x.dtype == torch.float32 else x @ W.T + linear.bias
            normalised = None
            if norm is not None:
                argument = y
                running = norm.running_mean, norm.running_var
                y, *statistics = torch.native_batch_norm(
                    argument, norm.weight, norm.bias, *running, True, norm.momentum, norm.eps
                )
                norm.num_batches_tracked += 1
                normalised = (argument, *statistics)
            if isinstance(activation, nn.LeakyReLU):
                y = nn.functional.leaky_relu_(y, SLOPE)
            elif isinstance(activation, nn.Tanh):
                y = y.tanh_()
            saved.append(Saved(x, y, normalised))
            x = y
        return x, saved

    def backward(
        self, saved: list[Saved], dy: Tensor, weights: list[Tensor], wanted: str
    ) -> tuple[list[Tensor], Tensor | None]:
        """From dloss/doutput `dy` [B, outputs], which is overwritten.

        `wanted` is "parameters" (gradients in the order of self.parameters(), and None) or "input" (an empty list,
        and dloss/dinput).
        """
        gradients: list[list[Tensor]] = []
        for k, (_, norm, activation) in reversed(list(enumerate(self.blocks()))):
            at, W = saved[k], weights[k]
            if isinstance(activation, nn.LeakyReLU):  # its slope follows from the sign of its result
                dy = torch.ops.aten.leaky_relu_backward(dy, at.y, SLOPE, True)
            elif isinstance(activation, nn.Tanh):
                dy = torch.ops.aten.tanh_backward(dy, at.y)
            of_norm: list[Tensor] = []
            if norm is not None:
                argument, *statistics = at.normalised
                dy, *of_norm = torch.ops.aten.native_batch_norm_backward(
                    dy, argument, norm.weight, None, None, *statistics, True, norm.eps, [True] * 3
                )
            product_dy = dy.to(W.dtype)
            if wanted == "parameters":
                dW = (product_dy.T @ at.x).float()
                gradients.insert(0, [dW, dy.sum(0), *of_norm])
            if k or wanted == "input":
                dy = (product_dy @ W).float()
        return [gradient for block in gradients for gradient in block], dy if wanted == "input" else None


class Generator(Chain):
    """Z-128-256-512-1024-784; BatchNorm1d on all hidden layers but the first, LeakyReLU 0.2, Tanh at the end."""

    def __init__(self, latent_dim: int, generator: torch.Generator):
        super().__init__()
        widths = [128, 256, 512, 1024]
        layers: list[nn.Module] = [_linear(latent_dim, widths[0]), nn.LeakyReLU(SLOPE)]
        for inputs, outputs in pairwise(widths):
            layers += [_linear(inputs, outputs), nn.BatchNorm1d(outputs, eps=1e-5, momentum=0.1), nn.LeakyReLU(SLOPE)]
        self.layers = nn.Sequential(*layers, _linear(widths[-1], PIXELS), nn.Tanh())
        _initialise(self, generator)

    def forward(self, z: Tensor) -> Tensor:
        """z [B, Z] -> images [B, P] in [-1, 1]."""
        return self.layers(z)


class Discriminator(Chain):
    """784-512-256-1 with LeakyReLU 0.2 and a sigmoid."""

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.layers = nn.Sequential(
            _linear(PIXELS, 512), nn.LeakyReLU(SLOPE), _linear(512, 256), nn.LeakyReLU(SLOPE), _linear(256, 1)
        )
        _initialise(self, generator)

    def logits(self, images: Tensor) -> Tensor:
        """images [B, P] -> logits [B], the sigmoid's argument."""
        return self.layers(images).squeeze(1)

    def forward(self, images: Tensor) -> Tensor:
        """images [B, P] -> probability of being real [B]."""
        return torch.sigmoid(self.logits(images))


# Binary cross entropy of p = sigmoid(l): BCE(p, 1) = -log p = softplus(-l) and BCE(p, 0) = -log(1 - p) = softplus(l).
# The same numbers as BCE on p, without the cancellation (and PyTorch's clamp at -100) where p rounds to 0 or 1.


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """BCE(D(x), 1) + BCE(D(G(z)), 0), each a batch mean, from logits [B] -> scalar."""
    return nn.functional.softplus(-real).mean() + nn.functional.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """The non-saturating BCE(D(G(z)), 1), a batch mean, from logits [B] -> scalar."""
    return nn.functional.softplus(-fake).mean()


# With s = sigmoid: d softplus(-l) / dl = s(l) - 1 and d softplus(l) / dl = s(l), each over the batch's size.


def discriminator_gradients(
    D: Discriminator, G: Generator, real: Tensor, z: Tensor, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, list[Tensor]]:
    """`discriminator_loss` for real images [B, P] and latents z [B, Z], and its gradients by D.parameters()."""
    B = len(real)
    fake, _ = G.forward_saved(z, G.weights(dtype))
    weights = D.weights(dtype)
    # One batch through D for both: exact, since D has no BatchNorm.
    logits, saved = D.forward_saved(torch.cat([real, fake]), weights)
    loss = discriminator_loss(logits[:B, 0], logits[B:, 0])
    dlogits = torch.sigmoid(logits)
    dlogits[:B] -= 1
    return loss, D.backward(saved, dlogits / B, weights, wanted="parameters")[0]


def generator_gradients(
    D: Discriminator, G: Generator, z: Tensor, dtype: torch.dtype = torch.float32
) -> tuple[Tensor, list[Tensor]]:
    """`generator_loss` for latents z [B, Z], and its gradients by G.parameters(); none of D's weights."""
    of_G, of_D = G.weights(dtype), D.weights(dtype)
    fake, saved_by_G = G.forward_saved(z, of_G)
    logits, saved_by_D = D.forward_saved(fake, of_D)
    dlogits = (torch.sigmoid(logits) - 1) / len(z)
    _, dfake = D.backward(saved_by_D, dlogits, of_D, wanted="input")
    return generator_loss(logits[:, 0]), G.backward(saved_by_G, dfake, of_G, wanted="parameters")[0]

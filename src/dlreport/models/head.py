"""What both sequence models share: the N(0, 1) initialisation, and the output layer under cross entropy.

Shapes: B batch, H hidden dim, O classes.
"""

import torch
from torch import Tensor, nn


def normal(generator: torch.Generator, *shape: int) -> nn.Parameter:
    """A parameter drawn from N(0, 1)."""
    return nn.Parameter(torch.randn(shape, generator=generator))


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the batch of -log softmax(logits)[target]; logits [B, O], target [B] -> scalar."""
    return -logits.log_softmax(1).gather(1, target[:, None]).mean()


def accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """Share of the batch whose largest logit is the target; logits [B, O], target [B] -> scalar."""
    return (logits.argmax(1) == target).float().mean()

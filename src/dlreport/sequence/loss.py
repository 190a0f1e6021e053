"""The loss and the accuracy of all sequence models. Shapes: B batch, O classes."""

from torch import Tensor


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over the batch of -log softmax(logits)[target]; logits [B, O], target [B] -> scalar."""
    return -logits.log_softmax(1).gather(1, target[:, None]).mean()


def accuracy(logits: Tensor, target: Tensor) -> Tensor:
    """Share of the batch whose largest logit is the target; logits [B, O], target [B] -> scalar."""
    return (logits.argmax(1) == target).float().mean()

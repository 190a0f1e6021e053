"""What mean-field theory predicts of a variant of the VanillaRNN, and what is measured, before any training."""

import torch

from dlreport.config import Params, SequenceSettings
from dlreport.sequence import palindromes
from dlreport.sequence.mean_field import INPUT, mean_field
from dlreport.sequence.task import Task
from dlreport.sequence.tracing import reach


def growth_at_the_start(task: Task, settings: SequenceSettings, params: Params) -> dict[str, float]:
    """By what the norm of a gradient grows a step back in time (root mean square over sequences), with the weights of
    the first replicate before training: `growth_predicted` for independent weights of their size, and
    `growth_measured`, the geometric mean over the steps."""
    model = task.build(settings.hidden_dim, task.stream(params.seed, 0, "init"), settings.initialisation)
    x, target = palindromes.sample(params.gradients.sequences, task.length, task.stream(params.seed, 0, "gradients"))
    norms = reach(model, x, target)["gradient"]
    recurrent, inputs = (_mean_square(weights) for weights in (model.W_h, model.W_x))
    return {
        "hidden_dim": settings.hidden_dim,
        "growth_predicted": mean_field(settings.hidden_dim * recurrent, INPUT * inputs).growth,
        "growth_measured": (norms[0] / norms[-1]) ** (1 / max(len(norms) - 1, 1)),
    }


def _mean_square(weights: torch.Tensor) -> float:
    return weights.square().mean().item()

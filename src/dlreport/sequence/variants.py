"""The growth of gradients in a variant of the VanillaRNN before training, as mean-field theory predicts it and as
measured."""

import torch

from dlreport.config import Params, SequenceSettings
from dlreport.sequence import palindromes
from dlreport.sequence.mean_field import INPUT, mean_field
from dlreport.sequence.task import Task
from dlreport.sequence.tracing import reach


def growth_at_the_start(task: Task, settings: SequenceSettings, params: Params) -> dict[str, float]:
    """Return the factor by which a step back in time multiplies the norm of a gradient (root mean square over
    sequences), with the first replicate's weights before training.

    `growth_predicted` is the theory's, for independent weights with the mean square of these. `growth_measured` is the
    geometric mean over the time steps. `hidden_dim` is returned with them.
    """
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

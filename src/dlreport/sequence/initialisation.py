"""Initialisations of the sequence models that the published report does not have. Shapes: as in models/base.py."""

from math import sqrt

import torch
from torch import Tensor, nn

from dlreport.sequence.mean_field import INPUT, critical
from dlreport.sequence.models.base import SequenceModel

RECURRENT_ALONE = ("scaled", "critical", "orthogonal_recurrent")  # the schemes that change W_h only


@torch.no_grad()
def reinitialise(model: SequenceModel, scheme: str, generator: torch.Generator) -> None:
    """Draw a sequence model's parameters anew, in place, by one of these schemes.

    Three schemes change W_h only, and leave every other parameter as it was drawn:

    scaled                W_h is drawn from N(0, 1/H), so a product with it keeps the size of the state.
    critical              W_h is drawn from N(0, w/H). With this w, the gradients of a VanillaRNN that reads plain
                          digits neither grow nor shrink (mean_field.py).
    orthogonal_recurrent  Each recurrent block is orthogonal (Saxe et al., 2014). A step back in time then keeps a
                          gradient's norm, apart from the effect of the activations.

    Two schemes change all weights and biases:

    orthogonal            Each recurrent block is orthogonal.
    identity              Each recurrent block is the identity (Le et al., 2015, who used it with ReLU).

    In these two, all other weights are uniform between -a and a, where a = sqrt(6 / (fan in + fan out)) (Glorot &
    Bengio, 2010). Each block has its own fan in and fan out. Biases are one in the blocks that the model lists in OPEN,
    and zero elsewhere.

    Raises ValueError for an unknown scheme.
    """
    H = len(model.W_h)
    for name, parameter in model.named_parameters():
        if name == "W_h":
            for block in parameter.split(H, dim=1):
                block.copy_(_recurrent(H, scheme, generator))
        elif scheme in RECURRENT_ALONE:
            continue
        elif parameter.dim() == 1:
            parameter.zero_()
            if name != "b_p":
                for block in model.OPEN:
                    parameter[block * H : (block + 1) * H] = 1
        elif name == "W_ph":
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            for block in parameter.split(H, dim=1):
                nn.init.xavier_uniform_(block, generator=generator)


def _recurrent(H: int, scheme: str, generator: torch.Generator) -> Tensor:
    """Draw a recurrent block [H, H]."""
    match scheme:
        case "scaled":
            return torch.randn(H, H, generator=generator) / sqrt(H)
        case "critical":
            # w is rounded, so that it is the same number on any machine
            return torch.randn(H, H, generator=generator) * sqrt(round(critical(INPUT), 4) / H)
        case "orthogonal" | "orthogonal_recurrent":
            return nn.init.orthogonal_(torch.empty(H, H), generator=generator)
        case "identity":
            return torch.eye(H)
    raise ValueError(f"{scheme!r} is no initialisation")

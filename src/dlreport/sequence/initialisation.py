"""Other beginnings for the sequence models than the report's. Ours. Shapes: as in models/base.py."""

from math import sqrt

import torch
from torch import Tensor, nn

from dlreport.sequence.mean_field import INPUT, critical
from dlreport.sequence.models.base import SequenceModel

RECURRENT_ALONE = ("scaled", "critical", "orthogonal_recurrent")  # the schemes that change nothing else


@torch.no_grad()
def reinitialise(model: SequenceModel, scheme: str, generator: torch.Generator) -> None:
    """Draw a sequence model's parameters anew, in place.

    These change W_h alone, and leave every other parameter as it was drawn:

    scaled                W_h from N(0, 1/H), which keeps the size of a state that passes through it.
    critical              W_h from N(0, w/H) with w so that gradients of a VanillaRNN that reads plain digits neither
                          grow nor shrink (mean_field.py).
    orthogonal_recurrent  Each recurrent block orthogonal (Saxe et al., 2014): a step back in time keeps a gradient's
                          norm, but for the activations.

    These change all weights and biases:

    orthogonal            Each recurrent block orthogonal.
    identity              Each recurrent block the identity (Le et al., 2015, there with ReLU).

    With both of the latter, all other weights are uniform within sqrt(6 / (fan in + fan out)) (Glorot & Bengio, 2010),
    each block with the fans of its own, and biases zero, but one in the blocks that the model wants open.
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
    """A recurrent block [H, H]."""
    match scheme:
        case "scaled":
            return torch.randn(H, H, generator=generator) / sqrt(H)
        case "critical":
            # rounded, so that it is the same number on any machine
            return torch.randn(H, H, generator=generator) * sqrt(round(critical(INPUT), 4) / H)
        case "orthogonal" | "orthogonal_recurrent":
            return nn.init.orthogonal_(torch.empty(H, H), generator=generator)
        case "identity":
            return torch.eye(H)
    raise ValueError(f"{scheme!r} is no initialisation")

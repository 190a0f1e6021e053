"""Other beginnings for the sequence models than the report's. Ours. Shapes: as in models/base.py."""

import torch
from torch import nn

from dlreport.sequence.models.base import SequenceModel


@torch.no_grad()
def reinitialise(model: SequenceModel, scheme: str, generator: torch.Generator) -> None:
    """Draw a sequence model's parameters anew, in place.

    orthogonal  Each recurrent block orthogonal (Saxe et al., 2014): a step back in time keeps a gradient's norm, but
                for the activations.
    identity    Each recurrent block the identity (Le et al., 2015, there with ReLU).

    With both, all other weights uniform within sqrt(6 / (fan in + fan out)) (Glorot & Bengio, 2010), each block with
    the fans of its own, and biases zero, but one in the blocks that the model wants open.
    """
    H = len(model.W_h)
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.zero_()
            if name != "b_p":
                for block in model.OPEN:
                    parameter[block * H : (block + 1) * H] = 1
        elif name == "W_ph":
            nn.init.xavier_uniform_(parameter, generator=generator)
        else:
            for block in parameter.split(H, dim=1):
                if name == "W_x":
                    nn.init.xavier_uniform_(block, generator=generator)
                elif scheme == "orthogonal":
                    block.copy_(nn.init.orthogonal_(torch.empty_like(block), generator=generator))
                else:
                    nn.init.eye_(block)

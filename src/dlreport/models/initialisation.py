"""Other beginnings for the sequence models than the report's N(0, 1). Ours.

Shapes: H hidden dim; the recurrent weights are one block [H, H] (VanillaRNN) or four side by side (LSTM: i, f, o, g).
"""

import torch
from torch import nn

from dlreport.models.lstm import LSTM


@torch.no_grad()
def reinitialise(model: nn.Module, scheme: str, generator: torch.Generator) -> None:
    """Draw a sequence model's parameters anew, in place.

    orthogonal  Each recurrent block orthogonal (Saxe et al., 2014): a step back in time keeps a gradient's norm, but
                for the activations.
    identity    Each recurrent block the identity (Le et al., 2015, there with ReLU).

    With both, all other weights uniform within sqrt(6 / (fan in + fan out)) (Glorot & Bengio, 2010), and biases zero,
    but the LSTM's forget gates' 1 (Jozefowicz et al., 2015).
    """
    for name, parameter in model.named_parameters():
        if parameter.dim() == 1:
            parameter.zero_()
        elif name in ("W_hh", "W_h"):
            for block in parameter.split(len(parameter), dim=1):
                if scheme == "orthogonal":
                    block.copy_(nn.init.orthogonal_(torch.empty_like(block), generator=generator))
                else:
                    nn.init.eye_(block)
        elif name == "W_x":  # four gates' weights, each with the fans of its own block
            for block in parameter.chunk(4, dim=1):
                nn.init.xavier_uniform_(block, generator=generator)
        else:
            nn.init.xavier_uniform_(parameter, generator=generator)
    if isinstance(model, LSTM):
        model.b.chunk(4)[1].fill_(1)  # i, f, o, g

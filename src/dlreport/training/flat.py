"""Tensors as one flat array."""

import torch
from torch import Tensor


def flatten(tensors: list[Tensor]) -> Tensor:
    """Their values one after the other [N]; the tensors become views of it, so that a change of one is one of both."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors]) if tensors else torch.empty(0)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.data = part.view_as(tensor)
    return flat

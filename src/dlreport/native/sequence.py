"""Makes training steps of a sequence model by sequence.c."""

import ctypes

import torch
from torch import Tensor

from dlreport import native

SOURCE = "sequence.c"
CELLS = ("vanilla_rnn", "lstm")  # in the order of CELLS in cell.h


class Training(ctypes.Structure):
    """Mirrors sequence.c's Training."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("cell", *"KBTDHGO")),
        *((name, ctypes.c_void_p) for name in ("x", "target")),
        *((name, ctypes.c_float) for name in ("rate", "beta", "alpha", "epsilon", "max_norm")),
        ("done", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("parameters", "squares", "means", "gradients", "results")),
        ("products", native.Products),
    ]


def train(
    cell: str,
    x: Tensor,
    target: Tensor,
    shapes: tuple[int, int, int, int],
    precision: str,
    optimizer: tuple[float, float, float, float],
    max_norm: float,
    done: int,
    parameters: Tensor,
    squares: Tensor,
    means: Tensor | None,
    gradients: Tensor,
) -> Tensor:
    """Make K steps of Adam, or of RMSprop if `means` is None: x [K, T, B, D], target [K, B] -> loss and accuracy before
    each update [K, 2].

    `cell` is one of CELLS. `shapes` are D, H, G, O, where G is the width of W_h. `optimizer` is the learning rate, the
    decay of the means, the decay of the squares, and epsilon. An infinite `max_norm` means no clipping. `done` is the
    number of earlier steps. The last four tensors are flat, in the order of the model's parameters, and changed in
    place: the parameters, their running squares and means, and the last step's gradients.

    Raises ValueError for a target that is no class, and MemoryError if there is too little memory.
    """
    K, T, B, _ = x.shape
    D, H, G, O = shapes
    count = (D + H + 1) * G + (H + 1) * O
    if target.min() < 0 or target.max() >= O:
        raise ValueError(f"targets must be 0 to {O - 1}, found {target.min()} to {target.max()}")
    results = torch.empty(K, 2)
    flat = [
        None if tensor is None else native.address(tensor, torch.float32, count)
        for tensor in (parameters, squares, means, gradients)
    ]
    arguments = Training(
        *(CELLS.index(cell), K, B, T, D, H, G, O),
        *(native.address(x, torch.float32, K, T, B, D), native.address(target, torch.int64, K, B)),
        *(*optimizer, max_norm, done),
        *(*flat, native.address(results, torch.float32, K, 2)),
        native.products(precision),
    )
    native.call(SOURCE, "train_sequence", arguments)
    return results

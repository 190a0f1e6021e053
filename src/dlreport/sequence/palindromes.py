"""Palindromes of the digits 0 to 9, a test of memory. Part 1 of the report describes them under "Task".

Shapes: B sequences, L length of a palindrome, so T = L - 1 time steps.
"""

import torch
from torch import Tensor

DIGITS = 10


def _mirror(half: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Complete first halves [B, ceil(L/2)] to palindromes, and split these into inputs [B, L-1, 1] and targets [B].

    If L is even, the whole half is mirrored. If L is odd, its last digit is in the middle and is not repeated. The last
    digit of the palindrome is the target.
    """
    digits = torch.cat([half, half[:, : length // 2].flip(1)], dim=1)
    return digits[:, :-1, None].float(), digits[:, -1]


def sample(
    count: int, length: int, generator: torch.Generator, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Draw `count` fresh palindromes of `length` digits, and place them on this device (by default the CPU).

    Returns inputs, float32 [B, L-1, 1] (all raw digits but the last), and targets, int64 [B] (the last digit, which
    equals the first). Raises ValueError for a length below 2, where there is nothing to read or nothing to predict.
    """
    if length < 2:
        raise ValueError(f"a palindrome to predict has length 2 or more, not {length}")
    half = torch.randint(DIGITS, (count, (length + 1) // 2), generator=generator)
    if device and device.type == "cuda":
        half = half.pin_memory().to(device, non_blocking=True)  # does not wait for the device's earlier work
    return _mirror(half.to(device), length)


def count_all(length: int) -> int:
    """Return the number of palindromes of this length."""
    return DIGITS ** ((length + 1) // 2)


def enumerate_all(length: int) -> tuple[Tensor, Tensor]:
    """Return every palindrome of this length once, in ascending order. The shapes are those of `sample`."""
    half = torch.cartesian_prod(*[torch.arange(DIGITS)] * ((length + 1) // 2)).reshape(count_all(length), -1)
    return _mirror(half, length)

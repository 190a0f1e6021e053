"""Palindromes over the digits 0-9: a test of memory. Report, part 1, "Task".

Shapes: N sequences, L length.
"""

import torch
from torch import Tensor

DIGITS = 10


def _mirror(half: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Complete first halves [N, ceil(L/2)] to inputs [N, L-1, 1] and targets [N].

    Even L mirrors the whole half, odd L the half without its last digit; the digit that would come last is the target.
    """
    digits = torch.cat([half, half[:, : length // 2].flip(1)], dim=1)
    return digits[:, :-1, None].float(), digits[:, -1]


def sample(
    count: int, length: int, generator: torch.Generator, device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Draw `count` fresh palindromes of `length` digits, for this device (by default the CPU).

    Returns inputs, float32 [N, L-1, 1] (the raw digits but the last), and targets, int64 [N] (the last digit, which
    equals the first). Raises ValueError for a length below 2: there is then nothing to read or nothing to predict.
    """
    if length < 2:
        raise ValueError(f"a palindrome to predict has length 2 or more, not {length}")
    half = torch.randint(DIGITS, (count, (length + 1) // 2), generator=generator)
    if device and device.type == "cuda":
        half = half.pin_memory().to(device, non_blocking=True)  # which does not wait for what the device still does
    return _mirror(half.to(device), length)


def count_all(length: int) -> int:
    """How many palindromes of this length there are."""
    return DIGITS ** ((length + 1) // 2)


def enumerate_all(length: int) -> tuple[Tensor, Tensor]:
    """Every palindrome of this length once, in ascending order; shapes as for `sample`."""
    half = torch.cartesian_prod(*[torch.arange(DIGITS)] * ((length + 1) // 2)).reshape(count_all(length), -1)
    return _mirror(half, length)

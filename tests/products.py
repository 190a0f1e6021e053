"""Matrix products to take the place of PyTorch's in tests."""

import ctypes

import numpy as np
import pytest
import torch

from dlreport import native

PRODUCT = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6, ctypes.c_bool, *[ctypes.c_void_p] * 3)
RELEASE = ctypes.CFUNCTYPE(None)


def at(address: int, dtype: torch.dtype, shape: tuple[int, ...], strides: tuple[int, ...]) -> torch.Tensor:
    """The values there."""
    last = sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    memory = (ctypes.c_char * ((last + 1) * dtype.itemsize)).from_address(address)
    return torch.frombuffer(memory, dtype=dtype).as_strided(shape, strides)


@PRODUCT
def amx(m: int, n: int, k: int, lda: int, ldb: int, ldc: int, add: bool, A: int, B: int, C: int) -> None:
    """In bfloat16, as by Intel's AMX, which multiplies pairs: an odd k gives anything, here NaN.

    NumPy's einsum adds up, for the last bits of PyTorch's products depend on its threads on some processors.
    """
    left = at(A, torch.bfloat16, (m, k), (lda, 1)).float()
    right = at(B, torch.bfloat16, (k // 2, n, 2), (2 * ldb, 2, 1)).float().transpose(0, 1).reshape(n, -1)
    result = at(C, torch.float32, (m, n), (ldc, 1))
    if k % 2:
        product = torch.full((m, n), torch.nan)
    else:
        product = torch.from_numpy(np.einsum("mk,nk->mn", left.numpy(), right.numpy()))
    result.copy_(result + product if add else product)


release = RELEASE(lambda: None)


def replace(monkeypatch: pytest.MonkeyPatch, **functions: object) -> None:
    """These products ("fp32", "bf16") for the engines' own, the others as they are.

    The replacement keeps them, for C has only their addresses, and a freed one may crash the process.
    """
    own = native.products("fp32").fp32

    def products(precision: str) -> native.Products:
        given = {"release": release, **functions}
        addresses = {name: ctypes.cast(function, ctypes.c_void_p).value for name, function in given.items()}
        both = {"fp32": own, "bf16": None, "release": None} | addresses
        return native.Products(*both.values()) if precision == "bf16" else native.Products(both["fp32"])

    monkeypatch.setattr(native, "products", products)

"""How a process computes: its device, its threads, its allocator. Call `prepare` before any training."""

import ctypes
import os
import sys

import torch

from dlreport.errors import UserError


def select_device(name: str) -> torch.device:
    """`auto` is CUDA if there is one, else MPS, else the CPU; a named device that is absent raises UserError."""
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, available in present.items() if available)
    if not present[name]:
        usable = ", ".join(device for device, available in present.items() if available)
        raise UserError(f"device: {name} is not available on this machine; set device to auto or one of: {usable}")
    return torch.device(name)


def prepare(threads: int) -> None:
    """Fix this process's thread count and keep glibc's malloc from returning memory to the kernel.

    The thread count changes the order of float sums, so it comes from params or is 1, never from the machine.
    By default glibc gives large freed blocks back and page-faults them in again at each step (17 or 23 ms a step for
    the same LSTM, by chance); these two options keep them. They are mallopt's M_TRIM_THRESHOLD and M_MMAP_MAX.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that writes every buffer twice
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic CUDA products need
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(-1, 1 << 30)
        libc.mallopt(-4, 0)

"""How a process computes: its device, its threads, its memory allocator. Call `prepare` before any training."""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

import torch

from dlreport.errors import UserError


def select_device(name: str) -> torch.device:
    """Return the device of this name. For `auto` it is CUDA if there is one, else MPS, else the CPU.

    Raises UserError if the named device is absent.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(device for device, available in present.items() if available)
    if not present[name]:
        usable = ", ".join(device for device, available in present.items() if available)
        raise UserError(f"device: {name} is not available on this machine; set device to auto or one of: {usable}")
    return torch.device(name)


def bf16_supported(device: torch.device) -> bool:
    """Whether the device multiplies matrices of bfloat16 in hardware. In software that takes a hundred times longer."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    # two instruction sets of x86 and one of 64-bit Arm
    return device.type == "cpu" and any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def check_precision(precision: str, device: torch.device) -> None:
    """Raise UserError if the precision is bf16 and the device has no such matrix products."""
    if precision == "bf16" and not bf16_supported(device):
        raise UserError(f"precision: this {device.type} has no bf16 matrix products; set precision to fp32")


def cores(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many cores this process may use, by its affinity (taskset, a batch system) and a container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own = Path("/proc/self/cgroup")
    lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    inner = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    for folder in (cgroups / inner, *(cgroups / inner).parents):
        with suppress(OSError, ValueError):  # there is no file, or it says "max": no quota
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
            allowed = min(allowed, max(1, int(quota) // int(period)))
    with suppress(OSError, ValueError):  # version 1 of cgroups
        time, of = (int((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        if time > 0:
            allowed = min(allowed, max(1, time // of))
    return allowed


def workers() -> int:
    """Return how many processes or threads a stage may use: DLREPORT_WORKERS (set by `make repro JOBS=N`) or all cores.

    Raises UserError if DLREPORT_WORKERS is not a whole number from 1 on.
    """
    value = os.environ.get("DLREPORT_WORKERS") or str(cores())
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"DLREPORT_WORKERS: expected a whole number from 1 on, found {value!r}; unset it")
    return int(value)


def prepare(threads: int, keep_memory: bool = True) -> None:
    """Fix this process's thread count, make PyTorch deterministic, and set how glibc's malloc treats freed memory.

    Use more than one thread only for results that do not depend on the number of threads. PyTorch's own float sums
    depend on it, by the order of their terms.

    With `keep_memory`, malloc keeps freed memory (M_TRIM_THRESHOLD, M_MMAP_MAX), as small networks need it again at
    each step. By default glibc keeps it or returns it to the kernel, by chance. A step of the same LSTM took 17 or
    23 ms, the latter with page faults. Leave this off for large pieces of memory, such as those of convolutions: malloc
    reuses few of them, and the process grows to gigabytes.
    """
    torch.set_num_threads(threads)
    # This does what use_deterministic_algorithms(True) does, without 3 s for the import of torch's compiler.
    torch.set_deterministic_debug_mode("error")
    # Off, as this debugging aid writes every buffer twice. A type checker cannot see the attributes of its module.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # deterministic matrix products on CUDA need it
    if keep_memory and sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for option, value in ((-1, 1 << 30), (-4, 0)):
            libc.mallopt(option, value)

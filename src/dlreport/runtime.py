"""How a process computes: its device, its threads, its allocator. Call `prepare` before any training."""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path

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


def bf16_supported(device: torch.device) -> bool:
    """Whether the device multiplies matrices of bfloat16 in hardware (without, they take a hundred times longer)."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    # x86's two instruction sets, and 64-bit Arm's
    return device.type == "cpu" and any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def check_precision(precision: str, device: torch.device) -> None:
    """Raises UserError for bf16 where there are no such products."""
    if precision == "bf16" and not bf16_supported(device):
        raise UserError(f"precision: this {device.type} has no bf16 matrix products; set precision to fp32")


def cores(cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """How many this process may use: by its affinity (taskset, a batch system) and a container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    own = Path("/proc/self/cgroup")
    lines = own.read_text(encoding="utf-8").splitlines() if own.exists() else []
    inner = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    for folder in (cgroups / inner, *(cgroups / inner).parents):
        with suppress(OSError, ValueError):  # no such file, or "max": no quota
            quota, period = (folder / "cpu.max").read_text(encoding="utf-8").split()
            allowed = min(allowed, max(1, int(quota) // int(period)))
    with suppress(OSError, ValueError):  # the older form
        time, of = (int((cgroups / "cpu" / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        if time > 0:
            allowed = min(allowed, max(1, time // of))
    return allowed


def workers() -> int:
    """How many processes or threads a stage may use: DLREPORT_WORKERS (`make repro JOBS=N` sets it), else all cores."""
    value = os.environ.get("DLREPORT_WORKERS") or str(cores())
    if not value.isdecimal() or int(value) < 1:
        raise UserError(f"DLREPORT_WORKERS: expected a whole number from 1 on, found {value!r}; unset it")
    return int(value)


def prepare(threads: int, keep_memory: bool = True) -> None:
    """Fix this process's thread count, and have glibc's malloc keep what is freed, or leave that to glibc.

    More threads than one only for what does not depend on them: PyTorch's own float sums do, by their order.
    Left to itself glibc now keeps memory, now returns it to the kernel. For small networks it is to keep it
    (M_TRIM_THRESHOLD, M_MMAP_MAX): page-faulting it in at each step took 17 or 23 ms for the same LSTM, by chance. Not
    for large pieces, such as convolutions make: of them it reuses little, and grows to gigabytes.
    """
    torch.set_num_threads(threads)
    torch.set_deterministic_debug_mode(
        "error"
    )  # use_deterministic_algorithms, but for that imports torch's compiler, 3 s
    # a debugging aid that writes every buffer twice; of a module whose attributes no checker can see
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what deterministic CUDA products need
    if keep_memory and sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for option, value in ((-1, 1 << 30), (-4, 0)):
            libc.mallopt(option, value)

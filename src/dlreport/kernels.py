"""The C side of training on a CPU (kernels.c): compiled when first used, called with tensors."""

import ctypes
import functools
import os
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

# No -ffast-math: it would let the compiler assume that there is no NaN, and a loss that is NaN must be seen. The two
# -fno- flags only drop the errno and the trap flags of float operations, which nobody reads, so that loops vectorise.
FLAGS = ["-std=c11", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]


class KernelsError(Exception):
    """There is no C compiler, or it failed; the message says which."""


@functools.cache
def _library() -> ctypes.CDLL:
    # Into a directory of this process's own, in about a second: nothing stale, nothing to clean up.
    source = Path(__file__).with_name("kernels.c")
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory) / "kernels.so"
        command = [os.environ.get("CC", "cc"), *FLAGS, str(source), "-o", str(target), "-lm"]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
            return ctypes.CDLL(str(target))
        except subprocess.CalledProcessError as error:
            raise KernelsError(f"{command[0]} failed: {error.stderr.strip()[:200]}") from error
        except OSError as error:
            raise KernelsError(f"no C compiler: {error}") from error


@functools.cache
def why_unavailable() -> str | None:
    """None if the kernels can be called, else the reason."""
    try:
        _library()
    except KernelsError as error:
        return str(error)
    return None


def call(name: str, *arguments: Tensor | int | float) -> None:
    """Call a function of kernels.c. Tensors go by address, and must be contiguous CPU tensors of float32 or int64."""
    converted = []
    for value in arguments:
        if isinstance(value, Tensor):
            if value.dtype not in (torch.float32, torch.int64) or not value.is_cpu or not value.is_contiguous():
                raise TypeError(f"{name}: {value.dtype} tensor on {value.device} with strides {value.stride()}")
            value = ctypes.c_void_p(value.data_ptr())
        converted.append(ctypes.c_float(value) if isinstance(value, float) else value)
    getattr(_library(), name)(*converted)


def product(a: Tensor, W: Tensor, out: Tensor) -> None:
    """out = a W in W's type, float32 or bfloat16; a [B, N] and out [B, M] are float32, W is [N, M]."""
    if W.dtype == a.dtype:
        torch.mm(a, W, out=out)
    else:
        out.copy_(a.to(W.dtype) @ W)

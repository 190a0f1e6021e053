"""Training in C on a CPU: what sequence.py and gan.py of this folder share. C is compiled when it is first used; its
matrix products are by PyTorch's kernels."""

import ctypes
import functools
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

import torch
from torch import Tensor

from dlreport.progress import log

# No -ffast-math: it would let the compiler assume that there is no NaN, and a loss that is NaN must be seen. The two
# -fno- flags only drop the errno and the trap flags of float operations, which nobody reads, so that loops vectorise.
FLAGS = ["-std=c11", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
# at::native::cpublas::brgemm, for float and for BFloat16, and brgemm_release, as C++ compilers write them
BRGEMM = "_ZN2at6native7cpublas6brgemmE{integers}b{type}Pfb"
TYPES = {"fp32": "PKfS3_", "bf16": "PKN3c108BFloat16ES5_"}
RELEASE = "_ZN2at6native7cpublas14brgemm_releaseEb"


class NativeError(Exception):
    """There is no C compiler or no matrix product to call; the message says which."""


@functools.cache
def library(source: str) -> ctypes.CDLL:
    """A C file of this folder, compiled and loaded. Raises NativeError."""
    # Into a directory of this process's own, in about a second: nothing stale, nothing to clean up.
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as directory:
        target = str(Path(directory) / "native.so")
        for openmp in (["-fopenmp"], []):  # without it, as in Apple's compiler, only the GAN is a little slower
            path = str(Path(__file__).with_name(source))
            command = [*compiler, *FLAGS, *openmp, "-shared", "-fPIC", path, "-o", target, "-lm"]
            try:
                done = subprocess.run(command, capture_output=True, text=True)
            except OSError as error:
                raise NativeError(f"no C compiler ({error})") from error
            if done.returncode == 0:
                break
        else:
            lines = done.stderr.splitlines()
            first = next((line for line in lines if "error" in line), f"exit code {done.returncode}")
            raise NativeError(f"{shlex.join(compiler)} failed ({first})")
        try:
            return ctypes.CDLL(target)
        except OSError as error:
            raise NativeError(f"the compiled engine cannot be loaded ({error})") from error


class Products(ctypes.Structure):
    """common.h's Products: addresses of functions in the library that PyTorch has loaded."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("fp32", "bf16", "release")]


@functools.cache
def products(precision: str) -> Products:
    """Raises NativeError if this PyTorch or this processor has no such products."""
    torch_cpu = next((Path(torch.__file__).parent / "lib").glob("libtorch_cpu.*"), None)
    exported = ctypes.CDLL(torch_cpu and str(torch_cpu))

    def address(names: list[str]) -> int:
        for name in names:
            if hasattr(exported, name):
                return ctypes.cast(exported[name], ctypes.c_void_p).value
        raise NativeError("this PyTorch exports no brgemm")

    def brgemm(kind: str) -> int:  # int64_t is long on Linux, long long elsewhere
        return address([BRGEMM.format(integers=letter * 6, type=TYPES[kind]) for letter in "lx"])

    if precision == "fp32":
        return Products(brgemm("fp32"), None, None)
    if not any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16")):
        raise NativeError("brgemm has bf16 products on x86 alone, and this processor lacks them")  # it would abort
    return Products(brgemm("fp32"), brgemm("bf16"), address([RELEASE]))


@functools.cache
def serves(source: str, device: str, precision: str) -> bool:
    """Whether this C file serves the device ("cpu", ...). A line says why it serves no CPU, and what that costs."""
    if device != "cpu":
        return False
    try:
        products(precision)
        library(source)
    except NativeError as error:
        log.warning("%s; training by autograd, several times slower and not to the same last digits", error)
        return False
    return True


def address(tensor: Tensor, dtype: torch.dtype, *shape: int) -> ctypes.c_void_p:
    """Of the tensor's values. Raises TypeError unless it is contiguous, on the CPU, and of this type and shape."""
    if tensor.shape != shape or tensor.dtype != dtype or not tensor.is_cpu or not tensor.is_contiguous():
        raise TypeError(f"expected contiguous {dtype} {shape} on the CPU, found {tensor.dtype} {tuple(tensor.shape)}")
    return ctypes.c_void_p(tensor.data_ptr())


def call(source: str, function: str, *arguments: object) -> None:
    """Raises MemoryError if the function says that it got none."""
    if getattr(library(source), function)(*arguments):
        raise MemoryError("not enough memory for a training step; lower batch_size or hidden_dim")


def floats(*values: float) -> list[ctypes.c_float]:
    return [ctypes.c_float(value) for value in values]


def flatten(tensors: list[Tensor]) -> Tensor:
    """Their values one after the other [N]; the tensors become views of it, so that a change of one is one of both."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors]) if tensors else torch.empty(0)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.data = part.view_as(tensor)
    return flat

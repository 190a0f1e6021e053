"""Training in C on a CPU: the parts that sequence.py and gan.py of this folder share.

The C code is compiled at its first use. It calls PyTorch's kernels for matrix products, which are tested before the
first training.
"""

import ctypes
import faulthandler
import functools
import os
import shlex
import signal
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dlreport.progress import log

# -ffast-math is not among them: it would let the compiler assume that there is no NaN, and a NaN loss must be noticed.
# The two -fno- flags only drop the errno and the trap flags of float operations. Nobody reads these, and without them
# loops vectorise.
FLAGS = ["-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC"]
TORCH = Path(torch.__file__).parent / "lib"
# By the source's suffix: the language, the environment variable that names its compiler, the default compiler, and the
# options at the end of its command
C, CPP = ("-std=c11", "-lm"), ("-std=c++17", f"-L{TORCH}", f"-Wl,-rpath,{TORCH}", "-ltorch_cpu")
COMPILERS = {".c": ("C", "CC", "cc", C), ".cpp": ("C++", "CXX", "c++", CPP)}
PRODUCTS = "products.cpp"
# Sizes of the products that are tested: m, n, k, and the length of C's rows. They are ones, odd sizes, and sizes of the
# report's networks.
TRIED = [
    *((1, 1, 1, 1), (5, 7, 7, 9), (16, 32, 9, 32), (128, 512, 128, 512), (128, 64, 100, 784), (64, 784, 129, 784)),
    *((256, 1, 256, 1), (256, 64, 1, 256)),
]


class NativeError(Exception):
    """Tells that the C code cannot be compiled or loaded, or that no correct matrix product can be called. The message
    says why."""


@functools.cache
def library(source: str) -> ctypes.CDLL:
    """Return a C or C++ file of this folder, compiled and loaded. Raises NativeError if that fails."""
    # Each process compiles into a directory of its own, in about a second, so nothing can be stale and nothing is left
    # to clean up. Some systems mount the folder for temporary files noexec, so that no library can be loaded from it.
    # Then the directory goes into the current folder.
    failures = []
    for parent in (None, Path.cwd()):
        try:
            with tempfile.TemporaryDirectory(dir=parent, prefix=".native-") as directory:
                return ctypes.CDLL(_compiled(source, Path(directory)))
        except OSError as error:
            failures.append(str(error))
    raise NativeError(f"the compiled engine cannot be loaded ({'; '.join(failures)})")


def _compiled(source: str, directory: Path) -> str:
    """Compile the source into the directory and return the library's path. The compiler that CC or CXX names is tried
    first, then the default. Raises NativeError if neither works."""
    language, variable, default, options = COMPILERS[Path(source).suffix]
    named, failures = shlex.split(os.environ.get(variable, "")), []
    path, target = str(Path(__file__).with_name(source)), str(directory / "native.so")
    for compiler in [named, [default]] if named else [[default]]:
        for openmp in (["-fopenmp"], []):  # without OpenMP, as with Apple's compiler, only the GAN is a little slower
            command = [*compiler, *FLAGS, *openmp, path, "-o", target, *options]
            try:
                done = subprocess.run(command, capture_output=True, text=True)
            except OSError as error:
                failures.append(f"{shlex.join(compiler)}: {error.strerror}")
                break
            if done.returncode == 0:
                return target
        else:
            lines = done.stderr.splitlines()
            first = next((line for line in lines if "error" in line), f"exit code {done.returncode}")
            failures.append(f"{shlex.join(compiler)} failed ({first})")
    raise NativeError(f"no {language} compiler that works ({'; '.join(failures)})")


class Products(ctypes.Structure):
    """Mirrors common.h's Products: the addresses of the functions of products.cpp."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("fp32", "bf16", "release")]


@functools.cache
def products(precision: str) -> Products:
    """Return the products for a precision, "fp32" or "bf16". Raises NativeError if this PyTorch or this processor has
    no such products."""
    if precision == "bf16" and not any(map(torch.cpu.get_capabilities().get, ("avx512_bf16", "amx_bf16"))):
        raise NativeError("brgemm has bf16 products on x86 alone, and this processor lacks them")
    names = ["product_fp32"] if precision == "fp32" else ["product_fp32", "product_bf16", "release_bf16"]
    return Products(*(ctypes.cast(library(PRODUCTS)[name], ctypes.c_void_p).value for name in names))


class Multiplication(ctypes.Structure):
    """Mirrors common.h's Multiplication."""

    _fields_ = [
        *((name, ctypes.c_size_t) for name in ("m", "n", "k", "ldc", "add")),
        *((name, ctypes.c_void_p) for name in "ABC"),
        ("products", Products),
    ]


def try_products(source: str, precision: str) -> None:
    """Test the products that this C file computes. Raises NativeError unless they equal torch.mm's to the last bit. The
    factors are whole numbers, so that no product is rounded."""
    chance = torch.Generator().manual_seed(0)
    cases = []
    for add in (False, True):
        for m, n, k, ldc in TRIED:
            A, B, C = (torch.randint(-9, 10, shape, generator=chance).float() for shape in ((m, k), (k, n), (m, ldc)))
            expected = C.clone()
            expected[:, :n] = torch.mm(A.double(), B.double()) + (C[:, :n] if add else 0)
            pointers = address(A, A.dtype, m, k), address(B, B.dtype, k, n), address(C, C.dtype, m, ldc)
            arguments = Multiplication(m, n, k, ldc, add, *pointers, products(precision))
            cases.append((arguments, A, B, C.numpy(), expected.numpy()))

    def right() -> bool:
        for arguments, _, _, found, expected in cases:
            call(source, "multiply", arguments)
            if not np.array_equal(found, expected):
                return False
        return True

    # A oneDNN kernel that was not made for the sizes at hand computes wrong numbers or ends the process. This was seen
    # for bf16 with AMX, so bf16 is tested in a child process.
    if not (right() if precision == "fp32" else in_child(right)):
        raise NativeError(f"PyTorch's {precision} products are wrong on this processor")


def in_child(function: Callable[[], bool]) -> bool:
    """Call the function in a forked copy of this process and return its answer. Return False if the copy crashes or
    takes more than ten seconds."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    code = 1
    try:
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # hides what a crashing process prints
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        code = 0 if function() else 1
    finally:
        os._exit(code)


@functools.cache
def serves(source: str, device: str, precision: str) -> bool:
    """Return whether this C file can train on the device ("cpu", ...) in this precision. If it cannot on a CPU, a log
    line says why, and what that costs."""
    if device != "cpu":
        return False
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(library, (source, PRODUCTS)))
        try_products(source, precision)
    except NativeError as error:
        log.warning("%s; training by autograd, several times slower and with other last digits", error)
        return False
    return True


def address(tensor: Tensor, dtype: torch.dtype, *shape: int) -> ctypes.c_void_p:
    """Return the address of the tensor's values. Raises TypeError unless it is contiguous, on the CPU, and of this type
    and shape."""
    if tensor.shape != shape or tensor.dtype != dtype or not tensor.is_cpu or not tensor.is_contiguous():
        raise TypeError(f"expected contiguous {dtype} {shape} on the CPU, found {tensor.dtype} {tuple(tensor.shape)}")
    return ctypes.c_void_p(tensor.data_ptr())


def call(source: str, name: str, arguments: ctypes.Structure) -> None:
    """Call a C function with its one struct. Raises MemoryError if the function gets no memory, and ValueError if sizes
    in the struct contradict each other."""
    function = library(source)[name]
    function.argtypes, function.restype = [ctypes.c_void_p, ctypes.c_size_t], ctypes.c_int
    code = function(ctypes.addressof(arguments), ctypes.sizeof(arguments))
    if code == 1:
        raise MemoryError("not enough memory for a training step; lower batch_size or hidden_dim")
    if code:
        raise ValueError(f"{source}, {name}: these sizes do not fit together")


def flatten(tensors: list[Tensor]) -> Tensor:
    """Copy the tensors' values one after the other into one tensor [N], and return it. The tensors become views of it,
    so a change of either is a change of both."""
    flat = torch.cat([tensor.detach().flatten() for tensor in tensors]) if tensors else torch.empty(0)
    for tensor, part in zip(tensors, flat.split([tensor.numel() for tensor in tensors]), strict=True):
        tensor.data = part.view_as(tensor)
    return flat

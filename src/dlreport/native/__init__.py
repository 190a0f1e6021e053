"""Training in C on a CPU, sequence.c and gan.c, compiled when first used; its products are by PyTorch's kernels."""

import ctypes
import functools
import os
import shlex
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

# No -ffast-math: it would let the compiler assume that there is no NaN, and a loss that is NaN must be seen. The two
# -fno- flags only drop the errno and the trap flags of float operations, which nobody reads, so that loops vectorise.
FLAGS = ["-std=c11", "-O3", "-march=native", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math"]
SOURCES = [str(Path(__file__).with_name(name)) for name in ("sequence.c", "gan.c")]
# at::native::cpublas::brgemm, for float and for BFloat16, and brgemm_release, as C++ compilers write them
BRGEMM = "_ZN2at6native7cpublas6brgemmE{integers}b{type}Pfb"
TYPES = {"fp32": "PKfS3_", "bf16": "PKN3c108BFloat16ES5_"}
RELEASE = "_ZN2at6native7cpublas14brgemm_releaseEb"


class NativeError(Exception):
    """There is no C compiler or no matrix product to call; the message says which."""


@functools.cache
def _library() -> ctypes.CDLL:
    # Into a directory of this process's own, in about a second: nothing stale, nothing to clean up.
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as directory:
        target = str(Path(directory) / "native.so")
        for openmp in (["-fopenmp"], []):  # without it, as in Apple's compiler, only the GAN is a little slower
            command = [*compiler, *FLAGS, *openmp, "-shared", "-fPIC", *SOURCES, "-o", target, "-lm"]
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


class _Products(ctypes.Structure):
    """common.h's Products: addresses of functions in the library that PyTorch has loaded."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("fp32", "bf16", "release")]


@functools.cache
def _products(precision: str) -> _Products:
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
        return _Products(brgemm("fp32"), None, None)
    if not any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16")):
        raise NativeError("brgemm has bf16 products on x86 alone, and this processor lacks them")  # it would abort
    return _Products(brgemm("fp32"), brgemm("bf16"), address([RELEASE]))


@functools.cache
def why_unavailable(precision: str) -> str | None:
    """None if the functions below can be called, else the reason."""
    try:
        _products(precision)
        _library()
    except NativeError as error:
        return str(error)
    return None


def _address(tensor: Tensor, dtype: torch.dtype, *shape: int) -> ctypes.c_void_p:
    if tensor.shape != shape or tensor.dtype != dtype or not tensor.is_cpu or not tensor.is_contiguous():
        raise TypeError(f"expected contiguous {dtype} {shape} on the CPU, found {tensor.dtype} {tuple(tensor.shape)}")
    return ctypes.c_void_p(tensor.data_ptr())


def _call(name: str, *arguments: object) -> None:
    if getattr(_library(), name)(*arguments):
        raise MemoryError("not enough memory for a training step; lower batch_size or hidden_dim")


def _floats(*values: float) -> list[ctypes.c_float]:
    return [ctypes.c_float(value) for value in values]


def train_sequence(
    lstm: bool,
    x: Tensor,
    target: Tensor,
    shapes: tuple[int, int, int],
    precision: str,
    optimizer: tuple[float, float, float, float],
    max_norm: float,
    done: int,
    parameters: Tensor,
    squares: Tensor,
    means: Tensor | None,
    gradients: Tensor,
) -> Tensor:
    """K steps of Adam, or without `means` of RMSprop: x [K, T, B, D], target [K, B] -> loss and accuracy before each
    update [K, 2].

    `shapes` are D, H, O; `optimizer` learning rate, decay of the means, of the squares, epsilon; `max_norm` infinite
    for no clipping; `done` the number of earlier steps. All flat and changed in place: the parameters in the order of
    the model's, their running squares and means, the last step's gradients. Raises MemoryError.
    """
    K, T, B, _ = x.shape
    D, H, O = shapes  # noqa: E741
    count = (D + H + 1) * (4 * H if lstm else H) + (H + 1) * O
    if target.min() < 0 or target.max() >= O:
        raise ValueError(f"targets must be 0 to {O - 1}, found {target.min()} to {target.max()}")
    results = torch.empty(K, 2)
    _call(
        "train_sequence",
        *(int(lstm), K, B, T, D, H, O),
        *(_address(x, torch.float32, K, T, B, D), _address(target, torch.int64, K, B)),
        *_floats(*optimizer, max_norm),
        ctypes.c_int64(done),
        *(_address(tensor, torch.float32, count) for tensor in (parameters, squares)),
        ctypes.c_void_p(None) if means is None else _address(means, torch.float32, count),
        _address(gradients, torch.float32, count),
        _address(results, torch.float32, K, 2),
        ctypes.byref(_products(precision)),
    )
    return results


@dataclass(frozen=True)
class Network:
    """A chain of layers for `gan_gradients`, and its values, flat and in the order of the layers."""

    shapes: list[tuple[int, int, int, int]]  # inputs, outputs, BatchNorm (0 or 1), activation (an index in ACTIVATIONS)
    parameters: Tensor
    running: Tensor  # means and variances of BatchNorm

    @property
    def parameter_count(self) -> int:
        return sum(inputs * outputs + outputs * (3 if norm else 1) for inputs, outputs, norm, _ in self.shapes)

    @property
    def running_count(self) -> int:
        return sum(2 * outputs * norm for _, outputs, norm, _ in self.shapes)


ACTIVATIONS = ("none", "LeakyReLU", "Tanh")  # as numbered in gan.c


def gan_gradients(
    real: Tensor | None,
    z: Tensor,
    generator: Network,
    discriminator: Network,
    constants: tuple[float, float, float],
    gradients: Tensor,
    precision: str,
) -> float:
    """The discriminator's loss for real images [B, P] and latents z [B, Z]; with `real` None the generator's.

    Its gradients by that network's parameters are written into `gradients`; the generator's running means and
    variances move. `constants`: LeakyReLU's slope, BatchNorm's epsilon and momentum. Raises MemoryError.
    """
    B = len(z)
    loss = ctypes.c_float()
    networks: list[object] = []
    for network in (generator, discriminator):
        shapes = [value for layer in network.shapes for value in layer]
        networks += [len(network.shapes), (ctypes.c_int * len(shapes))(*shapes)]
        networks.append(_address(network.parameters, torch.float32, network.parameter_count))
        networks.append(_address(network.running, torch.float32, network.running_count))
    trained = generator if real is None else discriminator
    _call(
        "gan_gradients",
        B,
        ctypes.c_void_p(None) if real is None else _address(real, torch.float32, B, discriminator.shapes[0][0]),
        _address(z, torch.float32, B, generator.shapes[0][0]),
        *networks,
        *_floats(*constants),
        *(
            _address(gradients, torch.float32, trained.parameter_count),
            ctypes.byref(loss),
            ctypes.byref(_products(precision)),
        ),
    )
    return loss.value

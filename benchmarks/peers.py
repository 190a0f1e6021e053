"""PyTorch's own best ordinary form of each workload, and plain matrix products, the floor under all of them."""

import ctypes
from collections.abc import Callable

import torch
from notebook_gan import discriminator_network, generator_network
from ours import awaited
from torch import Tensor, nn
from torch.nn import functional
from workloads import CLASSES, LATENT, PEERS, Workload, images_of

from dlreport import native
from dlreport.sequence import palindromes

SIZES = {"gemm": 2048, "brgemm": 256}  # of the square matrices: torch.mm's, and the kernel's under ours


class Recurrent(nn.Module):
    """nn.RNN or nn.LSTM, one layer, with a Linear on the last output. x [T, B, 1] -> logits [B, O]."""

    def __init__(self, layer: type[nn.RNNBase], hidden: int):
        super().__init__()
        self.recurrent = layer(1, hidden)
        self.head = nn.Linear(hidden, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        output, _ = self.recurrent(x)
        return self.head(output[-1])


def build_sequence(workload: Workload, device: str) -> Callable[[int], None]:
    """nn.RNN or nn.LSTM under autograd; loss and accuracy of every step are kept as tensors."""
    model = Recurrent(getattr(nn, PEERS[workload.kind].removeprefix("nn.")), workload.hidden).to(device)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.001, foreach=True)
    data = torch.Generator().manual_seed(0)

    def run(count: int) -> None:
        kept = torch.empty(count, 2, device=device)
        for row in kept:
            x, target = palindromes.sample(workload.batch, workload.length, data, torch.device(device))
            logits = model(x.transpose(0, 1))
            loss = functional.cross_entropy(logits, target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            row[0] = loss.detach()
            row[1] = (logits.detach().argmax(1) == target).float().mean()

    return run


def build_gan(workload: Workload, device: str, noise: int) -> Callable[[int], None]:
    """MNIST as one normalised tensor, no graph for G in D's step, fused Adam, the losses kept as tensors."""
    images = images_of(noise).flatten(1).float().div_(127.5).sub_(1).to(device)
    generator, discriminator = generator_network().to(device), discriminator_network().to(device)
    adam = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
    generator_adam = torch.optim.Adam(generator.parameters(), **adam)
    discriminator_adam = torch.optim.Adam(discriminator.parameters(), **adam)
    bce = functional.binary_cross_entropy_with_logits

    def step(real: Tensor) -> tuple[Tensor, Tensor]:
        size = len(real)
        ones, zeros = torch.ones(size, 1, device=device), torch.zeros(size, 1, device=device)
        with torch.no_grad():
            fake = generator(torch.randn(size, LATENT, device=device))
        logits = discriminator(torch.cat([real, fake]))  # both at once: D has no BatchNorm
        d_loss = bce(logits[:size], ones) + bce(logits[size:], zeros)
        discriminator_adam.zero_grad()
        d_loss.backward()
        discriminator_adam.step()

        discriminator.requires_grad_(False)
        g_loss = bce(discriminator(generator(torch.randn(size, LATENT, device=device))), ones)
        generator_adam.zero_grad()
        g_loss.backward()
        generator_adam.step()
        discriminator.requires_grad_(True)
        return d_loss.detach(), g_loss.detach()

    def epochs():
        while True:
            yield from torch.randperm(len(images)).to(device).split(workload.batch)

    batches = epochs()

    def run(count: int) -> None:
        kept = torch.empty(count, 2, device=device)
        for row in kept:
            row[0], row[1] = step(images[next(batches)])

    return run


def build(workload: Workload, device: str = "cpu", noise: int = 0) -> Callable[[int], None]:
    """A function that runs the next n training steps; `noise` is for images_of."""
    gan = workload.kind == "GAN"
    return awaited(build_gan(workload, device, noise) if gan else build_sequence(workload, device), device)


def _matrices(name: str) -> list[Tensor]:
    return [torch.ones(SIZES[name], SIZES[name]) for _ in range(3)]


def build_gemm(workload: Workload) -> Callable[[int], None]:
    """n products of two square fp32 matrices: a rate that any workload's products can hope for."""
    left, right, out = _matrices("gemm")

    def run(count: int) -> None:
        for _ in range(count):
            torch.mm(left, right, out=out)

    return run


def build_brgemm(workload: Workload) -> Callable[[int], None]:
    """The same by PyTorch's brgemm, on one thread and in its cache: where torch.mm (MKL) leaves AVX-512 unused, as on
    AMD's processors, this is the faster one."""
    left, right, out = _matrices("brgemm")
    size = len(left)
    brgemm = ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * 6, ctypes.c_bool, *[ctypes.c_void_p] * 3)(
        native.products("fp32").fp32
    )

    def run(count: int) -> None:
        arguments = *[size] * 6, False, left.data_ptr(), right.data_ptr(), out.data_ptr()
        for _ in range(count):
            brgemm(*arguments)

    return run

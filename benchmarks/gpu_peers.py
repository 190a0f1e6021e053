"""What gpu.py has beside ours.py and peers.py: PyTorch's layers and loops in CUDA graphs, and what bounds them all."""

from collections.abc import Callable

import torch
from ours import awaited, seeded
from peers import Recurrent
from torch import Tensor, nn
from torch.nn import functional
from workloads import PEERS, Workload

from dlreport.gpu import Steps
from dlreport.sequence.task import Task
from dlreport.sequence.training import draw

BLOCK = 256  # steps whose data are drawn at once
SIZES = {"cuda": (8192, 1 << 28), "cpu": (256, 1 << 20)}  # of the square matrices, and of the floats that are copied


def build(workload: Workload, device: str, form: str) -> Callable[[int], None]:
    """One replicate, whole steps in graphs: `form` "layer" is nn.RNN or nn.LSTM, by cuDNN; "loop" is this repository's
    model, an ordinary loop over time, and its loss compiled (on a CPU only traced, which is to show that it runs)."""
    if form == "layer":
        model = Recurrent(getattr(nn, PEERS[workload.kind].removeprefix("nn.")), workload.hidden)
    else:
        model = Task(workload.kind, workload.length).build(workload.hidden, seeded(0))
    model.to(device)
    parameters = list(model.parameters())
    optimizer = torch.optim.RMSprop(parameters, lr=0.001, foreach=True, capturable=device == "cuda")

    def measures(x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(x if form == "layer" else x.transpose(0, 1))  # x [T, B, 1]
        return functional.cross_entropy(logits, target), (logits.argmax(1) == target).float().mean()

    if form == "loop":
        measures = torch.compile(measures, dynamic=False, backend="inductor" if device == "cuda" else "eager")

    def step(x: Tensor, target: Tensor) -> Tensor:
        loss, accuracy = measures(x, target)
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.grad = gradient
        optimizer.step()
        return torch.stack([loss.detach(), accuracy])

    steps, data = Steps(step, torch.device(device)), [seeded(1)]

    def run(count: int) -> None:
        for begin in range(0, count, BLOCK):
            drawn = draw(workload.length, workload.batch, min(BLOCK, count - begin), data, torch.device(device))
            steps(*(each[:, 0] for each in drawn))

    return awaited(run, device)


def build_product(workload: Workload, device: str) -> Callable[[int], None]:
    """n products of two square fp32 matrices."""
    size, _ = SIZES[device]
    left, right, out = (torch.ones(size, size, device=device) for _ in range(3))

    def run(count: int) -> None:
        for _ in range(count):
            torch.mm(left, right, out=out)

    return awaited(run, device)


def build_copy(workload: Workload, device: str) -> Callable[[int], None]:
    """n copies within the memory."""
    _, size = SIZES[device]
    source, target = (torch.ones(size, device=device) for _ in range(2))

    def run(count: int) -> None:
        for _ in range(count):
            target.copy_(source)

    return awaited(run, device)

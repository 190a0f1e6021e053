"""Training on a CUDA device: the parts that sequence.py of this folder and the GAN's engine share."""

import gc
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

LARGEST_H = 128  # hidden dim: a larger recurrent block does not fit into a multiprocessor's shared memory
OLDEST = (8, 0)  # compute capability: the first one with TF32, bfloat16 and asynchronous copies
UNROLL = 16  # training steps in one graph: with so many, launching it costs next to nothing


def without_triton() -> str | None:
    """Return why Triton cannot compile kernels here, or None if it can."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not any(map(shutil.which, (os.environ.get("CC", "gcc"), "clang"))):  # the names that Triton looks for
        return "Triton finds no C compiler"
    return None


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copy values from the CPU to the device. A copy to a GPU does not wait for the work queued there."""
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


class Steps:
    """Runs training steps one after the other. On CUDA they are recorded as graphs of UNROLL steps, and those that are
    left over as graphs of one step.

    To launch a step's small kernels one by one costs more time than they compute. A graph launches all of them at once.
    `step` takes tensors of the device and returns one. It must read no value on the CPU, and must write all that it
    changes in place.
    """

    def __init__(self, step: Callable[..., Tensor], device: torch.device):
        self.step, self.device = step, device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # the default one cannot record
        self.graphs: dict[tuple, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """Run a step for each k of the inputs [K, ...] -> their results [K, ...]. On CUDA it does not wait for them."""
        if not self.stream:
            return self.each(inputs)
        results, begin = [], 0
        self.stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self.stream):
            while begin < len(inputs[0]):
                count = UNROLL if begin + UNROLL <= len(inputs[0]) else 1
                results.append(self.replay([each[begin : begin + count] for each in inputs]))
                begin += count
            joined = torch.cat(results)
        torch.cuda.current_stream(self.device).wait_stream(self.stream)
        return joined

    def each(self, inputs: list[Tensor] | tuple[Tensor, ...]) -> Tensor:
        """Run the same steps without a graph."""
        return torch.stack([self.step(*of_step) for of_step in zip(*inputs, strict=True)])

    def replay(self, inputs: list[Tensor]) -> Tensor:
        """Run the same steps by the graph for these shapes. The first call runs without one, then records it."""
        shapes = tuple(each.shape for each in inputs)
        if shapes not in self.graphs:
            results = self.each(inputs)  # compiles kernels and sets up libraries, which no graph can record
            gc.collect()  # frees a former engine's graphs, which would spoil this one if freed during its recording
            graph, places = torch.cuda.CUDAGraph(), [each.clone() for each in inputs]
            with torch.cuda.graph(graph, stream=self.stream):
                self.graphs[shapes] = graph, places, self.each(places)
            return results
        graph, places, results = self.graphs[shapes]
        for place, each in zip(places, inputs, strict=True):
            place.copy_(each)
        graph.replay()
        return results.clone()

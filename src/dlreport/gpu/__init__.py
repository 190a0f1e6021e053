"""Training on a CUDA device: what sequence.py of this folder and the GAN's engine share."""

import gc
import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import Tensor

LARGEST_H = 128  # of a sequence model: a larger recurrent block does not fit into a multiprocessor's shared memory
OLDEST = (8, 0)  # compute capability: the first with TF32, bfloat16 and copies that do not wait
UNROLL = 16  # steps of a graph: launching it then costs next to nothing


def without_triton() -> str | None:
    """Why there is no Triton to compile kernels with; None if there is."""
    if find_spec("triton") is None:
        return "Triton is not installed"
    if not any(map(shutil.which, (os.environ.get("CC", "gcc"), "clang"))):  # where Triton looks
        return "Triton finds no C compiler"
    return None


def send(values: Tensor, device: torch.device) -> Tensor:
    """From the CPU to the device; to a GPU without waiting for what it still does."""
    if device.type == "cuda":
        return values.pin_memory().to(device, non_blocking=True)
    return values.to(device)


class Steps:
    """Training steps one after the other, on CUDA as graphs of UNROLL steps or, for what is left over, of one.

    A step's small kernels launched one by one cost more than they compute; a graph launches all of them at once. `step`
    takes tensors of the device and returns one; it reads no value on the CPU, and writes all that it changes in place.
    """

    def __init__(self, step: Callable[..., Tensor], device: torch.device):
        self.step, self.device = step, device
        self.stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # none can record on the default one
        self.graphs: dict[tuple, tuple[torch.cuda.CUDAGraph, list[Tensor], Tensor]] = {}

    def __call__(self, *inputs: Tensor) -> Tensor:
        """A step for each k of the inputs [K, ...] -> their results [K, ...]. On CUDA it does not wait for them."""
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
        return torch.stack([self.step(*of_step) for of_step in zip(*inputs, strict=True)])

    def replay(self, inputs: list[Tensor]) -> Tensor:
        """By the graph for inputs of these shapes, which is recorded after the first such steps have been made."""
        shapes = tuple(each.shape for each in inputs)
        if shapes not in self.graphs:
            results = self.each(inputs)  # compiles kernels and sets up libraries, which no graph can record
            gc.collect()  # a former engine's graphs, which would spoil this one if they were freed while it is recorded
            graph, places = torch.cuda.CUDAGraph(), [each.clone() for each in inputs]
            with torch.cuda.graph(graph, stream=self.stream):
                self.graphs[shapes] = graph, places, self.each(places)
            return results
        graph, places, results = self.graphs[shapes]
        for place, each in zip(places, inputs, strict=True):
            place.copy_(each)
        graph.replay()
        return results.clone()

"""Training of one sequence model on palindromes of one length. Report, part 1, "Training"."""

import math
import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from dlreport.config import Sequence
from dlreport.data import palindromes
from dlreport.errors import UserError
from dlreport.kernels import why_unavailable
from dlreport.models import SEQUENCE_MODELS
from dlreport.runtime import check_precision, prepare, select_device
from dlreport.streams import stream
from dlreport.training.engines import autograd_step, has_kernels, kernel_step
from dlreport.training.progress import log, progress, start_logging

BLOCK = 64  # steps whose data are drawn at once


@dataclass(frozen=True)
class Cell:
    """One cell of the report's table: a model at a length."""

    model: str
    length: int

    def __str__(self) -> str:
        return f"{self.model}-{self.length}"


@dataclass(frozen=True)
class SequenceRun:
    """A trained replicate: its weights and the loss and accuracy of every step, float32 [steps]."""

    weights: dict[str, np.ndarray]
    loss: np.ndarray
    accuracy: np.ndarray


def build_model(cell: Cell, hidden_dim: int, generator: torch.Generator) -> torch.nn.Module:
    """The cell's model: one scalar in per time step, one logit per digit out."""
    return SEQUENCE_MODELS[cell.model](1, hidden_dim, palindromes.DIGITS, generator)


def train(
    cell: Cell, settings: Sequence, seed: int, device: torch.device, precision: str, replicates: Iterable[int]
) -> list[SequenceRun]:
    """Train these replicates in this process, each from its own streams for initialisation and data.

    On a CPU one after the other, elsewhere all at once. Raises UserError naming the step if a loss is no longer
    finite (looked at when a line is logged).
    """
    if has_kernels(device):
        return [_train(cell, settings, seed, device, precision, [replicate])[0] for replicate in replicates]
    return _train(cell, settings, seed, device, precision, list(replicates))


def _train(
    cell: Cell, settings: Sequence, seed: int, device: torch.device, precision: str, replicates: list[int]
) -> list[SequenceRun]:
    def streams(use: str) -> list[torch.Generator]:
        return [stream(seed, "sequence", str(cell), replicate, use) for replicate in replicates]

    models = [build_model(cell, settings.hidden_dim, generator).to(device) for generator in streams("init")]
    if has_kernels(device):
        (model,) = models
        train_batch = kernel_step(model, settings, precision)
    else:
        train_batch = autograd_step(models, settings, precision)
    data = _batches(cell, settings, streams("data"), device)
    # Kept on the device: reading a number each step would wait for it.
    results = torch.empty(settings.steps, 2, len(replicates), device=device)

    last = settings.steps - 1
    for step in progress(range(settings.steps), f"{cell} replicate {replicates[0]}", position=replicates[0]):
        results[step] = train_batch(*next(data))
        if step % settings.log_every == 0 or step == last:
            for replicate, (loss, accuracy) in zip(replicates, results[step].T.tolist(), strict=True):
                log.info("%s replicate %d step %d loss %.4g accuracy %.4f", cell, replicate, step, loss, accuracy)
                if not math.isfinite(loss):
                    raise UserError(
                        f"{cell} replicate {replicate}: the loss is {loss:g} at step {step}; "
                        "lower sequence.learning_rate"
                    )

    curves = results.cpu().numpy()
    return [
        SequenceRun(
            {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()},
            *np.ascontiguousarray(curves[:, :, k].T),
        )
        for k, model in enumerate(models)
    ]


def _batches(
    cell: Cell, settings: Sequence, streams: list[torch.Generator], device: torch.device
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches x [R, B, T, 1], target [R, B] without end, a replicate from each stream; x lies time-major in memory.

    Drawn BLOCK steps at a time: for short palindromes a call of the generator costs as much as a step computes.
    """
    B = settings.batch_size
    while True:
        drawn = [palindromes.sample(BLOCK * B, cell.length, generator) for generator in streams]
        x = torch.stack([x.view(BLOCK, B, -1, 1).transpose(1, 2) for x, _ in drawn], dim=1).contiguous()
        target = torch.stack([target.view(BLOCK, B) for _, target in drawn], dim=1)
        yield from zip(x.to(device).transpose(2, 3), target.to(device), strict=True)


def _start_worker() -> None:
    start_logging()
    prepare(threads=1)


def train_replicates(
    cell: Cell, settings: Sequence, seed: int, device: str, precision: str, workers: int
) -> list[SequenceRun]:
    """Train `settings.replicates` runs in replicate order, on a CPU in up to `workers` processes of one thread each.

    A replicate's numbers depend on its own index and streams alone: not on `workers`, nor on how many others run.
    """
    where = select_device(device)
    check_precision(precision, where)
    if where.type == "cpu" and (reason := why_unavailable()):
        log.warning("%s; training by autograd, several times slower and different in the last digits", reason)
    workers = min(workers, settings.replicates) if has_kernels(where) else 1
    run = partial(train, cell, settings, seed, where, precision)
    if workers == 1:
        prepare(threads=1)
        return run(range(settings.replicates))
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker) as pool:
        return [trained for (trained,) in pool.map(run, ([replicate] for replicate in range(settings.replicates)))]


def mean_accuracy(accuracy: np.ndarray, average_from: int) -> float:
    """The report's training accuracy: mean of `accuracy` [steps] from `average_from` up to, not including, the last."""
    return float(accuracy[average_from:-1].mean(dtype=np.float64))


def windowed(run: SequenceRun, points: int) -> dict[str, np.ndarray]:
    """Loss and accuracy as mean, min and max over at most `points` equal windows of steps (the last may be shorter).

    Returns columns [points]; `step` is the last step of each window.
    """
    steps = len(run.loss)
    size = -(-steps // points)
    starts = np.arange(0, steps, size)
    stops = np.minimum(starts + size, steps)
    columns = {"step": stops - 1}
    for name, values in (("loss", run.loss), ("accuracy", run.accuracy)):
        columns[f"{name}_mean"] = np.add.reduceat(values.astype(np.float64), starts) / (stops - starts)
        columns[f"{name}_min"] = np.minimum.reduceat(values, starts)
        columns[f"{name}_max"] = np.maximum.reduceat(values, starts)
    return columns

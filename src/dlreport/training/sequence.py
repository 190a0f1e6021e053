"""Training of one sequence model on palindromes of one length. Report, part 1, "Training"."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from dlreport.config import Sequence
from dlreport.data import palindromes
from dlreport.errors import UserError
from dlreport.models import SEQUENCE_MODELS
from dlreport.runtime import prepare, select_device
from dlreport.streams import stream
from dlreport.training.progress import log, progress, start_logging


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


def train_replicate(cell: Cell, settings: Sequence, seed: int, device: str, replicate: int) -> SequenceRun:
    """Train one run on one thread, from its own streams for initialisation and data.

    Raises UserError naming the step if the loss is no longer finite (looked at when a line is logged).
    """
    where = select_device(device)
    name = f"{cell} replicate {replicate}"
    model = build_model(cell, settings.hidden_dim, stream(seed, "sequence", str(cell), replicate, "init")).to(where)
    data = stream(seed, "sequence", str(cell), replicate, "data")
    optimizer = torch.optim.RMSprop(model.parameters(), lr=settings.learning_rate, foreach=True)
    clipped = settings.clip.mode == "effective"  # as_reported computes what off does: see config.Clip
    # Kept on the device: reading a number each step would wait for it.
    loss = torch.empty(settings.steps, device=where)
    accuracy = torch.empty(settings.steps, device=where)

    last = settings.steps - 1
    for step in progress(range(settings.steps), name, position=replicate):
        x, target = palindromes.sample(settings.batch_size, cell.length, data)
        loss[step], accuracy[step] = model.loss_backward(x.to(where), target.to(where))
        if clipped:
            torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip.max_norm)
        optimizer.step()
        if step % settings.log_every == 0 or step == last:
            log.info("%s step %d loss %.4g accuracy %.4f", name, step, loss[step], accuracy[step])
            if not loss[step].isfinite():
                raise UserError(f"{name}: the loss is {loss[step]:g} at step {step}; lower sequence.learning_rate")

    weights = {key: value.cpu().numpy() for key, value in model.state_dict().items()}
    return SequenceRun(weights, loss.cpu().numpy(), accuracy.cpu().numpy())


def _start_worker() -> None:
    start_logging()
    prepare(threads=1)


def train_replicates(cell: Cell, settings: Sequence, seed: int, device: str, workers: int) -> list[SequenceRun]:
    """Train `settings.replicates` runs in up to `workers` processes of one thread each, in replicate order.

    A replicate's numbers depend on its own index and streams alone: not on `workers`, nor on how many others run.
    """
    train = partial(train_replicate, cell, settings, seed, device)
    workers = min(workers, settings.replicates)
    if workers == 1:
        prepare(threads=1)
        return [train(replicate) for replicate in range(settings.replicates)]
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker) as pool:
        return list(pool.map(train, range(settings.replicates)))


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

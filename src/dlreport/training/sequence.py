"""Training of one sequence model on palindromes of one length. Report, part 1, "Training"."""

import math
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dlreport.config import Sequence
from dlreport.data import palindromes
from dlreport.errors import UserError
from dlreport.models import SEQUENCE_MODELS
from dlreport.models.initialisation import reinitialise
from dlreport.runtime import check_precision, prepare, select_device
from dlreport.streams import stream
from dlreport.training.checkpoint import NO_CHECKPOINTS, Checkpoints, stop_by_signal
from dlreport.training.engines import Autograd, Native, native_engine
from dlreport.training.progress import log, start_logging, steps_bar

BLOCK = 8192  # sequences drawn, and trained on, between two returns to Python: enough for that to cost nothing


@dataclass(frozen=True)
class Cell:
    """One cell of the report's table: a model at a length."""

    model: str
    length: int

    def __str__(self) -> str:
        return f"{self.model}-{self.length}"


@dataclass(frozen=True)
class SequenceRun:
    """A trained replicate: its weights, also half-way, and the loss and accuracy of every step, float32 [steps]."""

    weights: dict[str, np.ndarray]
    halfway: dict[str, np.ndarray]
    loss: np.ndarray
    accuracy: np.ndarray


def build_model(
    cell: Cell, hidden_dim: int, generator: torch.Generator, initialisation: str = "as_reported"
) -> torch.nn.Module:
    """The cell's model: one scalar in per time step, one logit per digit out."""
    model = SEQUENCE_MODELS[cell.model](1, hidden_dim, palindromes.DIGITS, generator)
    if initialisation != "as_reported":
        reinitialise(model, initialisation, generator)
    return model


def _by_native(cell: Cell, device: torch.device, precision: str) -> bool:
    return SEQUENCE_MODELS[cell.model] in Native.MODELS and native_engine(device.type, precision)


def train(
    cell: Cell,
    settings: Sequence,
    seed: int,
    device: torch.device,
    precision: str,
    checkpoints: Checkpoints,
    replicates: list[int],
) -> list[SequenceRun]:
    """Train these replicates in this process, each from its own streams for initialisation and data.

    By the native engine one after the other, else by autograd's all at once. Goes on from a checkpoint if there is one.
    Raises UserError naming the step if a loss is no longer finite.
    """
    by_native = _by_native(cell, device, precision)
    if by_native and len(replicates) > 1:
        run = partial(train, cell, settings, seed, device, precision, checkpoints)
        return [run([replicate])[0] for replicate in replicates]

    def streams(use: str) -> list[torch.Generator]:
        return [stream(seed, "sequence", str(cell), replicate, use) for replicate in replicates]

    initial = [
        build_model(cell, settings.hidden_dim, generator, settings.initialisation) for generator in streams("init")
    ]
    models = [model.to(device) for model in initial]
    data = streams("data")
    engine = Native(models[0], settings, precision) if by_native else Autograd(models, settings, precision)
    results = torch.empty(settings.steps, 2, len(replicates))
    label = f"{cell} replicate {replicates[0]}"
    block = max(1, BLOCK // settings.batch_size)
    with (
        checkpoints.open(label.replace(" ", "-")) as checkpoint,
        steps_bar(settings.steps, label, position=replicates[0]) as bar,
    ):
        begin, halfway = 0, None
        if state := checkpoint.load():
            begin = len(state["results"])
            log.info("%s goes on from step %d", label, begin)
            results[:begin], halfway = state["results"], state["halfway"]
            for tensor, saved in zip(engine.state, state["engine"], strict=True):
                tensor.copy_(saved)
            for generator, saved in zip(data, state["data"], strict=True):
                generator.set_state(saved)
            bar.update(begin)
        half = settings.steps // 2
        starts = sorted({0, half, *range(0, settings.steps, block)})
        for start, stop in pairwise([*starts, settings.steps]):
            if start < begin:
                continue
            steps = range(start, stop)
            if start == half:
                halfway = [_weights(model) for model in models]
            x, target = draw(cell.length, settings.batch_size, len(steps), data)
            results[start : steps.stop] = engine.train(x.to(device), target.to(device))
            bar.update(len(steps))
            _report(cell, replicates, results, steps, settings)
            if checkpoint.due or steps.stop == settings.steps:
                streams_now = [generator.get_state() for generator in data]
                so_far = {"results": results[: steps.stop], "halfway": halfway}
                checkpoint.save({**so_far, "engine": engine.state, "data": streams_now})
                checkpoint.stop_if_asked(f"{label}, step {steps.stop} of {settings.steps},")
    curves = np.ascontiguousarray(results.permute(2, 1, 0).numpy())
    weights = [_weights(model) for model in models]
    return [
        SequenceRun(*({name: value.numpy() for name, value in state.items()} for state in states), *curve)
        for *states, curve in zip(weights, halfway, curves, strict=True)
    ]


def _weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}


def draw(length: int, batch_size: int, steps: int, streams: list[torch.Generator]) -> tuple[Tensor, Tensor]:
    """The data of the next K steps, a replicate from each stream: x [K, R, T, B, 1], target [K, R, B]."""
    drawn = [palindromes.sample(steps * batch_size, length, generator) for generator in streams]
    x = torch.stack([x.view(steps, batch_size, -1, 1).transpose(1, 2) for x, _ in drawn], dim=1)
    return x, torch.stack([target.view(steps, batch_size) for _, target in drawn], dim=1)


def _report(cell: Cell, replicates: list[int], results: Tensor, steps: range, settings: Sequence) -> None:
    """Log the lines that are due among these steps; refuse a loss that is no number."""
    finite = results[steps.start : steps.stop, 0].isfinite().all(1).tolist()
    for step, fine in zip(steps, finite, strict=True):
        due = step % settings.log_every == 0 or step == settings.steps - 1
        if fine and not due:
            continue
        for replicate, (loss, accuracy) in zip(replicates, results[step].T.tolist(), strict=True):
            if due:
                log.info("%s replicate %d step %d loss %.4g accuracy %.4f", cell, replicate, step, loss, accuracy)
            if not math.isfinite(loss):
                raise UserError(
                    f"{cell} replicate {replicate}: the loss is {loss:g} at step {step}; lower sequence.learning_rate"
                )


def _start_worker() -> None:
    stop_by_signal()
    start_logging()
    prepare(threads=1)


def train_replicates(
    cell: Cell,
    settings: Sequence,
    seed: int,
    device: str,
    precision: str,
    workers: int,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> list[SequenceRun]:
    """Train `settings.replicates` runs in replicate order, on a CPU in up to `workers` processes of one thread each.

    By the native engine a replicate's numbers depend on its own index and streams alone: not on `workers`, nor on how
    many others run.
    """
    where = select_device(device)
    check_precision(precision, where)
    workers = min(workers, settings.replicates) if _by_native(cell, where, precision) else 1
    run = partial(train, cell, settings, seed, where, precision, checkpoints)
    if workers == 1:
        prepare(threads=1)
        return run(list(range(settings.replicates)))
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools
    with ProcessPoolExecutor(workers, mp_context=spawn, initializer=_start_worker) as pool:
        try:
            return [trained for (trained,) in pool.map(run, ([replicate] for replicate in range(settings.replicates)))]
        except BrokenProcessPool as error:
            raise UserError(f"{cell}: a training process was killed, as for want of memory; run it again") from error


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

"""Trains one sequence model on palindromes of one length. Part 1 of the report describes it under "Training"."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from dlreport import native
from dlreport.checkpoint import NO_CHECKPOINTS, Checkpoints
from dlreport.config import SequenceSettings
from dlreport.errors import UserError
from dlreport.executor import run_each
from dlreport.native import sequence as native_sequence
from dlreport.progress import log, steps_bar
from dlreport.runtime import check_precision, prepare, select_device
from dlreport.sequence import palindromes
from dlreport.sequence.engines import Autograd, Fused, Native, fused_serves
from dlreport.sequence.models import model_class
from dlreport.sequence.models.base import SequenceModel
from dlreport.sequence.task import Task

BLOCK = 8192  # sequences that an engine trains on between two returns to Python, so many that a return costs nothing


@dataclass(frozen=True)
class SequenceRun:
    """A trained replicate: its weights at the end and half-way, and the loss and accuracy of every step, float32
    [steps]."""

    weights: dict[str, np.ndarray]
    halfway: dict[str, np.ndarray]
    loss: np.ndarray
    accuracy: np.ndarray


def is_native(task: Task, device: torch.device, precision: str) -> bool:
    """Whether the native engine trains the task's model on this device."""
    cell = model_class(task.model).NATIVE
    return cell is not None and native.serves(native_sequence.SOURCE, device.type, precision)


def build_engine(
    task: Task, models: list[SequenceModel], settings: SequenceSettings, device: torch.device, precision: str
) -> Native | Fused | Autograd:
    """Return the engine that trains these models: the native one where it serves, else the fused one where it serves,
    else autograd. For the native one there must be one model only."""
    if is_native(task, device, precision):
        (model,) = models
        return Native(model, settings, precision)
    if fused_serves(models[0], settings, task.length, device):
        return Fused(models, settings, precision)
    log.info("%s: training by autograd on %s", task, device.type)
    return Autograd(models, settings, precision)


def steps_of_block(batch_size: int, device: torch.device) -> int:
    """Return how many steps an engine makes at once, at most."""
    return max(1, (BLOCK if device.type == "cpu" else 4 * BLOCK) // batch_size)


def train(
    task: Task,
    settings: SequenceSettings,
    seed: int,
    device: torch.device,
    precision: str,
    replicates: list[int],
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> list[SequenceRun]:
    """Train these replicates in this process, each from its own streams for initialisation and data.

    With the native engine there must be one replicate only; the other engines train all at once. Training continues
    from a checkpoint if there is one. Raises UserError that names the step if a loss is no longer finite.
    """
    prepare(threads=1)

    def streams(use: str) -> list[torch.Generator]:
        return [task.stream(seed, replicate, use) for replicate in replicates]

    initial = [task.build(settings.hidden_dim, generator, settings.initialisation) for generator in streams("init")]
    models = [model.to(device) for model in initial]
    data = streams("data")
    engine = build_engine(task, models, settings, device, precision)
    results = torch.empty(settings.steps, 2, len(replicates))
    label = f"{task} replicate {replicates[0]}"
    block = steps_of_block(settings.batch_size, device)
    with (
        checkpoints.open(label.replace(" ", "-")) as checkpoint,
        steps_bar(settings.steps, label, position=replicates[0]) as bar,
    ):
        begin, halfway = 0, list[dict[str, Tensor]]()
        if state := checkpoint.load():
            begin = len(state["results"])
            log.info("%s goes on from step %d", label, begin)
            results[:begin], halfway = state["results"], state["halfway"]
            for tensor, saved in zip(engine.state, state["engine"], strict=True):
                tensor.copy_(saved)
            for generator, saved in zip(data, state["data"], strict=True):
                generator.set_state(saved)
            bar.update(begin)
        half = settings.halfway
        # `begin` is added, since a checkpoint of a device with other blocks may end within a block of this device.
        starts = sorted({begin, half, *range(0, settings.steps, block)} - {settings.steps})

        def blocks() -> Iterator[tuple[range, tuple[Tensor, Tensor], list[Tensor]]]:
            """Yield the blocks of steps that are left, with their data and the streams' states after these data."""
            for steps in (range(*ends) for ends in pairwise([*starts, settings.steps]) if ends[0] >= begin):
                drawn = draw(task.length, settings.batch_size, len(steps), data, device)
                yield steps, drawn, [generator.get_state() for generator in data]

        left = blocks()
        following = next(left, None)
        while following:
            steps, drawn, streams_now = following
            if steps.start == half:
                halfway = [_weights(model) for model in models]
            found = engine.train(*drawn)
            following = next(left, None)  # the next data are drawn while a GPU still trains
            results[steps.start : steps.stop] = found
            bar.update(len(steps))
            _report(task, replicates, results, steps, settings)
            if checkpoint.due or steps.stop == settings.steps:
                so_far = {"results": results[: steps.stop], "halfway": halfway}
                checkpoint.save({**so_far, "engine": engine.state, "data": streams_now})
                checkpoint.stop_if_asked(f"{label}, step {steps.stop} of {settings.steps},")
    curves = np.ascontiguousarray(results.permute(2, 1, 0).numpy())
    return [
        SequenceRun(_arrays(_weights(model)), _arrays(half_trained), *curve)
        for model, half_trained, curve in zip(models, halfway, curves, strict=True)
    ]


def _weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.to("cpu", copy=True) for name, value in model.state_dict().items()}


def _arrays(weights: dict[str, Tensor]) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in weights.items()}


def draw(
    length: int, batch_size: int, steps: int, streams: list[torch.Generator], device: torch.device | None = None
) -> tuple[Tensor, Tensor]:
    """Draw the data of the next K = `steps` training steps, for each of R replicates from its own stream. Returns
    x [K, R, T, B, 1] and target [K, R, B]."""
    drawn = [palindromes.sample(steps * batch_size, length, generator, device) for generator in streams]
    x = torch.stack([x.view(steps, batch_size, -1, 1).transpose(1, 2) for x, _ in drawn], dim=1)
    return x, torch.stack([target.view(steps, batch_size) for _, target in drawn], dim=1)


def _report(task: Task, replicates: list[int], results: Tensor, steps: range, settings: SequenceSettings) -> None:
    """Log loss and accuracy at those of these steps where a line is due. Raises UserError if a loss is not finite."""
    finite = results[steps.start : steps.stop, 0].isfinite().all(1).tolist()
    for step, fine in zip(steps, finite, strict=True):
        due = step % settings.log_every == 0 or step == settings.steps - 1
        if fine and not due:
            continue
        for replicate, (loss, accuracy) in zip(replicates, results[step].T.tolist(), strict=True):
            if due:
                log.info("%s replicate %d step %d loss %.4g accuracy %.4f", task, replicate, step, loss, accuracy)
            if not math.isfinite(loss):
                raise UserError(
                    f"{task} replicate {replicate}: the loss is {loss:g} at step {step}; lower sequence.learning_rate"
                )


def train_replicates(
    task: Task,
    settings: SequenceSettings,
    count: int,
    seed: int,
    device: str,
    precision: str,
    workers: int,
    checkpoints: Checkpoints = NO_CHECKPOINTS,
) -> list[SequenceRun]:
    """Train `count` replicates and return them in their order. The native engine trains them in up to `workers`
    processes of one thread each.

    With the native engine a replicate's numbers depend only on its own index and streams. They depend neither on
    `workers` nor on how many replicates there are.
    """
    where = select_device(device)
    check_precision(precision, where)
    run = partial(train, task, settings, seed, where, precision)
    replicates = range(count)
    if not is_native(task, where, precision):
        return run([*replicates], checkpoints)
    alone = [[replicate] for replicate in replicates]
    runs = run_each(run, alone, min(workers, len(alone)), checkpoints, lambda item: f"{task} replicate {item[0]}")
    return [trained for _, (trained,) in sorted(runs)]

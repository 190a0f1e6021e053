"""Independent runs, side by side: in processes of this machine or, if RAY_ADDRESS is set, on a Ray cluster.

A run's result follows from its item alone, so the results are the same whoever computes them. A run whose process is
killed begins again, from its last checkpoint if it has any. Checkpoints stay with this process, the coordinator: on a
cluster every run reads and writes them through it.
"""

import importlib
import io
import logging
import multiprocessing
import os
import pickle
import re
import signal
import socket
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from dlreport.checkpoint import NO_CHECKPOINTS, Checkpoints, Disk, asked_to_stop, stop_by_signal
from dlreport.errors import Interrupted, UserError
from dlreport.io import tensors_to_bytes
from dlreport.progress import log, start_logging
from dlreport.runtime import workers

RETRIES = 5  # of a run whose process or machine dies
KEPT = "what is finished and each run's last checkpoint are kept; run it again"
Run = Callable[[Any, Checkpoints], Any]  # a function of a module, since its name is what goes to another process


def run_each(
    run: Run, items: Sequence[Any], processes: int, checkpoints: Checkpoints = NO_CHECKPOINTS
) -> Iterator[tuple[int, Any]]:
    """Call `run(item, checkpoints)` for each item; yield its index and result as the runs end.

    The first items start first. With one process all run in this one; a cluster takes as many as it has processors. An
    error that a run raises is raised here and ends the others. Raises UserError when all others have ended if a run's
    process died RETRIES + 1 times, and Interrupted when all have ended after a signal.
    """
    if os.environ.get("RAY_ADDRESS"):
        yield from _on_ray(run, items, checkpoints)
    elif processes == 1:
        for index, item in enumerate(items):
            yield index, run(item, checkpoints)
    else:
        yield from _in_processes(run, items, processes, checkpoints)


def run_all(run: Run, items: Sequence[Any], processes: int, checkpoints: Checkpoints = NO_CHECKPOINTS) -> list[Any]:
    """The results of `run_each` in the order of the items."""
    results = dict(run_each(run, items, processes, checkpoints))
    return [results[index] for index in range(len(items))]


def _answer(run: Run, item: Any, checkpoints: Checkpoints) -> bytes:
    """In another process: the pair of the run's result and its error, one of them None.

    As torch.save writes it, which keeps tensors that are views of one as they are; PyTorch's and Ray's own ways between
    processes would leave them in memory that these share.
    """
    start_logging()
    try:
        return bytes(tensors_to_bytes((run(item, checkpoints), None)))
    except Exception as error:
        error.add_note(traceback.format_exc())  # its own does not come along
        return bytes(tensors_to_bytes((None, error)))


def _read(answer: bytes) -> tuple[Any, Exception | None]:
    return torch.load(io.BytesIO(answer), weights_only=False)


def _raise_lost(lost: list[Any]) -> None:
    if lost:
        names = ", ".join(map(str, lost[:3])) + ", ..." * (len(lost) > 3)
        raise UserError(f"run {names}: its process was killed {RETRIES + 1} times, as for want of memory; {KEPT}")


class _Worker:
    """A process that answers one call after another."""

    def __init__(self):
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools
        self.connection, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_serve, args=(theirs,))
        self.process.start()
        theirs.close()  # so that the process alone has it, and its end is seen

    def ask(self, *call: Any) -> None:
        with suppress(OSError):  # if it was killed, which `answer` finds
            self.connection.send_bytes(pickle.dumps(call))

    def answer(self) -> tuple[Any, Exception | None]:
        try:
            return _read(self.connection.recv_bytes())
        except (EOFError, OSError):
            return None, Interrupted(signal.SIGKILL, KEPT)

    def join(self) -> None:
        self.connection.close()
        self.process.join()


def _serve(connection: Connection) -> None:
    stop_by_signal()
    threading.Thread(target=_stop_with_coordinator, daemon=True).start()
    with suppress(EOFError, OSError):  # the coordinator wants no more, or has ended
        while True:
            connection.send_bytes(_answer(*pickle.loads(connection.recv_bytes())))


def _stop_with_coordinator() -> None:
    multiprocessing.parent_process().join()
    os.kill(os.getpid(), signal.SIGTERM)


def _in_processes(run: Run, items: Sequence[Any], processes: int, checkpoints: Checkpoints) -> Iterator:
    waiting, deaths, lost, message = deque(range(len(items))), Counter(), [], KEPT
    idle: list[_Worker] = []
    busy: dict[Connection, tuple[_Worker, int]] = {}  # by a worker's connection the worker, and its item's index
    try:
        while waiting or busy:
            if number := asked_to_stop():
                if not busy:
                    raise Interrupted(number, message)
                for worker, _ in busy.values():
                    worker.process.terminate()  # on which a training saves its state and stops
            while waiting and len(busy) < processes and not number:
                worker, index = idle.pop() if idle else _Worker(), waiting.popleft()
                busy[worker.connection] = worker, index
                worker.ask(run, items[index], checkpoints)
            for connection in wait(list(busy), timeout=1):
                worker, index = busy[connection]
                result, error = worker.answer()
                del busy[connection]
                if not isinstance(error, Interrupted):
                    idle.append(worker)
                    if error:
                        raise error
                    yield index, result
                    continue
                worker.join()
                deaths[index] += 1
                if asked_to_stop():
                    message = error.message
                elif deaths[index] > RETRIES:
                    lost.append(items[index])
                    continue
                else:
                    log.warning("the process of run %s was killed; it begins again", items[index])
                waiting.appendleft(index)
        _raise_lost(lost)
    finally:
        left = [*idle, *(worker for worker, _ in busy.values())]
        for worker in left:
            worker.process.terminate()
        for worker in left:
            worker.join()


class CoordinatorsDisk(Disk):
    """The disk of the coordinator, for a run that may be on another machine: by an actor beside the coordinator."""

    def __init__(self, actor: Any):
        self.actor = actor

    def read(self, path: Path) -> bytes | None:
        return _ray().get(self.actor.read.remote(path))

    def write(self, path: Path, content: bytes | memoryview, previous: Path) -> None:
        _ray().get(self.actor.write.remote(path, bytes(content), previous))

    @contextmanager
    def hold(self, directory: Path, name: str) -> Iterator[None]:
        yield  # the coordinator holds them all, and its end is the end of its runs


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no statistics to Ray's makers
    os.environ.setdefault("RAY_worker_niceness", "0")  # workers as nice as this process; by default 15 nicer
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # all lines of all runs
    try:
        return importlib.import_module("ray")
    except ModuleNotFoundError as error:
        raise UserError(
            f"RAY_ADDRESS is set, but {error.name} is not installed; install requirements-ray.txt or unset RAY_ADDRESS"
        ) from error


def _connect(run: Run) -> Any:
    """Join the cluster, or with RAY_ADDRESS=local start Ray here. This process's code goes with the runs, so that all
    machines run the same."""
    ray, address = _ray(), os.environ["RAY_ADDRESS"]
    here = {"num_cpus": workers(), "include_dashboard": False, "object_store_memory": 10**8}
    package, module = Path(__file__).parent, Path(sys.modules[getattr(run, "func", run).__module__].__file__)
    code = {str(package), str(package if package in module.parents else module)}
    options = {"runtime_env": {"py_modules": sorted(code)}, "logging_level": logging.ERROR}
    try:
        if place := re.fullmatch(r"(.+):(\d+)", address):
            socket.create_connection(place.groups(), timeout=10).close()  # if nobody is there, Ray tries for minutes
        ray.init(address, **options, **(here if address == "local" else {}))
    except (OSError, RuntimeError) as error:
        raise UserError(f"Ray at {address} does not answer as it should: {error}") from error
    stop_by_signal()  # again, since Ray has put its own way in that place
    return ray


def _on_ray(run: Run, items: Sequence[Any], checkpoints: Checkpoints) -> Iterator:
    directory, lost = checkpoints.directory and checkpoints.directory.resolve(), []
    with checkpoints.disk.hold(directory, "cluster") if directory else nullcontext():
        ray = _connect(run)
        try:
            if directory:
                beside = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                    ray.get_runtime_context().get_node_id(), soft=False
                )
                place = {"num_cpus": 0, "scheduling_strategy": beside, "max_restarts": -1, "max_task_retries": -1}
                disk = CoordinatorsDisk(ray.remote(**place)(Disk).remote())
                checkpoints = replace(checkpoints, directory=directory, disk=disk)
            remote, shared = ray.remote(num_cpus=1, max_retries=RETRIES)(_answer), ray.put(run)
            pending = {remote.remote(shared, item, checkpoints): index for index, item in enumerate(items)}
            while pending:
                done, _ = ray.wait(list(pending), timeout=1)
                if number := asked_to_stop():
                    raise Interrupted(number, KEPT)
                for future in done:
                    index = pending.pop(future)
                    try:
                        result, error = _read(ray.get(future))
                    except ray.exceptions.RayTaskError as error:
                        raise UserError(f"a machine of the cluster cannot run {items[index]}: {error.cause}") from error
                    except ray.exceptions.RayError:
                        lost.append(items[index])
                        continue
                    if error:
                        raise error
                    yield index, result
            _raise_lost(lost)
        finally:
            ray.shutdown()

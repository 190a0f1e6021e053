"""Independent runs, side by side: in processes of this machine or, if RAY_ADDRESS is set, on a Ray cluster.

A run's result follows from its item alone, so the results are the same whoever computes them. A run whose process is
killed begins again, from its last checkpoint if it has any. Checkpoints stay with this process, the coordinator: on a
cluster every other machine reads and writes them through it.
"""

import importlib
import logging
import multiprocessing
import os
import re
import socket
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from pebble import ProcessExpired, ProcessPool

from dlreport.checkpoint import NO_CHECKPOINTS, Checkpoints, Disk, asked_to_stop, stop_by_signal
from dlreport.errors import Interrupted, UserError
from dlreport.progress import log, start_logging
from dlreport.runtime import workers

RETRIES = 5  # of a run whose process or machine dies
Run = Callable[[Any, Checkpoints], Any]  # a function of a module, since its name is what goes to another process


def run_each(
    run: Run, items: Sequence[Any], processes: int, checkpoints: Checkpoints = NO_CHECKPOINTS
) -> Iterator[tuple[int, Any]]:
    """Call `run(item, checkpoints)` for each item; yield its index and result as the runs end.

    The first items start first. With one process all run in this one; a cluster takes as many as it has processors.
    An error that a run raises is raised here. Raises UserError if a run's process died RETRIES + 1 times.
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


def _lost(item: Any) -> UserError:
    return UserError(f"{item}: its process was killed {RETRIES + 1} times, as for want of memory; run it again")


def _start_worker() -> None:
    stop_by_signal()
    start_logging()


def _in_processes(run: Run, items: Sequence[Any], processes: int, checkpoints: Checkpoints) -> Iterator:
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools
    with ProcessPool(min(processes, len(items)), context=spawn, initializer=_start_worker) as pool:
        try:
            deaths = Counter()
            pending = {pool.schedule(run, args=(item, checkpoints)): index for index, item in enumerate(items)}
            while pending:
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    index = pending.pop(future)
                    try:
                        result = future.result()
                    except ProcessExpired as error:
                        deaths[index] += 1
                        if deaths[index] > RETRIES:
                            raise _lost(items[index]) from error
                        log.warning("the process of %s was killed; it begins again", items[index])
                        pending[pool.schedule(run, args=(items[index], checkpoints))] = index
                    else:
                        yield index, result
        except BaseException:
            pool.stop()  # by SIGTERM, on which a training saves its state
            raise


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
        with nullcontext():  # the coordinator holds it, and its end is the end of its runs
            yield


def _ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no statistics to Ray's makers
    os.environ.setdefault("RAY_worker_niceness", "0")  # workers as nice as this process; by default 15 nicer
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
    options = {"runtime_env": {"py_modules": sorted(code)}, "logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if place := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):
            socket.create_connection(place.groups(), timeout=10).close()  # if nobody is there, Ray tries for minutes
        ray.init(address, **options, **(here if address == "local" else {}))
    except (OSError, RuntimeError) as error:
        raise UserError(f"Ray at {address} does not answer as it should: {error}") from error
    return ray


def _call(run: Run, item: Any, checkpoints: Checkpoints) -> Any:
    return run(item, checkpoints)  # Ray takes functions alone, not every callable


def _on_ray(run: Run, items: Sequence[Any], checkpoints: Checkpoints) -> Iterator:
    ray = _connect(run)
    try:
        if checkpoints.directory:
            here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
                ray.get_runtime_context().get_node_id(), soft=False
            )
            actor = ray.remote(num_cpus=0, scheduling_strategy=here)(Disk).remote()
            directory, disk = checkpoints.directory.resolve(), CoordinatorsDisk(actor)
            checkpoints = replace(checkpoints, directory=directory, disk=disk)
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_call)
        pending = {remote.remote(run, item, checkpoints): index for index, item in enumerate(items)}
        while pending:
            done, _ = ray.wait(list(pending), timeout=1)
            if signal := asked_to_stop():
                raise Interrupted(signal, "what is finished and each run's last checkpoint are kept; run it again")
            for future in done:
                index = pending.pop(future)
                try:
                    result = ray.get(future)
                except ray.exceptions.RayTaskError as error:
                    raise error.cause from None  # as the run raised it
                except ray.exceptions.RayError as error:
                    raise _lost(items[index]) from error
                yield index, result
    finally:
        ray.shutdown()

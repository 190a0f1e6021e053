"""Competitors timed side by side: worker processes that run blocks of training steps, one competitor after the other.

A competitor runs in one of three arrangements: one process of one thread ("1"), two such processes at the same moment
("x2"), or one process of two threads ("2 threads"). Its time a step is the wall time over all steps of all processes.
"""

import importlib
import multiprocessing
import os
import statistics
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from time import perf_counter

from workloads import Workload

ARRANGEMENTS = {"1": (1, 1), "x2": (2, 1), "2 threads": (1, 2)}  # processes, threads of each


@dataclass(frozen=True)
class Competitor:
    name: str
    factory: str  # "module:function", called with the workload and the options
    arrangement: str
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{self.name} {self.arrangement}"

    @property
    def engine(self) -> str:
        """JAX and torch each have their own processes."""
        return "jax" if self.factory.startswith("jax") else "torch"


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def _prepare(engine: str, threads: int, index: int) -> None:
    if engine == "torch":
        from dlreport.runtime import prepare

        prepare(threads)
    elif hasattr(os, "sched_setaffinity"):  # XLA makes a thread for each core that it may use
        os.sched_setaffinity(0, cores()[index : index + threads])
    else:
        os.environ["XLA_FLAGS"] = f"--xla_cpu_multi_thread_eigen={str(threads > 1).lower()}"


def _work(pipe: Connection, engine: str, threads: int, index: int, barrier: Barrier) -> None:
    """The loop of a worker process; None ends it. It answers each command by (error message or None, result)."""
    _prepare(engine, threads, index)
    runs = {}
    while (command := pipe.recv()) is not None:
        try:
            key, workload, competitor, steps, together = command
            if key not in runs:
                module, function = competitor.factory.split(":")
                runs[key] = getattr(importlib.import_module(module), function)(workload, **dict(competitor.options))
            if together:
                barrier.wait()
            start = perf_counter()
            if steps:
                runs[key](steps)
            pipe.send((None, (start, perf_counter())))  # the system's monotonic clock: the same in all processes
        except Exception as error:
            pipe.send((f"{type(error).__name__}: {error}", None))


class Crew:
    """Worker processes, started when first needed: of each engine two of one thread and one of two threads."""

    def __init__(self):
        self._spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools
        self._barrier = {engine: self._spawn.Barrier(2) for engine in ("torch", "jax")}
        self._pipes: dict[tuple, Connection] = {}
        self._processes = []

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_) -> None:
        for pipe in self._pipes.values():
            pipe.send(None)
        for process in self._processes:
            process.join()

    def _pipe(self, engine: str, threads: int, index: int) -> Connection:
        key = engine, threads, index
        if key not in self._pipes:
            self._pipes[key], theirs = self._spawn.Pipe()
            arguments = (theirs, engine, threads, index, self._barrier[engine])
            self._processes.append(self._spawn.Process(target=_work, args=arguments, daemon=True))
            self._processes[-1].start()
            theirs.close()
        return self._pipes[key]

    def run(self, competitor: Competitor, workload: Workload, steps: int | tuple[int, ...]) -> float:
        """Seconds until all processes have run their steps (a number, or one for each process); builds it if new.

        Raises RuntimeError with the worker's message.
        """
        processes, threads = ARRANGEMENTS[competitor.arrangement]
        shares = steps if isinstance(steps, tuple) else (steps,) * processes
        pipes = [self._pipe(competitor.engine, threads, index) for index in range(processes)]
        key = (competitor.name, competitor.factory, competitor.options, workload)
        together = processes > 1 and any(shares)
        for pipe, share in zip(pipes, shares, strict=True):
            pipe.send((key, workload, competitor, share, together))
        errors, times = zip(*[pipe.recv() for pipe in pipes], strict=True)
        if any(errors):
            raise RuntimeError(next(filter(None, errors)))
        return max(end for _, end in times) - min(start for start, _ in times)


def calibrate(crew: Crew, competitor: Competitor, workload: Workload, block_seconds: float) -> int:
    """The steps of a block of about `block_seconds`. Builds, compiles and warms up; ends with a block of that size."""
    crew.run(competitor, workload, 0)
    crew.run(competitor, workload, 1)
    steps = next(n for n in (2**i for i in count()) if crew.run(competitor, workload, n) > block_seconds / 4)
    steps = max(1, round(steps * block_seconds / crew.run(competitor, workload, steps)))
    crew.run(competitor, workload, steps)
    return steps


def measure(
    crew: Crew, pairs: Iterable[tuple[Competitor, Workload]], repeats: int, block_seconds: float
) -> dict[tuple[Competitor, Workload], float]:
    """Median ms a step of each competitor on its workload: in each repeat every one in turn runs one block.

    One that cannot run is named on stderr and left out.
    """
    steps = {}
    for competitor, workload in pairs:
        try:
            steps[competitor, workload] = calibrate(crew, competitor, workload, block_seconds)
        except RuntimeError as error:
            print(f"{workload.name}: {competitor} left out ({error})", file=sys.stderr)
    times: dict[tuple[Competitor, Workload], list[float]] = {pair: [] for pair in steps}
    for _ in range(repeats):
        for (competitor, workload), n in steps.items():
            processes, _ = ARRANGEMENTS[competitor.arrangement]
            times[competitor, workload].append(crew.run(competitor, workload, n) / (n * processes) * 1000)
    return {pair: statistics.median(values) for pair, values in times.items()}

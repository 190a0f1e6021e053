"""Independent runs, side by side: in processes of this machine or, if RAY_ADDRESS is set, on a Ray cluster.

A run's result follows from its item alone, so the results are the same whoever computes them. A run whose process is
killed begins again, from its last checkpoint if it has any. Checkpoints stay with this process, the coordinator: on a
cluster every run reads and writes them through it.
"""

import inspect
import io
import logging
import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import socket
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import torch

from dlreport.checkpoint import NO_CHECKPOINTS, Checkpoints, Disk, asked_to_stop, stop_by_signal
from dlreport.errors import STOPPING, Interrupted, UserError
from dlreport.progress import log, start_logging
from dlreport.runtime import workers as cores

RETRIES = 5  # of a run whose process or machine dies
KEPT = "what is finished and each run's last checkpoint are kept; run it again"
KILLED = Interrupted(signal.SIGKILL, KEPT)
Run = Callable[[Any, Checkpoints], Any]  # a function of a module, since its name is what goes to another process
# Ends of runs: the item's index, and the result or the error
Ends = Generator[tuple[int, Any, Exception | None], None, None]


def run_each(
    run: Run, items: Sequence[Any], processes: int, checkpoints: Checkpoints = NO_CHECKPOINTS, name: Callable = str
) -> Iterator[tuple[int, Any]]:
    """Call `run(item, checkpoints)` for each item; yield its index and result as the runs end.

    The first items start first; `sorted` puts the results in the items' order. Messages call a run `name(item)`.
    With one process all run in this one; a cluster takes as many as it has processors.

    An error that a run raises is raised here and ends the others. Raises UserError when all others have ended if a
    run's process died RETRIES + 1 times, and Interrupted when all have ended after a signal.
    """
    names, lost = [name(item) for item in items], []
    if os.environ.get("RAY_ADDRESS"):
        ends = _on_ray(run, items, names, checkpoints)
    elif processes == 1:
        ends = ((index, run(item, checkpoints), None) for index, item in enumerate(items))
    else:
        ends = _in_processes(run, items, names, processes, checkpoints)
    with closing(ends):
        for index, result, error in ends:
            if isinstance(error, Interrupted):
                lost.append(names[index])
            elif error:
                raise error
            else:
                yield index, result
    _raise_lost(lost)


def _raise_lost(lost: list[Any]) -> None:
    if lost:
        some = ", ".join(map(str, lost[:3])) + ", ..." * (len(lost) > 3)
        raise UserError(f"run {some}: its process was killed {RETRIES + 1} times, perhaps for lack of memory; {KEPT}")


def _answer(run: Run, item: Any, checkpoints: Checkpoints) -> bytes:
    """In another process: the pair of the run's result and its error, one of them None.

    As torch.save writes it, which keeps tensors that are views of one as they are; PyTorch's and Ray's own ways between
    processes would leave them in memory that these share.
    """
    start_logging()
    try:
        return _pack((run(item, checkpoints), None))
    except Exception as error:
        error.add_note(traceback.format_exc())  # its own does not come along
        return _pack((None, error))


def _pack(values: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def _read(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=False)


def _in_processes(run: Run, items: Sequence[Any], names: list[str], processes: int, checkpoints: Checkpoints) -> Ends:
    """Each worker process has a connection of its own, so that none that is killed hinders another."""
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools
    waiting, last = deque(range(len(items))), KILLED
    kills: Counter[int] = Counter()  # by the item's index
    workers: dict[Connection, SpawnProcess] = {}
    busy: dict[Connection, int] = {}  # the indices of the items that workers have
    try:
        while waiting or busy:
            if number := asked_to_stop():
                if not busy:
                    raise Interrupted(number, last.message)
                for connection in busy:
                    workers[connection].terminate()  # on which a training saves its state and stops
            while waiting and len(busy) < processes and not number:
                if len(workers) == len(busy):
                    connection, theirs = spawn.Pipe()
                    worker = spawn.Process(target=_serve, args=(theirs,))
                    with _held_back():
                        worker.start()
                    theirs.close()  # so that the worker alone has it, and its end is seen
                    workers[connection] = worker
                connection, index = (workers.keys() - busy.keys()).pop(), waiting.popleft()
                busy[connection] = index
                if kills[index]:
                    log.warning("the process of run %s was killed; it begins again", names[index])
                with suppress(OSError):  # a worker that was killed: found when it is to answer
                    connection.send_bytes(_pack((run, items[index], checkpoints)))
            for connection in busy.keys() & wait(list(busy), timeout=1):
                index = busy.pop(connection)
                try:
                    result, error = _read(connection.recv_bytes())
                except (EOFError, OSError):
                    result, error = None, KILLED
                if isinstance(error, Interrupted):
                    connection.close()
                    workers.pop(connection).join()
                    last = error
                    kills[index] += 1
                    if kills[index] <= RETRIES or asked_to_stop():
                        waiting.appendleft(index)
                        continue
                yield index, result, error
    finally:
        for worker in workers.values():
            worker.terminate()
        for connection, worker in workers.items():
            connection.close()
            worker.join()


@contextmanager
def _held_back() -> Iterator[None]:
    """A process that starts now gets no signal to stop before it can save a state, in `_serve`."""
    multiprocessing.resource_tracker.ensure_running()  # which lets them through, if it is not running yet
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    """A worker: one run after another, until the coordinator closes the connection or ends."""
    stop_by_signal()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    threading.Thread(target=_stop_with_coordinator, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            connection.send_bytes(_answer(*_read(connection.recv_bytes())))


def _stop_with_coordinator() -> None:
    coordinator = multiprocessing.parent_process()
    assert coordinator  # a worker has one
    coordinator.join()
    os.kill(os.getpid(), signal.SIGTERM)


class CoordinatorsDisk(Disk):
    """The disk of the coordinator, for a run that may be on another machine: by an actor beside the coordinator."""

    def __init__(self, actor: Any, get: Callable):
        self.actor, self.get = actor, get

    def read(self, path: Path) -> bytes | None:
        return self.get(self.actor.read.remote(path))

    def write(self, path: Path, content: bytes | memoryview, previous: Path) -> None:
        self.get(self.actor.write.remote(path, bytes(content), previous))

    @contextmanager
    def hold(self, directory: Path, name: str) -> Iterator[None]:
        yield  # the coordinator holds them all, and its end is the end of its runs


@contextmanager
def _cluster(run: Run) -> Iterator[Any]:
    """Ray, joined to the cluster, or with RAY_ADDRESS=local started here. This process's code goes with the runs, so
    that all machines run the same."""
    address = os.environ["RAY_ADDRESS"]
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # no statistics to Ray's makers
    os.environ.setdefault("RAY_worker_niceness", "0")  # workers as nice as this process; by default 15 nicer
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # all lines of all runs
    package, module = Path(__file__).parent, Path(inspect.getfile(sys.modules[getattr(run, "func", run).__module__]))
    code = {str(package), str(package if package in module.parents else module)}
    options = {"runtime_env": {"py_modules": sorted(code)}, "logging_level": logging.ERROR}
    if address == "local":
        options |= {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": 10**8}
    host, _, port = address.rpartition(":")
    try:
        import ray

        if port.isdecimal():
            socket.create_connection((host, port), timeout=10).close()  # if nobody is there, Ray tries for minutes
        context = ray.init(address, **options)
    except ModuleNotFoundError as error:
        advice = "install requirements-ray.txt or unset RAY_ADDRESS"
        raise UserError(f"RAY_ADDRESS is set, but {error.name} is not installed; {advice}") from error
    except (OSError, RuntimeError) as error:
        raise UserError(f"Ray at {address} does not answer; start it, or unset RAY_ADDRESS: {error}") from error
    with context:
        stop_by_signal()  # again, since Ray has put its own way in that place
        yield ray


def _on_ray(run: Run, items: Sequence[Any], names: list[str], checkpoints: Checkpoints) -> Ends:
    with checkpoints.open("cluster"), _cluster(run) as ray:
        if checkpoints.directory:
            here = ray.get_runtime_context().get_node_id()
            beside = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(here, soft=False)
            place = {"num_cpus": 0, "scheduling_strategy": beside, "max_restarts": -1, "max_task_retries": -1}
            disk = CoordinatorsDisk(ray.remote(**place)(Disk).remote(), ray.get)
            checkpoints = Checkpoints(checkpoints.directory.resolve(), checkpoints.seconds, disk)
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
                except ray.exceptions.RayTaskError as failure:
                    raise UserError(f"a machine of the cluster cannot run {names[index]}: {failure.cause}") from failure
                except ray.exceptions.RayError:
                    result, error = None, KILLED
                yield index, result, error

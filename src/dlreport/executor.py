"""Independent runs, side by side: in processes of this machine or, if RAY_ADDRESS is set, on a Ray cluster.

A run's result follows from its item alone, so the results are the same wherever they are computed. A run whose process
is killed begins again, from its last checkpoint if it has one. Checkpoints stay on the machine of this process, the
coordinator. On a cluster every run reads and writes them there.
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

RETRIES = 5  # how often a run begins again after its process or machine died
KEPT = "what is finished and each run's last checkpoint are kept; run it again"
KILLED = Interrupted(signal.SIGKILL, KEPT)
# A function at the top level of a module, since another process receives only its name
Run = Callable[[Any, Checkpoints], Any]
# Yields a tuple for each run that ended: the index of its item, and the result or the error
Ends = Generator[tuple[int, Any, Exception | None], None, None]


def run_each(
    run: Run, items: Sequence[Any], processes: int, checkpoints: Checkpoints = NO_CHECKPOINTS, name: Callable = str
) -> Iterator[tuple[int, Any]]:
    """Call `run(item, checkpoints)` for each item, and yield an item's index and result as soon as its run ends.

    The first items start first; `sorted` puts the results in the items' order. Messages call a run `name(item)`. If
    `processes` is 1, all runs take place in this process. A cluster runs as many at a time as it has processors.

    An error that a run raises is raised here and ends the others. If a run's process died RETRIES + 1 times, this
    raises UserError when all others have ended. After a signal it raises Interrupted when all have ended.
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
    """Return a pair as bytes: the run's result and its error, one of which is None. This is called in another process.

    The bytes are those of torch.save, which keeps tensors that are views of one tensor as such. PyTorch's and Ray's own
    means between processes would leave them in shared memory.
    """
    start_logging()
    try:
        return _pack((run(item, checkpoints), None))
    except Exception as error:
        error.add_note(traceback.format_exc())  # pickling would lose the traceback
        return _pack((None, error))


def _pack(values: Any) -> bytes:
    """Return the values as torch.save writes them."""
    buffer = io.BytesIO()
    torch.save(values, buffer)
    return buffer.getvalue()


def _read(content: bytes) -> Any:
    """Return the values that `_pack` was given. The bytes come from our own processes, so they may hold code."""
    return torch.load(io.BytesIO(content), weights_only=False)


def _in_processes(run: Run, items: Sequence[Any], names: list[str], processes: int, checkpoints: Checkpoints) -> Ends:
    """Run the items in worker processes, and yield the ends of the runs.

    Each worker has a connection of its own, so a worker that is killed cannot disturb the others.
    """
    spawn = multiprocessing.get_context("spawn")  # a fork would inherit torch's thread pools
    waiting, last = deque(range(len(items))), KILLED
    kills: Counter[int] = Counter()  # how often each item's process was killed, by the item's index
    workers: dict[Connection, SpawnProcess] = {}
    busy: dict[Connection, int] = {}  # the index of the item that each busy worker has
    try:
        while waiting or busy:
            if number := asked_to_stop():
                if not busy:
                    raise Interrupted(number, last.message)
                for connection in busy:
                    workers[connection].terminate()  # SIGTERM: the training saves its state and stops
            while waiting and len(busy) < processes and not number:
                if len(workers) == len(busy):
                    connection, theirs = spawn.Pipe()
                    worker = spawn.Process(target=_serve, args=(theirs,))
                    with _held_back():
                        worker.start()
                    theirs.close()  # so that the worker alone has this end, and recv_bytes fails if the worker dies
                    workers[connection] = worker
                connection, index = (workers.keys() - busy.keys()).pop(), waiting.popleft()
                busy[connection] = index
                if kills[index]:
                    log.warning("the process of run %s was killed; it begins again", names[index])
                with suppress(OSError):  # the worker was killed, which is found below, at its answer
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
    """Block the signals of STOPPING. A process started meanwhile inherits that, until `_serve` can handle them."""
    multiprocessing.resource_tracker.ensure_running()  # first, since the start of this tracker unblocks signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(connection: Connection) -> None:
    """Do one run after another in a worker process, until the coordinator closes the connection or ends."""
    stop_by_signal()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    threading.Thread(target=_stop_with_coordinator, daemon=True).start()
    with suppress(EOFError, OSError):
        while True:
            connection.send_bytes(_answer(*_read(connection.recv_bytes())))


def _stop_with_coordinator() -> None:
    """Wait for the coordinator's end, then ask this process to save and stop."""
    coordinator = multiprocessing.parent_process()
    assert coordinator  # a worker always has a parent process
    coordinator.join()
    os.kill(os.getpid(), signal.SIGTERM)


class CoordinatorsDisk(Disk):
    """The coordinator's disk, for a run that may be on another machine. A Ray actor beside the coordinator reads and
    writes there."""

    def __init__(self, actor: Any, get: Callable):
        self.actor, self.get = actor, get

    def read(self, path: Path) -> bytes | None:
        return self.get(self.actor.read.remote(path))

    def write(self, path: Path, content: bytes | memoryview, previous: Path) -> None:
        self.get(self.actor.write.remote(path, bytes(content), previous))

    @contextmanager
    def hold(self, directory: Path, name: str) -> Iterator[None]:
        yield  # the coordinator holds a lock for all its runs, which end when it ends


@contextmanager
def _cluster(run: Run) -> Iterator[Any]:
    """Join the Ray cluster, or with RAY_ADDRESS=local start Ray on this machine, and yield the module `ray`.

    The code of this process goes with the runs, so that all machines run the same code.
    """
    address = os.environ["RAY_ADDRESS"]
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # send no statistics to the makers of Ray
    os.environ.setdefault("RAY_worker_niceness", "0")  # workers as nice as this process, not 15 nicer
    os.environ.setdefault("RAY_DEDUP_LOGS", "0")  # show equal lines of different runs, too
    package, module = Path(__file__).parent, Path(inspect.getfile(sys.modules[getattr(run, "func", run).__module__]))
    code = {str(package), str(package if package in module.parents else module)}
    options = {"runtime_env": {"py_modules": sorted(code)}, "logging_level": logging.ERROR}
    if address == "local":
        options |= {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": 10**8}
    host, _, port = address.rpartition(":")
    try:
        import ray

        if port.isdecimal():
            socket.create_connection((host, port), timeout=10).close()  # if nothing answers, Ray would try for minutes
        context = ray.init(address, **options)
    except ModuleNotFoundError as error:
        advice = "install requirements-ray.txt or unset RAY_ADDRESS"
        raise UserError(f"RAY_ADDRESS is set, but {error.name} is not installed; {advice}") from error
    except (OSError, RuntimeError) as error:
        raise UserError(f"Ray at {address} does not answer; start it, or unset RAY_ADDRESS: {error}") from error
    with context:
        stop_by_signal()  # again, since ray.init replaces our signal handlers
        yield ray


def _on_ray(run: Run, items: Sequence[Any], names: list[str], checkpoints: Checkpoints) -> Ends:
    """Run the items on a Ray cluster, and yield the ends of the runs."""
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

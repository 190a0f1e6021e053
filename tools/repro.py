"""`dvc repro`, but with the stages that are ready side by side: `python tools/repro.py --jobs 2` (`make repro JOBS=2`).

DVC runs stages one by one. Here its graph says which are ready, and each is run by a `dvc repro` of its own, so that
outputs, cache and dvc.lock are written by DVC as ever. They are the same bytes as after plain `dvc repro`: no stage's
numbers depend on how many threads or processes it had.
"""

import argparse
import asyncio
import os
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path

import networkx as nx
from dvc.dvcfile import PROJECT_FILE
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from dvc.utils.serialize import load_yaml, modify_yaml

from dlreport.config import GAN_THREADS, load_params
from dlreport.errors import UserError, run

GAN = "train_gan"
LONGEST_FIRST = (  # how the names of stages begin; the classifier takes a minute, but the judge has to wait for it
    *("train_classifier", "judge_gan", "train_sequence@LSTM", "train_longer", "train_sequence", "train_ablation"),
)
LOCK = Path("dvc.lock")
GRACE = 10  # seconds that an interrupted stage has to end by itself
REPRO = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", "--single-item"]


class Pipeline:
    """The stages of dvc.yaml and how far they are. A stage takes one slot, the GAN one for each of its threads."""

    def __init__(self, jobs: int):
        self.repo = Repo()
        graph = self.repo.index.graph  # an edge leads from a stage to each that makes what it reads, or a part of it
        here = self.repo.stage.collect(PROJECT_FILE)  # those of dvc.yaml, not of the studies' own
        self.stages = {stage.addressing: stage for stage in plan_repro(graph, here)}  # in the order of a serial run
        self.upstream = {
            name: {other.addressing for other in nx.descendants(graph, stage)} for name, stage in self.stages.items()
        }
        self.free = jobs
        self.slots = {name: min(GAN_THREADS, jobs) if name == GAN else 1 for name in self.stages}
        self.waiting = sorted(self.stages, key=self._rank)
        self.stale: set[str] = set()  # its upstream is done, and it is out of date
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}  # with the reason

    def _rank(self, name: str) -> tuple:
        """Longest first, because a long run that starts last is what the end has to wait for.

        The GAN after what it needs, then LONGEST_FIRST, of each the long palindromes before the short ones.
        """
        if name == GAN or name in self.upstream.get(GAN, ()):
            return (0,)
        kind = next((place for place, start in enumerate(LONGEST_FIRST) if name.startswith(start)), len(LONGEST_FIRST))
        length = re.search(r"@.+-(\d+)$", name)
        return 1, kind, -int(length[1]) if length else 0

    async def reproduce(self) -> None:
        """Run what is out of date. A failure stops only what depends on it; cancelled, it ends what runs."""
        before = stages_in_lock()
        running: dict[asyncio.Task, str] = {}
        try:
            while True:
                self._skip_unchanged()
                for name in self.startable():
                    self.waiting.remove(name)
                    started = len(self.stages) - len(self.waiting)  # or up to date, or not to be run any more
                    print(f"Running stage '{name}' ({started} of {len(self.stages)})", flush=True)
                    self.free -= self.slots[name]
                    running[asyncio.create_task(run_stage(name, self.slots[name]))] = name
                if not running:
                    return
                finished, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    name = running.pop(task)
                    self.free += self.slots[name]
                    if reason := task.result():
                        self.failed[name] = reason
                        self.waiting = [other for other in self.waiting if name not in self.upstream[other]]
                    else:
                        self.done.add(name)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            with suppress(LockError), self.repo.lock:  # busy: then the order alone differs from a serial run's
                order_lock([*before, *(name for name in self.stages if name not in before)])

    def _skip_unchanged(self) -> None:
        """Count as done what is ready and up to date. It costs milliseconds here, a second by a `dvc repro`."""
        for name in self.stages:
            if name in self.waiting and name not in self.stale and self.upstream[name] <= self.done:
                if self._changed(name):
                    self.stale.add(name)
                else:
                    self.waiting.remove(name)
                    self.done.add(name)

    def _changed(self, name: str) -> bool:
        try:
            with self.repo.lock:
                return self.stages[name].changed()
        except LockError:  # another stage is storing something large: this one's own DVC will wait, and ask again
            return True

    def startable(self) -> list[str]:
        """What to start now. Slots are kept free for the GAN until it starts.

        If others took each slot as it becomes free, the longest stage would never find enough and come last. Where the
        GAN takes all slots, nothing runs beside prepare_mnist, which is short.
        """
        free, names = self.free, []
        for name in self.waiting:
            if name in self.stale and self.slots[name] <= free:
                names.append(name)
            elif name != GAN:
                continue
            free -= self.slots[name]
        return names


async def run_stage(name: str, slots: int) -> str | None:
    """Run one stage, pass its output on with its name before each line, and return the reason if it fails.

    It is a process group of its own, which ends whole if this is cancelled. DLREPORT_WORKERS tells it how many
    processes or threads it may use: one for each of its slots.
    """
    process = await asyncio.create_subprocess_exec(
        *(*REPRO, name),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        limit=1 << 24,  # bytes in a line
        start_new_session=True,
        env={**os.environ, "DLREPORT_WORKERS": str(slots)},
    )
    reason = ""
    try:
        async for raw in process.stdout:
            if line := raw.decode(errors="replace").rstrip():
                print(f"{name} | {line}", file=sys.stderr, flush=True)
                if not (reason and line.startswith("ERROR: ")):  # DVC's own last line says only that it failed
                    reason = line
        code = await process.wait()
        return (reason or f"exited with {code}") if code else None
    finally:
        if process.returncode is None:
            await end_group(process)


async def end_group(process: asyncio.subprocess.Process) -> None:
    """SIGINT, on which both DVC and the stage clean up (SIGTERM ends DVC and leaves the stage); SIGKILL if in vain."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.communicate(), GRACE)  # until no process of the group holds its output open
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def stages_in_lock() -> list[str]:
    return list(load_yaml(LOCK).get("stages", {})) if LOCK.exists() else []


def order_lock(order: list[str]) -> None:
    """Give dvc.lock the order of a serial run: DVC appends a new stage when it is done."""
    found = stages_in_lock()
    place = {name: number for number, name in enumerate(order)}
    wanted = sorted(found, key=lambda name: place.get(name, len(place)))  # last what another dvc wrote meanwhile
    if found != wanted:
        with modify_yaml(LOCK) as content:
            for name in wanted:
                content["stages"][name] = content["stages"].pop(name)


async def reproduce(jobs: int, signals: list[int]) -> Pipeline:
    """Run the pipeline; the first signal ends it with CancelledError, any is added to `signals`."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop(number: int) -> None:
        if not signals:
            task.cancel()
        signals.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
            loop.add_signal_handler(number, stop, number)
    load_params()  # refuses bad ones before anything starts
    pipeline = Pipeline(jobs)
    await pipeline.reproduce()
    return pipeline


def main() -> None:
    parser = argparse.ArgumentParser(description="dvc repro, with several stages at once")
    parser.add_argument("--jobs", metavar="N", default="2", help="stages at once, at most (default: %(default)s)")
    jobs = parser.parse_args().jobs
    if not re.fullmatch(r"[1-9][0-9]{0,3}", jobs):
        raise UserError(f"--jobs: expected a whole number from 1 to 9999, found {jobs!r}")

    signals: list[int] = []
    try:
        pipeline = asyncio.run(reproduce(int(jobs), signals))
    except asyncio.CancelledError:
        print("error: interrupted; run it again to go on from the stages that are done", file=sys.stderr)
        sys.exit(128 + signals[0])
    except DvcException as error:
        raise UserError(str(error)) from error

    for name, reason in pipeline.failed.items():
        print(f"{name} failed: {reason}", file=sys.stderr)
    if pipeline.failed:
        left_out = [name for name in pipeline.stages if name not in pipeline.done | pipeline.failed.keys()]
        because = f"; not run because of that: {', '.join(left_out)}" if left_out else ""
        raise UserError(f"failed: {', '.join(pipeline.failed)}{because}")
    if not pipeline.stale:
        print("Data and pipelines are up to date.")


if __name__ == "__main__":
    run(main)

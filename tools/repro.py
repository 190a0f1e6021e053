"""Run `dvc repro` with several stages at a time: `python tools/repro.py --jobs 2` (`make repro JOBS=2`).

DVC's graph says which stages are ready. Each stage has a `dvc repro` of its own, so DVC writes the outputs, its cache
and dvc.lock as always. They are the same as after a plain `dvc repro`, except for the order of the stages in dvc.lock,
since no stage's numbers depend on how many threads or processes it had.
"""

import argparse
import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import suppress
from functools import cached_property
from statistics import mean

import networkx as nx
from dvc.dvcfile import PROJECT_FILE
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from dvc.rwlock import RWLockFileCorruptedError

from dlreport.config import GAN_THREADS, load_params
from dlreport.errors import STOPPING, UserError, run
from provenance import last_runs

GAN = "train_gan"  # on a CPU it takes a slot for each of its threads; every other stage takes one slot
GRACE = 10  # seconds that an interrupted stage has to end by itself
REPRO = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", "--quiet", "--single-item"]


class Pipeline:
    """The stages of dvc.yaml, and the state of each of them."""

    def __init__(self, jobs: int):
        self.repo = Repo()
        graph = self.repo.index.graph  # an edge leads from a stage to one that makes something it reads
        here = self.repo.stage.collect(PROJECT_FILE)  # without the stages of the studies
        self.stages = {stage.addressing: stage for stage in plan_repro(graph, here)}  # in the order of a serial run
        self.upstream = {n: {other.addressing for other in nx.descendants(graph, s)} for n, s in self.stages.items()}
        self.jobs = jobs
        # What the GAN needs comes first, then the GAN. A later GAN would have to wait until several slots are free at
        # once, and the slots that are free already would stay empty until then.
        first, seconds = {GAN, *self.upstream.get(GAN, ())}, seconds_to_end(self.upstream)
        self.waiting = sorted(self.stages, key=lambda name: (name not in first, -seconds[name]))
        self.stale: set[str] = set()  # stages that are out of date and whose needs are all done
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}  # the reason for each failure, by stage
        self.running: dict[asyncio.Task, str] = {}

    async def reproduce(self) -> int | None:
        """Run the stages that are out of date. If one fails, only the stages that depend on it are left out.

        Returns the number of the signal that ended the run, or None.
        """
        signals: asyncio.Queue[int] = asyncio.Queue()  # only the first one counts
        for number in STOPPING:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
                asyncio.get_running_loop().add_signal_handler(number, signals.put_nowait, number)
        stopped = asyncio.create_task(signals.get())
        try:
            while not stopped.done():
                for name in self.startable():
                    self.waiting.remove(name)
                    # includes stages that are up to date, and those left out after a failure
                    started = len(self.stages) - len(self.waiting)
                    print(f"Running stage '{name}' ({started} of {len(self.stages)})", flush=True)
                    self.running[asyncio.create_task(run_stage(name, self.slots(name)))] = name
                if not self.running:
                    return None
                finished, _ = await asyncio.wait([*self.running, stopped], return_when=asyncio.FIRST_COMPLETED)
                for task in finished - {stopped}:
                    name = self.running.pop(task)
                    if reason := task.result():
                        self.failed[name] = reason
                        self.waiting = [other for other in self.waiting if name not in self.upstream[other]]
                    else:
                        self.done.add(name)
            return stopped.result()
        finally:
            for task in [*self.running, stopped]:
                task.cancel()
            await asyncio.gather(*self.running, return_exceptions=True)

    def startable(self) -> list[str]:
        """Return the stages to start now. This moves stages that are up to date from `waiting` to `done`.

        Free slots are kept for the GAN, as otherwise it would never find enough of them.
        """
        free, names = self.jobs - sum(self.slots(name) for name in self.running.values()), []
        for name in [*self.waiting]:  # no stage comes before one that it needs
            ready = self.upstream[name] <= self.done
            if ready and not self.is_stale(name):
                self.waiting.remove(name)
                self.done.add(name)
            elif ready or name == GAN:
                if ready and self.slots(name) <= free:
                    names.append(name)
                free -= self.slots(name)
        return names

    def slots(self, name: str) -> int:
        """Return how many of the `jobs` slots a stage takes."""
        return self.slots_of_gan if name == GAN else 1

    @cached_property
    def slots_of_gan(self) -> int:
        from dlreport.runtime import select_device  # here: it imports torch, which takes seconds

        return min(GAN_THREADS, self.jobs) if select_device(load_params().device).type == "cpu" else 1

    def is_stale(self, name: str) -> bool:
        """Return whether a stage is out of date. This takes milliseconds, while `dvc repro` needs a second for it."""
        if name not in self.stale:
            # While another stage stores something large, DVC is locked. Then the stage counts as out of date here, and
            # its own `dvc repro` waits for the lock and checks again.
            with suppress(LockError), self.repo.lock:
                if not self.stages[name].changed():
                    return False
            self.stale.add(name)
        return True


def seconds_to_end(upstream: dict[str, set[str]]) -> dict[str, float]:
    """Return the seconds from each stage's start to the end of the longest chain of stages that wait for it.

    A stage whose time is not known counts as the mean of the others.
    """
    known = {stage: values["seconds"] for stage, values in last_runs().items() if stage in upstream}
    unknown = mean(known.values()) if known else 1
    found: dict[str, float] = {}
    for name in reversed(upstream):  # in reverse order, the stages that wait for a stage come before it
        after = (seconds for other, seconds in found.items() if name in upstream[other])
        found[name] = known.get(name, unknown) + max(after, default=0)
    return found


async def run_stage(name: str, slots: int) -> str | None:
    """Run one stage, and print its output with its name in front. Return the reason if it fails, else None.

    If this task is cancelled, it ends all processes of the stage.
    """
    environment = {**os.environ, "DLREPORT_WORKERS": str(slots)}  # how many processes or threads it may use
    process = await asyncio.create_subprocess_exec(
        *REPRO,
        name,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        limit=1 << 24,
        env=environment,
        start_new_session=True,
    )
    assert process.stdout
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
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT)  # DVC and the stage clean up; SIGTERM would not end the stage
                with suppress(TimeoutError):
                    await asyncio.wait_for(process.communicate(), GRACE)  # until the last process closes its output
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="dvc repro, with several stages at once")
    parser.add_argument("--jobs", metavar="N", default="2", help="stages at once, at most (default: %(default)s)")
    jobs = parser.parse_args().jobs
    if not re.fullmatch(r"[1-9][0-9]{0,3}", jobs):
        raise UserError(f"--jobs: expected a whole number from 1 to 9999, found {jobs!r}")
    load_params()  # refuses bad parameters before anything starts
    try:
        pipeline = Pipeline(int(jobs))
        stopped_by = asyncio.run(pipeline.reproduce())
    except RWLockFileCorruptedError as error:  # after a kill while DVC wrote the file
        raise UserError(f"{error}; if no other DVC runs in this folder, remove that file and run again") from error
    except DvcException as error:
        raise UserError(str(error)) from error
    except sqlite3.Error as error:  # from the databases that DVC keeps in .dvc/tmp
        raise UserError(f"DVC cannot write its own files: {error}; make room on the disk") from error
    if stopped_by:
        print("error: interrupted; run it again to go on from the stages that are done", file=sys.stderr)
        sys.exit(128 + stopped_by)
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

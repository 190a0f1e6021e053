"""Runs as tasks on Ray: on processes of this machine, or on the cluster that RAY_ADDRESS names."""

import logging
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlreport
import grid
from dlreport.errors import UserError
from dlreport.runtime import workers

# Read by the import: no statistics to Ray's makers, and workers as nice as this process (by default 15 nicer)
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_worker_niceness", "0")
import ray

RETRIES = 5  # of a run whose process or machine dies; it begins again, with the same streams


def connect() -> None:
    """Start Ray here, a process for each core that this stage may use, or join the cluster.

    This process's code goes with the tasks, so that all nodes run the same.
    """
    address = os.environ.get("RAY_ADDRESS") or "local"
    here = {"num_cpus": workers(), "include_dashboard": False, "object_store_memory": 10**8}
    code = [grid.__file__, str(Path(dlreport.__file__).parent)]
    options = {"runtime_env": {"py_modules": code}, "logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if place := re.fullmatch(r"(?:ray://)?(.+):(\d+)", address):
            socket.create_connection(place.groups(), timeout=10).close()  # if nobody is there, Ray tries for minutes
        ray.init(address, **options, **(here if address == "local" else {}))
    except (OSError, RuntimeError) as error:
        raise UserError(f"Ray at {address} does not answer as it should: {error}") from error


def train(runs: list[grid.Run], study: grid.Study) -> Iterator[tuple[grid.Run, dict[str, Any] | None]]:
    """Each run with what train_run returns, as they end; None for one that was lost with its process too often."""
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(grid.train_run)
    pending = {task.remote(run, study): run for run in runs}
    while pending:
        (done,), _ = ray.wait(list(pending))
        try:
            result = ray.get(done)
        except ray.exceptions.RayTaskError:  # an error in the code, not an accident
            raise
        except ray.exceptions.RayError:
            result = None
        yield pending.pop(done), result

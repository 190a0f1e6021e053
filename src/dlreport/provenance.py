"""What made a result: machine, versions, commit, time. No result depends on these, which change with every run, so they
lie apart from the results: here git ignores them, and `make provenance` puts them on record in provenance.csv."""

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dlreport.io import write_json
from dlreport.machine import cpu_name

RUNS = Path(".provenance")  # of each stage its last run in this checkout, STAGE.json
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib")  # what decides a result
CODE = ("src", "stages", "studies", "tools", "dvc.yaml", "params.yaml", "published.yaml", "requirements.txt")


def _git(*arguments: str) -> str | None:
    """None where there is no git, or no repository."""
    try:
        # no lock in the user's way; and a checkout of another owner, as in a container, is one whose code runs anyway
        command = ["git", "--no-optional-locks", "-c", "safe.directory=*", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@contextmanager
def recorded(stage: str, device: str) -> Iterator[None]:
    """Put what is done within on record, if it succeeds, as the last run of the stage; `device` as in params.yaml."""
    start, commit = time.perf_counter(), _git("rev-parse", "HEAD")  # now: by the end of a training both may be others
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
    yield
    values = {
        "seconds": round(time.perf_counter() - start, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "code_changed_since_commit": None if changed is None else bool(changed),
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
    }
    if runtime := sys.modules.get("dlreport.runtime"):  # a stage without it computes nothing that depends on these
        torch, where = runtime.torch, runtime.select_device(device)
        values |= {
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "device": torch.cuda.get_device_name() if where.type == "cuda" else where.type,
            "workers": runtime.workers(),  # processes or threads that it may use
        }
    write_json(RUNS / f"{stage}.json", values)

"""What made a result: machine, versions, commit, time.

No result depends on these, and they change with every run, so they are kept apart from the results. Git ignores the
files written here; `make provenance` puts their content on record in provenance.csv.
"""

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

RUNS = Path(".provenance")  # holds STAGE.json for the last run of each stage in this checkout
PACKAGES = ("torch", "torchvision", "numpy", "scipy", "pandas", "matplotlib")  # those that can change a result
CODE = ("src", "stages", "studies", "tools", "dvc.yaml", "params.yaml", "published.yaml", "requirements.txt")


def _git(*arguments: str) -> str | None:
    """Return the output of a git command, or None where there is no git or no repository."""
    try:
        # No lock, which could stop a git command of the user's. A checkout of another owner, as in a container, counts
        # as safe, since its code runs anyway.
        command = ["git", "--no-optional-locks", "-c", "safe.directory=*", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@contextmanager
def recorded(stage: str, device: str) -> Iterator[None]:
    """Put what the body of `with` does on record as the last run of the stage, if it succeeds.

    `device` is as in params.yaml.
    """
    start, commit = time.perf_counter(), _git("rev-parse", "HEAD")  # now, as the commit may be another at the end
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
    if runtime := sys.modules.get("dlreport.runtime"):  # no result of a stage without it depends on these
        torch, where = runtime.torch, runtime.select_device(device)
        values |= {
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "device": torch.cuda.get_device_name() if where.type == "cuda" else where.type,
            "workers": runtime.workers(),  # how many processes or threads it may use
        }
    write_json(RUNS / f"{stage}.json", values)

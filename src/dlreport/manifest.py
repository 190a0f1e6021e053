"""On what a stage ran: versions, machine, commit, time. Kept out of the metrics, since it changes with every run."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dlreport.io import read_json

# What decides a result or, like DVC, has a part in it: named here, and not called
PACKAGES = ("torch", "torchvision", "numpy", "pandas", "matplotlib", "dvc")
CODE = ("src", "stages", "studies", "tools", "dvc.yaml", "params.yaml", "published.yaml", "requirements.txt")


def _git(*arguments: str) -> str | None:
    """None where there is no git, or no repository."""
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def cpu_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def entry(seconds: float, device: str) -> dict[str, Any]:
    """What there is to say of this process, which took `seconds`; `device` as in params.yaml."""
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", *CODE)
    values = {
        "seconds": round(seconds, 1),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "code_changed_since_commit": None if changed is None else bool(changed),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
    }
    if runtime := sys.modules.get("dlreport.runtime"):  # a stage without it computes nothing that depends on these
        torch, where = runtime.torch, runtime.select_device(device)
        values |= {
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "device": torch.cuda.get_device_name() if where.type == "cuda" else where.type,
            "workers": runtime.workers(),  # processes or threads that it may use
        }
    return values


def table(directory: Path, tasks: Collection[str]) -> str:
    """The directory's entries as Markdown, in the order in which the stages ended; of STAGE@TASK only if TASK is one of
    these, since files of removed ones may be left."""
    entries = {path.stem: read_json(path) for path in sorted(directory.glob("*.json"))}
    columns = ("seconds", "workers", "finished", "commit", "code_changed_since_commit")
    lines = [["stage", *(column.replace("_", " ") for column in columns)], ["---"] * (len(columns) + 1)]
    for name, values in sorted(entries.items(), key=lambda item: item[1]["finished"]):
        if "@" not in name or name.partition("@")[2] in tasks:
            values["commit"] = values["commit"] and values["commit"][:12]
            lines.append([f"`{name}`", *("" if values.get(key) is None else str(values[key]) for key in columns)])
    rows = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return (
        "# The runs of the stages\n\nThe last run of each, as the `report` stage found them. The JSON files here "
        f"say the rest: versions, processor, device.\n\n{rows}"
    )

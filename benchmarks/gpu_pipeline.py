"""Seconds of each stage when the whole pipeline, with the shipped parameters, runs on this GPU, four stages at once.

    python benchmarks/gpu_pipeline.py [--jobs 4] [--project .gpu_pipeline]

In a copy of this checkout, whose results stay as they are. By DVC where it is installed, else by the stages' commands
in the order of dvc.yaml's graph. Without DVC, images that are in data/mnist here are taken from there; else the stage
fetches them, from MNIST_DIR if that is set.
"""

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from threading import Event, Thread
from typing import Any

import torch

from dlreport.errors import UserError, run
from dlreport.io import read_json, read_yaml
from dlreport.provenance import RUNS

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests"))

import scratch  # noqa: E402

LEFT_OUT = {"data", "models", ".git", ".venv", ".checkpoints", *(name.rstrip("/") for name in scratch.MADE)}
CACHES = shutil.ignore_patterns("__pycache__", "cache", "tmp", "*.egg-info")
MNIST = Path("data/mnist")


@dataclass(frozen=True)
class Stage:
    name: str
    command: str
    deps: tuple[str, ...]
    outs: tuple[str, ...]


def stages(project: Path) -> list[Stage]:
    """Of dvc.yaml, a matrix as its single stages."""
    pipeline, params = read_yaml(project / "dvc.yaml")["stages"], read_yaml(project / "params.yaml")

    def value_of(path: str, values: dict[str, Any]) -> Any:
        for part in path.split("."):
            values = values[part]
        return values

    found = []
    for name, stage in pipeline.items():
        matrix = {
            key: value_of(each[2:-1], params) if isinstance(each, str) else each
            for key, each in stage.get("matrix", {}).items()
        }
        for values in product(*matrix.values()):
            item, key = dict(zip(matrix, values, strict=True)), "-".join(map(str, values))
            known = {**params, "key": key, "item": item}

            def fill(text: str, known: dict[str, Any] = known, item: dict[str, Any] = item) -> str:
                text = text.replace("${item}", " ".join(f"--{name} {value}" for name, value in item.items()))
                return re.sub(r"\$\{([^}]+)\}", lambda match: str(value_of(match[1], known)), text)

            outs = [*stage.get("outs", []), *stage.get("metrics", []), *stage.get("plots", [])]
            paths = (out if isinstance(out, str) else next(iter(out)) for out in outs)
            deps = tuple(map(fill, stage.get("deps", [])))
            found.append(Stage(f"{name}@{key}" if key else name, fill(stage["cmd"]), deps, tuple(map(fill, paths))))
    return found


def upstream(stage: Stage, others: list[Stage]) -> set[str]:
    """Those that make what the stage reads, or a part of it."""

    def inside(path: str, folder: str) -> bool:
        return f"{path}/".startswith(f"{folder}/")

    return {
        other.name
        for other in others
        for dep in stage.deps
        if other is not stage and any(inside(dep, out) or inside(out, dep) for out in other.outs)
    }


def run_commands(project: Path, environment: dict[str, str], jobs: int) -> dict[str, float]:
    """Every stage by its command, once all that it needs is made -> seconds of each."""

    def seconds(stage: Stage) -> float:
        start = time.perf_counter()
        if stage.name == "prepare_mnist" and all((project / out).exists() for out in stage.outs):
            return 0.0
        done = subprocess.run(stage.command, shell=True, cwd=project, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise UserError(f"{stage.name} failed: {(done.stdout + done.stderr).strip()[-2000:]}")
        return time.perf_counter() - start

    waiting = stages(project)
    waiting.sort(key=lambda stage: stage.name not in ("sources", "prepare_mnist", "train_gan"))  # the longest first
    needs = {stage.name: upstream(stage, waiting) for stage in waiting}
    times: dict[str, float] = {}
    running: dict[Future[float], str] = {}
    with ThreadPoolExecutor(jobs) as pool:
        while waiting or running:
            for stage in [stage for stage in waiting if needs[stage.name] <= times.keys()][: jobs - len(running)]:
                waiting.remove(stage)
                running[pool.submit(seconds, stage)] = stage.name
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                name = running.pop(future)
                times[name] = future.result()
                print(f"{name:40} {times[name]:8.1f} s", flush=True)
    return times


def run_dvc(project: Path, environment: dict[str, str], jobs: int) -> dict[str, float]:
    git = ["git", "-c", "user.name=scratch", "-c", "user.email=scratch@localhost"]
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "A scratch copy"]):
        subprocess.run([*git, *command], cwd=project, check=True)
    command = [sys.executable, "tools/repro.py", "--jobs", str(jobs)]
    if subprocess.run(command, cwd=project, env=environment).returncode:
        raise UserError("the pipeline failed, see above")
    times = {path.stem: read_json(path)["seconds"] for path in (project / RUNS).glob("*.json")}
    for name, seconds in sorted(times.items(), key=lambda each: -each[1]):
        print(f"{name:40} {seconds:8.1f} s")
    return times


def watch_memory(ended: Event, most: list[int]) -> None:
    """The GPU's memory in use, MiB, by all processes; asked once a second."""
    query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    while shutil.which(query[0]) and not ended.wait(1):
        asked = subprocess.run(query, capture_output=True, text=True)
        most.extend(int(line) for line in asked.stdout.splitlines() if line.strip().isdecimal())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--project", type=Path, default=ROOT / ".gpu_pipeline", help="emptied first")
    parser.add_argument("--without-dvc", action="store_true", help="by the stages' commands even if DVC is there")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="as small as in the tests, with the digits shipped there")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("no CUDA GPU here")
    project = options.project.resolve()
    shutil.rmtree(project, ignore_errors=True)

    def ignore(folder: str, names: list[str]) -> set[str]:
        top = Path(folder) == ROOT
        here = {name for name in names if top and (name in LEFT_OUT or name == project.name)}
        return here | CACHES(folder, names)

    shutil.copytree(ROOT, project, symlinks=True, ignore=ignore)
    scratch.set_params(project, {"device": options.device, **(scratch.TINY if options.tiny else {})})
    environment = scratch.environment(project)  # which names the shipped digits
    if not options.tiny:
        environment.pop("MNIST_DIR")
        environment |= {name: os.environ[name] for name in ("MNIST_DIR",) if name in os.environ}
        if (ROOT / MNIST / "train.safetensors").exists():
            shutil.copytree(ROOT / MNIST, project / MNIST)
    by_dvc = importlib.util.find_spec("dvc") and not options.without_dvc
    ended, most = Event(), [0]
    watcher = Thread(target=watch_memory, args=(ended, most), daemon=True)
    watcher.start()
    start = time.perf_counter()
    try:
        times = (run_dvc if by_dvc else run_commands)(project, environment, options.jobs)
    finally:
        ended.set()
    seconds = time.perf_counter() - start
    print(f"{len(times)} stages, {sum(times.values()):.0f} s in all, {seconds:.0f} s with {options.jobs} at once")
    print(
        f"by {'DVC' if by_dvc else 'the commands'}, on {torch.cuda.get_device_name() if most[-1] else options.device}"
    )
    print(f"most of the GPU's memory in use: {max(most)} MiB")


if __name__ == "__main__":
    run(main)

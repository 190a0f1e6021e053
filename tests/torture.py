"""Kill the pipeline at random moments, as often as asked; it must end in the bytes of a run that nobody killed.

`python tests/torture.py DIRECTORY --kills 20` (`make torture N=20`) works in two scratch copies under DIRECTORY. Each
kill is a SIGKILL of the stages that run, of DVC, or of both, at a moment drawn from the seed. With `--jobs 3` stages
run side by side, by tools/repro.py, which dies with DVC.
"""

import argparse
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil

import scratch

# Trainings of a few seconds, so that kills hit them, and checkpoints several times a second.
PARAMS = {
    "sequence.steps": 12_000,
    "sequence.average_from": 10_000,
    "sequence.models": ["LSTM"],
    "sequence.replicates.VanillaRNN": 2,
    "sequence.replicates.LSTM": 2,
    "gan.epochs": 300,
    "gan.snapshot_every": 100,
    "checkpoint_seconds": 0.2,
}
LONGEST = 12  # seconds that a run is left alone, at most
TARGETS = ("stage", "dvc", "both")


def start(project: Path, jobs: int) -> subprocess.Popen:
    command = ["-m", "dvc", "repro"] if jobs == 1 else ["tools/repro.py", f"--jobs={jobs}"]
    with log_of(project).open("a") as log:
        return subprocess.Popen(
            [sys.executable, *command],
            cwd=project,
            env=scratch.environment(project),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def log_of(project: Path) -> Path:
    return project.parent / f"{project.name}.log"


def kill(dvc: subprocess.Popen, target: str) -> str:
    """SIGKILL the target (DVC, if no stage runs); what was killed. A stage's worker processes are left behind."""
    below = psutil.Process(dvc.pid).children(recursive=True)
    stage = [process for process in below if name_of(process)]
    name = stage and name_of(stage[-1])
    if target != "stage" or not stage:
        dvc.kill()  # first, so that a tool that runs several starts no other
        kill_all([process for process in below if "-m dvc" in " ".join(command_of(process))])
    if target != "dvc":
        kill_all(stage)
    dvc.wait()
    return f"{target} ({name or 'between stages'})"


def kill_all(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def command_of(process: psutil.Process) -> list[str]:
    """Nothing for a process that has just ended."""
    with suppress(psutil.NoSuchProcess):
        return process.cmdline()
    return []


def name_of(process: psutil.Process) -> str:
    """The stage's script; nothing for other processes."""
    return next((argument for argument in command_of(process) if argument.startswith("stages/")), "")


def end_what_a_killed_dvc_left(project: Path) -> bool:
    """Do what the refusal says: end the training that goes on without its DVC, remove the list of locks that DVC was
    killed at. False if nothing was refused."""
    said = log_of(project).read_text().rpartition("---")[2]
    found = re.findall(r"is being trained by process (\d+) already", said)
    for pid in found:
        with suppress(psutil.NoSuchProcess):
            process = psutil.Process(int(pid))
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    if spoilt := "Unable to read RWLock-file" in said:
        (project / ".dvc/tmp/rwlock").unlink()
    return bool(found or spoilt)


def run(project: Path, kills: int, seed: int, jobs: int) -> None:
    """Runs of the pipeline until one ends well after that many kills. Raises SystemExit if one ends badly by itself."""
    chance = random.Random(seed)
    while True:
        with log_of(project).open("a") as log:
            log.write("---\n")
        dvc = start(project, jobs)
        try:
            code = dvc.wait(chance.uniform(0, LONGEST) if kills else None)
        except subprocess.TimeoutExpired:
            kills -= 1
            print(f"killed {kill(dvc, chance.choice(TARGETS))}; {kills} to go", flush=True)
            continue
        if code and not end_what_a_killed_dvc_left(project):
            sys.exit(f"error: it failed by itself:\n{log_of(project).read_text()[-3000:]}")
        if not code and not kills:
            return
        if not code:  # done before its time: from the beginning
            subprocess.run(["git", "clean", "-fdxq"], cwd=project, check=True)


def torture(directory: Path, kills: int, seed: int, jobs: int = 1) -> list[str]:
    """Names of the files that differ between a run with kills and one without."""
    projects = directory / "unbroken", directory / "killed"
    for project, count in zip(projects, (0, kills), strict=True):
        scratch.make(project, PARAMS)
        started = time.monotonic()
        run(project, count, seed, jobs)
        print(f"{project.name}: {time.monotonic() - started:.0f} s", flush=True)
    unbroken, killed = (
        scratch.parsed(scratch.contents(project, (*scratch.RESULTS, "models/"))) for project in projects
    )
    return sorted(name for name in unbroken.keys() | killed.keys() if unbroken.get(name) != killed.get(name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    different = torture(options.directory.resolve(), options.kills, options.seed, options.jobs)
    sys.exit(f"error: different after {options.kills} kills: {', '.join(different)}" if different else None)


if __name__ == "__main__":
    main()

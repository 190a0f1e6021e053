"""What several test files share."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import scratch
from dlreport import native


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def needs_native(precision: str) -> pytest.MarkDecorator:
    """Skip where the native engine cannot compute in this precision."""
    reason = native.why_unavailable(precision)
    return pytest.mark.skipif(reason is not None, reason=f"no native engine: {reason}")


def output_of(command: list[str], project: Path, **environment: str) -> str:
    """What a command in the project printed; it has to succeed."""
    env = {**scratch.environment(project), **environment}
    result = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def dvc(project: Path, *arguments: str, **environment: str) -> str:
    return output_of([sys.executable, "-m", "dvc", *arguments], project, **environment)


def git(project: Path, *arguments: str) -> str:
    return output_of(["git", *arguments], project)


def name_author(project: Path) -> None:
    """Who commits in this repository: git wants a name."""
    git(project, "config", "user.name", "scratch")
    git(project, "config", "user.email", "scratch@localhost")


def commit_all(project: Path, message: str) -> None:
    git(project, "add", "--all")
    git(project, "commit", "-qm", message)


def stages_run(output: str) -> list[str]:
    """Names of the stages that `dvc repro` or `dvc exp run` says it ran, in order."""
    return re.findall(r"^Running stage '(.+)'", output, flags=re.MULTILINE)


def with_results_committed(made: Path, target: Path) -> Path:
    """A copy of a tiny project and its results, in git as the repository's own are."""
    shutil.copytree(made, target, symlinks=True)
    name_author(target)
    commit_all(target, "Results")
    return target

"""What users of DVC, PyTorch, matplotlib, Docker and batch systems report of pipelines like this one, tried on ours.

docs/reliability.md lists them.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import scratch
from helpers import DVC, dvc, git, name_author, run, stages_run, with_results_committed

TRAIN = [sys.executable, "stages/train_sequence.py", "--model", "LSTM", "--length", "5"]
WEIGHTS = "models/sequence/LSTM-5.safetensors"


@pytest.fixture
def project(serial, tmp_path) -> Path:
    """A tiny copy after its first `dvc repro`, in a folder with a name that a shell would split."""
    return shutil.copytree(serial[0], tmp_path / "my prøject #1", symlinks=True)


def trains_as_before(project: Path, command: list[str], **environment: str) -> str:
    """Train by two processes, and return what was said on stderr."""
    before = (project / WEIGHTS).read_bytes()
    (project / WEIGHTS).unlink()
    result = run(command, project, DLREPORT_WORKERS="2", **environment)
    assert result.returncode == 0, result.stderr
    assert (project / WEIGHTS).read_bytes() == before
    return result.stderr


def in_shell(script: str) -> list[str]:
    """The training, as "$@" of a script of the shell."""
    return ["sh", "-ec", script, "sh", *TRAIN]


@pytest.mark.slow
def test_a_container_has_little_shared_memory(project):
    space = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which(space[0]) or subprocess.run([*space, "true"], capture_output=True).returncode:
        pytest.skip("this system gives a user no file systems of their own")
    trains_as_before(project, [*space, *in_shell('mount -t tmpfs -o size=4k shm /dev/shm; exec "$@"')])


@pytest.mark.slow
def test_a_batch_system_closes_stdin_and_allows_few_files(project):
    trains_as_before(project, in_shell('ulimit -n 64; exec "$@" <&-'))


@pytest.mark.slow
def test_the_reader_of_the_log_goes_away(project):
    before = (project / WEIGHTS).read_bytes()
    (project / WEIGHTS).unlink()
    result = run(in_shell('"$@" 2>&1 | head -n 1'), project, DLREPORT_WORKERS="2")
    assert result.stdout.count("\n") == 1
    assert (project / WEIGHTS).read_bytes() == before


@pytest.mark.slow
def test_a_home_that_cannot_be_written_to_changes_nothing(project):
    before = scratch.contents(project, ("plots/",))
    homes = dict.fromkeys(["HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"], "/dev/null/home")
    result = run([sys.executable, "stages/compare_sequences.py"], project, **homes)
    assert result.returncode == 0, result.stderr
    assert "Traceback" not in result.stderr
    assert scratch.contents(project, ("plots/",)) == before


def test_git_is_set_to_other_line_ends(tmp_path):
    """As git for Windows asks its users to."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    scratch.make(origin)
    git(origin, "-c", "core.autocrlf=true", "clone", "-q", "-c", "core.autocrlf=true", str(origin), str(clone))
    files = [name for name in git(origin, "ls-files", "-z").split("\0")[:-1] if (origin / name).is_file()]
    assert [name for name in files if (clone / name).read_bytes() != (origin / name).read_bytes()] == []


@pytest.mark.slow
def test_a_folder_with_an_odd_name_runs_and_shows_its_plots(project):
    assert stages_run(dvc(project, "repro")) == []
    assert "dvc_plots/index.html" in dvc(project, "plots", "show")


@pytest.mark.slow
def test_an_archive_without_git_is_refused_and_git_init_is_enough(serial, tmp_path):
    project = with_results_committed(serial[0], tmp_path / "project")
    shutil.rmtree(project / ".git")
    refused = run([*DVC, "repro", "--allow-missing"], project)
    assert refused.returncode
    assert "is not a git repository" in refused.stderr
    git(project, "init", "-q")
    assert stages_run(dvc(project, "repro", "--allow-missing")) == []


@pytest.mark.slow
def test_a_cache_whose_files_are_linked_is_not_written_into(project):
    """As for a cache that several users share: an output is a link to a file in it."""
    dvc(project, "config", "cache.type", "symlink")
    dvc(project, "checkout", "--relink")
    assert (project / WEIGHTS).is_symlink()
    scratch.set_params(project, {"sequence.learning_rate": 0.01})
    assert stages_run(dvc(project, "repro", "train_sequence@LSTM-5"))[-1] == "train_sequence@LSTM-5"
    run(TRAIN, project)  # without DVC, which takes a link away first
    cached = [path for path in (project / ".dvc/cache/files/md5").rglob("*") if path.is_file()]
    named = {path: path.parent.name + path.name.removesuffix(".dir") for path in cached}
    assert [path for path, name in named.items() if hashlib.md5(path.read_bytes()).hexdigest() != name] == []


@pytest.mark.slow
def test_a_clone_of_the_last_commit_alone_on_no_branch_runs_an_experiment(serial, tmp_path):
    """As a build server has it."""
    origin, clone = with_results_committed(serial[0], tmp_path / "origin"), tmp_path / "clone"
    git(origin, "clone", "-q", "--depth", "1", f"file://{origin}", str(clone))
    git(clone, "checkout", "-q", "--detach")
    name_author(clone)
    ran = stages_run(dvc(clone, "exp", "run", "--allow-missing", "-S", "longer.replicates=1", "evaluate_longer"))
    assert ran == ["sources", "train_longer", "evaluate_longer"]
    assert dvc(clone, "exp", "list", "--name-only")

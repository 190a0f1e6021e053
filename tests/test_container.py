"""What the Dockerfile's entry point does. The image itself needs a registry: docs/notebooks.md says what was built."""

import subprocess

import pytest

import scratch
from helpers import commit_all, git, name_author, run

START = str(scratch.ROOT / "tools/in_container.sh")


@pytest.fixture
def source(tmp_path):
    """Read-only, but to root."""
    folder = tmp_path / "source"
    folder.mkdir()
    git(folder, "init", "-q")
    name_author(folder)
    (folder / "metric").write_text("old\n")
    commit_all(folder, "First")
    return folder


@pytest.fixture
def volume(tmp_path):
    (tmp_path / "volume").mkdir()
    return tmp_path / "volume"


def started(source, volume, command: str) -> subprocess.CompletedProcess:
    return run([START, "sh", "-c", command], volume, SOURCE=str(source))


def test_results_stay_in_the_volume_until_the_source_has_another_commit(source, volume):
    assert started(source, volume, "cat metric; echo ours > metric; mkdir .cache; exit 7").returncode == 7
    assert (source / "metric").read_text() == "old\n"
    assert started(source, volume, "cat metric").stdout == "ours\n"
    (source / "metric").write_text("new\n")
    assert started(source, volume, "cat metric").stdout == "ours\n"  # it is not committed
    commit_all(source, "Second")
    result = started(source, volume, "cat metric; ls -d .cache; git status --porcelain metric")
    assert (result.stdout, result.stderr) == ("new\n.cache\n", "")


def test_a_first_start_that_was_killed_is_made_good(source, volume):
    git(volume, "init", "-q", "project")
    assert started(source, volume, "cat metric").stdout == "old\n"


def test_a_source_that_is_not_mounted_is_one_line(volume, tmp_path):
    result = started(tmp_path / "nothing", volume, "true")
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/nothing is no repository with a commit; mount")

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

import scratch
from dlreport.config import Params, load_params
from dlreport.data.mnist import decode
from dlreport.runtime import prepare

ROOT = Path(__file__).parents[1]

# No deadline: the machine may be busy. Derandomised: a failure is a change of the code, not of the luck.
settings.register_profile("dlreport", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("dlreport")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    prepare(threads=1)


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's own params.yaml."""
    return load_params(ROOT / "params.yaml")


@pytest.fixture(scope="session")
def sample_dir() -> Path:
    """The shipped excerpt of MNIST, four IDX files."""
    return ROOT / "tests" / "data" / "mnist"


@pytest.fixture(scope="session")
def digits(sample_dir: Path) -> torch.Tensor:
    """The excerpt's 384 training images, uint8 [384, 28, 28]."""
    files = [(sample_dir / f"train-{kind}-ubyte").read_bytes() for kind in ("images-idx3", "labels-idx1")]
    return decode(*files, "train")["images"]


LONG = (
    *("test_experiments.py", "test_remotes.py", "test_torture.py", "test_reliability.py", "test_checkpoint.py"),
    *("test_pipeline.py", "test_repro_jobs.py"),
)


def pytest_collection_modifyitems(items):
    """The long files first, for what starts last is what the other workers wait for."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture(scope="session")
def serial(tmp_path_factory) -> tuple[Path, str]:
    """A tiny copy of the project after its first `dvc repro`, and what that printed. To change it, copy it.

    It had no network, where that can be arranged.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # one for all workers
    project, said = shared / "serial", shared / "serial.log"
    with FileLock(shared / "serial.lock"):
        if not said.exists():
            scratch.make(project)
            command, env = [*scratch.offline(), sys.executable, "-m", "dvc", "repro"], scratch.environment(project)
            result = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True)
            assert result.returncode == 0, result.stdout + result.stderr
            said.write_text(result.stdout)
    return project, said.read_text()

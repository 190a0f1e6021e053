import os
import shutil
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

import compiler
import scratch
from dlreport.checkpoint import Checkpoint
from dlreport.config import Params, load_params
from dlreport.gan.mnist import decode
from dlreport.runtime import prepare
from helpers import DVC, Killed, output_of

ROOT = Path(__file__).parents[1]

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports Triton: on a CPU its interpreter runs the kernels

# No deadline: the machine may be busy. Derandomised: a failure is a change of the code, not of the luck.
settings.register_profile("dlreport", deadline=None, derandomize=True, max_examples=40)
settings.load_profile("dlreport")

compiler.install()

pytest.register_assert_rewrite("idx", "frontier", "made_up")


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    prepare(threads=1)


@pytest.fixture(scope="session")
def repository() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def params(tmp_path_factory) -> Params:
    """The shipped settings, whatever the repository's params.yaml says now."""
    folder = tmp_path_factory.mktemp("params")
    shutil.copy(ROOT / "params.yaml", folder)
    scratch.set_params(folder, scratch.DEFAULTS)
    return load_params(folder / "params.yaml")


@pytest.fixture(scope="session")
def sample_dir() -> Path:
    """The shipped excerpt of MNIST, four IDX files."""
    return ROOT / "tests" / "data" / "mnist"


@pytest.fixture(scope="session")
def mnist(sample_dir: Path) -> dict[str, dict[str, torch.Tensor]]:
    """The excerpt by split, `train` and `test`: its images and labels."""
    split_of = {"train": "train", "t10k": "test"}
    kinds = ("images-idx3", "labels-idx1")
    return {
        split: decode(*((sample_dir / f"{part}-{kind}-ubyte").read_bytes() for kind in kinds), split)
        for part, split in split_of.items()
    }


@pytest.fixture(scope="session")
def digits(mnist) -> torch.Tensor:
    """The excerpt's 384 training images, uint8 [384, 28, 28]."""
    return mnist["train"]["images"]


LONG = (
    *("test_experiments.py", "test_remotes.py", "test_torture.py", "test_frontier_runs.py", "test_reliability.py"),
    *("test_interrupted_stages.py", "test_pipeline.py", "test_repro_jobs.py", "test_resume.py"),
)


def pytest_collection_modifyitems(items):
    """The long files first, for what starts last is what the other workers wait for."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


@pytest.fixture
def kill_after(monkeypatch):
    """kill_after(n): the n-th save of a checkpoint, once it is done, is the last thing that happens."""
    save = Checkpoint.save

    def arm(count: int) -> None:
        saved = []

        def save_and_die(self, state) -> None:
            save(self, state)
            saved.append(self)
            if len(saved) == count:
                monkeypatch.setattr(Checkpoint, "save", save)
                raise Killed

        monkeypatch.setattr(Checkpoint, "save", save_and_die)

    return arm


@pytest.fixture(scope="session")
def serial(tmp_path_factory) -> tuple[Path, str]:
    """A tiny copy of the project after its first `dvc repro`, and what that printed. To change it, copy it.

    It had no network, where that can be arranged. What its stages read and drew is beside it, in `serial.recorded` (see
    recorder/).
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # one for all workers
    project, said = shared / "serial", shared / "serial.log"
    with FileLock(shared / "serial.lock"):
        if not said.exists():
            scratch.make(project)
            path = os.pathsep.join([str(project / "tests/recorder"), scratch.environment(project)["PYTHONPATH"]])
            recorded = shared / "serial.recorded"
            recorded.mkdir()
            recording = {"PYTHONPATH": path, "RECORDED": str(recorded)}
            said.write_text(output_of([*scratch.offline(), *DVC, "repro"], project, **recording))
    return project, said.read_text()

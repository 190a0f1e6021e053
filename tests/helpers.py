"""What several test files share."""

import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import TypeVar

import pytest
import torch

import scratch
from dlreport import native
from dlreport.config import GanSettings, Params
from dlreport.errors import STOPPING
from dlreport.sequence.models import MODELS, model_class
from dlreport.sequence.models.base import SequenceModel
from dlreport.sequence.task import Task

UP_TO_DATE = "Data and pipelines are up to date.\n"  # as DVC says it
NATIVE_MODELS = [name for name in MODELS if model_class(name).NATIVE]  # that the native engine trains
T = TypeVar("T")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_model(name: str, D: int = 1, H: int = 8, classes: int = 10, scale: float = 0.7) -> SequenceModel:
    """Biases that are not zero, and weights so small that no gate saturates and no rounding grows from step to step."""
    model = model_class(name)(D, H, classes, seeded())
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -scale, scale, generator=seeded(parameter.numel()))
    return model


def tiny_gan(params: Params, **values: object) -> GanSettings:
    return params.gan.model_copy(update={"latent_dim": 4, "epochs": 2, "batch_size": 16, **values})


def gan_params(settings: GanSettings, seed: int, device: str = "cpu") -> Params:
    """What of the parameters the GAN's training reads."""
    return Params.model_construct(gan=settings, seed=seed, device=device, precision="fp32")


def streams_of(params: Params) -> set[tuple[int | str, ...]]:
    """Seed and name of each random stream of the pipeline. A variant of the ablation draws from those of its task."""
    sequence, trained = params.sequence, ("init", "data", "test", "test-report")
    names = set()
    for model, length in product(sequence.models, sequence.lengths):
        uses = *trained, "gradients", "probe"
        names |= {*product(["sequence"], [str(Task(model, length))], range(sequence.runs_of(model)), uses)}
    for length in params.ablation.lengths:
        task = str(Task("VanillaRNN", length))
        names |= {("sequence", task, 0, "gradients")}
        names |= {*product(["sequence"], [task], range(params.ablation.replicates), trained)}
    longer = str(Task("VanillaRNN", params.longer.length))
    names |= {*product(["longer"], [longer], range(params.longer.replicates), trained)}
    judged = ["training images", *(f"generator {replicate}" for replicate in range(params.gan.replicates))]
    for images in judged:
        names |= {("quality", "kid", images), ("two-sample", images, "halves")}
    names |= {*product(["classifier", *(f"two-sample {images}" for images in judged)], ("init", "order"))}
    names |= {("gan", "grid"), ("gan", "pairs"), ("quality", "latents")}
    training = {("gan", "init", "generator"), ("gan", "init", "discriminator"), ("gan", "order"), ("gan", "noise")}
    training |= {("gan", "accuracy", epoch) for epoch in range(1, params.gan.epochs + 1)}
    roots = [params.seed + replicate for replicate in range(params.gan.replicates)]
    return {(params.seed, *name) for name in names} | {(root, *name) for root in roots for name in training}


def needs_native(source: str, precision: str) -> pytest.MarkDecorator:
    """Skip where the native engine of this C file cannot compute in this precision, as without a C compiler."""
    return pytest.mark.skipif(not native.serves(source, "cpu", precision), reason="no native engine")


class Killed(BaseException):
    """In place of SIGKILL: no handler of the code under test sees it."""


class Payload:
    """Unpickled without care, it creates a file."""

    def __init__(self, target: Path):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def wait_until(condition: Callable[[], T], seconds: float = 300, pause: float = 0.1) -> T:
    """What the condition gives when that is first true (a path, a match, a list that is not empty)."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(pause)
    return found


def small_files_only() -> None:
    """To be called in a process before its command: no file grows over 4 MB, as on a disk that is nearly full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 22, 1 << 22))


def run(
    command: list[str], project: Path, preexec_fn: Callable[[], None] | None = None, **environment: str
) -> subprocess.CompletedProcess:
    """A command in the project, to its end, however that is."""
    env = {**scratch.environment(project), **environment}
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, preexec_fn=preexec_fn)


def start(command: list[str], project: Path, **environment: str) -> subprocess.Popen:
    """A command in the project that goes on beside the test, in a process group of its own.

    It ignores no signal, as it would if the tests run in a script's background, or under nohup.
    """
    env, pipe = {**scratch.environment(project), **environment}, subprocess.PIPE
    options = {"stdout": pipe, "stderr": pipe, "text": True, "start_new_session": True}
    return subprocess.Popen(command, cwd=project, env=env, preexec_fn=_ignore_no_signal, **options)


def _ignore_no_signal() -> None:
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)


def output_of(command: list[str], project: Path, **environment: str) -> str:
    """What a command in the project printed; it has to succeed."""
    result = run(command, project, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


DVC = [sys.executable, "-m", "dvc"]


def dvc(project: Path, *arguments: str, **environment: str) -> str:
    return output_of([*DVC, *arguments], project, **environment)


def is_up_to_date(project: Path) -> bool:
    return dvc(project, "status") == UP_TO_DATE


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

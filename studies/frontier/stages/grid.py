"""The frontier study's grid: which runs there are, the settings of each, and the training and test of one run."""

import hashlib
import json
import re
import time
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import AfterValidator, Field

from dlreport import config
from dlreport.checkpoint import Checkpoints
from dlreport.errors import UserError
from dlreport.sequence.accuracy import evaluate
from dlreport.sequence.models import check_names, model_class
from dlreport.sequence.task import Task
from dlreport.sequence.training import train
from dlreport.sequence.windows import mean_accuracy

HERE, SOURCES = Path("studies/frontier"), Path("sources/frontier/train")
AXES = {"models", "lengths", "hidden_dims", "initialisations", "clip_modes", "replicates"}
WINDOW = 100  # steps over which accuracy is averaged to say when a run first solves its length
# Matches the error by which the training ends a run whose loss is no longer finite
DIVERGED = re.compile(r"the loss is \S+ at step \d+")
T = TypeVar("T")
Axis = Annotated[list[T], Field(min_length=1), AfterValidator(config.unique)]


class Study(config.Section):
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    models: Axis[config.ModelName]
    lengths: config.Lengths
    hidden_dims: Axis[Annotated[int, Field(ge=1, le=2**12)]]
    initialisations: Axis[config.Initialisation]
    clip_modes: Axis[Literal["off", "effective"]]
    replicates: config.Replicates
    steps: Annotated[int, Field(ge=20, le=10**9)]
    batch_size: Annotated[int, Field(ge=1, le=2**16)]
    optimizer: config.Optimizer
    learning_rate: config.Rate
    max_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    test_sequences: config.PositiveInt
    solved_at: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Run:
    """One training: a choice on each axis of the grid, and a replicate."""

    model: str
    hidden_dim: int
    initialisation: str
    clip: str
    length: int
    replicate: int

    def __str__(self) -> str:
        return "-".join(map(str, asdict(self).values()))

    @property
    def cost(self) -> int:
        """A number roughly in proportion to the time of a training step.

        By our measurements at hidden sizes 32 to 128 it is near enough to plan with.
        """
        return model_class(self.model).blocks() * (self.length - 1) * self.hidden_dim * (self.hidden_dim + 32)


def load_study() -> Study:
    """Read and check the study's parameters. Raises UserError if they are bad."""
    study = config.load(Study, HERE / "params.yaml")
    check_names(study.models)
    return study


def runs(study: Study) -> list[Run]:
    """Return all runs of the grid, in the order of the table's rows."""
    axes = study.models, study.hidden_dims, study.initialisations, study.clip_modes, study.lengths
    return [Run(*values) for values in product(*axes, range(study.replicates))]


def fingerprint(study: Study, model: str) -> str:
    """Return a hash of what all runs of a model share and what decides their numbers: settings, PyTorch's version and
    the sources.

    The axes of the grid are left out, so finished runs stay valid if an axis gets longer.
    """
    decides = [study.model_dump(exclude=AXES), torch.__version__, (SOURCES / f"{model}.txt").read_text()]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:16]


def settings(run: Run, study: Study) -> config.SequenceSettings:
    """Return the run's settings in the form that the library's training takes."""
    own = {"models": [run.model], "lengths": [run.length], "replicates": {run.model: 1}, "hidden_dim": run.hidden_dim}
    own |= {"initialisation": run.initialisation, "clip": {"mode": run.clip, "max_norm": study.max_norm}}
    shared = study.model_dump(include={"steps", "batch_size", "optimizer", "learning_rate"})
    reports = {"average_from": study.steps * 9 // 10, "log_every": study.steps, "curve_window": study.steps}
    test = {"report_sequences": 1, "sequences": study.test_sequences, "confidence": 0.95}
    return config.SequenceSettings.model_validate({**own, **shared, **reports, "test": test})


def train_run(study: Study, run: Run, checkpoints: Checkpoints) -> dict[str, Any]:
    """Train and test the run in this process, on one thread.

    Returns a dict with its `row` of the table, the `core_seconds` that it took and the version of `torch`.

    Random streams are named by model, length and replicate, so runs that differ in something else see the same data. As
    in the report, the test comes after the last step, whatever the accuracy was before. All replicates of a model and
    length have the same test.
    """
    start = time.process_time()  # the processor's time, as wall-clock time would count other programs, too
    task, its = Task(run.model, run.length), settings(run, study)
    row = {**asdict(run), "train_accuracy": None, "test_accuracy": None, "solved_step": None, "diverged": False}
    try:
        (trained,) = train(task, its, study.seed, torch.device("cpu"), "fp32", [run.replicate], checkpoints)
    except UserError as error:
        if not DIVERGED.search(str(error)):
            raise
        row["diverged"] = True
    else:
        weights = {name: torch.from_numpy(value) for name, value in trained.weights.items()}
        row["train_accuracy"] = mean_accuracy(trained.accuracy, its.average_from)
        row["test_accuracy"] = float(evaluate(task, [weights], its, study.seed)["test_accuracy"][0])
        row["solved_step"] = solved_step(trained.accuracy, study.solved_at)
    return {"row": row, "core_seconds": time.process_time() - start, "torch": torch.__version__}


def solved_step(accuracy: np.ndarray, solved_at: float) -> int | None:
    """Return the number of steps after which accuracy [steps], averaged over windows of WINDOW steps, is first
    `solved_at` or more. Return None if it never is."""
    windows = accuracy[: len(accuracy) // WINDOW * WINDOW].reshape(-1, WINDOW).mean(1, dtype=np.float64)
    solved = np.flatnonzero(windows >= solved_at)
    return int(solved[0] + 1) * WINDOW if len(solved) else None

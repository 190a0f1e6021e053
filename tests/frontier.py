"""The frontier study at tiny size: its settings, and a copy of the project to run it in."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import grid
import helpers
import scratch

TINY = {
    "seed": 2023,
    "models": ["VanillaRNN", "LSTM"],
    "lengths": [3, 4],
    "hidden_dims": [8],
    "initialisations": ["as_reported", "orthogonal"],
    "clip_modes": ["effective"],
    "replicates": 1,
    "steps": 30,
    "batch_size": 32,
    "optimizer": "RMSprop",
    "learning_rate": 0.001,
    "max_norm": 10.0,
    "test_sequences": 100,
    "solved_at": 0.99,
}
# In git, but a copy has to make them by itself
MADE = ("runs.csv", "cells.csv", "longest.csv", "metrics.json", "heat_map.svg", "dvc.lock")
TRAIN = [sys.executable, str(grid.HERE / "stages/train.py")]  # the stage without DVC


def make(project: Path, params: dict[str, Any]) -> Path:
    scratch.make(project)
    for name in MADE:
        (project / grid.HERE / name).unlink(missing_ok=True)
    return set_params(project, params)


def set_params(project: Path, params: dict[str, Any]) -> Path:
    """Also the files of sources, as `make frontier` does, which are of the models that the parameters name."""
    YAML().dump(params, project / grid.HERE / "params.yaml")
    helpers.output_of([sys.executable, "stages/sources.py"], project)
    return project


def train(project: Path, **environment: str) -> subprocess.CompletedProcess:
    return helpers.run(TRAIN, project, **environment)

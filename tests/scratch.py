"""A scratch copy of the project, with parameters so small that the whole pipeline runs in a minute or two.

`python tests/scratch.py DIRECTORY` makes one and runs `dvc repro` in it (`make smoke`); the pipeline's test does too.
"""

import functools
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "tests/data/mnist"
RESULTS = ("dvc.lock", "metrics/", "plots/", "report/", "sources/")  # the same bytes each time
MADE = (*RESULTS, "provenance.csv")  # what the copy has to make by itself

REMOVED = object()  # in place of a value: the key is to go

# params.yaml as shipped, key by key: what tests count on, whatever the user has made of that file.
DEFAULTS = {
    "seed": 20261127,
    "device": "auto",
    "precision": "fp32",
    "checkpoint_seconds": 60,
    "sequence.models": ["VanillaRNN", "LSTM"],
    "sequence.lengths": [5, 10, 15, 20],
    "sequence.replicates.VanillaRNN": 20,
    "sequence.replicates.LSTM": 6,
    "sequence.replicates.GRU": 6,
    "sequence.hidden_dim": 128,
    "sequence.initialisation": "as_reported",
    "sequence.steps": 50_000,
    "sequence.batch_size": 128,
    "sequence.optimizer": "RMSprop",
    "sequence.learning_rate": 0.001,
    "sequence.clip.mode": "as_reported",
    "sequence.clip.max_norm": 10.0,
    "sequence.average_from": 40_000,
    "sequence.log_every": 2000,
    "sequence.curve_window": 100,
    "sequence.test.report_sequences": 128,
    "sequence.test.sequences": 10_240,
    "sequence.test.confidence": 0.95,
    "longer.length": 10,
    "longer.replicates": 6,
    "longer.steps": 100_000,
    "longer.average_from": 80_000,
    "gradients.sequences": 1000,
    "ablation.lengths": [10, 20],
    "ablation.replicates": 4,
    "ablation.variants": [
        *("clipped", "adam", "scaled", "critical", "orthogonal_recurrent", "units_32", "units_64"),
        *("orthogonal", "all_changed"),
    ],
    "ablation.changes": {
        "clipped": {"clip": {"mode": "effective", "max_norm": 10.0}},
        "adam": {"optimizer": "Adam"},
        "scaled": {"initialisation": "scaled"},
        "critical": {"initialisation": "critical"},
        "orthogonal_recurrent": {"initialisation": "orthogonal_recurrent"},
        "units_32": {"hidden_dim": 32},
        "units_64": {"hidden_dim": 64},
        "units_256": {"hidden_dim": 256},
        "orthogonal": {"initialisation": "orthogonal"},
        "identity": {"initialisation": "identity"},
        "orthogonal_adam": {"initialisation": "orthogonal", "optimizer": "Adam"},
        "all_changed": {
            "initialisation": "orthogonal",
            "optimizer": "Adam",
            "clip": {"mode": "effective", "max_norm": 1.0},
        },
    },
    "gan.replicates": 3,
    "gan.latent_dim": 100,
    "gan.epochs": 250,
    "gan.batch_size": 128,
    "gan.learning_rate": 0.0002,
    "gan.betas": [0.5, 0.999],
    "gan.average.every": 10,
    "gan.average.decay": 0.99,
    "gan.snapshot_every": 20,
    "gan.grid_images": 64,
    "gan.interpolation_points": 7,
    "gan.interpolation_pairs": 5,
    "classifier.epochs": 6,
    "classifier.batch_size": 128,
    "classifier.learning_rate": 0.005,
    "classifier.weight_decay": 0.05,
    "quality.images": 10_000,
    "quality.neighbours": 5,
    "quality.confident": 0.9,
    "quality.missing_below": 0.01,
    "quality.two_sample_epochs": 4,
    "quality.confidence": 0.95,
}

TINY = {
    "sequence.lengths": [5],
    "sequence.replicates.VanillaRNN": 2,
    "sequence.replicates.LSTM": 2,
    "sequence.replicates.GRU": 2,
    "sequence.hidden_dim": 16,
    "sequence.steps": 60,
    "sequence.batch_size": 32,
    "sequence.average_from": 40,
    "sequence.log_every": 20,
    "sequence.curve_window": 3,
    "sequence.test.sequences": 1000,
    "longer.length": 5,
    "longer.replicates": 2,
    "longer.steps": 90,
    "longer.average_from": 60,
    "ablation.lengths": [5],
    "ablation.replicates": 2,
    "ablation.variants": ["all_changed"],
    "gan.replicates": 2,
    "gan.latent_dim": 8,
    "gan.epochs": 3,
    "gan.snapshot_every": 2,
    "classifier.epochs": 1,
    "quality.images": 100,
    "quality.two_sample_epochs": 1,
    **{f"mnist.md5.{path.name}": hashlib.md5(path.read_bytes()).hexdigest() for path in SAMPLE.iterdir()},
}


@functools.cache
def offline() -> list[str]:
    """What to put before a command so that it has no network, if the system lets us."""
    prefix = ["unshare", "--map-root-user", "--net"]
    if shutil.which(prefix[0]) and subprocess.run([*prefix, "true"], capture_output=True).returncode == 0:
        return prefix
    return []


def set_params(project: Path, values: dict[str, Any]) -> None:
    """Set dotted keys in the project's params.yaml, comments kept; a value may be REMOVED. An unknown key is put there
    too: the schema refuses it."""
    yaml, path = YAML(), project / "params.yaml"
    params = yaml.load(path)
    for key, value in values.items():
        *sections, name = key.split(".")
        section = params
        for part in sections:
            section = section[part]
        if value is REMOVED:
            del section[name]
        else:
            section[name] = value
    yaml.dump(params, path)


def make(project: Path, values: dict[str, Any] | None = None, defaults: dict[str, Any] = DEFAULTS) -> None:
    """Copy what git tracks, or would track, from here to `project` (which is emptied), as a repository of its own.

    Its params are `defaults`, TINY where that says otherwise, and `values` where these do.
    """
    shutil.rmtree(project, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists() and not name.startswith(MADE):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name, follow_symlinks=False)
    set_params(project, {**defaults, **TINY, **(values or {})})
    git = ["git", "-c", "user.name=scratch", "-c", "user.email=scratch@localhost", "-c", "commit.gpgSign=false"]
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "A scratch copy"]):
        subprocess.run([*git, *command], cwd=project, check=True)


def contents(project: Path, names: tuple[str, ...] = RESULTS) -> dict[str, bytes]:
    """Every file among these files and folders of the project, by its path there."""
    paths = [path for name in names for path in (project / name, *(project / name).rglob("*"))]
    return {str(path.relative_to(project)): path.read_bytes() for path in paths if path.is_file()}


def parsed(contents: dict[str, bytes]) -> dict[str, Any]:
    """With what dvc.lock says in place of its bytes: its stages are in the order in which they ended first."""
    return {**contents, "dvc.lock": YAML(typ="safe").load(contents["dvc.lock"])}


def environment(project: Path) -> dict[str, str]:
    """This Python, the copy's own source, the shipped digits: no network. One core, since tests run side by side."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        "PYTHONPATH": str(project / "src"),
        "MNIST_DIR": str(SAMPLE),
        "DLREPORT_WORKERS": "1",
    }


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve()
    make(target, defaults={})  # the user's own settings, but for their size
    code = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=target, env=environment(target)).returncode
    sys.exit(code or print(f"the report of the scratch copy: {target / 'report/index.html'}"))

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
RESULTS = ("dvc.lock", "metrics/", "plots/", "report/")  # the same bytes each time
MADE = (*RESULTS, "manifest/")  # what the copy has to make by itself

TINY = {
    "sequence.lengths": [5],
    "sequence.replicates": 2,
    "sequence.hidden_dim": 16,
    "sequence.steps": 60,
    "sequence.batch_size": 32,
    "sequence.average_from": 40,
    "sequence.log_every": 20,
    "sequence.curve_points": 20,
    "sequence.test.sequences": 1000,
    "longer.length": 5,
    "longer.steps": 90,
    "longer.average_from": 60,
    "ablation.lengths": [5],
    "ablation.replicates": 2,
    "ablation.steps": 30,
    "ablation.average_from": 20,
    "ablation.variants": ["as_reported", "all_changed"],
    "gan.replicates": 2,
    "gan.latent_dim": 8,
    "gan.epochs": 3,
    "gan.snapshot_every": 2,
    "classifier.epochs": 1,
    "quality.images": 100,
    "quality.repeats": 2,
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
    """Set dotted keys in the project's params.yaml, comments kept."""
    yaml, path = YAML(), project / "params.yaml"
    params = yaml.load(path)
    for key, value in values.items():
        *sections, name = key.split(".")
        section = params
        for part in sections:
            section = section[part]
        assert name in section, f"{key} is not in params.yaml"
        section[name] = value
    yaml.dump(params, path)


def make(project: Path, values: dict[str, Any] | None = None) -> None:
    """Copy what git tracks, or would track, from here to `project` (which is emptied), as a repository of its own.

    Its params are TINY, and `values` where these say otherwise.
    """
    shutil.rmtree(project, ignore_errors=True)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists() and not name.startswith(MADE):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, project / name, follow_symlinks=False)
    set_params(project, {**TINY, **(values or {})})
    git = ["git", "-c", "user.name=scratch", "-c", "user.email=scratch@localhost"]
    for command in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "A scratch copy"]):
        subprocess.run([*git, *command], cwd=project, check=True)


def contents(project: Path, names: tuple[str, ...] = RESULTS) -> dict[str, bytes]:
    """Every file among these files and folders of the project, by its path there."""
    paths = [path for name in names for path in (project / name, *(project / name).rglob("*"))]
    return {str(path.relative_to(project)): path.read_bytes() for path in paths if path.is_file()}


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
    make(target)
    code = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=target, env=environment(target)).returncode
    sys.exit(code or print(f"the report of the scratch copy: {target / 'report/index.html'}"))

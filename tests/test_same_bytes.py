"""What is set on a machine changes no byte: the whole pipeline, at tiny size, in a fresh clone of its results.

Each run takes a minute or two, so it tries many settings at once. If one fails, halve its settings to find which it is.
"""

import os
import shutil
from pathlib import Path

import pytest

import scratch
from helpers import git, run, with_results_committed

JOBS = ["python", "tools/repro.py", "--jobs"]  # two of them: test_repro_jobs
ONE_CORE = ["taskset", "-c", str(min(os.sched_getaffinity(0)))] if shutil.which("taskset") else []

SETTINGS = {
    "a batch job": {
        "command": [*JOBS, "3"],
        "umask": 0o077,
        "environment": {
            "HOME": "/proc/nohome",  # written to by nobody
            "TMPDIR": ".",
            "TZ": "Asia/Kolkata",
            "LC_ALL": "xx_XX",
            "OMP_NUM_THREADS": "3",
            "OPENBLAS_NUM_THREADS": "2",
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONNOUSERSITE": "1",
        },
    },
    "a user's home": {
        "command": [*ONE_CORE, *JOBS, "1"],
        "environment": {
            "DLREPORT_WORKERS": "",  # by the cores
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "LANG": "de_DE.UTF-8",
            "PIP_USER": "1",
            "PIP_REQUIRE_VIRTUALENV": "1",
            "npm_config_ignore_scripts": "true",
        },
        "home": {
            ".config/matplotlib/matplotlibrc": "text.usetex: True\nfont.size: 14\nsavefig.bbox: tight\n",
            ".config/pip/pip.conf": "[global]\nuser = true\nrequire-virtualenv = true\n",
            ".npmrc": "registry=http://127.0.0.1:9/\nignore-scripts=true\n",
            ".gitconfig": "[core]\nautocrlf = true\nfileMode = false\nquotePath = false\n[commit]\ngpgSign = true\n"
            "[status]\nshowUntrackedFiles = no\n[safe]\ndirectory = *\n",
        },
    },
    "Python": {
        "command": ["python", "-m", "dvc", "repro"],
        "environment": {
            "DLREPORT_WORKERS": "4",
            "PYTHONOPTIMIZE": "1",
            "PYTHONHASHSEED": "7",
            "PYTHONWARNINGS": "default",  # by "error" DVC itself ends; of the stages test_environment tries it
            "PYTHONUTF8": "0",
            "PYTHONIOENCODING": "ascii",
            "LC_ALL": "C",
        },
    },
}


@pytest.fixture(scope="module")
def committed(serial, tmp_path_factory) -> Path:
    """The tiny pipeline's results by plain `dvc repro`, in git."""
    return with_results_committed(serial[0], tmp_path_factory.mktemp("same_bytes") / "project")


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_the_whole_pipeline_makes_the_same_bytes(committed, tmp_path, name):
    settings, project = SETTINGS[name], tmp_path / "clone"
    for path, text in settings.get("home", {}).items():
        (tmp_path / "home" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / path).write_text(text)
    home = {"HOME": str(tmp_path / "home")} if "home" in settings else {}
    environment = home | settings["environment"] | {"PYTHONPATH": str(project / "src")}

    def prepared() -> None:
        os.umask(settings.get("umask", 0o022))

    cloned = run(["git", "clone", "--quiet", str(committed), str(project)], tmp_path, prepared, **environment)
    assert cloned.returncode == 0, cloned.stderr
    for made in scratch.RESULTS:
        if made != "dvc.lock":  # which stays: it says what to come to
            shutil.rmtree(project / made)
    result = run(settings["command"], project, prepared, **environment)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("Running stage") == len(list((project / ".provenance").iterdir())) > 15
    made = (*scratch.RESULTS, "models/", "data/")
    found, expected = scratch.contents(project, made), scratch.contents(committed, made)
    assert sorted(found) == sorted(expected)
    assert [path for path in expected if found[path] != expected[path]] == []
    assert git(project, "status", "--porcelain") == ""

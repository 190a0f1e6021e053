"""What is set on a machine for other programs, or by notebooks, containers and batch systems, changes nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import setuptools

import scratch
from dlreport.runtime import cores
from helpers import dvc, output_of, run

DRAWING = ("compare_sequences.py", "describe_gan.py", "compare_ablation.py")


@pytest.fixture(scope="module")
def drawn(serial, tmp_path_factory) -> Path:
    """A copy of a tiny pipeline that has run."""
    return shutil.copytree(serial[0], tmp_path_factory.mktemp("environment") / "project", symlinks=True)


HOSTILE = {
    "a notebook": {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
    "LaTeX": {"matplotlibrc": "text.usetex: True\n"},
    "a style": {"matplotlibrc": "font.size: 14\nsavefig.bbox: tight\naxes.grid: True\nlines.linewidth: 9\n"},
    "Python": {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "1", "PYTHONHASHSEED": "7"},
    "a place": {"LC_ALL": "C", "TZ": "Asia/Kolkata", "PYTHONUTF8": "0"},
    "threads": {"OMP_NUM_THREADS": "3", "MKL_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_stages_write_the_same_bytes_whatever_is_set(drawn, tmp_path, name):
    expected = scratch.contents(drawn, ("plots/", "metrics/"))
    settings = dict(HOSTILE[name])
    if style := settings.pop("matplotlibrc", None):
        (tmp_path / "matplotlib").mkdir()
        (tmp_path / "matplotlib/matplotlibrc").write_text(style)
        settings["XDG_CONFIG_HOME"] = str(tmp_path)
    for stage in DRAWING if "matplotlibrc" in HOSTILE[name] or "MPLBACKEND" in settings else DRAWING[:1]:
        output_of([sys.executable, f"stages/{stage}"], drawn, **settings)
    found = scratch.contents(drawn, ("plots/", "metrics/"))
    assert found.keys() == expected.keys()
    assert [path for path in expected if found[path] != expected[path]] == []


def test_cores_are_those_that_the_process_may_use(tmp_path):
    own = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{own}]); from dlreport.runtime import workers; print(workers())"
    alone = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=without_workers())
    assert alone.stdout == "1\n", alone.stderr


def without_workers() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "DLREPORT_WORKERS"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 64),
        ({"cpu.max": "max 100000"}, 64),
        ({"cpu.max": "250000 100000"}, 2),
        ({"cpu.max": "50000 100000"}, 1),
        ({"cpu.max": "9900000 100000"}, 64),  # of more cores than the process may use
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1),
        ({"cpu.max": "nonsense"}, 64),
    ],
)
def test_a_containers_quota_counts(tmp_path, monkeypatch, files, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert cores(tmp_path) == expected


def test_set_up_leaves_the_environment_alone_to_which_a_link_leads(repository, tmp_path):
    """That of another checkout."""
    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path)
    other = tmp_path / "other"
    other.mkdir()
    (other / "theirs").touch()
    (tmp_path / ".venv").symlink_to(other)
    result = run(["make", "setup", "PYTHON=true"], tmp_path)  # a program that does nothing
    assert result.returncode != 0  # no environment was made
    assert (other / "theirs").exists()
    assert not (tmp_path / ".venv").is_symlink()


def test_set_up_notices_a_move_and_another_python(repository, tmp_path):
    def planned(*arguments: str) -> str:
        return subprocess.run(["make", "-n", *arguments], cwd=tmp_path, capture_output=True, text=True).stdout

    for name in ("Makefile", "requirements.txt", "pyproject.toml"):
        shutil.copy(repository / name, tmp_path)
    environment = tmp_path / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    here = f"{environment} {sys.version.split()[0]}\n"
    (environment / ".ready").write_text(here)
    assert "Nothing to be done" in planned("setup")
    for moved in (here.replace(str(environment), "/elsewhere/.venv"), f"{environment} 3.1.4\n", ""):
        (environment / ".ready").write_text(moved)
        assert "-m venv --clear" in planned("setup")


@pytest.mark.slow
def test_set_up_installs_into_its_environment_whatever_pip_is_set_to(repository, tmp_path):
    """Without a network: there is nothing to install but the project, and setuptools is this environment's."""
    shutil.copy(repository / "Makefile", tmp_path)
    (tmp_path / "requirements.txt").touch()
    (tmp_path / "pyproject.toml").write_text(
        '[project]\nname = "settings"\nversion = "1"\n[tool.setuptools]\npy-modules=[]'
    )
    (tmp_path / "home/.config/pip").mkdir(parents=True)
    (tmp_path / "home/.config/pip/pip.conf").write_text("[global]\nuser = true\nrequire-virtualenv = true\n")
    settings = {"HOME": str(tmp_path / "home"), "PIP_USER": "1", "PIP_TARGET": str(tmp_path / "elsewhere")}
    packages = Path(setuptools.__file__).parents[1]
    made = run(["make", "setup"], tmp_path, **settings, PYTHONPATH=str(packages))
    assert made.returncode == 0, made.stdout + made.stderr
    assert list(tmp_path.glob(".venv/lib/python*/site-packages/settings-1.dist-info"))
    assert not (tmp_path / "elsewhere").exists()


def test_a_python_that_hides_what_lies_beside_a_stage_is_named(repository):
    result = run([sys.executable, "stages/sources.py"], repository, PYTHONSAFEPATH="1")
    assert result.returncode == 1
    assert result.stderr == "error: PYTHONSAFEPATH keeps stages from importing what lies beside them; unset it\n"


def test_make_takes_away_what_would_end_dvc_or_a_stage(repository):
    command = ["make", "--silent", "--eval", "set: ; @echo $$PYTHONSAFEPATH$$PYTHONWARNINGS", "set"]
    assert output_of(command, repository, PYTHONSAFEPATH="1", PYTHONWARNINGS="error") == "\n"


def test_the_commit_is_known_in_a_checkout_of_another_owner(tmp_path):
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "One"]):
        output_of(["git", "-c", "user.name=a", "-c", "user.email=a@localhost", *command], tmp_path)
    head = output_of(["git", "rev-parse", "HEAD"], tmp_path).strip()
    other = {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1", "PYTHONPATH": str(scratch.ROOT / "src")}
    assert run(["git", "rev-parse", "HEAD"], tmp_path, **other).returncode == 128
    code = "from dlreport.provenance import recorded\nwith recorded('stage', 'cpu'): pass"
    output_of([sys.executable, "-c", code], tmp_path, **other)
    found = json.loads((tmp_path / ".provenance/stage.json").read_text())
    assert (found["commit"], found["code_changed_since_commit"]) == (head, False)


def test_dvc_changes_no_more_of_dvc_yaml_than_the_line_it_means(tmp_path):
    """The file is as DVC writes it."""
    scratch.make(tmp_path / "project")
    path = tmp_path / "project/dvc.yaml"
    before = path.read_text().splitlines()
    dvc(tmp_path / "project", "freeze", "train_gan")
    frozen = path.read_text().splitlines()
    frozen.remove("    frozen: true")
    assert frozen == before
    dvc(tmp_path / "project", "unfreeze", "train_gan")
    assert path.read_text().splitlines() == before


def test_a_user_without_a_name_has_one_for_dvc(repository):
    command = ["make", "--silent", "--eval", "name: ; @echo $$LOGNAME", "name"]
    for given, expected in (({}, "nobody\n"), ({"LOGNAME": "ada"}, "ada\n")):
        environment = {"PATH": os.environ["PATH"], **given}
        found = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
        assert found.stdout == expected, found.stderr

"""The recipes of docs/experiments.md, each by the real command at tiny size; what a parameter leaves alone stays."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

import scratch
from helpers import DVC, dvc, git, is_up_to_date, stages_run, wait_until, with_results_committed

CELLS = ("VanillaRNN-5", "LSTM-5")
SEQUENCE_METRICS = {f"metrics/sequence/{cell}.json" for cell in CELLS}
CLAIMS = "metrics/claims.json"  # may turn on any other number
GAN_METRICS = {f"metrics/gan/{name}.json" for name in ("interpolation", "quality", "training")}

pytestmark = pytest.mark.slow


def test_a_screen_holds_the_metrics_of_the_reports_eight_cells(serial):
    """`dvc metrics diff` has a line for each number that changed, at most this many. The study's are not counted, as no
    `dvc repro` changes them; of the ten claims one has no statement here."""

    def leaves(values: object) -> int:
        return sum(map(leaves, values.values())) if isinstance(values, dict) else 1

    files = json.loads(dvc(serial[0], "metrics", "show", "--json"))[""]["data"]
    numbers = {name: leaves(values["data"]) for name, values in files.items() if name.startswith("metrics/")}
    of_cells = [count for name, count in numbers.items() if name.startswith("metrics/sequence/")]
    assert 0 < sum(numbers.values()) - sum(of_cells) + 8 * max(of_cells) + 1 < 60


@pytest.fixture(scope="module")
def project(serial, tmp_path_factory) -> Path:
    """The tests below are in order; each ends on the branch `master` with nothing changed."""
    return with_results_committed(serial[0], tmp_path_factory.mktemp("experiments") / "project")


def go_back(project: Path) -> None:
    """As README.md says."""
    git(project, "restore", ".")
    git(project, "clean", "-qf", "plots", "metrics", "report", "sources")
    dvc(project, "checkout")
    assert git(project, "status", "--porcelain") == ""
    assert is_up_to_date(project)


def metrics_diff(project: Path, *revisions: str) -> dict[str, dict]:
    """The numbers that changed, by file and name."""
    return json.loads(dvc(project, "metrics", "diff", "--json", *revisions))


def start_queue(project: Path, jobs: int) -> None:
    """The workers keep what they inherit open."""
    command = [*DVC, "queue", "start", "-j", str(jobs)]
    env, null = scratch.environment(project), subprocess.DEVNULL
    subprocess.run(command, cwd=project, env=env, check=True, stdin=null, stdout=null, stderr=null)


def run_queue(project: Path, jobs: int, tasks: int) -> None:
    """Until all tasks have succeeded and the workers are gone."""
    start_queue(project, jobs)
    wait_until(lambda: not re.search("Queued|Running", dvc(project, "queue", "status")), seconds=1200, pause=1)
    assert dvc(project, "queue", "status").count("Success") == tasks
    wait_until(lambda: "Worker status: 0 active, 0 idle" in dvc(project, "queue", "status"), pause=1)


def test_clipping_that_works_changes_the_sequences_alone(project):
    settings = ("-S", "sequence.clip.mode=effective", "-S", "sequence.clip.max_norm=0.01")
    ran = stages_run(dvc(project, "exp", "run", "-n", "clipped", *settings))
    assert "train_sequence@LSTM-5" in ran
    assert not [name for name in ran if name in ("prepare_mnist", "train_classifier") or "gan" in name]
    in_workspace = metrics_diff(project)
    assert SEQUENCE_METRICS <= in_workspace.keys() <= SEQUENCE_METRICS | {"metrics/gradients.json", CLAIMS}

    git(project, "commit", "-qam", "Clipped")
    assert metrics_diff(project, "HEAD~1", "HEAD") == in_workspace


def test_a_learning_rate_of_the_gan_changes_the_gan_alone(project):
    ran = stages_run(dvc(project, "exp", "run", "-n", "faster", "-S", "gan.learning_rate=0.001"))
    assert not [name for name in ran if "sequence" in name or name in ("train_classifier", "train_longer")]
    found = metrics_diff(project)
    assert GAN_METRICS <= found.keys() <= GAN_METRICS | {CLAIMS}
    assert found["metrics/gan/training.json"].keys() == {"discriminator_loss", "generator_loss"}
    assert "fid" in found["metrics/gan/quality.json"]
    assert "fid_reference" not in found["metrics/gan/quality.json"]  # of real images
    assert metrics_diff(project, "HEAD~1").keys() >= SEQUENCE_METRICS | GAN_METRICS
    go_back(project)


def test_a_grid_runs_in_the_queue_and_leaves_the_workspace_alone(project):
    queued = dvc(project, "exp", "run", "-n", "points", "--queue", "-S", "gan.interpolation_points=3,5")
    assert re.findall("Queued experiment '(.+?)'", queued) == ["points-1", "points-2"]
    run_queue(project, jobs=2, tasks=2)
    assert git(project, "status", "--porcelain") == ""
    assert set(dvc(project, "exp", "list", "--name-only").split()) == {"faster", "points-1", "points-2"}


def test_the_table_of_experiments_fits_a_screen(project):
    columns = "Experiment|gan.interpolation_points|largest_step_share$|fid$"
    command = ("exp", "show", "--no-pager", "--drop", ".*", "--keep", columns, "--sort-by", "largest_step_share")
    table = dvc(project, *command, COLUMNS="100")
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 100
    rows = [line.split() for line in table.splitlines() if line.strip(" ─")]
    assert rows[0] == ["Experiment", "largest_step_share", "fid", "gan.interpolation_points"]
    points = {match[1]: int(row[-1]) for row in rows if (match := re.search(r"\[(.+)\]", " ".join(row)))}
    assert points == {"faster": 7, "points-1": 3, "points-2": 5}


def test_two_experiments_compared(project):
    found = json.loads(dvc(project, "exp", "diff", "--json", "points-1", "points-2"))
    assert found["params"] == {"params.yaml": {"gan.interpolation_points": {"old": 3, "new": 5, "diff": 2}}}
    assert found["metrics"].keys() == {"metrics/gan/interpolation.json"}
    share = found["metrics"]["metrics/gan/interpolation.json"]["largest_step_share"]
    assert share["old"] > share["new"]  # of 4 steps, of 6


def test_an_experiment_applied_is_as_if_it_had_run_here(project):
    dvc(project, "exp", "apply", "points-2")
    assert is_up_to_date(project)
    assert "largest_step_share" in metrics_diff(project)["metrics/gan/interpolation.json"]
    assert "??" not in git(project, "status", "--porcelain")
    go_back(project)


def test_apply_overwrites_changes_of_the_workspace_and_keeps_them_in_a_stash(project):
    script = project / "stages/report.py"
    before = script.read_text()
    script.write_text(before + "# a change\n")
    dvc(project, "exp", "apply", "points-2")
    assert script.read_text() == before
    go_back(project)
    git(project, "stash", "apply", "refs/exps/apply/stash")
    assert script.read_text() == before + "# a change\n"
    go_back(project)


def test_an_experiment_becomes_a_branch(project):
    dvc(project, "exp", "branch", "points-1", "fewer-points")
    assert metrics_diff(project, "master", "fewer-points").keys() == {"metrics/gan/interpolation.json"}
    git(project, "switch", "-q", "fewer-points")
    dvc(project, "checkout")
    assert stages_run(dvc(project, "repro")) == []
    git(project, "switch", "-q", "master")
    go_back(project)


def test_a_queued_experiment_runs_the_code_it_was_queued_with(project):
    template = project / "src/dlreport/report/report.md.j2"
    template.write_text(template.read_text() + "\nAnother wording.\n")
    dvc(project, "exp", "run", "-n", "wording", "--queue")
    git(project, "restore", ".")
    run_queue(project, jobs=1, tasks=3)
    dvc(project, "exp", "apply", "wording")
    assert (project / "report/report.md").read_text().endswith("Another wording.\n")
    derived = git(project, "diff", "--name-only", "--", "sources").splitlines()
    assert derived == ["sources/report/LSTM.txt", "sources/report/VanillaRNN.txt"]
    go_back(project)


def test_after_a_killed_worker_the_queue_is_cleared_by_hand(project):
    kept = dvc(project, "exp", "list")
    dvc(project, "exp", "run", "-n", "endless", "--queue", "-S", "gan.epochs=3000")
    start_queue(project, jobs=1)
    wait_until(lambda: re.search("endless .+ Running", dvc(project, "queue", "status")), pause=1)
    worker = psutil.Process(int((project / ".dvc/tmp/exps/celery/dvc-exp-worker-1.pid").read_text()))
    run = wait_until(worker.children)
    worker.kill()

    assert all(process.is_running() for process in run)
    dvc(project, "queue", "kill", "endless")
    psutil.wait_procs(run, timeout=60)
    dvc(project, "queue", "remove", "--all")
    assert re.search("endless .+ Running", dvc(project, "queue", "status"))  # and so it would stay

    shutil.rmtree(project / ".dvc/tmp/exps")
    assert "No experiment tasks in the queue." in dvc(project, "queue", "status")
    assert dvc(project, "exp", "list") == kept


def test_removed_experiments_are_gone(project):
    dvc(project, "exp", "remove", "points-1", "wording")
    assert set(dvc(project, "exp", "list", "--name-only").split()) == {"faster", "points-2"}
    dvc(project, "exp", "remove", "--all-commits")
    assert dvc(project, "exp", "list", "--all-commits", "--name-only").split() == []

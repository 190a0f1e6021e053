"""Stages side by side: the same results as by `dvc repro`, and an end that is clean however it comes."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import scratch
from helpers import UP_TO_DATE, dvc, is_up_to_date, run, small_files_only, start, wait_until

TOOL = scratch.ROOT / "tools/repro.py"

# A pipeline of the same shape whose stages take no time. Each does what stage.sh says; DVC gives it its name.
STAGES = """
stages:
  sources: {cmd: sh stage.sh checked, deps: [params.yaml], outs: [checked]}
  prepare_mnist: {cmd: sh stage.sh mnist, deps: [checked], outs: [mnist]}
  train_gan: {cmd: sh stage.sh gan, deps: [mnist], outs: [gan]}
  train_sequence:
    matrix: {model: [VanillaRNN, LSTM], length: [5]}
    cmd: sh stage.sh cells/${key}
    deps: [checked]
    outs: [{"cells/${key}": {cache: false}}]
  compare_sequences: {cmd: sh stage.sh table, deps: [cells], outs: [table]}
"""
STAGE = """
echo "workers: $DLREPORT_WORKERS" >&2
echo "start $DVC_STAGE" >> trace
case $DVC_STAGE in
  $SLOW) echo $$ > pid; exec sleep 60;;
  $BROKEN) echo "error: no luck" >&2; exit 1;;
  train_sequence*)  # wait for the other one, a minute at most
    tries=0
    until [ "$(grep -c 'start train_sequence' trace)" -ge 2 ]; do
      tries=$((tries + 1)); [ $tries -lt 600 ] || exit 1; sleep 0.1
    done;;
esac
mkdir -p "$(dirname $1)" && echo "$DVC_STAGE" > "$1"
echo "end $DVC_STAGE" >> trace
"""


def command(*options: str) -> list[str]:
    return [sys.executable, str(TOOL), *options]


def repro(project: Path, *options: str, broken: str = "-") -> subprocess.CompletedProcess:
    return run(command(*options), project, SLOW="-", BROKEN=broken)


def ran(result: subprocess.CompletedProcess) -> list[str]:
    return re.findall(r"^Running stage '(.+)' \(\d+ of \d+\)$", result.stdout, flags=re.MULTILINE)


@pytest.fixture
def project(tmp_path) -> Path:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc/config").write_text("[core]\n    no_scm = true\n    analytics = false\n")
    (tmp_path / "params.yaml").write_bytes((scratch.ROOT / "params.yaml").read_bytes())
    (tmp_path / "dvc.yaml").write_text(STAGES)
    (tmp_path / "stage.sh").write_text(STAGE)
    (tmp_path / "src").symlink_to(scratch.ROOT / "src")
    return tmp_path


@pytest.mark.slow
def test_the_whole_pipeline_ends_in_the_results_of_a_serial_run(serial, tmp_path):
    project, expected = tmp_path / "project", scratch.parsed(scratch.contents(serial[0]))
    scratch.make(project)
    result = repro(project, "--jobs", "2")
    assert result.returncode == 0, result.stdout + result.stderr
    assert ran(result)[:3] == ["sources", "prepare_mnist", "train_gan"]
    assert re.search(r"^train_sequence@LSTM-5 \| .+ step 59 ", result.stderr, flags=re.MULTILINE)
    contents = scratch.contents(project)
    found = scratch.parsed(contents)
    assert sorted(found) == sorted(expected)
    assert [name for name in found if found[name] != expected[name]] == []
    assert is_up_to_date(project)

    again = repro(project, "--jobs", "2")
    assert (again.returncode, again.stdout, again.stderr) == (0, UP_TO_DATE, "")
    assert scratch.contents(project) == contents


@pytest.mark.slow
def test_a_disk_that_is_full_loses_nothing_that_had_room(serial, tmp_path):
    """The GAN's files have none; those of the longer training do."""
    project, serially = (tmp_path / name for name in ("project", "serially"))
    changed = {"gan.epochs": 2, "longer.steps": 80}
    for copy in (project, serially):
        shutil.copytree(serial[0], copy, symlinks=True)
        scratch.set_params(copy, changed)
    result = run(command("--jobs", "2"), project, preexec_fn=small_files_only)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert re.search(
        r"^train_gan failed: error: .+ cannot be written \(File too large\); make room", result.stderr, re.M
    )
    assert {"train_longer", "evaluate_longer"} <= {*ran(result)}
    assert re.search(
        r"^error: failed: train_gan; not run because of that: .*check_claims, report$", result.stderr, re.M
    )
    assert not [*project.rglob("*.tmp")]

    repaired = repro(project, "--jobs", "2")
    assert repaired.returncode == 0, repaired.stderr
    assert not {"train_longer", "evaluate_longer"} & {*ran(repaired)}
    dvc(serially, "repro")
    found, expected = (scratch.parsed(scratch.contents(copy)) for copy in (project, serially))
    assert [name for name in expected | found if found.get(name) != expected.get(name)] == []


def test_a_failure_stops_only_what_depends_on_it(project):
    result = repro(project, "--jobs", "2", broken="train_sequence@LSTM-5")
    assert result.returncode == 1
    assert "train_sequence@VanillaRNN-5 | workers: 1\n" in result.stderr
    assert "train_sequence@LSTM-5 | error: no luck\n" in result.stderr
    assert result.stderr.splitlines()[-2:] == [
        "train_sequence@LSTM-5 failed: error: no luck",
        "error: failed: train_sequence@LSTM-5; not run because of that: compare_sequences",
    ]
    assert "train_gan | workers: 2\n" in result.stderr
    trace = (project / "trace").read_text().splitlines()
    assert "end train_sequence@VanillaRNN-5" in trace
    assert trace.index("end train_gan") == trace.index("start train_gan") + 1  # it took both slots

    repaired = repro(project, "--jobs", "2")
    assert repaired.returncode == 0, repaired.stderr
    assert ran(repaired) == ["train_sequence@LSTM-5", "compare_sequences"]
    assert is_up_to_date(project)


LATER = (signal.SIGTERM, signal.SIGUSR1)


@pytest.mark.parametrize("number", [signal.SIGINT, *(pytest.param(one, marks=pytest.mark.slow) for one in LATER)])
def test_a_signal_ends_every_process_in_one_line(project, number):
    process, pid = start(command("--jobs", "2"), project, SLOW="sources", BROKEN="-"), project / "pid"
    wait_until(lambda: pid.is_file() and pid.read_text(), seconds=60)
    process.send_signal(number)
    lines = process.communicate(timeout=60)[1].splitlines()
    assert process.returncode == 128 + number
    assert lines == [
        "sources | workers: 1",
        "error: interrupted; run it again to go on from the stages that are done",
    ]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


@pytest.mark.parametrize("jobs", ["0", "x"])
def test_a_bad_number_of_jobs_is_one_line(project, jobs):
    result = repro(project, f"--jobs={jobs}")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"error: --jobs: expected a whole number from 1 to 9999, found '{jobs}'\n"


def test_a_bad_parameter_is_one_line_and_starts_nothing(project):
    scratch.set_params(project, {"gan.epochs": 0})
    result = repro(project, "--jobs", "2")
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"error: params.yaml: gan.epochs: .+\n", result.stderr)
    assert not (project / "trace").exists()


def test_a_bad_dvc_yaml_is_one_line(project):
    (project / "dvc.yaml").write_text("stages: {a: {cmd: x, outs: [o]}, b: {cmd: y, outs: [o]}}")
    result = repro(project, "--jobs", "2")
    assert (result.returncode, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert result.stderr.startswith("error: output 'o' is specified in:")


def time_stages(project: Path, seconds: dict[str, float]) -> None:
    """Write what their last runs took."""
    (project / ".provenance").mkdir(exist_ok=True)
    for name, value in seconds.items():
        (project / f".provenance/{name}.json").write_text(json.dumps({"seconds": value, "finished": "2026-11-28"}))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # DVC's own
def test_longest_way_first_and_slots_kept_for_the_gan(monkeypatch, tmp_path):
    project, lengths = tmp_path / "project", [20, 15, 10, 5]
    scratch.make(project, {"sequence.lengths": lengths[::-1], "longer.length": 10})
    monkeypatch.chdir(project)
    new_pipeline = runpy.run_path(str(TOOL))["Pipeline"]
    lstm, rnn = ([f"train_sequence@{model}-{length}" for length in lengths] for model in ("LSTM", "VanillaRNN"))
    long = {"train_gan": 900, "train_classifier": 150, "evaluate_gan": 200, "train_longer": 200}
    long |= dict(zip([*lstm, *rnn], [1000, 750, 500, 250, 240, 180, 120, 60], strict=True))
    time_stages(project, dict.fromkeys(new_pipeline(jobs=2).stages, 1) | long)

    two = new_pipeline(jobs=2)
    first = ["sources", "prepare_mnist", "train_gan"]
    others = [*lstm[3:], rnn[0], "train_longer", "evaluate_gan", *rnn[1:]]
    expected = [*first, *lstm[:3], "train_classifier", *others]  # this one because evaluate_gan waits for it
    assert two.waiting[: len(expected)] == expected
    assert two.waiting[-1] == "report"
    assert not any("studies/" in name for name in two.stages)  # their dvc.yaml is in the graph, but not to be run
    assert {*lstm, *rnn, "evaluate_gan"} < two.upstream["report"]

    def startable(pipeline, done: list[str]) -> list[str]:
        pipeline.done |= {*done}
        pipeline.waiting = [name for name in pipeline.waiting if name not in done]
        return pipeline.startable()

    assert startable(two, first[:1]) == ["prepare_mnist"]
    assert startable(two, first[1:]) == lstm[:2]
    assert startable(new_pipeline(jobs=6), first[:1]) == ["prepare_mnist", lstm[0]]
    assert startable(new_pipeline(jobs=1), first[:2]) == ["train_gan"]


def test_a_stage_that_never_ran_counts_as_the_mean_of_the_others(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    seconds_to_end = runpy.run_path(str(TOOL))["seconds_to_end"]
    upstream = {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"a", "b"}}
    assert seconds_to_end(upstream) == {"a": 3, "b": 2, "c": 1, "d": 1}
    (tmp_path / "provenance.csv").write_text(
        "stage,seconds,finished\nb,100,2026-11-27\nd,3,2026-11-29\ngone,1000,2026-11-27\n"
    )  # as a fresh clone has it; d is newer than the run here, as after a pull
    time_stages(tmp_path, {"a": 1, "b": 5, "d": 50})
    assert seconds_to_end(upstream) == {"a": 9, "b": 8, "c": 3, "d": 3}

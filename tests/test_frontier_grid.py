"""The frontier study's grid, its tables and figure, and what ends it before anything runs."""

import runpy
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import draw
import grid
import scratch
from charts import scene, texts
from dlreport import executor
from dlreport.checkpoint import NO_CHECKPOINTS
from dlreport.drawing import rows
from dlreport.errors import UserError
from dlreport.sequence import figures, training
from dlreport.sequence.training import draw as draw_steps
from frontier import TINY, make, train


def study(**changed: Any) -> grid.Study:
    return grid.Study.model_validate({**TINY, **changed})


def train_run(run: grid.Run, its: grid.Study) -> dict[str, Any]:
    """Its row."""
    return grid.train_run(its, run, NO_CHECKPOINTS)["row"]


def test_a_run_for_each_choice_and_replicate():
    runs = grid.runs(study(replicates=2))
    assert len(set(runs)) == len(set(map(str, runs))) == 2 * 2 * 2 * 2
    assert str(runs[-1]) == "LSTM-8-orthogonal-effective-4-1"


def test_finished_runs_stay_valid_when_an_axis_grows_and_only_then(repository, monkeypatch):
    monkeypatch.chdir(repository)
    before = grid.fingerprint(study(), "LSTM")
    assert grid.fingerprint(study(lengths=[3, 4, 5], replicates=9), "LSTM") == before
    assert grid.fingerprint(study(models=["LSTM"]), "LSTM") == before
    assert grid.fingerprint(study(), "VanillaRNN") != before
    assert grid.fingerprint(study(steps=31), "LSTM") != before
    assert grid.fingerprint(study(max_norm=1.0), "LSTM") != before


def test_a_runs_numbers_are_its_own():
    run = grid.runs(study())[-1]
    once, again = (train_run(run, study(**axes)) for axes in ({}, {"lengths": [4], "replicates": 3}))
    assert once == again
    assert 0 <= once["test_accuracy"] <= 1


def test_runs_of_one_replicate_see_the_same_data(monkeypatch):
    """So that variants are compared in pairs."""
    seen = []

    def recording(*arguments):
        x, target = draw_steps(*arguments)
        seen.append(x)
        return x, target

    monkeypatch.setattr(training, "draw", recording)
    its = study(clip_modes=["off", "effective"], hidden_dims=[8, 4], lengths=[3], models=["LSTM"], replicates=2)
    data = {}
    for run in grid.runs(its):
        seen.clear()
        train_run(run, its)
        data[run] = torch.cat(seen)
    first = next(iter(data.values()))
    assert len(first) == its.steps
    for run, x in data.items():
        assert torch.equal(x, first) == (run.replicate == 0)


def test_longer_wider_and_gated_runs_cost_more():
    def cost(model="VanillaRNN", hidden_dim=64, length=20):
        return grid.Run(model, hidden_dim, "orthogonal", "off", length, 0).cost

    assert cost(length=39) == 2 * cost()
    assert cost(model="LSTM") == 4 * cost()
    assert 2 * cost() < cost(hidden_dim=128) < 4 * cost()


def test_a_run_is_solved_at_the_end_of_the_first_window_that_is_good_enough():
    accuracy = np.concatenate([np.full(150, 0.5), np.full(170, 1.0)]).astype(np.float32)
    assert grid.solved_step(accuracy, 0.99) == 300
    assert grid.solved_step(accuracy, 0.75) == 200
    assert grid.solved_step(accuracy[:290], 0.99) is None


def test_a_run_that_diverges_is_a_result(monkeypatch):
    """The real training says so, after a loss that is no number."""

    def no_numbers(*arguments):
        x, target = draw_steps(*arguments)
        return x * torch.nan, target

    monkeypatch.setattr(training, "draw", no_numbers)
    row = train_run(grid.runs(study())[0], study())
    assert (row["diverged"], row["test_accuracy"]) == (True, None)


@pytest.mark.parametrize("message", ["no C compiler", "models/x: no space left", "another process trains 3 at step 5"])
def test_any_other_error_ends_the_study(monkeypatch, message):
    def fail(*_):
        raise UserError(message)

    monkeypatch.setattr(grid, "train", fail)
    with pytest.raises(UserError, match=message):
        train_run(grid.runs(study())[0], study())


@pytest.fixture
def table() -> pd.DataFrame:
    """Three replicates: all solve length 5, two 10, one 20, none 30, all 40; and one diverges at 30."""
    solving = {5: 3, 10: 2, 20: 1, 30: 0, 40: 3}
    rows = [
        {
            **dict(zip(draw.VARIANT, ("LSTM", 8, "orthogonal", "off"), strict=True)),
            "length": length,
            "replicate": replicate,
            "test_accuracy": None if (length, replicate) == (30, 0) else 0.99 if replicate < number else 0.4,
            "solved_step": 100.0 if replicate < number else None,
            "diverged": (length, replicate) == (30, 0),
        }
        for length, number in reversed(solving.items())
        for replicate in range(3)
    ]
    return draw.summary(pd.DataFrame(rows), 0.99)


def test_the_summary_counts_replicates_and_takes_one_that_diverged_as_never_right(table):
    by_length = table.set_index("length")
    assert by_length["solved"].to_dict() == {40: 3, 30: 0, 20: 1, 10: 2, 5: 3}
    assert by_length.loc[30, "diverged"] == 1
    assert by_length.loc[30, "test_accuracy_mean"] == pytest.approx(0.8 / 3)
    assert by_length.loc[30, "test_accuracy_min"] == 0


def test_the_longest_length_is_one_up_to_which_most_replicates_solve_all(table):
    assert draw.longest(table)["longest"].tolist() == [10]
    assert draw.longest(table[table["length"] > 10])["longest"].tolist() == [0]


def test_metrics_are_the_longest_as_reported_and_the_best(table):
    reported = table.assign(initialisation="as_reported", solved=[0, 0, 0, 0, 3])
    both = pd.concat([table, table.assign(hidden_dim=16, solved=3), reported, reported.assign(clip="effective")])
    assert draw.metrics(draw.longest(both)) == {"LSTM_as_reported": 5, "LSTM_best": 40}
    assert draw.metrics(draw.longest(table)) == {"LSTM_best": 10}


def test_the_figure_draws_any_grid(table):
    both = pd.concat([table, table.assign(model="VanillaRNN", clip="effective"), table.assign(hidden_dim=16)])
    drawn = scene(figures.study(rows(figures.with_variants(both))))
    assert sorted(texts(drawn, "mark")) == sorted(f"{n} of 3" for n in [0, 1, 2, 3, 3] * 3)
    lengths = [text for text in texts(drawn, "axis") if text.isdigit()]
    assert lengths == ["5", "10", "20", "30", "40"]


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"lengths": [3, 1]}, "lengths.1"),
        pytest.param({"clip_modes": [False]}, "clip_modes.0", marks=pytest.mark.slow),
        pytest.param({"hidden": [8]}, "hidden", marks=pytest.mark.slow),
    ],
)
def test_a_bad_parameter_is_one_line_and_runs_nothing(tmp_path, changed, key):
    project = make(tmp_path / "project", {**TINY, **changed})
    result = train(project)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: studies/frontier/params.yaml: {key}: ")
    assert result.stderr.count("\n") == 1
    assert not (project / ".checkpoints").exists()


@pytest.mark.slow
def test_an_unknown_model_is_one_line_and_runs_nothing(tmp_path):
    project = make(tmp_path / "project", {**TINY, "models": ["LSTM", "Transformer"]})
    result = train(project)
    assert result.returncode == 1
    assert "'Transformer' is no model; choose from VanillaRNN, LSTM" in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (project / ".checkpoints").exists()


@pytest.mark.slow
def test_without_ray_a_cluster_is_one_line_and_runs_nothing(tmp_path):
    project = make(tmp_path / "project", TINY)
    (project / "src/ray.py").write_text("raise ModuleNotFoundError('No module named ray', name='ray')\n")
    result = train(project, RAY_ADDRESS="127.0.0.1:1")
    assert result.returncode == 1
    assert result.stderr.splitlines()[1:] == [
        "error: RAY_ADDRESS is set, but ray is not installed; install requirements-ray.txt or unset RAY_ADDRESS"
    ]
    assert not (project / ".checkpoints").exists()


def test_a_lost_run_does_not_stop_the_others(monkeypatch, tmp_path):
    """One whose process dies again and again, as for want of memory."""
    stage = runpy.run_path(str(scratch.ROOT / grid.HERE / "stages/train.py"))
    monkeypatch.setitem(stage["train"].__globals__, "run_each", lose_first)
    runs = grid.runs(study())
    paths = {run: tmp_path / f"{run}.json" for run in runs}
    with pytest.raises(UserError, match=r"^run LSTM-8-as_reported-effective-4-0: its process was killed 6 times"):
        stage["train"](runs, paths, study())
    assert sum(path.exists() for path in paths.values()) == len(runs) - 1


def lose_first(run, runs, processes):
    """As the executor: tests/test_executor.py."""
    for index in range(1, len(runs)):
        row = {"test_accuracy": 0.5, "diverged": False}
        yield index, {"row": row, "core_seconds": 1.0, "torch": torch.__version__}
    executor._raise_lost([runs[0]])

"""What the stages share: the files of a training, what its checkpoints belong to, and the tables of all tasks."""

import sys
from pathlib import Path

from common import arguments, stage, tables, training

import pandas as pd
import pytest
import torch

from dlreport.checkpoint import Checkpoints, fingerprint
from dlreport.errors import UserError
from dlreport.io import read_csv, read_json, read_tensors, write_csv
from dlreport.sequence.task import Task
from dlreport.sequence.training import SequenceRun, train_replicates
from helpers import Killed

TASK = Task("VanillaRNN", 4)


@pytest.fixture
def small(params, tmp_path, monkeypatch):
    """In a folder of its own, and the test's process keeps its signals."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLREPORT_WORKERS", "1")
    monkeypatch.setattr(training, "stop_by_signal", lambda: None)
    tiny = {"hidden_dim": 8, "steps": 20, "batch_size": 4, "average_from": 13, "curve_window": 5, "log_every": 6}
    return params.model_copy(update={"device": "cpu", "sequence": params.sequence.model_copy(update=tiny)})


@pytest.fixture
def runs(small) -> list[SequenceRun]:
    return train_replicates(TASK, small.sequence, 2, small.seed, "cpu", "fp32", 1)


def same(found: list[dict[str, torch.Tensor]], expected: list[dict]) -> bool:
    return len(found) == len(expected) and all(
        torch.equal(ours[name], torch.from_numpy(theirs[name]))
        for ours, theirs in zip(found, expected, strict=True)
        for name in theirs
    )


def test_a_training_leaves_its_weights_means_and_curves(small, runs):
    """Half-way the mean is of steps 6 to 8, as average_from is halved too and the last step is left out."""
    training.train("sequence", "VanillaRNN-4", TASK, small.sequence, 2, small)
    assert same(read_tensors(Path("models/sequence/VanillaRNN-4.safetensors")), [run.weights for run in runs])
    halfway = read_tensors(Path("models/sequence/halfway/VanillaRNN-4.safetensors"))
    assert same(halfway, [run.halfway for run in runs])
    for part, steps in (("sequence", slice(13, 19)), ("sequence/halfway", slice(6, 9))):
        means = read_json(Path(f"metrics/{part}/train/VanillaRNN-4.json"))["train_accuracy_mean"]
        assert means == pytest.approx([run.accuracy[steps].mean(dtype=float) for run in runs], rel=1e-12)
    curve = read_csv(Path("plots/sequence/curves/VanillaRNN-4.csv"))
    assert list(zip(curve["replicate"], curve["step"], strict=True)) == [(k, s) for k in (0, 1) for s in (4, 9, 14, 19)]
    means = [part.mean(dtype=float) for run in runs for part in run.loss.reshape(4, 5)]
    assert curve["loss_mean"].tolist() == pytest.approx(means, rel=1e-5)
    steps, kept = read_csv(Path("plots/sequence/steps/VanillaRNN-4.csv")), (0, 6, 12, 18, 19)
    assert list(zip(steps["replicate"], steps["step"], strict=True)) == [(k, s) for k in (0, 1) for s in kept]
    assert steps["loss"].tolist() == pytest.approx([run.loss[s] for run in runs for s in kept], rel=1e-5)
    assert not list(Path(".checkpoints").glob("*/*"))


def test_another_training_keeps_nothing_of_half_way(small):
    training.train("longer", "", TASK, small.sequence, 1, small)
    files = {str(path) for path in Path().rglob("*") if path.is_file()}
    assert files == {"models/longer.safetensors", "metrics/longer/train.json", "plots/longer/curves.csv"}


def checkpoints_of(params, replicates: int, monkeypatch) -> str:
    """The fingerprint of the settings under which a training's checkpoints lie."""
    found = []

    def of(parent: Path, seconds: float, deciding: dict) -> Checkpoints:
        found.append(fingerprint(deciding))
        raise Killed

    monkeypatch.setattr(training.Checkpoints, "of", of)
    with pytest.raises(Killed):
        training.train("sequence", "VanillaRNN-4", TASK, params.sequence, replicates, params)
    return found[0]


def test_no_training_goes_on_from_a_checkpoint_of_other_settings(small, monkeypatch):
    """But what only says how a training is tested and shown leaves its checkpoints its own."""
    clip = small.sequence.clip.model_copy(update={"mode": "effective"})
    deciding = {"hidden_dim": 16, "steps": 40, "batch_size": 8, "learning_rate": 0.1, "optimizer": "Adam"}
    deciding |= {"clip": clip, "initialisation": "scaled"}
    shown = {"log_every": 1, "curve_window": 2, "average_from": 3, "lengths": [9]}

    def changed(**values: object) -> str:
        sequence = small.sequence.model_copy(update=values)
        return checkpoints_of(small.model_copy(update={"sequence": sequence}), 2, monkeypatch)

    monkeypatch.setattr(training, "is_native", lambda *_: True)
    first = changed()
    others = [changed(**{name: value}) for name, value in deciding.items()]
    other_seed = small.model_copy(update={"seed": 1})
    others += [checkpoints_of(other_seed, 2, monkeypatch), checkpoints_of(small, 3, monkeypatch)]
    assert len({first, *others}) == 1 + len(others)
    assert {changed(**{name: value}) for name, value in shown.items()} == {first}
    monkeypatch.setattr(training, "is_native", lambda *_: False)
    others.append(changed())
    monkeypatch.setattr(training, "select_device", lambda name: torch.device("mps"))
    assert len({first, *others, changed()}) == 2 + len(others)


def test_the_tables_of_all_tasks_are_read_and_put_together_by_name_and_length(tmp_path):
    for name, length in (("A", 5), ("A", 10), ("B", 5), ("B", 10), ("C", 5)):  # of C there were some once
        write_csv(tmp_path / f"{name}-{length}.csv", pd.DataFrame({"replicate": [0, 1], "value": [length, ord(name)]}))
    found = tables.read_tables(tmp_path, ["B", "A"], [10, 5])
    assert list(found) == [("B", 10), ("B", 5), ("A", 10), ("A", 5)]
    together = tables.merged(found, "variant")
    assert list(together.columns) == ["variant", "length", "replicate", "value"]
    assert together.iloc[[0, 1, -1]].values.tolist() == [["B", 10, 0, 10], ["B", 10, 1, 66], ["A", 5, 1, 65]]


def test_the_arguments_are_a_name_and_a_length(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train_sequence.py", "--model", "LSTM", "--length", "5"])
    assert arguments.parse(None, "model") == ("LSTM", 5)


def test_a_stage_is_put_on_record_under_dvc_and_if_it_succeeds(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").symlink_to(repository / "params.yaml")

    def fail() -> None:
        raise UserError("no weights")

    monkeypatch.delenv("DVC_STAGE", raising=False)
    stage.run(lambda: None)
    monkeypatch.setenv("DVC_STAGE", "fails")
    with pytest.raises(SystemExit, match="error: no weights"):
        stage.run(fail)
    monkeypatch.setenv("DVC_STAGE", "succeeds")
    stage.run(lambda: None)
    assert [path.name for path in Path(".provenance").iterdir()] == ["succeeds.json"]

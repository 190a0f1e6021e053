"""A training that is ended anywhere goes on to the same bits, by either engine."""

import logging
import signal

import numpy as np
import pytest
import torch

from dlreport import checkpoint as module
from dlreport import native
from dlreport.checkpoint import NO_CHECKPOINTS, Checkpoints
from dlreport.errors import Interrupted
from dlreport.gan.engines import Engine
from dlreport.gan.training import train_gan
from dlreport.native import gan as native_gan
from dlreport.native import sequence as native_sequence
from dlreport.sequence import training
from dlreport.sequence.models import MODELS
from dlreport.sequence.task import Task
from dlreport.sequence.training import is_native, train_replicates
from helpers import NATIVE_MODELS, Killed, gan_params, needs_native, tiny_gan

NATIVE = [needs_native(source, "fp32") for source in (native_sequence.SOURCE, native_gan.SOURCE)]


@pytest.fixture(params=[pytest.param("native", marks=NATIVE), "autograd"])
def engine(request, monkeypatch) -> str:
    """The native engine for what it serves, or autograd's for all, the GAN then in blocks as on a GPU."""
    if request.param == "autograd":
        monkeypatch.setattr(native, "serves", lambda source, device, precision: False)
        monkeypatch.setattr(Engine, "block", 2)
    return request.param


@pytest.fixture
def sequence(params, monkeypatch):
    monkeypatch.setattr(training, "steps_of_block", lambda batch_size, device: 16)
    tiny = {"hidden_dim": 8, "steps": 40, "batch_size": 64, "log_every": 40}
    return params.sequence.model_copy(update=tiny)


@pytest.fixture
def gan(params):
    return tiny_gan(params, epochs=4, snapshot_every=2)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("saves", [1, 4, 6])  # of four a replicate (16, the half, 32, 40): first, last, in the second
def test_a_killed_sequence_training_ends_in_the_same_bits(tmp_path, sequence, engine, kill_after, model, saves):
    if engine == "native" and model not in NATIVE_MODELS:
        pytest.skip("autograd trains it anyhow")
    task = Task(model, 4)

    def train(checkpoints: Checkpoints):
        return train_replicates(task, sequence, 2, 5, "cpu", "fp32", 1, checkpoints)

    if not is_native(task, torch.device("cpu"), "fp32"):
        saves = min(saves, 3)  # both replicates in one training
    expected = train(NO_CHECKPOINTS)
    kill_after(saves)
    with pytest.raises(Killed):
        train(Checkpoints(tmp_path, seconds=0))
    found = train(Checkpoints(tmp_path, seconds=0))
    for run, other in zip(expected, found, strict=True):
        assert np.array_equal(run.loss, other.loss)
        assert np.array_equal(run.accuracy, other.accuracy)
        for ours, theirs in ((run.weights, other.weights), (run.halfway, other.halfway)):
            assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_no_step_is_left_out_where_blocks_have_another_size(tmp_path, sequence, kill_after, monkeypatch):
    """As after a training that began on a GPU."""
    trained, build_engine = [], training.build_engine

    def recording(*arguments):
        engine = build_engine(*arguments)
        train_blocks = engine.train
        engine.train = lambda x, target: trained.append(len(x)) or train_blocks(x, target)
        return engine

    def train(steps_of_block: int) -> None:
        monkeypatch.setattr(training, "steps_of_block", lambda batch_size, device: steps_of_block)
        settings = sequence.model_copy(update={"steps": 20})
        train_replicates(Task("GRU", 4), settings, 1, 5, "cpu", "fp32", 1, Checkpoints(tmp_path, seconds=0))

    monkeypatch.setattr(training, "build_engine", recording)
    kill_after(2)
    with pytest.raises(Killed):
        train(3)
    assert trained == [3, 3]
    train(8)
    assert trained[2:] == [2, 2, 6, 4]  # to 8, to the half, to 16, to the end


SLOW = [pytest.param(saves, marks=pytest.mark.slow) for saves in (2, 4, 13)]


@pytest.mark.parametrize("saves", [1, 9, *SLOW])  # of three an epoch, and one for each kept generator
def test_a_killed_gan_ends_in_the_same_bits(tmp_path, digits, gan, engine, kill_after, saves):
    def train(checkpoints: Checkpoints):
        run = train_gan(digits[:40], gan_params(gan, 5), 1, 0, checkpoints)
        networks = {name: getattr(run, name) for name in ("generator", "discriminator", "average")}
        return {**run.snapshots, **networks}, (run.losses, run.accuracies)

    if engine == "autograd":
        saves = min(saves, 11)  # of two an epoch
    expected, losses = train(NO_CHECKPOINTS)
    kill_after(saves)
    with pytest.raises(Killed):
        train(Checkpoints(tmp_path, seconds=0))
    found, losses_again = train(Checkpoints(tmp_path, seconds=0))
    assert losses_again == losses
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert all(torch.equal(found[key][name], value) for key, part in expected.items() for name, value in part.items())


def test_a_gan_whose_kept_generator_is_lost_starts_again(tmp_path, digits, gan, kill_after, caplog):
    def train(checkpoints: Checkpoints):
        return train_gan(digits[:40], gan_params(gan, 5), 1, 0, checkpoints).losses

    kill_after(8)
    with pytest.raises(Killed):
        train(Checkpoints(tmp_path, seconds=0))
    kept = tmp_path / "GAN-0-0000.safetensors"
    assert kept.exists()
    kept.write_bytes(b"no")
    with caplog.at_level(logging.INFO, logger="dlreport"):
        assert train(Checkpoints(tmp_path, seconds=0)) == train(NO_CHECKPOINTS)
    assert f"checkpoint {kept}: damaged" in caplog.text
    assert "goes on from" not in caplog.text


def test_a_signal_saves_and_stops(tmp_path, sequence, monkeypatch):
    monkeypatch.setattr(module, "_asked_to_stop", [signal.SIGTERM])
    with pytest.raises(Interrupted, match=r"LSTM-4 replicate 0, step 16 of 40, is saved; run it again to go on"):
        train_replicates(Task("LSTM", 4), sequence, 2, 5, "cpu", "fp32", 1, Checkpoints(tmp_path, seconds=1000))
    assert (tmp_path / "LSTM-4-replicate-0.safetensors").exists()

import logging

import numpy as np
import pytest
import torch

from dlreport.config import SequenceSettings
from dlreport.errors import UserError
from dlreport.native.sequence import SOURCE
from dlreport.sequence import palindromes
from dlreport.sequence.models import MODELS
from dlreport.sequence.task import Task
from dlreport.sequence.training import SequenceRun, train_replicates
from dlreport.sequence.training import train as train_task
from dlreport.streams import stream
from helpers import NATIVE_MODELS, needs_native

SEED = 7
CPU = torch.device("cpu")


def changed(settings: SequenceSettings, mode: str = "off", max_norm: float = 10.0, **values) -> SequenceSettings:
    tiny = {"hidden_dim": 8, "steps": 30, "batch_size": 4, "log_every": 30}
    clip = settings.clip.model_copy(update={"mode": mode, "max_norm": max_norm})
    return settings.model_copy(update={**tiny, "clip": clip, **values})


@pytest.fixture
def tiny(params) -> SequenceSettings:
    return changed(params.sequence)


def same(first: SequenceRun, second: SequenceRun) -> bool:
    """Bit for bit."""
    return (
        np.array_equal(first.loss, second.loss)
        and np.array_equal(first.accuracy, second.accuracy)
        and first.weights.keys() == second.weights.keys()
        and all(np.array_equal(first.weights[key], second.weights[key]) for key in first.weights)
    )


def train(settings: SequenceSettings, model: str = "LSTM", seed: int = SEED, replicate: int = 0) -> SequenceRun:
    return train_task(Task(model, 5), settings, seed, CPU, "fp32", [replicate])[0]


@needs_native(SOURCE, "fp32")  # autograd's last digits may depend on how many there are
@pytest.mark.parametrize("model", NATIVE_MODELS)
def test_a_replicate_is_the_same_alone_and_among_others(tiny, model):
    alone, among = (train_replicates(Task(model, 5), tiny, count, SEED, "cpu", "fp32", workers=1) for count in (1, 3))
    assert (len(alone), len(among)) == (1, 3)
    assert same(alone[0], among[0])
    assert same(train(tiny, model, replicate=2), among[2])


def test_a_replicate_is_the_same_with_one_worker_and_with_two(tiny):
    one, two = (train_replicates(Task("LSTM", 5), tiny, 3, SEED, "cpu", "fp32", workers) for workers in (1, 2))
    assert len(one) == len(two) == 3
    assert all(same(*pair) for pair in zip(one, two, strict=True))


def test_halfway_weights_are_those_of_half_as_many_steps(tiny):
    """Though half-way is no boundary between blocks of steps."""
    whole, half = train(changed(tiny, steps=62, batch_size=400)), train(changed(tiny, steps=31, batch_size=400))
    assert np.array_equal(whole.loss[:31], half.loss)
    assert all(np.array_equal(whole.halfway[name], half.weights[name]) for name in whole.weights)


@pytest.mark.parametrize("model", MODELS)
def test_another_initialisation_and_optimizer_change_what_is_trained(tiny, model):
    usual = train(tiny, model)
    assert train(changed(tiny, initialisation="orthogonal"), model).loss[0] != usual.loss[0]
    adam = train(changed(tiny, optimizer="Adam"), model)
    assert adam.loss[0] == usual.loss[0]
    assert adam.loss[1] != usual.loss[1]


def test_replicates_and_seeds_differ(tiny):
    first = train(tiny)
    for other in (train(tiny, replicate=1), train(tiny, seed=SEED + 1)):
        assert not np.array_equal(first.loss, other.loss)
        assert not np.array_equal(first.weights["W_h"], other.weights["W_h"])


def test_global_random_state_is_untouched(tiny):
    before = torch.get_rng_state()
    train(tiny)
    assert torch.equal(torch.get_rng_state(), before)


def test_every_step_is_recorded(tiny):
    run = train(tiny)
    assert run.loss.shape == run.accuracy.shape == (30,)
    assert run.loss.dtype == run.accuracy.dtype == np.float32
    assert set(run.accuracy) <= {0, 0.25, 0.5, 0.75, 1}
    assert (run.loss > 0).all()


def test_a_line_is_logged_at_step_0_every_nth_and_the_last(tiny, caplog):
    with caplog.at_level(logging.INFO, logger="dlreport"):
        train(tiny.model_copy(update={"log_every": 12}))
    lines = [line for line in caplog.messages if " step " in line]
    assert [int(line.split(" step ")[1].split()[0]) for line in lines] == [0, 12, 24, 29]


@pytest.mark.parametrize("model", MODELS)
def test_clipping_as_reported_changes_no_bit(tiny, model):
    assert same(train(changed(tiny, "as_reported", 1e-3), model), train(changed(tiny, "off"), model))


def test_effective_clipping_changes_the_run(tiny):
    assert not same(train(changed(tiny, "effective", 1e-3)), train(changed(tiny, "off")))


def notebook(task: Task, settings: SequenceSettings, clip: str) -> tuple[list[float], list[float]]:
    """Losses and accuracies of the report's own loop, by autograd, clipping where `clip` says."""
    model = task.build(settings.hidden_dim, stream(SEED, "sequence", str(task), 0, "init"))
    data = stream(SEED, "sequence", str(task), 0, "data")
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=settings.learning_rate)
    losses, accuracies = [], []
    for _ in range(settings.steps):
        x, target = palindromes.sample(settings.batch_size, task.length, data)
        if clip == "before":
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=settings.clip.max_norm)
        logits = model(x)
        optimizer.zero_grad()
        loss = criterion(logits, target)
        loss.backward()
        if clip == "after":
            torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=settings.clip.max_norm)
        optimizer.step()
        losses.append(loss.item())
        accuracies.append((logits.argmax(1) == target).float().mean().item())
    return losses, accuracies


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("mode", "clip"), [("as_reported", "before"), ("effective", "after")])
def test_training_agrees_with_the_notebooks_loop(tiny, model, mode, clip):
    settings = changed(tiny, mode, 1e-7, steps=12, batch_size=32, learning_rate=0.01)
    losses, accuracies = notebook(Task(model, 5), settings, clip)
    run = train(settings, model)
    np.testing.assert_allclose(run.loss, losses, rtol=1e-4)
    np.testing.assert_allclose(run.accuracy, accuracies, atol=1e-6)


@pytest.mark.parametrize("log_every", [1, 100])
def test_a_loss_that_is_not_finite_ends_the_run_naming_its_step(tiny, log_every):
    settings = tiny.model_copy(update={"learning_rate": 1e38, "log_every": log_every})
    with pytest.raises(UserError, match=r"LSTM-5 replicate 2: the loss is (nan|inf) at step 1; ") as error:
        train(settings, replicate=2)
    assert "sequence.learning_rate" in str(error.value)


def test_lstm_learns_to_remember(tiny):
    settings = tiny.model_copy(update={"hidden_dim": 16, "steps": 600, "batch_size": 64, "learning_rate": 0.01})
    run = train_task(Task("LSTM", 3), settings, SEED, CPU, "fp32", [0])[0]
    assert run.accuracy[:10].mean() < 0.4
    assert run.accuracy[-50:].mean() > 0.95

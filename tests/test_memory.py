"""The probe against digits that are known to be in a state or not, and the answers against the test's accuracy."""

import pytest
import torch

from dlreport.sequence import memory, palindromes
from dlreport.sequence.accuracy import evaluate
from dlreport.sequence.memory import confusion, fit, probe, probe_replicates, states_of
from dlreport.sequence.task import Task
from helpers import seeded, small_model


class Keeps(torch.nn.Module):
    """A state [B, 10] that is the first digit's one-hot code, under noise that grows from step to step: 0, 1, 100."""

    GATES = ()

    def start(self, batch):
        return (torch.zeros(batch, 10),)

    def step(self, x_t, state):
        (h,) = state
        if not h.any():
            return (torch.nn.functional.one_hot(x_t[:, 0].long(), 10).float(),), {}
        return (h + (0.35 if h.abs().max() == 1 else 100) * torch.randn(h.shape, generator=seeded(1)),), {}


def test_a_probe_reads_what_is_there_and_no_more():
    train, test = (palindromes.sample(2000, 4, seeded(seed)) for seed in (1, 2))
    clear, blurred, gone = probe(Keeps(), train, test)
    assert clear == 1
    # the most likely digit of one-hot codes under noise is the largest component
    noisy = torch.nn.functional.one_hot(test[1], 10) + 0.35 * torch.randn(2000, 10, generator=seeded(1))
    assert blurred == pytest.approx((noisy.argmax(1) == test[1]).double().mean().item(), abs=0.02)
    assert gone == pytest.approx(0.1, abs=0.03)


def test_a_probe_does_not_depend_on_the_size_of_a_units_state(monkeypatch):
    """One unit's is ten thousand times smaller than another's."""
    train, test = (palindromes.sample(2000, 4, seeded(seed)) for seed in (1, 2))
    expected = probe(Keeps(), train, test)
    monkeypatch.setattr(memory, "states_of", lambda model, x: states_of(model, x) * torch.logspace(0, -4, 10))
    assert probe(Keeps(), train, test) == pytest.approx(expected, abs=0.01)


class Counts(Keeps):
    """A state [B, 1] that is the first digit as a number."""

    def start(self, batch):
        return (torch.full((batch, 1), -1.0),)

    def step(self, x_t, state):
        return (torch.where(state[0] < 0, x_t, state[0]),), {}


def test_a_probe_reads_a_digit_from_one_unit_by_its_size():
    """For the digits between the ends it needs a bias."""
    train, test = (palindromes.sample(2000, 4, seeded(seed)) for seed in (1, 2))
    assert min(probe(Counts(), train, test)) > 0.5


def test_more_steps_of_the_fit_change_little(monkeypatch):
    train, test = (palindromes.sample(2000, 6, seeded(seed)) for seed in (1, 2))
    model = small_model("VanillaRNN")
    found = probe(model, train, test)
    monkeypatch.setattr(memory, "STEPS", 300)
    assert probe(model, train, test) == pytest.approx(found, abs=0.02)


def test_the_states_are_the_models_own():
    model, (x, _) = small_model("LSTM"), palindromes.sample(5, 6, seeded(1))
    states = states_of(model, x)
    assert states.shape == (5, 5, 8)
    torch.testing.assert_close(model.logits(states[-1]), model(x))


def test_the_fit_is_the_minimum_of_the_penalised_loss(monkeypatch):
    """Of two sets of features at once; its slope there, by autograd, is nearly none."""
    monkeypatch.setattr(memory, "STEPS", 300)
    features, target = torch.randn(2, 400, 5, generator=seeded(1)), torch.randint(10, (400,), generator=seeded(2))
    weights = fit(features, target).requires_grad_()
    losses = [torch.nn.functional.cross_entropy(features[k] @ weights[k], target) for k in range(2)]
    (sum(losses) + memory.PENALTY / 2 * weights.square().sum()).backward()
    assert weights.grad.abs().max() < 1e-4
    assert weights.abs().max() > 0.1


def test_replicates_are_probed_before_and_after_training_the_first_few(params, monkeypatch):
    monkeypatch.setattr(memory, "PROBED", 2)
    settings = params.sequence.model_copy(update={"hidden_dim": 8, "initialisation": "scaled"})
    task, changed = Task("VanillaRNN", 5), params.model_copy(update={"sequence": settings})
    weights = [task.build(8, seeded(k)).state_dict() for k in range(3)]
    table = probe_replicates(task, weights, changed)
    assert table["replicate"].tolist() == [0] * 8 + [1] * 8
    assert table["when"].tolist() == (["start"] * 4 + ["end"] * 4) * 2
    assert table["t"].tolist() == [1, 2, 3, 4] * 4
    assert table["probe_accuracy"].between(0.05, 1).all()
    assert (table.loc[table["t"] == 1, "probe_accuracy"] > table.loc[table["t"] == 4, "probe_accuracy"].max()).all()
    again = probe_replicates(task, weights, changed)
    assert table.equals(again)
    # the second replicate: of its own start, learned and tested on other sequences of its own
    draws = task.stream(params.seed, 1, "probe")
    train, test = (palindromes.sample(memory.PROBE_SEQUENCES, 5, draws) for _ in range(2))
    start = task.build(8, task.stream(params.seed, 1, "init"), "scaled")
    for when, model in (("start", start), ("end", task.load(8, weights[1]))):
        found = table.loc[(table["replicate"] == 1) & (table["when"] == when), "probe_accuracy"]
        assert found.tolist() == probe(model, train, test)


@pytest.mark.parametrize("length", [4, 9])  # of the first all palindromes are tested
def test_the_answers_are_those_of_the_test(params, length):
    settings = params.sequence.model_copy(update={"hidden_dim": 8})
    task, changed = Task("VanillaRNN", length), params.model_copy(update={"sequence": settings})
    weights = task.build(8, seeded(1)).state_dict()
    tested = evaluate(task, [weights, weights], settings, params.seed)
    for replicate in (0, 1):
        table = confusion(task, replicate, weights, changed)
        assert len(table) == 100
        assert set(table["replicate"]) == {replicate}
        assert table["sequences"].sum() == tested["test_sequences"][replicate]
        right = table.loc[table["digit"] == table["answer"], "sequences"].sum()
        assert right / table["sequences"].sum() == pytest.approx(tested["test_accuracy"][replicate], abs=1e-6)
    if length == 4:
        assert table.groupby("digit")["sequences"].sum().tolist() == [10] * 10
        # a model that always answers 7
        weights["W_ph"].zero_()
        weights["b_p"][7] = 1
        answers = confusion(task, 0, weights, changed).groupby("answer")["sequences"].sum()
        assert answers.to_dict() == {answer: 100 * (answer == 7) for answer in range(10)}

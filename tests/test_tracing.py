"""Gradients back through time against finite differences, and what holding the gates does."""

import numpy as np
import pytest
import torch

from dlreport.config import GradientsSettings
from dlreport.sequence import palindromes
from dlreport.sequence.models import MODELS, model_class
from dlreport.sequence.models.base import SequenceModel, cross_entropy
from dlreport.sequence.task import Task
from dlreport.sequence.tracing import COLUMNS, agreement, gate_control, hold, reach, trace, trace_replicate
from helpers import seeded, small_model

GATED = [name for name in MODELS if model_class(name).GATES]


def losses_from(model: SequenceModel, x: torch.Tensor, target: torch.Tensor, t: int, nudge: torch.Tensor, which: str):
    """The loss of one sequence with h, or an LSTM's c, of step t (from 1) nudged."""
    state = model.start(1)
    for step, x_t in enumerate(x.unbind(1), start=1):
        state, units = model.step(x_t, state)
        if step == t and which == "h":
            state = (state[0] + nudge, *state[1:])
        elif step == t:
            c = state[1] + nudge
            state = torch.tanh(c) * units["o"], c  # a nudge of c_t moves h_t = tanh(c_t) o_t too
    return cross_entropy(model.logits(state[0]), target)


@pytest.mark.parametrize(("name", "which"), [*((name, "h") for name in MODELS), ("LSTM", "c")])
def test_gradients_are_those_of_finite_differences(name, which):
    model = small_model(name, H=4, scale=0.5)
    x, target = palindromes.sample(1, 6, seeded(1))
    x = x / 9
    found = reach(model, x, target)["gradient" if which == "h" else "gradient_cell"]
    model, x = model.double(), x.double()
    with torch.no_grad():
        for t in range(1, 6):
            slopes = []
            for unit in torch.eye(4, dtype=torch.float64):
                ends = [losses_from(model, x, target, t, sign * 1e-6 * unit, which) for sign in (1, -1)]
                slopes.append((ends[0] - ends[1]) / 2e-6)
            assert found[t - 1] == pytest.approx(torch.stack(slopes).norm().item(), rel=1e-4)


@pytest.mark.parametrize("name", MODELS)
def test_the_median_is_of_single_sequences_on_the_way_that_carries(name):
    model, (x, target) = small_model(name, H=4, scale=0.5), palindromes.sample(3, 6, seeded(5))
    column = "gradient_cell" if len(model.STATE) > 1 else "gradient"
    alone = [reach(model, x[[k]], target[[k]])[column] for k in range(3)]
    middle = [sorted(norms)[1] for norms in zip(*alone, strict=True)]
    assert reach(model, x, target)["gradient_median"] == pytest.approx(middle)


@pytest.mark.parametrize("name", MODELS)
def test_the_trace_is_the_models_own_pass(name):
    model = small_model(name, H=4, scale=0.5)
    x, _ = palindromes.sample(8, 7, seeded(2))
    states, units = trace(model, x)
    assert len(states) == len(units) == 6
    torch.testing.assert_close(model.logits(states[-1][0]), model(x))


def test_saturation_is_the_share_of_units_at_the_ends():
    x, target = palindromes.sample(50, 5, seeded(3))
    for scale, expected in ((1e-3, 0.0), (1e3, 1.0)):
        for name in MODELS:
            found = reach(small_model(name, H=4, scale=scale), x, target)
            assert found["saturated_tanh"][1:] == pytest.approx([expected] * 3, abs=0.1)
            assert ("saturated_gates" in found) == (name in GATED)
            if name in GATED:
                assert found["saturated_gates"] == pytest.approx([expected] * 4, abs=0.1)


@pytest.mark.parametrize("name", MODELS)
def test_a_unit_is_saturated_from_099_on_and_a_gate_below_001_too(name):
    model, (x, target) = model_class(name)(1, 32, 10, seeded(1)).double(), palindromes.sample(200, 5, seeded(3))
    found, (_, units) = reach(model, x, target), trace(model, x.double())

    def beyond(most: float, gates: bool) -> list[float]:
        names = model.GATES if gates else (model.TANH,)
        values = [torch.cat([of_step[name] for name in names], dim=1) for of_step in units]
        ends = [(each > most) | (each < 1 - most) if gates else each.abs() > most for each in values]
        return [end.double().mean().item() for end in ends]

    assert found["saturated_tanh"] == beyond(0.99, gates=False) != beyond(0.989, gates=False)
    if name in GATED:
        assert found["saturated_gates"] == beyond(0.99, gates=True) != beyond(0.989, gates=True)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in GATED])
def test_a_model_without_gates_has_none_to_hold(name):
    assert gate_control(small_model(name), *palindromes.sample(5, 4, seeded(4))).keys() == {"accuracy"}


@pytest.mark.parametrize("name", GATED)
def test_gates_that_never_move_can_be_held_and_others_not(name):
    """The gates' blocks are a model's first."""
    model = model_class(name)(1, 16, 10, seeded(1))
    held = ["held_accuracy", *(f"held_{gate}_accuracy" for gate in model.GATES)]
    x, _ = palindromes.sample(500, 4, seeded(4))
    with torch.no_grad():
        answers = model(x).argmax(1)  # what it says is right, then
        assert len(answers.unique()) > 2
        found = gate_control(model, x, answers)
        assert found["accuracy"] == 1
        assert [*found] == ["accuracy", *held]
        assert all(found[name] < 0.95 for name in held)
        gates = slice(len(model.GATES) * len(model.W_h))
        model.W_x[:, gates] = 0
        model.W_h[:, gates] = 0
        answers = model(x).argmax(1)
    assert gate_control(model, x, answers) == dict.fromkeys(["accuracy", *held], 1)


@pytest.mark.parametrize("name", GATED)
def test_gates_that_move_with_time_alone_can_be_held(name):
    """They see a clock, the second input, and nothing else; at their means over all time steps the answers would be
    others."""
    model = model_class(name)(2, 16, 10, seeded(1))
    digits, clock = palindromes.sample(500, 7, seeded(4))[0], torch.tensor([-4.0, 3, -2, 4, -3, 2]).reshape(1, 6, 1)
    x = torch.cat([digits, clock.expand_as(digits)], dim=2)
    with torch.no_grad():
        gates = slice(len(model.GATES) * len(model.W_h))
        model.W_x[0, gates] = 0
        model.W_h[:, gates] = 0
        model.b_p -= model(x).mean(0)  # so that all digits are answered
        _, units = trace(model, x)
        answers = model(x).argmax(1)
        found = gate_control(model, x, answers)
        assert len(answers.unique()) > 5
        assert set(found.values()) == {1}
        of_all = {gate: torch.stack([of_step[gate] for of_step in units]).mean((0, 1)) for gate in model.GATES}
        otherwise = model.logits(hold(model, x, [of_all] * 6, model.GATES)).argmax(1)
    assert (otherwise == answers).double().mean() < 0.9


@pytest.mark.parametrize("name", GATED)
def test_one_gate_is_held_and_the_others_are_what_they_are_on_that_way(name):
    model, (x, _) = small_model(name, H=4), palindromes.sample(3, 3, seeded(1))
    with torch.no_grad():
        for place, gate in enumerate(model.GATES):
            means = [{gate: torch.full((4,), 0.3)}] * 2
            state = model.start(3)
            for x_t in x.unbind(1):
                _, units = model.step(x_t, state)
                values = [units[other] for other in model.GATES]
                values[place] = torch.full((4,), 0.3)
                state, _ = model.step(x_t, state, tuple(values))
            assert torch.equal(hold(model, x, means, [gate]), state[0])


def test_medians_ranges_and_shares_are_those_of_single_sequences():
    """Against each sequence alone; 200 of them, so that the top 1 % are two."""
    model, (x, target) = model_class("VanillaRNN")(1, 8, 10, seeded(3)), palindromes.sample(200, 6, seeded(5))
    found = reach(model, x, target)
    alone = np.array([reach(model, x[[k]], target[[k]])["gradient"] for k in range(200)])
    assert found["gradient"] == pytest.approx(np.sqrt((alone**2).mean(0)).tolist())
    ratios = alone / alone[:, -1:]
    for name, values in (("gradient", alone), ("growth", ratios)):
        for end, quantile in (("low", 0.05), ("median", 0.5), ("high", 0.95)):
            assert found[f"{name}_{end}"] == pytest.approx(np.quantile(values, quantile, axis=0).tolist())
    squares = np.sort(alone**2, axis=0)
    assert found["top_share"] == pytest.approx((squares[-2:].sum(0) / squares.sum(0)).tolist())
    few = alone[:20] ** 2  # of these the largest alone
    assert reach(model, x[:20], target[:20])["top_share"] == pytest.approx((few.max(0) / few.sum(0)).tolist())
    assert 0 < found["shrinks"] == (ratios[:, 0] < 1).mean() < 1
    assert found["vanishes"] == (ratios[:, 0] < 0.01).mean() < found["shrinks"]


def test_a_sequence_without_a_gradient_has_no_growth():
    """The answer 3 is so certain that the loss of these sequences has the gradient 0."""
    model, (x, target) = model_class("VanillaRNN")(1, 8, 10, seeded(3)), palindromes.sample(200, 6, seeded(5))
    model.b_p.data[3] = 1e4
    found, others = reach(model, x, target), reach(model, x[target != 3], target[target != 3])
    assert (target == 3).any() and 0 < others["vanishes"] < others["shrinks"] < 1
    for name in ("growth_low", "growth_median", "growth_high", "shrinks", "vanishes"):
        assert found[name] == pytest.approx(others[name])


def test_batches_agree_as_far_as_they_are_the_same():
    model = small_model("VanillaRNN", scale=0.3)
    one, other = (palindromes.sample(16, 5, seeded(seed)) for seed in (1, 2))
    assert agreement(model, [one, one, one]) == pytest.approx(1)
    gradients = []
    for x, target in (one, other):
        model.zero_grad()
        cross_entropy(model(x), target).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    cosine = torch.nn.functional.cosine_similarity(*gradients, dim=0).item()
    assert cosine < 0.99
    assert agreement(model, [one, other]) == pytest.approx(cosine, abs=1e-5)
    assert agreement(model, [one, one, other]) == pytest.approx((1 + 2 * cosine) / 3, abs=1e-5)


@pytest.mark.parametrize("name", ["VanillaRNN", "LSTM"])
def test_a_replicates_table_has_a_row_for_each_step_and_its_own_gates(params, name):
    settings = params.sequence.model_copy(update={"hidden_dim": 8, "batch_size": 16, "initialisation": "scaled"})
    small = params.model_copy(update={"sequence": settings, "gradients": GradientsSettings(sequences=20)})
    task = Task(name, 5)
    weights = task.build(8, seeded(1)).state_dict()
    table = trace_replicate(task, 3, {"halfway": weights, "end": weights}, small)
    assert [*table] == [*COLUMNS, *(f"held_{gate}_accuracy" for gate in model_class(name).GATES)]
    assert table["when"].tolist() == ["start"] * 4 + ["halfway"] * 4 + ["end"] * 4
    assert table["t"].tolist() == [1, 2, 3, 4] * 3
    draws = task.stream(params.seed, 3, "gradients")
    x, target = palindromes.sample(20, 5, draws)
    batches = [palindromes.sample(16, 5, draws) for _ in range(8)]
    start = task.build(8, task.stream(params.seed, 3, "init"), "scaled")
    assert table["gradient"][:4].tolist() == reach(start, x, target)["gradient"]
    assert set(table["cosine"][:4]) == {agreement(start, batches)}
    end = table["when"] == "end"
    assert table.loc[end, "accuracy"].nunique() == 1
    assert table.loc[~end, "accuracy"].isna().all()
    assert table.loc[end, "held_accuracy"].notna().all() == (name == "LSTM")
    both = table[table["when"] != "start"].drop(columns=["when", "accuracy", "held_accuracy"])
    assert both.filter(like="g").iloc[:4, :8].equals(both.filter(like="g").iloc[4:, :8])  # the same weights

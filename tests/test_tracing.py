"""Gradients back through time against finite differences, and what holding the gates does."""

import pytest
import torch

from dlreport.sequence import palindromes
from dlreport.sequence.models import MODELS, model_class
from dlreport.sequence.models.base import SequenceModel, cross_entropy
from dlreport.sequence.tracing import gate_control, reach, trace
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


@pytest.mark.parametrize("name", [name for name in MODELS if name not in GATED])
def test_a_model_without_gates_has_none_to_hold(name):
    assert gate_control(small_model(name), *palindromes.sample(5, 4, seeded(4))) == {}


@pytest.mark.parametrize("name", GATED)
def test_gates_that_never_move_can_be_held_and_others_not(name):
    """The gates' blocks are a model's first."""
    model = model_class(name)(1, 16, 10, seeded(1))
    x, _ = palindromes.sample(500, 4, seeded(4))
    with torch.no_grad():
        answers = model(x).argmax(1)  # what it says is right, then
        assert len(answers.unique()) > 2
        found = gate_control(model, x, answers)
        assert found["accuracy"] == 1
        assert found["frozen_gates_accuracy"] < 0.9
        gates = slice(len(model.GATES) * len(model.W_h))
        model.W_x[:, gates] = 0
        model.W_h[:, gates] = 0
        answers = model(x).argmax(1)
    assert gate_control(model, x, answers) == {"accuracy": 1, "frozen_gates_accuracy": 1}

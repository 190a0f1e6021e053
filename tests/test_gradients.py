"""Gradients back through time against finite differences, and what holding the gates does."""

import pytest
import torch
from torch import nn

from dlreport.sequence import palindromes
from dlreport.evaluation.gradients import gate_control, reach, trace
from dlreport.models import SEQUENCE_MODELS
from dlreport.sequence.loss import cross_entropy
from helpers import seeded, small_model


def losses_from(model: nn.Module, x: torch.Tensor, target: torch.Tensor, t: int, nudge: torch.Tensor, which: str):
    """The loss of one sequence with h or c of step t (from 1) nudged."""
    state = model.start(1)
    h, c = state if isinstance(state, tuple) else (state, None)
    for step, x_t in enumerate(x.unbind(1), start=1):
        if c is None:
            h = model.step(x_t, h)
        else:
            h, c = model.step(c, *model.gates(x_t, h))
        if step == t:
            h = h + nudge if which == "h" else h
            if which == "c":
                # A nudge of c_t moves h_t = tanh(c_t) o_t too
                o = h / torch.tanh(c)
                c = c + nudge
                h = torch.tanh(c) * o
    return cross_entropy(model.logits(h), target)


@pytest.mark.parametrize(("name", "which"), [("VanillaRNN", "h"), ("LSTM", "h"), ("LSTM", "c")])
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


@pytest.mark.parametrize(("name", "column"), [("VanillaRNN", "gradient"), ("LSTM", "gradient_cell")])
def test_the_median_is_of_single_sequences_on_the_way_that_carries(name, column):
    model, (x, target) = small_model(name, H=4, scale=0.5), palindromes.sample(3, 6, seeded(5))
    alone = [reach(model, x[[k]], target[[k]])[column] for k in range(3)]
    middle = [sorted(norms)[1] for norms in zip(*alone, strict=True)]
    assert reach(model, x, target)["gradient_median"] == pytest.approx(middle)


@pytest.mark.parametrize("name", SEQUENCE_MODELS)
def test_the_trace_is_the_models_own_pass(name):
    model = small_model(name, H=4, scale=0.5)
    x, _ = palindromes.sample(8, 7, seeded(2))
    torch.testing.assert_close(model.logits(trace(model, x).h[-1]), model(x))


def test_saturation_is_the_share_of_units_at_the_ends():
    x, target = palindromes.sample(50, 5, seeded(3))
    for scale, expected in ((1e-3, 0.0), (1e3, 1.0)):
        for name in SEQUENCE_MODELS:
            found = reach(small_model(name, H=4, scale=scale), x, target)
            assert found["saturated_tanh"][1:] == pytest.approx([expected] * 3, abs=0.1)
    assert reach(small_model("LSTM", H=4, scale=1e3), x, target)["saturated_gates"] == pytest.approx([1] * 4, abs=0.1)


def test_gates_that_never_move_can_be_held_and_others_not():
    model = SEQUENCE_MODELS["LSTM"](1, 16, 10, seeded())
    x, _ = palindromes.sample(500, 4, seeded(4))
    with torch.no_grad():
        answers = model(x).argmax(1)  # what it says is right, then
        assert len(answers.unique()) > 2
        found = gate_control(model, x, answers)
        assert found["accuracy"] == 1
        assert found["frozen_gates_accuracy"] < 0.9
        H = len(model.W_h)
        model.W_x[:, : 3 * H] = 0
        model.W_h[:, : 3 * H] = 0
        answers = model(x).argmax(1)
    assert gate_control(model, x, answers) == {"accuracy": 1, "frozen_gates_accuracy": 1}

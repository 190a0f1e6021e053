"""The models against PyTorch's own cells."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812

from dlreport.errors import UserError
from dlreport.sequence.initialisation import reinitialise
from dlreport.sequence.models import MODELS, check_names, model_class
from dlreport.sequence.models.base import SequenceModel, accuracy, cross_entropy
from helpers import seeded, small_model

SIZES = [(1, 1), (1, 6), (3, 1), (2, 2), (5, 9), (32, 19)]  # batch, time steps


def batch(B: int, T: int, D: int = 1, classes: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    generator = seeded(B + 100 * T)
    x = torch.randn(B, T, D, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (B,), generator=generator)


def torch_order(gates: torch.Tensor) -> torch.Tensor:
    """Columns of our gates i, f, o, g as PyTorch's i, f, g, o."""
    i, f, o, g = gates.chunk(4, dim=-1)
    return torch.cat([i, f, g, o], dim=-1)


# PyTorch's module for each of our models that it has, and how that orders the columns of our blocks
IN_TORCH = {"VanillaRNN": (nn.RNN, lambda blocks: blocks), "LSTM": (nn.LSTM, torch_order)}


def in_torch(model: SequenceModel) -> tuple[dict[str, torch.Tensor], nn.Module]:
    """Our parameters by the names and in the layout of PyTorch's module, and that module with a Linear after it."""
    cell, layout = IN_TORCH[type(model).__name__]
    named = dict(model.named_parameters())
    W_x, W_h, b, W_ph, b_p = (named[name] for name in ("W_x", "W_h", "b", "W_ph", "b_p"))
    D, H = W_x.shape[0], W_h.shape[0]
    reference = nn.ModuleDict({"cell": cell(D, H, batch_first=True), "out": nn.Linear(*W_ph.shape)}).double()
    mapped = {
        "cell.weight_ih_l0": layout(W_x).T,
        "cell.weight_hh_l0": layout(W_h).T,
        "cell.bias_ih_l0": layout(b),
        "cell.bias_hh_l0": torch.zeros_like(b),
        "out.weight": W_ph.T,
        "out.bias": b_p,
    }
    reference.load_state_dict({name: value.detach() for name, value in mapped.items()})
    return mapped, reference


@pytest.mark.parametrize("name", IN_TORCH)
@pytest.mark.parametrize(("B", "T"), SIZES)
@pytest.mark.parametrize("D", [1, 3])
def test_forward_and_gradients_equal_pytorchs_own_cell(name, B, T, D):
    model = small_model(name, D, H=6).double()
    mapped, reference = in_torch(model)
    x, target = batch(B, T, D)

    expected = reference["out"](reference["cell"](x)[0][:, -1])
    F.cross_entropy(expected, target).backward()
    logits = model(x)
    wanted = {name: value for name, value in mapped.items() if name != "cell.bias_hh_l0"}
    gradients = torch.autograd.grad(F.cross_entropy(logits, target), [*model.parameters()])
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.data = gradient  # so that the same mapping lays out the gradients
    mapped_gradients, _ = in_torch(model)

    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)
    for key in wanted:
        torch.testing.assert_close(
            mapped_gradients[key].detach(), reference.get_parameter(key).grad, rtol=1e-10, atol=1e-12
        )


@pytest.mark.parametrize("name", MODELS)
def test_gradcheck_of_forward(name):
    model = small_model(name, D=2, H=3, classes=3).double()
    names, parameters = zip(*model.named_parameters(), strict=True)
    x, _ = batch(2, 3, 2)

    def forward(x, *values):
        return functional_call(model, dict(zip(names, values, strict=True)), (x,))

    inputs = [value.detach().requires_grad_() for value in (x, *parameters)]
    assert torch.autograd.gradcheck(forward, inputs)


@pytest.mark.parametrize("name", MODELS)
def test_initialisation_is_standard_normal_without_fan_in_scaling(name):
    model = model_class(name)(1, 128, 10, seeded(2))
    for key, value in model.named_parameters():
        if value.dim() == 1 and not value.any():  # a bias that starts at zero
            continue
        n = value.numel()
        assert abs(value.mean()) < 4 / math.sqrt(n), key
        assert abs(value.std() - 1) < 4 / math.sqrt(2 * n), key
    largest = max(model.parameters(), key=torch.numel)
    assert (largest.abs() < 1).float().mean().item() == pytest.approx(0.6827, abs=0.02)
    assert largest.abs().max() > 3


def test_rnn_biases_start_at_zero():
    model = model_class("VanillaRNN")(1, 8, 10, seeded())
    assert not model.b.any()
    assert not model.b_p.any()


def test_lstm_biases_are_drawn_too():
    model = model_class("LSTM")(1, 8, 10, seeded())
    assert model.b.all()
    assert model.b_p.all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scheme", ["orthogonal", "identity"])
def test_other_initialisations(name, scheme):
    """Recurrent blocks that keep norms, the rest within Glorot's bounds, biases zero but those of the open blocks."""
    H = 16
    model = model_class(name)(1, H, 10, seeded())
    reinitialise(model, scheme, seeded(1))
    for block in model.W_h.split(H, dim=1):
        torch.testing.assert_close(block @ block.T, torch.eye(H), atol=1e-5, rtol=0)
        assert torch.equal(block, torch.eye(H)) == (scheme == "identity")
    for weight, fans in ((model.W_x, 1 + H), (model.W_ph, H + 10)):
        bound = math.sqrt(6 / fans)
        assert 0.7 * bound < weight.abs().max() <= bound
    expected = torch.zeros(model.W_h.shape[1])
    for block in model.OPEN:
        expected[block * H : (block + 1) * H] = 1
    for key, bias in model.named_parameters():
        if bias.dim() == 1:
            assert torch.equal(bias, torch.zeros(10) if key == "b_p" else expected), key


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("scheme", "mean_square"), [("scaled", 1), ("critical", 11.7531), ("orthogonal_recurrent", 1)])
def test_initialisations_that_change_the_recurrent_weights_alone(name, scheme, mean_square):
    """By mean_square / H in place of 1, the other parameters as the generator gave them."""
    H = 64
    model, before = (model_class(name)(1, H, 10, seeded(4)) for _ in range(2))
    reinitialise(model, scheme, seeded(1))
    for key, value in model.named_parameters():
        assert torch.equal(value, getattr(before, key)) == (key != "W_h"), key
    for block in model.W_h.split(H, dim=1):
        assert block.square().mean().item() == pytest.approx(mean_square / H, rel=4 * math.sqrt(2) / H)
        spread = (block @ block.T / (block.square().sum() / H) - torch.eye(H)).abs().max()
        assert (spread < 1e-5) == (scheme == "orthogonal_recurrent")


SCHEMES = ("scaled", "critical", "orthogonal_recurrent", "orthogonal", "identity")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_another_initialisation_follows_its_generator_alone(name, scheme):
    """Of few units: fewer than there are digits."""

    def drawn(seed: int) -> SequenceModel:
        model = model_class(name)(1, 4, 10, seeded())
        reinitialise(model, scheme, seeded(seed))
        return model

    before = torch.get_rng_state()
    first, again, other = drawn(1), drawn(1), drawn(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), again.parameters(), strict=True))
    assert torch.equal(first.W_h, other.W_h) == (scheme == "identity")
    changed = scheme in ("orthogonal", "identity")
    for key in ("W_x", "W_ph"):
        assert torch.equal(getattr(first, key), getattr(other, key)) != changed
    assert not (changed and first.b_p.any())
    blocks = {tuple(block.flatten().tolist()) for block in first.W_h.split(4, dim=1)}
    assert len(blocks) == (1 if scheme == "identity" else first.blocks())


def test_the_critical_weights_are_scaled_ones_times_a_number_that_is_rounded():
    scaled, critical = (model_class("VanillaRNN")(1, 8, 10, seeded()) for _ in range(2))
    reinitialise(scaled, "scaled", seeded(1))
    reinitialise(critical, "critical", seeded(1))
    torch.testing.assert_close(critical.W_h, scaled.W_h * math.sqrt(11.7531), rtol=1e-6, atol=0)


def test_an_unknown_initialisation_is_refused():
    with pytest.raises(ValueError, match="'zero' is no initialisation"):
        reinitialise(small_model("LSTM"), "zero", seeded())


def test_the_open_block_of_the_lstm_is_its_forget_gates():
    model = small_model("LSTM", H=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        reinitialise(model, "identity", seeded())
        _, units = model.step(torch.zeros(1, 1), model.start(1))
    assert (units["f"] > 0.7).all()
    assert (units["i"] == 0.5).all()
    assert (units["o"] == 0.5).all()


@pytest.mark.parametrize("name", MODELS)
def test_initialisation_follows_the_generator_alone(name):
    before = torch.get_rng_state()
    first, again, other = (model_class(name)(1, 8, 10, seeded(seed)).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["W_ph"], other["W_ph"])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", MODELS)
def test_the_records_fit_the_step(name):
    model = small_model(name, H=6)
    state = model.start(3)
    assert len(state) == len(model.STATE)
    assert not any(part.any() for part in state)
    after, units = model.step(torch.ones(3, 1), state)
    assert [part.shape for part in after] == [(3, 6)] * len(model.STATE)
    assert {model.TANH, *model.GATES} <= units.keys()
    assert all((units[gate] > 0).all() and (units[gate] < 1).all() for gate in model.GATES)
    assert model.blocks() * 6 == model.W_h.shape[1]


@pytest.mark.parametrize("name", [name for name in MODELS if model_class(name).GATES])
def test_gates_held_at_their_own_values_change_no_step_and_at_others_do(name):
    model = small_model(name, H=6)
    x = torch.randn(1, 1, generator=seeded(1))
    before, _ = model.step(torch.ones(1, 1), model.start(1))
    free, units = model.step(x, before)
    own = tuple(units[gate][0] for gate in model.GATES)
    held, _ = model.step(x, before, own)
    for mine, theirs in zip(held, free, strict=True):
        torch.testing.assert_close(mine, theirs)
    for place in range(len(own)):
        other = (*own[:place], own[place] / 2, *own[place + 1 :])
        assert not torch.allclose(model.step(x, before, other)[0][0], free[0])


def test_a_name_that_is_no_models_is_refused():
    check_names(MODELS)
    with pytest.raises(UserError, match=r"^sequence\.models: 'ESN' is no model; choose from VanillaRNN, LSTM"):
        check_names(["LSTM", "ESN"])
    with pytest.raises(UserError, match="'ESN' is no model"):
        model_class("ESN")


@given(st.integers(1, 8), st.integers(2, 10), st.sampled_from([0.1, 1, 30, 1000]))
def test_cross_entropy_equals_pytorchs(B, classes, scale):
    logits = scale * torch.randn(B, classes, generator=seeded(B * classes), dtype=torch.float64)
    target = torch.randint(classes, (B,), generator=seeded(B))
    torch.testing.assert_close(cross_entropy(logits, target), F.cross_entropy(logits, target), rtol=1e-12, atol=1e-12)


def test_accuracy_is_the_share_of_largest_logits():
    logits = torch.tensor([[0.0, 2, 1], [5, 2, 1], [0, 1, 2], [1, 0, -1]])
    assert accuracy(logits, torch.tensor([1, 0, 2, 2])).item() == 0.75

"""The models against PyTorch's own cells, and the written-out backward pass against autograd."""

import math

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F  # noqa: N812

from dlreport.models import SEQUENCE_MODELS
from dlreport.models.head import accuracy, cross_entropy

MODELS = list(SEQUENCE_MODELS)
SIZES = [(1, 1), (1, 6), (3, 1), (2, 2), (5, 9), (32, 19)]  # batch, time steps

sizes = st.fixed_dictionaries(
    {
        "B": st.integers(1, 6),
        "T": st.integers(1, 8),
        "D": st.integers(1, 3),
        "H": st.integers(1, 7),
        "classes": st.integers(2, 10),
    }
)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small_model(name: str, D: int = 1, H: int = 6, classes: int = 10) -> nn.Module:
    """With biases that are not zero, and weights small enough that no gate saturates."""
    model = SEQUENCE_MODELS[name](D, H, classes, seeded()).double()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.7, 0.7, generator=seeded(parameter.numel()))
    return model


def batch(B: int, T: int, D: int = 1, classes: int = 10) -> tuple[torch.Tensor, torch.Tensor]:
    generator = seeded(B + 100 * T)
    x = torch.randn(B, T, D, generator=generator, dtype=torch.float64)
    return x, torch.randint(classes, (B,), generator=generator)


def torch_order(gates: torch.Tensor) -> torch.Tensor:
    """Columns of our gates i, f, o, g as PyTorch's i, f, g, o."""
    i, f, o, g = gates.chunk(4, dim=-1)
    return torch.cat([i, f, g, o], dim=-1)


def in_torch(model: nn.Module) -> tuple[dict[str, torch.Tensor], nn.Module]:
    """Our parameters by the names and in the layout of torch.nn.RNN or LSTM, and that module with a Linear after it."""
    named = dict(model.named_parameters())
    if "W_hh" in named:
        cell, layout = nn.RNN, lambda gates: gates
        names = ["W_hx", "W_hh", "b_h", "W_ph", "b_o"]
    else:
        cell, layout = nn.LSTM, torch_order
        names = ["W_x", "W_h", "b", "W_ph", "b_p"]
    W_x, W_h, b, W_ph, b_p = (named[name] for name in names)
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


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("B", "T"), SIZES)
@pytest.mark.parametrize("D", [1, 3])
def test_forward_and_gradients_equal_pytorchs_own_cell(name, B, T, D):
    model = small_model(name, D)
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


def by_autograd(model: nn.Module, x: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, list]:
    logits = model(x)
    loss = F.cross_entropy(logits, target)
    share = (logits.argmax(1) == target).double().mean()
    return loss.detach(), share, list(torch.autograd.grad(loss, [*model.parameters()]))


@pytest.mark.parametrize("name", MODELS)
@given(sizes)
@example({"B": 1, "T": 1, "D": 1, "H": 1, "classes": 2})
@example({"B": 4, "T": 19, "D": 1, "H": 16, "classes": 10})
@example({"B": 128, "T": 9, "D": 1, "H": 128, "classes": 10})
def test_loss_backward_equals_autograd(name, size):
    """In float32, to the rounding of float32, against autograd in float64."""
    B, T, D, H, classes = size.values()
    model = small_model(name, D, H, classes)
    if H > 16:
        for parameter in model.parameters():
            parameter.data /= 8  # keeps the sums over H of the size that they have in the small ones
    x, target = batch(B, T, D, classes)
    loss, share, gradients = by_autograd(model, x, target)

    own_loss, own_share = model.float().loss_backward(x.float(), target)

    assert own_loss.item() == pytest.approx(loss.item(), rel=1e-5)
    assert own_share.item() == pytest.approx(share.item(), abs=1e-6)
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        scale = gradient.abs().max().item()
        torch.testing.assert_close(parameter.grad.double(), gradient, rtol=1e-4, atol=1e-5 * scale + 1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_loss_backward_in_bf16_is_near_float32(name):
    """bfloat16 keeps 8 bits of a number, 1 part in 256. Slow where there are no such products, but it runs."""
    model = small_model(name, H=16).float()
    x, target = (value.float() if value.is_floating_point() else value for value in batch(32, 6))
    exact_loss, _ = model.loss_backward(x, target)
    exact = [parameter.grad for parameter in model.parameters()]

    loss, _ = model.loss_backward(x, target, torch.bfloat16)

    assert loss.item() != exact_loss.item()
    assert loss.item() == pytest.approx(exact_loss.item(), rel=0.01)
    for parameter, gradient in zip(model.parameters(), exact, strict=True):
        assert parameter.grad.dtype == torch.float32
        assert (parameter.grad - gradient).norm() < 0.03 * gradient.norm()


@pytest.mark.parametrize("name", MODELS)
def test_loss_backward_replaces_old_gradients_and_leaves_the_weights(name):
    model = small_model(name).float()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x, target = batch(4, 5)
    x = x.float()
    model.loss_backward(x, target)
    first = [parameter.grad.clone() for parameter in model.parameters()]
    model.loss_backward(x, target)
    for gradient, parameter in zip(first, model.parameters(), strict=True):
        assert torch.equal(gradient, parameter.grad)
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.parametrize("name", MODELS)
def test_gradcheck_of_forward(name):
    model = small_model(name, D=2, H=3, classes=3)
    names, parameters = zip(*model.named_parameters(), strict=True)
    x, _ = batch(2, 3, 2)

    def forward(x, *values):
        return functional_call(model, dict(zip(names, values, strict=True)), (x,))

    inputs = [value.detach().requires_grad_() for value in (x, *parameters)]
    assert torch.autograd.gradcheck(forward, inputs)


@pytest.mark.parametrize("name", MODELS)
def test_initialisation_is_standard_normal_without_fan_in_scaling(name):
    model = SEQUENCE_MODELS[name](1, 128, 10, seeded(2))
    for key, value in model.named_parameters():
        if key in ("b_h", "b_o"):
            continue
        n = value.numel()
        assert abs(value.mean()) < 4 / math.sqrt(n), key
        assert abs(value.std() - 1) < 4 / math.sqrt(2 * n), key
    largest = max(model.parameters(), key=torch.numel)
    assert (largest.abs() < 1).float().mean().item() == pytest.approx(0.6827, abs=0.02)
    assert largest.abs().max() > 3


def test_rnn_biases_start_at_zero():
    model = SEQUENCE_MODELS["VanillaRNN"](1, 8, 10, seeded())
    assert not model.b_h.any()
    assert not model.b_o.any()


def test_lstm_biases_are_drawn_too():
    model = SEQUENCE_MODELS["LSTM"](1, 8, 10, seeded())
    assert model.b.all()
    assert model.b_p.all()


@pytest.mark.parametrize("name", MODELS)
def test_initialisation_follows_the_generator_alone(name):
    before = torch.get_rng_state()
    first, again, other = (SEQUENCE_MODELS[name](1, 8, 10, seeded(seed)).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["W_ph"], other["W_ph"])
    assert torch.equal(torch.get_rng_state(), before)


@given(st.integers(1, 8), st.integers(2, 10), st.sampled_from([0.1, 1, 30, 1000]))
def test_cross_entropy_equals_pytorchs(B, classes, scale):
    logits = scale * torch.randn(B, classes, generator=seeded(B * classes), dtype=torch.float64)
    target = torch.randint(classes, (B,), generator=seeded(B))
    torch.testing.assert_close(cross_entropy(logits, target), F.cross_entropy(logits, target), rtol=1e-12, atol=1e-12)


def test_accuracy_is_the_share_of_largest_logits():
    logits = torch.tensor([[0.0, 2, 1], [5, 2, 1], [0, 1, 2], [1, 0, -1]])
    assert accuracy(logits, torch.tensor([1, 0, 2, 2])).item() == 0.75

"""The native training step against autograd, and both engines against each other."""

import ctypes
import logging
import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F  # noqa: N812

from dlreport import native
from dlreport.config import SequenceSettings
from dlreport.native.sequence import SOURCE
from dlreport.sequence.engines import Autograd, Native
from dlreport.sequence.models import model_class
from dlreport.sequence.training import draw
from helpers import NATIVE_MODELS, needs_native, seeded, small_model
from products import PRODUCT, amx, replace

needs_fp32, needs_bf16 = needs_native(SOURCE, "fp32"), needs_native(SOURCE, "bf16")


@pytest.fixture
def settings(params) -> SequenceSettings:
    return params.sequence.model_copy(update={"batch_size": 16, "hidden_dim": 8})


def with_clip(settings: SequenceSettings, mode: str, max_norm: float, optimizer: str = "RMSprop") -> SequenceSettings:
    clip = settings.clip.model_copy(update={"mode": mode, "max_norm": max_norm})
    return settings.model_copy(update={"clip": clip, "optimizer": optimizer})


def by_autograd(model: nn.Module, x: torch.Tensor, target: torch.Tensor) -> tuple[float, float, list[torch.Tensor]]:
    """Loss, accuracy and gradients in float64; x [T, B, D], target [B]."""
    names, values = zip(*((name, value.detach().double()) for name, value in model.named_parameters()), strict=True)
    values = [value.requires_grad_() for value in values]
    logits = torch.func.functional_call(model, dict(zip(names, values, strict=True)), (x.transpose(0, 1).double(),))
    loss = F.cross_entropy(logits, target)
    return loss.item(), (logits.argmax(1) == target).double().mean().item(), list(torch.autograd.grad(loss, values))


def by_engine(engine: Native, model: nn.Module, x: torch.Tensor, target: torch.Tensor) -> tuple:
    """The same from one native step; it updates the weights."""
    shapes = [parameter.shape for parameter in model.parameters()]
    loss, share = engine.train(x[None, None], target[None, None])[0, :, 0].tolist()
    parts = engine.gradients.split([shape.numel() for shape in shapes])
    return loss, share, [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]


sizes = st.tuples(st.integers(1, 6), st.integers(1, 8), st.integers(1, 3), st.integers(1, 20), st.integers(2, 10))


@needs_fp32
@pytest.mark.parametrize("name", NATIVE_MODELS)
@pytest.mark.parametrize("digits", [2, 1000], ids=["sequences that begin alike", "that do not"])
@given(sizes)
@example((1, 1, 1, 1, 2))
@example((128, 1, 1, 128, 10))
@example((128, 2, 1, 128, 10))
@example((128, 9, 1, 128, 10))
@example((96, 19, 1, 33, 10))
def test_native_gradients_equal_autograds(params, name, digits, size):
    """In float32, to the rounding of float32, against float64."""
    B, T, D, H, classes = size
    model = small_model(name, D, H, classes, scale=0.7 / max(1, H / 16))
    x = torch.randint(digits, (T, B, D), generator=seeded(T)).float() / digits
    target = torch.randint(classes, (B,), generator=seeded(B))
    loss, share, gradients = by_autograd(model, x, target)

    own_loss, own_share, own = by_engine(Native(model, params.sequence, "fp32"), model, x, target)

    assert own_loss == pytest.approx(loss, rel=1e-5)
    assert own_share == pytest.approx(share, abs=1e-6)
    for gradient, mine in zip(gradients, own, strict=True):
        torch.testing.assert_close(mine.double(), gradient, rtol=1e-4, atol=1e-5 * gradient.abs().max().item() + 1e-9)


@needs_fp32
@pytest.mark.parametrize("name", NATIVE_MODELS)
@pytest.mark.parametrize("length", [2, 3, 5, 10])
def test_losses_of_200_steps_agree_with_the_plain_autograd_form(params, name, length):
    """At the report's own sizes and initialisation.

    Each step from the same weights: a VanillaRNN from N(0, 1) is chaotic, so that a difference in the last digit of
    the weights is one in the second digit of the loss some fifty steps on.
    """
    settings = params.sequence
    model = model_class(name)(1, settings.hidden_dim, 10, seeded(3))
    engine = Native(model, settings, "fp32")
    data = [seeded(4)]
    plain, ours = [], []
    for _ in range(200):
        x, target = draw(length, settings.batch_size, 1, data)
        with torch.no_grad():
            plain.append(F.cross_entropy(model(x[0, 0].transpose(0, 1)), target[0, 0]).item())
        ours.append(engine.train(x, target)[0, 0, 0].item())
    # Rounding grows by the steps of time too: by the tenth a few sequences in a batch differ.
    assert ours == pytest.approx(plain, rel=1e-5 if length < 10 else 2e-2)
    median = sorted(abs(a - b) / b for a, b in zip(ours, plain, strict=True))[100]
    assert median < (1e-6 if length < 10 else 2e-3)


@needs_fp32
@pytest.mark.parametrize("name", NATIVE_MODELS)
@pytest.mark.parametrize("mode", ["as_reported", "effective"])
@pytest.mark.parametrize("optimizer", ["RMSprop", "Adam"])
def test_a_block_of_steps_equals_torchs_own_optimizer(settings, name, mode, optimizer):
    settings = with_clip(settings, mode, 0.05, optimizer)
    model, plain = small_model(name), small_model(name)
    optimizer = getattr(torch.optim, optimizer)(plain.parameters(), lr=settings.learning_rate)
    x, target = draw(6, 16, 20, [seeded(1)])
    losses = []
    for k in range(20):
        loss = F.cross_entropy(plain(x[k, 0].transpose(0, 1)), target[k, 0])
        optimizer.zero_grad()
        loss.backward()
        if mode == "effective":
            torch.nn.utils.clip_grad_norm_(plain.parameters(), settings.clip.max_norm)
        optimizer.step()
        losses.append(loss.item())

    results = Native(model, settings, "fp32").train(x, target)

    assert results[:, 0, 0].tolist() == pytest.approx(losses, rel=1e-4)
    for mine, theirs in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


@needs_fp32
@pytest.mark.parametrize("name", NATIVE_MODELS)
@pytest.mark.parametrize("mode", ["off", "effective"])
@pytest.mark.parametrize("optimizer", ["RMSprop", "Adam"])
def test_autograd_trains_stacked_replicates_as_native_trains_each(settings, name, mode, optimizer):
    settings = with_clip(settings, mode, 0.05, optimizer)
    models, alone = ([small_model(name, scale=scale) for scale in (0.5, 0.7, 0.9)] for _ in range(2))
    x, target = draw(5, 16, 15, [seeded(seed) for seed in range(3)])

    together = Autograd(models, settings, "fp32").train(x, target)

    for k, model in enumerate(alone):
        results = Native(model, settings, "fp32").train(x[:, k : k + 1].contiguous(), target[:, k : k + 1].contiguous())
        torch.testing.assert_close(together[:, :, k], results[:, :, 0], rtol=1e-4, atol=1e-5)
        for mine, theirs in zip(models[k].parameters(), model.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-4)


@needs_fp32
@pytest.mark.parametrize("name", NATIVE_MODELS)
@pytest.mark.parametrize("optimizer", ["RMSprop", "Adam"])
def test_steps_do_not_depend_on_how_they_are_cut_into_blocks(settings, name, optimizer):
    settings = settings.model_copy(update={"optimizer": optimizer})
    whole, cut = small_model(name), small_model(name)
    x, target = draw(7, 16, 9, [seeded(2)])
    together = Native(whole, settings, "fp32").train(x, target)
    engine = Native(cut, settings, "fp32")
    apart = torch.cat([engine.train(x[part], target[part]) for part in (slice(0, 1), slice(1, 6), slice(6, 9))])
    assert torch.equal(together, apart)
    assert all(torch.equal(*pair) for pair in zip(whole.parameters(), cut.parameters(), strict=True))


@needs_fp32
@pytest.mark.parametrize("name", NATIVE_MODELS)
def test_nothing_is_nan_where_weights_saturate_and_a_nan_is_passed_on(settings, name):
    model = small_model(name, scale=100)
    x, target = draw(6, 16, 3, [seeded(5)])
    assert Native(model, settings, "fp32").train(x, target).isfinite().all()
    assert all(parameter.isfinite().all() for parameter in model.parameters())

    list(model.parameters())[1].data[0, 0] = torch.nan
    assert Native(model, settings, "fp32").train(x, target)[:, 0].isnan().all()


@needs_fp32
@pytest.mark.parametrize("by", [pytest.param("this processor", marks=needs_bf16), "AMX"])
@pytest.mark.parametrize("name", NATIVE_MODELS)
@pytest.mark.parametrize(("B", "H"), [(16, 8), (5, 7), (128, 128)])
def test_bf16_products_are_near_float32s(settings, name, B, H, by, monkeypatch):
    """bfloat16 keeps 8 bits of a number, 1 part in 256. Odd sizes leave half a pair of rows."""
    if by == "AMX":
        replace(monkeypatch, bf16=amx)
    x, target = draw(7, B, 1, [seeded(6)])

    def run(precision: str) -> tuple:
        model = small_model(name, H=H, scale=0.7 / max(1, H / 16))
        return by_engine(Native(model, settings, precision), model, x[0, 0], target[0, 0])

    exact_loss, _, exact = run("fp32")
    loss, _, gradients = run("bf16")
    assert loss != exact_loss
    assert loss == pytest.approx(exact_loss, rel=0.01)
    for mine, theirs in zip(gradients, exact, strict=True):
        assert (mine - theirs).norm() < 0.02 * theirs.norm()


def spoilt(product: Callable, spoil: Callable) -> Callable:
    """A product, and then something with its k, which may be odd, its sizes and its result."""

    @PRODUCT
    def call(m: int, n: int, k: int, lda: int, ldb: int, ldc: int, add: bool, A: int, B: int, C: int) -> None:
        product(m, n, k, lda, ldb, ldc, add, A, B, C)
        spoil(m, n, k, ldc, ctypes.cast(C, ctypes.POINTER(ctypes.c_float)))

    return call


def last_is_wrong(m: int, n: int, k: int, ldc: int, C: ctypes.Array) -> None:
    C[(m - 1) * ldc + n - 1] += m == 64  # of one product alone


def writes_beyond(m: int, n: int, k: int, ldc: int, C: ctypes.Array) -> None:
    if ldc > n:
        C[n] = -1


@needs_fp32
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("spoil", [last_is_wrong, writes_beyond, lambda *_: os.abort(), None])
def test_products_are_tried_before_their_first_use(precision, spoil, monkeypatch, caplog):
    """A processor's that are wrong are refused by one line, and those in bf16 that end the process, too."""
    product = amx if precision == "bf16" else PRODUCT(native.products("fp32").fp32)
    if spoil and (precision, spoil.__name__) == ("fp32", "<lambda>"):
        pytest.skip("products in fp32 are tried in the process itself")
    replace(monkeypatch, **{precision: spoilt(product, spoil) if spoil else product})
    with caplog.at_level(logging.WARNING, logger="dlreport"):
        served = native.serves.__wrapped__(SOURCE, "cpu", precision)
    assert served == (spoil is None)
    line = f"PyTorch's {precision} products are wrong on this processor; training by autograd"
    assert [message[: len(line)] for message in caplog.messages] == [line] * (not served)


@pytest.mark.parametrize("engine", [pytest.param("native", marks=needs_bf16), "autograd"])
def test_lstm_learns_in_bf16(settings, engine):
    settings = settings.model_copy(update={"learning_rate": 0.01, "batch_size": 64})
    model = model_class("LSTM")(1, 16, 10, seeded(1))
    trainer = Native(model, settings, "bf16") if engine == "native" else Autograd([model], settings, "bf16")
    accuracy = trainer.train(*draw(3, 64, 500, [seeded(2)]))[:, 1, 0]
    assert accuracy[:10].mean() < 0.4
    assert accuracy[-50:].mean() > 0.9


@needs_fp32
def test_arrays_that_do_not_fit_are_refused(settings):
    engine = Native(small_model("LSTM"), settings, "fp32")
    x, target = draw(5, 16, 2, [seeded(1)])
    for bad in (
        (x.double(), target),
        (x.long(), target),
        (x, target.int()),
        (x, target.float()),
        (x[:, :, :, :8], target),
    ):
        with pytest.raises(TypeError, match="expected contiguous"):
            engine.train(*bad)
    with pytest.raises(ValueError, match="targets must be 0 to 9, found 10 to 10"):
        engine.train(x, torch.full_like(target, 10))


@needs_fp32
def test_tanh_is_exact_to_the_last_digits(settings):
    """One step of one unit shows the function itself: logits (tanh(x), 0); the loss of class 1 is its softplus."""
    model = model_class("VanillaRNN")(1, 1, 2, seeded())
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    model.W_x.data[0, 0] = model.W_ph.data[0, 0] = 1
    engine = Native(model, settings.model_copy(update={"learning_rate": 1e-30}), "fp32")
    values = torch.cat([torch.linspace(-12, 12, 241), torch.tensor([1e-30, -1e-5, 1e-3])])
    losses = engine.train(values.view(-1, 1, 1, 1, 1), torch.ones(len(values), 1, 1, dtype=torch.int64))[:, 0, 0]
    torch.testing.assert_close(losses, F.softplus(values.tanh()), rtol=5e-7, atol=0)

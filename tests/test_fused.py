"""The GPU's training step of the sequence models: on a GPU if there is one, else by Triton's interpreter on the CPU."""

import pytest
import torch

from dlreport import gpu
from dlreport.config import SequenceSettings
from dlreport.native.sequence import SOURCE
from dlreport.sequence.engines import Fused, Native, fused_serves
from dlreport.sequence.models import model_class
from dlreport.sequence.training import draw
from helpers import NATIVE_MODELS, needs_native, seeded, small_model

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")

pytest.importorskip("triton")


def with_update(settings: SequenceSettings, optimizer: str, mode: str) -> SequenceSettings:
    clip = settings.clip.model_copy(update={"mode": mode, "max_norm": 0.5})
    return settings.model_copy(update={"optimizer": optimizer, "clip": clip, "learning_rate": 0.01})


def fused(models: list, settings: SequenceSettings, precision: str = "fp32") -> Fused:
    return Fused([model.to(DEVICE) for model in models], settings, precision)


@pytest.mark.parametrize("name", NATIVE_MODELS)
@pytest.mark.parametrize(
    ("R", "B", "length", "H", "classes"), [(1, 1, 2, 1, 2), (2, 16, 5, 16, 10), (2, 21, 4, 11, 10), (1, 48, 4, 128, 17)]
)
def test_gradients_equal_autograds(params, name, R, B, length, H, classes):
    """In float32, to the rounding of float32, against float64."""
    models = [small_model(name, 1, H, classes, scale=0.7 / max(1, (H + r) / 16)) for r in range(R)]
    references = [small_model(name, 1, H, classes, scale=0.7 / max(1, (H + r) / 16)).double() for r in range(R)]
    engine = fused(models, params.sequence)
    x, target = draw(length, B, 1, [seeded(r) for r in range(R)])
    target %= classes
    losses, shares = engine.network.backpropagate(x[0, ..., 0].to(DEVICE), target[0].to(DEVICE)).tolist()
    for r, reference in enumerate(references):
        logits = reference(x[0, r].transpose(0, 1).double())
        loss = torch.nn.functional.cross_entropy(logits, target[0, r])
        loss.backward()
        assert losses[r] == pytest.approx(loss.item(), rel=1e-5)
        assert shares[r] == pytest.approx((logits.argmax(1) == target[0, r]).double().mean().item(), abs=1e-6)
        for key, found in engine.network.parameters(r, gradients=True).items():
            expected = reference.get_parameter(key).grad
            tolerance = 1e-5 * expected.abs().max().item() + 1e-9
            torch.testing.assert_close(found.cpu().double(), expected, rtol=1e-4, atol=tolerance)


@needs_native(SOURCE, "fp32")
@pytest.mark.parametrize("name", NATIVE_MODELS)
@pytest.mark.parametrize(("optimizer", "mode"), [("RMSprop", "effective"), ("Adam", "off")])
def test_training_steps_are_the_native_engines(params, name, mode, optimizer):
    settings = with_update(params.sequence, optimizer, mode)
    engine = fused([small_model(name, scale=0.5 + r / 10) for r in range(2)], settings)
    x, target = draw(4, 17, 3, [seeded(0), seeded(1)])
    found = engine.train(x.to(DEVICE), target.to(DEVICE)).cpu()
    for r in range(2):
        model = small_model(name, scale=0.5 + r / 10)
        expected = Native(model, settings, "fp32").train(x[:, [r]], target[:, [r]])
        torch.testing.assert_close(found[..., [r]], expected, rtol=1e-4, atol=1e-5)
        assert found[0, 0, r] != found[-1, 0, r]
        for key, values in model.state_dict().items():
            mine = engine.network.parameters(r)[key].cpu()
            torch.testing.assert_close(mine, values, rtol=1e-3, atol=1e-3)  # of steps of 0.01


@pytest.mark.parametrize("name", NATIVE_MODELS)
def test_bf16_rounds_what_goes_into_products_and_no_more(params, name):
    exact, rounded = (fused([small_model(name, H=20)], params.sequence, kind) for kind in ("fp32", "bf16"))
    x, target = (each[0].to(DEVICE) for each in draw(6, 20, 1, [seeded()]))
    for engine in (exact, rounded):
        engine.network.backpropagate(x[..., 0], target)
    for key, expected in exact.network.parameters(0, gradients=True).items():
        found = rounded.network.parameters(0, gradients=True)[key]
        assert 0 < ((found - expected).norm() / expected.norm()).item() < 0.03


@pytest.mark.parametrize("optimizer", ["RMSprop", "Adam"])
def test_it_goes_on_from_its_state(params, optimizer):
    settings = with_update(params.sequence, optimizer, "off")
    x, target = (each.to(DEVICE) for each in draw(3, 16, 3, [seeded()]))
    through, first, second = (fused([small_model("LSTM")], settings) for _ in range(3))
    expected = through.train(x, target)
    first.train(x[:1], target[:1])
    for tensor, saved in zip(second.state, first.state, strict=True):
        tensor.copy_(saved)
    torch.testing.assert_close(second.train(x[1:], target[1:]), expected[1:], rtol=0, atol=0)


def test_what_the_kernel_cannot_take_goes_to_autograd_with_a_line(params, monkeypatch, caplog):
    settings, cuda = params.sequence, torch.device("cuda")
    lstm = model_class("LSTM")(1, 4, 10, seeded())
    capability = 7, 5
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert not fused_serves(lstm, settings, 20, cuda)
    assert "the GPU is older than compute capability 8.0; training by autograd" in caplog.text
    caplog.clear()
    capability = 8, 0
    assert fused_serves(lstm, settings, 20, cuda)
    assert not fused_serves(lstm, settings, 20, torch.device("cpu"))
    assert not fused_serves(model_class("GRU")(1, 4, 10, seeded()), settings, 20, cuda)
    assert not caplog.text
    assert not fused_serves(lstm, settings.model_copy(update={"hidden_dim": 129}), 20, cuda)
    assert "hidden_dim is over 128; training by autograd" in caplog.text
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    assert not fused_serves(lstm, settings, 20, cuda)
    assert "Triton finds no C compiler; training by autograd" in caplog.text
    monkeypatch.setattr(gpu, "find_spec", lambda name: None)
    assert not fused_serves(lstm, settings, 20, cuda)
    assert "Triton is not installed; training by autograd" in caplog.text


def test_adam_of_a_flat_network_is_pytorchs(tmp_path):
    from dlreport.gpu.update import Adam

    values = torch.randn(3000, generator=seeded()).to(DEVICE)
    ours, theirs = (torch.nn.Parameter(values.clone()) for _ in range(2))
    options = {"lr": 0.01, "betas": (0.5, 0.999)}
    adam, reference = Adam([ours], **options), torch.optim.Adam([theirs], **options)
    for step in range(4):
        for parameter in (ours, theirs):
            parameter.grad = torch.randn(3000, generator=seeded(step)).to(DEVICE) * 10.0**-step
        if step == 2:  # another goes on from its state
            torch.save(adam.state_dict(), tmp_path / "adam.pt")
            adam = Adam([ours], **options)
            adam.load_state_dict(torch.load(tmp_path / "adam.pt"))
        adam.step()
        reference.step()
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-7)
    assert not torch.equal(ours, torch.nn.Parameter(values))

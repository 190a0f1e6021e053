"""The same training on a GPU as on the CPU. Skipped where there is no CUDA; about a minute where there is, most of it
compiling: by Triton the sequence models' step, by torch.compile the GAN's losses."""

import numpy as np
import pytest
import torch

from dlreport.checkpoint import NO_CHECKPOINTS, Checkpoints
from dlreport.gan.training import GanRun, train_gan
from dlreport.runtime import bf16_supported
from dlreport.sequence.models import MODELS
from dlreport.sequence.task import Task
from dlreport.sequence.training import SequenceRun, train_replicates
from helpers import Killed, gan_params

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


@pytest.fixture
def needs_bf16() -> None:
    if not bf16_supported(torch.device("cuda")):
        pytest.skip("no bf16 products")


def train(params, model, device, precision="fp32", checkpoints=NO_CHECKPOINTS, **values) -> list[SequenceRun]:
    """200 steps in two blocks of 100, on CUDA six graphs of 16 steps and four of one each; all losses fall."""
    clip = params.sequence.clip.model_copy(update={"mode": values.pop("mode", "effective"), "max_norm": 1.0})
    tiny = {"hidden_dim": 16, "batch_size": 32, "steps": 200, "learning_rate": 0.003, "clip": clip}
    settings = params.sequence.model_copy(update={**tiny, **values})
    return train_replicates(Task(model, 4), settings, 3, 1, device, precision, 1, checkpoints)


def assert_alike(cpu: list[SequenceRun], gpu: list[SequenceRun], first: float, last: float) -> None:
    """By replicate: the losses of the first steps, and the mean of the last, to these relative errors."""
    for ours, theirs in zip(cpu, gpu, strict=True):
        assert theirs.loss[:10] == pytest.approx(ours.loss[:10], rel=first)
        assert theirs.loss[-20:].mean() == pytest.approx(ours.loss[-20:].mean(), rel=last)
        assert theirs.loss[-20:].mean() < theirs.loss[:5].mean()
        assert theirs.accuracy[-20:].mean() == pytest.approx(ours.accuracy[-20:].mean(), abs=0.1)


def assert_same(runs: list[SequenceRun], others: list[SequenceRun]) -> None:
    for run, other in zip(runs, others, strict=True):
        assert np.array_equal(run.loss, other.loss)
        assert np.array_equal(run.accuracy, other.accuracy)
        for ours, theirs in ((run.weights, other.weights), (run.halfway, other.halfway)):
            assert all(np.array_equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("optimizer", "mode"), [("RMSprop", "as_reported"), ("Adam", "effective")])
def test_sequences_train_on_cuda_as_on_the_cpu(params, model, optimizer, mode):
    cpu, gpu = (train(params, model, device, optimizer=optimizer, mode=mode) for device in ("cpu", "cuda"))
    assert_alike(cpu, gpu, first=1e-3, last=0.02)


@pytest.mark.parametrize("model", MODELS)
def test_sequences_in_bf16_train_nearly_so(params, needs_bf16, model):
    cpu, gpu = train(params, model, "cpu"), train(params, model, "cuda", "bf16")
    assert any(not np.array_equal(ours.loss, theirs.loss) for ours, theirs in zip(cpu, gpu, strict=True))
    assert_alike(cpu, gpu, first=0.05, last=0.1)


@pytest.mark.parametrize("model", MODELS)
def test_sequences_are_the_same_bits_again_and_after_a_kill(params, model, tmp_path, kill_after):
    expected = train(params, model, "cuda")
    assert_same(train(params, model, "cuda"), expected)
    kill_after(1)  # at step 100
    with pytest.raises(Killed):
        train(params, model, "cuda", checkpoints=Checkpoints(tmp_path, seconds=0))
    assert_same(train(params, model, "cuda", checkpoints=Checkpoints(tmp_path, seconds=0)), expected)


def gan(params, digits, device, precision="fp32", checkpoints=NO_CHECKPOINTS) -> GanRun:
    """Three epochs of 384 images: 19 batches of 20, on CUDA a graph of 16 and three of one, and a batch of 4."""
    average = params.gan.average.model_copy(update={"every": 3, "decay": 0.9})
    settings = params.gan.model_copy(update={"epochs": 3, "batch_size": 20, "average": average})
    both = gan_params(settings, 1, device).model_copy(update={"precision": precision})
    return train_gan(digits, both, 1, 0, checkpoints)


def weights_of(run: GanRun) -> list[torch.Tensor]:
    networks = (run.generator, run.discriminator, run.average, *run.snapshots.values())
    return [value.cpu() for weights in networks for value in weights.values()]


@pytest.fixture(scope="module")
def gan_on_cpu(params, digits) -> GanRun:
    return gan(params, digits, "cpu")


@pytest.fixture(scope="module")
def gan_on_cuda(params, digits) -> GanRun:
    return gan(params, digits, "cuda")


def test_the_gan_trains_on_cuda_as_on_the_cpu(gan_on_cpu, gan_on_cuda):
    for name, losses in gan_on_cpu.losses.items():
        assert gan_on_cuda.losses[name] == pytest.approx(losses, rel=0.03)
    for part in ("generator", "average"):
        ours, theirs = getattr(gan_on_cpu, part), getattr(gan_on_cuda, part)
        for name in ours:
            if name.endswith("num_batches_tracked"):
                assert theirs[name] == ours[name].item() > 0
            elif "running" in name:
                assert (theirs[name].cpu() - ours[name]).norm() < 0.1 * ours[name].norm()


def test_the_gan_in_bf16_trains_nearly_so(params, digits, needs_bf16, gan_on_cpu):
    run = gan(params, digits, "cuda", "bf16")
    for name, losses in gan_on_cpu.losses.items():
        assert run.losses[name] != losses
        assert run.losses[name] == pytest.approx(losses, rel=0.06)


def test_the_gan_is_the_same_bits_again_and_after_a_kill(params, digits, gan_on_cuda, tmp_path, kill_after):
    again = gan(params, digits, "cuda")
    kill_after(6)  # in the second epoch before its last batch: one kept generator, three saves an epoch
    with pytest.raises(Killed):
        gan(params, digits, "cuda", checkpoints=Checkpoints(tmp_path, seconds=0))
    resumed = gan(params, digits, "cuda", checkpoints=Checkpoints(tmp_path, seconds=0))
    for run in (again, resumed):
        assert run.losses == gan_on_cuda.losses
        assert all(torch.equal(*pair) for pair in zip(weights_of(run), weights_of(gan_on_cuda), strict=True))

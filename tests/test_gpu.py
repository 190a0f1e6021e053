"""The same training on a GPU. Skipped where there is none; what runs there is `Autograd` and `AutogradGan`, which the
other tests run on the CPU, here as CUDA graphs."""

import pytest
import torch

from dlreport.gan.networks import Generator
from dlreport.gan.training import train_gan
from dlreport.sequence.models import MODELS
from dlreport.sequence.task import Task
from dlreport.sequence.training import train_replicates
from helpers import gan_params, seeded

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("mode", ["as_reported", "effective"])
@pytest.mark.parametrize("optimizer", ["RMSprop", "Adam"])
def test_sequences_train_on_cuda_as_on_the_cpu(params, model, mode, optimizer):
    clip = params.sequence.clip.model_copy(update={"mode": mode})
    tiny = {"hidden_dim": 8, "batch_size": 16, "steps": 40, "replicates": 3, "clip": clip, "optimizer": optimizer}
    settings = params.sequence.model_copy(update=tiny)
    cpu, gpu = (train_replicates(Task(model, 3), settings, 1, device, "fp32", 1) for device in ("cpu", "cuda"))
    for ours, theirs in zip(cpu, gpu, strict=True):
        assert theirs.loss[:5] == pytest.approx(ours.loss[:5], rel=1e-3)
        assert (theirs.loss > 0).all()
        assert theirs.loss[-5:].mean() < theirs.loss[:5].mean()


def test_the_gan_trains_on_cuda_as_on_the_cpu(params, digits):
    settings = params.gan.model_copy(update={"latent_dim": 8, "epochs": 3, "batch_size": 32})
    both = (gan_params(settings, 1, device) for device in ("cpu", "cuda"))
    runs = [train_gan(digits[:200], each, threads=1, replicate=0) for each in both]
    for name, losses in runs[0].losses.items():
        assert runs[1].losses[name] == pytest.approx(losses, rel=1e-2)
    for name, _ in Generator(8, seeded()).named_buffers():
        ours, theirs = (run.generator[name] for run in runs)
        torch.testing.assert_close(theirs.cpu(), ours, rtol=0.05, atol=0.01)

"""The trainings of the report that are timed, the work in one step of each, and the images that the GAN needs."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from dlreport.config import load_params
from dlreport.sequence.models import model_class

ROOT = Path(__file__).resolve().parents[1]
PARAMS, MNIST = ROOT / "params.yaml", ROOT / "data/mnist/train.safetensors"
# torch's own form of each kind; a model that has none has none in notebook.py and jax_peers.py either
PEERS = {"VanillaRNN": "nn.RNN", "LSTM": "nn.LSTM", "GAN": "torch GAN"}
OTHERS = ("torch.compile", "JAX")  # that each kind has a peer of, beside torch's own form
CLASSES = 10
LATENT = 100
GENERATOR = (LATENT, 128, 256, 512, 1024, 784)
DISCRIMINATOR = (784, 512, 256, 1)


@dataclass(frozen=True)
class Workload:
    """One training of the report: a sequence model at a palindrome length, or the GAN (length None)."""

    kind: str  # a sequence model's name, or "GAN"
    length: int | None = None
    hidden: int = 128
    batch: int = 128

    @property
    def name(self) -> str:
        return self.kind if self.length is None else f"{self.kind}-{self.length}"

    @property
    def steps(self) -> int:
        """Training steps in the report: 50,000, or 250 epochs of 469 batches."""
        return 250 * 469 if self.kind == "GAN" else 50_000


def peers_of(entry: dict) -> list[float | None]:
    """Of an entry of results.json, ms a step of torch's own form and of OTHERS, None where it was not measured."""
    own = next((ms for name, ms in entry["peers_ms"].items() if name not in OTHERS), None)
    return [own, *map(entry["peers_ms"].get, OTHERS)]


def trained_models() -> list[str]:
    """The sequence models that params.yaml names."""
    return load_params(PARAMS).sequence.models


def all_workloads() -> list[Workload]:
    """The GAN is the last."""
    return [Workload(model, length) for model in trained_models() for length in (5, 10, 15, 20)] + [Workload("GAN")]


def read_mnist() -> dict:
    """The training set: "images" uint8 [60000, 28, 28] and "labels" [60000]; UserError if it is not there yet."""
    from dlreport.errors import UserError
    from dlreport.io import read_tensors

    if not MNIST.is_file():
        raise UserError(f"{MNIST}: missing; run `dvc repro prepare_mnist` first")
    return read_tensors(MNIST)


def images_of(noise: int = 0):
    """MNIST's training images, uint8 [60000, 28, 28], or as many of noise: for a time alone, where MNIST is not."""
    import torch

    return torch.randint(256, (noise, 28, 28), dtype=torch.uint8) if noise else read_mnist()["images"]


def flops(workload: Workload) -> int:
    """Floating-point operations of the matrix products that one training step cannot do without.

    A product [m, k] x [k, n] counts 2 m k n; the elementwise work (tanh, sigmoid, BatchNorm, the optimizer) counts
    nothing. A layer of B rows and w weights takes 2 B w forward, 2 B w for its weight gradient and 2 B w for the
    gradient of its input, each only where somebody needs it.

    Sequence models, T = length - 1 steps read, H x G weights in W_h (G = H for each of the model's recurrent blocks):
      the hidden product at all steps but the first, where h = 0: forward, weight and input gradients;
      the input product [B, 1] x [1, G] at every step: forward and weight gradient, none for the digits;
      the output layer on the last step: all three.
    GAN:
      D's step: G forward on B; D forward and weight gradients on 2B rows, real and fake; input gradients in D for all
      layers but the first, since none goes on to G;
      G's step: G and D forward on B; input gradients through all of D, without D's weight gradients; G's weight
      gradients, and its input gradients for all layers but the first.
    """
    B, H = workload.batch, workload.hidden
    if workload.kind == "GAN":
        g, d = ([inputs * outputs for inputs, outputs in pairwise(widths)] for widths in (GENERATOR, DISCRIMINATOR))
        d_step = sum(g) + 2 * (2 * sum(d) + sum(d[1:]))
        g_step = sum(g) + 2 * sum(d) + sum(g) + sum(g[1:])
        return 2 * B * (d_step + g_step)
    G = H * model_class(workload.kind).blocks()
    steps = workload.length - 1
    return 2 * B * (3 * (steps - 1) * H * G + 2 * steps * G + 3 * H * CLASSES)

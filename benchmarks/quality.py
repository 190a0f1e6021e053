"""The GAN beside a popular one, both judged by the pipeline's classifier after the same number of images.

    python benchmarks/quality.py

The peer is in the style of PyTorch-GAN's gan.py, written anew: batches of 64, BatchNorm with eps 0.8, the generator's
step first and on the same noise as the discriminator's, whose loss is halved, 200 epochs. Its networks are otherwise
the report's. That script draws its samples in training mode, BatchNorm by the batch; so it is judged that way as well
as in eval mode. Ours is the generator that the pipeline kept at the same epoch, or the one nearest to it. Writes
quality.json and quality.png, a few images of each.
"""

import argparse
from copy import deepcopy
from pathlib import Path

import torch
from ours import seeded
from torch import Tensor, nn
from workloads import MNIST, PARAMS, ROOT, read_mnist

from dlreport.config import load_params
from dlreport.errors import run
from dlreport.gan.classifier import Classifier, read
from dlreport.gan.figures import image_grid
from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator
from dlreport.gan.quality import Reference, quick_measures
from dlreport.io import read_tensors, write_figure, write_json
from dlreport.progress import progress

BATCH, EPS = 64, 0.8
SHOWN = 24  # images of each in the picture


def train_peer(images: Tensor, latent_dim: int, epochs: int) -> Generator:
    """Images [N, 784] in [-1, 1] -> the trained generator."""
    generator, discriminator = Generator(latent_dim, seeded(0)), Discriminator(seeded(1))
    for layer in generator.layers:
        if isinstance(layer, nn.BatchNorm1d):
            layer.eps = EPS
    adam = {"lr": 0.0002, "betas": (0.5, 0.999), "fused": True}
    optimizers = [torch.optim.Adam(network.parameters(), **adam) for network in (generator, discriminator)]
    loss = nn.BCEWithLogitsLoss()  # as BCELoss after a sigmoid, without its cancellation
    noise, order = seeded(2), seeded(3)
    for _ in progress(range(epochs), "peer"):
        for batch in torch.randperm(len(images), generator=order).split(BATCH):
            real = images[batch]
            ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
            fake = generator(torch.randn(len(real), latent_dim, generator=noise))
            discriminator.requires_grad_(False)  # else its gradients would be computed here for nothing
            optimizers[0].zero_grad()
            loss(discriminator.logits(fake), ones).backward()
            optimizers[0].step()
            discriminator.requires_grad_(True)
            optimizers[1].zero_grad()
            both = loss(discriminator.logits(real), ones) + loss(discriminator.logits(fake.detach()), zeros)
            (both / 2).backward()
            optimizers[1].step()
    return generator


@torch.no_grad()
def draw(generator: Generator, count: int, latent_dim: int, training: bool) -> Tensor:
    """Images [count, 1, 28, 28] of latents that are the same for all."""
    latents = torch.randn(count, latent_dim, generator=seeded(4))
    generator = deepcopy(generator).train(training)  # a copy: training mode moves the running statistics
    return torch.cat([generator(batch) for batch in latents.split(BATCH)]).view(-1, 1, 28, 28)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=200)
    options = parser.parse_args()
    params = load_params(PARAMS)
    latent_dim = params.gan.latent_dim
    train, test = read_mnist(), read_tensors(MNIST.with_name("test.safetensors"))
    model = Classifier.of_digits(read_tensors(ROOT / "models/classifier.safetensors"))
    real = Reference.build(test, train, model, params.quality.neighbours)
    at = min(params.gan.snapshot_epochs(), key=lambda epoch: abs(epoch - options.epochs))
    ours = Generator(latent_dim, seeded(0))
    ours.load_state_dict(read_tensors(ROOT / f"models/gan/0/snapshots/{at:04d}.safetensors"))
    peer = train_peer(normalise(train["images"]), latent_dim, options.epochs)
    found, pictures = {}, []
    for name, network, epochs, training in (
        ("ours", ours, at, False),
        ("peer", peer, options.epochs, False),
        ("peer, training mode", peer, options.epochs, True),
    ):
        images = draw(network, len(test["images"]), latent_dim, training)
        found[name] = {"epochs": epochs, **quick_measures(read(model, images), real, params.quality)}
        pictures.append(images[:SHOWN])
        print(name, *(f"{key} {value:.4g}" for key, value in found[name].items()))
    write_json(Path(__file__).with_suffix(".json"), found)
    picture = image_grid(torch.cat(pictures), "two rows each: " + "; ".join(found), columns=SHOWN // 2)
    write_figure(Path(__file__).with_suffix(".png"), picture)


if __name__ == "__main__":
    run(main)

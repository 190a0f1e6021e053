"""The GAN in the form of a student's notebook: images one at a time through PIL, losses read by `.item()`."""

from collections.abc import Iterator

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from workloads import LATENT, Workload, read_mnist


class MNIST(Dataset):
    """What torchvision.datasets.MNIST does for an item, on the images that the pipeline has verified."""

    def __init__(self, transform):
        tensors = read_mnist()
        self.data, self.targets, self.transform = tensors["images"], tensors["labels"], transform

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int):
        image = Image.fromarray(self.data[index].numpy())
        return self.transform(image), int(self.targets[index])


def generator_network() -> nn.Sequential:
    layers = [nn.Linear(LATENT, 128), nn.LeakyReLU(0.2)]
    for inputs, outputs in ((128, 256), (256, 512), (512, 1024)):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh())


def discriminator_network(*last: nn.Module) -> nn.Sequential:
    """784-512-256-1; `last` is what follows the logit."""
    hidden = [nn.Linear(784, 512), nn.LeakyReLU(0.2), nn.Linear(512, 256), nn.LeakyReLU(0.2)]
    return nn.Sequential(*hidden, nn.Linear(256, 1), *last)


def gan_steps(workload: Workload) -> Iterator[None]:
    """One batch, so a step of each network, each time it is advanced."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,))])
    loader = DataLoader(MNIST(transform), batch_size=workload.batch, shuffle=True)
    generator, discriminator = generator_network(), discriminator_network(nn.Sigmoid())
    criterion = nn.BCELoss()
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_d = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    losses_d, losses_g = [], []
    while True:
        for images, _ in loader:
            size = images.size(0)
            real = images.view(size, -1)
            ones, zeros = torch.ones(size, 1), torch.zeros(size, 1)

            optimizer_d.zero_grad()
            loss_real = criterion(discriminator(real), ones)
            fake = generator(torch.randn(size, LATENT))
            loss_fake = criterion(discriminator(fake.detach()), zeros)
            loss_d = loss_real + loss_fake
            loss_d.backward()
            optimizer_d.step()

            optimizer_g.zero_grad()
            loss_g = criterion(discriminator(generator(torch.randn(size, LATENT))), ones)
            loss_g.backward()
            optimizer_g.step()
            losses_d.append(loss_d.item())
            losses_g.append(loss_g.item())
            yield

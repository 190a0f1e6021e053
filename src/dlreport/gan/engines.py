"""Training of the GAN by blocks of iterations. There are two engines for it.

`NativeGan` is in C and serves on a CPU with a C compiler. `AutogradGan` serves on other devices, and without a
compiler.

Shapes: K iterations, B batch, P pixels, Z latent dim.
  `train` takes real images [K, B, P]. An iteration updates the discriminator and then the generator, each on latents of
  its own [B, Z], and moves the average of the generator. `train` returns both losses before these updates [K, 2].
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from dlreport import native
from dlreport.config import GanSettings
from dlreport.gan.networks import (
    EPSILON,
    MOMENTUM,
    SLOPE,
    Discriminator,
    Generator,
    discriminator_loss,
    generator_loss,
)
from dlreport.gpu import UNROLL, Steps, send, without_triton
from dlreport.native import gan as native_gan
from dlreport.progress import log

Losses = tuple[Callable[..., Tensor], Callable[..., Tensor]]  # those of the discriminator and of the generator
PARTS = ("generator", "discriminator", "generator_adam", "discriminator_adam", "average")  # all with a state_dict


def is_native(device: torch.device, precision: str) -> bool:
    """Return whether the native engine trains the GAN on this device."""
    return native.serves(native_gan.SOURCE, device.type, precision)


def build_engine(
    generator: Generator, discriminator: Discriminator, settings: GanSettings, noise: torch.Generator, precision: str
) -> "Engine":
    """Return the native engine where it serves, else autograd's. Latents are drawn from `noise`."""
    engine = NativeGan if is_native(next(generator.parameters()).device, precision) else AutogradGan
    return engine(generator, discriminator, settings, noise, precision)


@dataclass(eq=False)
class Engine:
    """Holds what both engines share. Each of them defines its own `set_up` and `train`.

    Each network's parameters are one array, which Adam updates as a whole. Latents are drawn from `noise`. `average` is
    a running average of the generator, BatchNorm's running statistics included. Training does not depend on it.
    """

    generator: Generator
    discriminator: Discriminator
    settings: GanSettings
    noise: torch.Generator
    precision: str

    block = 1  # iterations to give to `train` at once

    def __post_init__(self) -> None:
        self.device = next(self.generator.parameters()).device
        beta_1, beta_2 = self.settings.betas
        adam = partial(self.adam(), lr=self.settings.learning_rate, betas=(beta_1, beta_2), fused=True)
        self.networks = describe(self.generator), describe(self.discriminator)
        for network in self.networks:
            network.parameters.grad = torch.empty_like(network.parameters)
        self.generator_adam, self.discriminator_adam = (adam([network.parameters]) for network in self.networks)
        self.set_up()
        self.make_capturable()
        self.average = deepcopy(self.generator)
        mean, now = describe(self.average), self.networks[0]
        self.averaged = [(mean.parameters, now.parameters), (mean.running, now.running)]
        self.batches = native.flatten(batches_seen(self.average)), batches_seen(self.generator)[0]

    def set_up(self) -> None:
        """Make what this engine needs beyond that. It is called before the average is made."""
        raise NotImplementedError

    def train(self, real: Tensor, done: int) -> Tensor:
        """Run the iterations that follow the first `done`."""
        raise NotImplementedError

    def state_dict(self) -> dict:
        """Return all that training goes on from, except the data. `load_state_dict` takes it, before training."""
        return {name: getattr(self, name).state_dict() for name in PARTS} | {"noise": self.noise.get_state()}

    def load_state_dict(self, state: dict) -> None:
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.make_capturable()
        self.noise.set_state(state["noise"])

    def make_capturable(self) -> None:
        """On CUDA, let both optimisers' steps be recorded in a graph."""
        for adam in (self.generator_adam, self.discriminator_adam):
            adam.param_groups[0]["capturable"] = self.device.type == "cuda"

    def adam(self) -> type[torch.optim.Adam]:
        return torch.optim.Adam

    def latents(self, count: int) -> Tensor:
        return torch.randn(count, self.settings.latent_dim, generator=self.noise)

    def share(self, iteration: int) -> float:
        """Return by which share of the way to the generator the average moves after this iteration (from 1 on)."""
        every, decay = self.settings.average.every, self.settings.average.decay
        if iteration <= every:  # before its first update the average is the generator itself
            return 1.0
        return 0.0 if iteration % every else 1 - decay

    def move_average(self, share: float | Tensor) -> None:
        for mean, value in self.averaged:
            mean.lerp_(value, share)
        mean, value = self.batches
        mean.copy_(mean * (1 - share) + value * share)  # whole numbers, for which there is no lerp_


class NativeGan(Engine):
    """Trains by native/gan.c."""

    def set_up(self) -> None:
        self.norms = [layer for layer in self.generator.layers if isinstance(layer, nn.BatchNorm1d)]
        self.constants = SLOPE, EPSILON, MOMENTUM
        self.threads = torch.get_num_threads()

    def gradients(self, real: Tensor | None, count: int) -> float:
        """Return the discriminator's loss or, without real images, the generator's. Write its gradients to that
        network's parameters.grad."""
        z = self.latents(count)
        generator, discriminator = self.networks
        trained = generator if real is None else discriminator
        gradients = trained.parameters.grad
        assert gradients is not None  # it is made in __post_init__
        return native_gan.gradients(
            real, z, generator, discriminator, self.constants, gradients, self.precision, self.threads
        )

    def step(self, real: Tensor) -> Tensor:
        """Run one iteration: real [B, P] -> losses [2]."""
        d_loss = self.gradients(real, len(real))
        self.discriminator_adam.step()
        g_loss = self.gradients(None, len(real))
        self.generator_adam.step()
        for norm in self.norms:
            norm.get_buffer("num_batches_tracked").add_(2)
        return torch.tensor([d_loss, g_loss])

    def train(self, real: Tensor, done: int) -> Tensor:
        losses = []
        for iteration, batch in enumerate(real, done + 1):
            losses.append(self.step(batch))
            if share := self.share(iteration):
                self.move_average(share)
        return torch.stack(losses)


def batches_seen(network: Generator | Discriminator) -> list[Tensor]:
    """Return how many batches each BatchNorm has seen. It is the same number for all."""
    return [layer.get_buffer("num_batches_tracked") for layer in network.layers if isinstance(layer, nn.BatchNorm1d)]


def describe(network: Generator | Discriminator) -> native_gan.Network:
    """Return the shapes of a network's layers, and its values as flat arrays, of which its own become views."""
    shapes: list[list[int]] = []
    for layer in network.layers:
        if isinstance(layer, nn.Linear):
            shapes.append([layer.in_features, layer.out_features, 0, 0])
        elif isinstance(layer, nn.BatchNorm1d):
            shapes[-1][2] = 1
        else:
            shapes[-1][3] = native_gan.ACTIVATIONS.index(type(layer).__name__)
    norms = [layer for layer in network.layers if isinstance(layer, nn.BatchNorm1d)]
    running = [norm.get_buffer(name) for norm in norms for name in ("running_mean", "running_var")]
    parameters = native.flatten(list(network.parameters()))
    return native_gan.Network([tuple(shape) for shape in shapes], parameters, native.flatten(running))


class AutogradGan(Engine):
    """Trains by autograd on any device. On CUDA iterations run as graphs, and the losses of whole batches are compiled,
    since to launch their many small kernels one by one would cost more time than they compute."""

    def set_up(self) -> None:
        self.cast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        self.losses: Losses = (self.loss_of_discriminator, self.loss_of_generator)
        self.losses_of_whole_batches: Losses = self.losses
        self.steps = Steps(self.step, self.device)
        if self.device.type == "cuda":
            self.block = UNROLL
            self.compile()

    def compile(self) -> None:
        if reason := without_triton():
            log.warning("%s; the GAN trains without torch.compile, more slowly", reason)
            return
        torch.use_deterministic_algorithms(True)  # the compiler heeds this, but not what runtime.prepare asks for
        torch.compiler.reset()  # without this, it compiles a function for eight engines, but no ninth
        of_discriminator, of_generator = (torch.compile(loss, dynamic=False) for loss in self.losses)
        self.losses_of_whole_batches = of_discriminator, of_generator

    def adam(self) -> type[torch.optim.Adam]:
        if self.device.type != "cuda" or without_triton():
            return super().adam()
        from dlreport.gpu.update import Adam  # imported here, as Triton is not installed everywhere

        return Adam

    def loss_of_discriminator(self, real: Tensor, z: Tensor) -> Tensor:
        with self.cast:
            with torch.no_grad():
                fake = self.generator(z).float()
            # Real and fake images go through D as one batch. This is exact, since D has no BatchNorm.
            logits = self.discriminator.logits(torch.cat([real, fake])).float()
        return discriminator_loss(logits[: len(real)], logits[len(real) :])

    def loss_of_generator(self, z: Tensor) -> Tensor:
        with self.cast:
            logits = self.discriminator.logits(self.generator(z)).float()
        return generator_loss(logits)

    def update(self, network: nn.Module, adam: torch.optim.Adam, loss: Tensor) -> Tensor:
        """Update a network by the gradients of its loss, and return the loss."""
        (parameters,) = adam.param_groups[0]["params"]
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        torch.cat([gradient.flatten() for gradient in gradients], out=parameters.grad)
        adam.step()
        return loss.detach()

    def step(self, real: Tensor, z: Tensor, share: Tensor) -> Tensor:
        """Run one iteration: real [B, P], z [2, B, Z], and the `share` for `move_average` -> losses [2]."""
        whole = len(real) == self.settings.batch_size
        of_discriminator, of_generator = self.losses_of_whole_batches if whole else self.losses
        d_loss = self.update(self.discriminator, self.discriminator_adam, of_discriminator(real, z[0]))
        self.discriminator.requires_grad_(False)  # the generator's step needs no gradient of D's weights
        g_loss = self.update(self.generator, self.generator_adam, of_generator(z[1]))
        self.discriminator.requires_grad_(True)
        self.move_average(share)
        return torch.stack([d_loss, g_loss])

    def train(self, real: Tensor, done: int) -> Tensor:
        """Run the iterations that follow the first `done`. On CUDA the call does not wait for them."""
        K, B, _ = real.shape
        z = torch.stack([self.latents(B) for _ in range(2 * K)]).view(K, 2, B, -1)
        shares = torch.tensor([self.share(iteration) for iteration in range(done + 1, done + K + 1)])
        return self.steps(real, send(z, self.device), send(shares, self.device))

"""One training step of the GAN, in the two forms there are.

`NativeGan`, in C, where it can be: on a CPU with a C compiler. `AutogradGan` on other devices, and without a compiler.

Shapes: B batch, P pixels. A step takes real images [B, P], updates the discriminator and then the generator, and
returns their losses before it [2], on the networks' device.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dlreport import native
from dlreport.config import GanSettings
from dlreport.gan.networks import SLOPE, Discriminator, Generator, discriminator_loss, generator_loss
from dlreport.native import gan as native_gan

PARTS = ("generator", "discriminator", "generator_adam", "discriminator_adam")  # of an engine: those with a state_dict


def is_native(device: torch.device, precision: str) -> bool:
    return native.serves(native_gan.SOURCE, device.type, precision)


def build_engine(
    generator: Generator, discriminator: Discriminator, settings: GanSettings, noise: torch.Generator, precision: str
) -> "Engine":
    """The native engine where there is one, else autograd's; `noise` is where latents come from."""
    engine = NativeGan if is_native(next(generator.parameters()).device, precision) else AutogradGan
    return engine(generator, discriminator, settings, noise, precision)


@dataclass(eq=False)
class Engine:
    """What both forms hold. `set_up`, theirs, gives the parameters of the generator and those of the discriminator, as
    Adam updates them; `noise` is where latents come from."""

    generator: Generator
    discriminator: Discriminator
    settings: GanSettings
    noise: torch.Generator
    precision: str

    def __post_init__(self):
        self.device = next(self.generator.parameters()).device
        options = {"lr": self.settings.learning_rate, "betas": tuple(self.settings.betas), "fused": True}
        adams = (torch.optim.Adam(parameters, **options) for parameters in self.set_up())
        self.generator_adam, self.discriminator_adam = adams

    def state_dict(self) -> dict:
        """All that training goes on from, beside the data; `load_state_dict` takes it."""
        return {name: getattr(self, name).state_dict() for name in PARTS} | {"noise": self.noise.get_state()}

    def load_state_dict(self, state: dict) -> None:
        for name in PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.noise.set_state(state["noise"])

    def latents(self, count: int) -> Tensor:
        return torch.randn(count, self.settings.latent_dim, generator=self.noise).to(self.device)


class NativeGan(Engine):
    """By native/gan.c. Each network's parameters are one array, which Adam updates as a whole."""

    def set_up(self) -> list[list[Tensor]]:
        self.networks = describe(self.generator), describe(self.discriminator)
        for network in self.networks:
            network.parameters.grad = torch.empty_like(network.parameters)
        self.norms = [layer for layer in self.generator.layers if isinstance(layer, nn.BatchNorm1d)]
        self.constants = SLOPE, self.norms[0].eps, self.norms[0].momentum
        self.threads = torch.get_num_threads()
        return [[network.parameters] for network in self.networks]

    def gradients(self, real: Tensor | None, count: int) -> float:
        """The discriminator's loss or, without real images, the generator's; its gradients go to parameters.grad."""
        z = self.latents(count)
        generator, discriminator = self.networks
        trained = generator if real is None else discriminator
        options = trained.parameters.grad, self.precision, self.threads
        return native_gan.gradients(real, z, *self.networks, self.constants, *options)

    def step(self, real: Tensor) -> Tensor:
        d_loss = self.gradients(real, len(real))
        self.discriminator_adam.step()
        g_loss = self.gradients(None, len(real))
        self.generator_adam.step()
        for norm in self.norms:
            norm.num_batches_tracked += 2
        return torch.tensor([d_loss, g_loss])


def describe(network: nn.Module) -> native_gan.Network:
    """A network's layers by shape, and its values as flat arrays, which become those of its modules."""
    shapes: list[list[int]] = []
    for layer in network.layers:
        if isinstance(layer, nn.Linear):
            shapes.append([layer.in_features, layer.out_features, 0, 0])
        elif isinstance(layer, nn.BatchNorm1d):
            shapes[-1][2] = 1
        else:
            shapes[-1][3] = native_gan.ACTIVATIONS.index(type(layer).__name__)
    norms = [layer for layer in network.layers if isinstance(layer, nn.BatchNorm1d)]
    running = [buffer for norm in norms for buffer in (norm.running_mean, norm.running_var)]
    parameters = native.flatten(list(network.parameters()))
    return native_gan.Network([tuple(shape) for shape in shapes], parameters, native.flatten(running))


class AutogradGan(Engine):
    """Autograd's on any device. On CUDA the losses are compiled to CUDA graphs: launching their many small kernels one
    by one would cost more than they compute."""

    def set_up(self) -> list[list[Tensor]]:
        self.cast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16")
        self.losses = self.loss_of_discriminator, self.loss_of_generator
        if self.device.type == "cuda":
            options = {"mode": "reduce-overhead", "dynamic": False}
            self.losses = tuple(torch.compile(loss, **options) for loss in self.losses)
        return [list(network.parameters()) for network in (self.generator, self.discriminator)]

    def loss_of_discriminator(self, real: Tensor, z: Tensor) -> Tensor:
        with self.cast:
            with torch.no_grad():
                fake = self.generator(z).float()
            # One batch through D for both: exact, since D has no BatchNorm.
            logits = self.discriminator.logits(torch.cat([real, fake])).float()
        return discriminator_loss(logits[: len(real)], logits[len(real) :])

    def loss_of_generator(self, z: Tensor) -> Tensor:
        with self.cast:
            logits = self.discriminator.logits(self.generator(z)).float()
        return generator_loss(logits)

    def step(self, real: Tensor) -> Tensor:
        of_discriminator, of_generator = self.losses
        d_loss = of_discriminator(real, self.latents(len(real)))
        self.discriminator_adam.zero_grad()
        d_loss.backward()
        self.discriminator_adam.step()
        d_loss = d_loss.detach().clone()  # a CUDA graph writes over its output when it runs again

        self.discriminator.requires_grad_(False)  # the generator's step needs no gradient of D's weights
        g_loss = of_generator(self.latents(len(real)))
        self.generator_adam.zero_grad()
        g_loss.backward()
        self.generator_adam.step()
        self.discriminator.requires_grad_(True)
        return torch.stack([d_loss, g_loss.detach()])

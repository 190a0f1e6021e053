"""The GAN in JAX: both steps and both Adams in one compiled program, and a compiled loop over the steps of a block."""

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array, lax, random
from workloads import DISCRIMINATOR, GENERATOR, LATENT, Workload, images_of

KEPT = 1024  # losses stay on the device, in a ring of this many rows [KEPT, 2]
Tree = dict[str, Array]


def record(kept: Array, i: Array, values: tuple[Array, Array]) -> Array:
    return kept.at[i % KEPT].set(jnp.stack(values))


def _layers(key: Array, widths: tuple[int, ...]) -> list[Tree]:
    """Linear layers, initialised as PyTorch does by default."""
    layers = []
    for inputs, outputs in pairwise(widths):
        key, *draws = random.split(key, 3)
        uniform = partial(random.uniform, minval=-(inputs**-0.5), maxval=inputs**-0.5)
        layers.append({"W": uniform(draws[0], (inputs, outputs)), "b": uniform(draws[1], (outputs,))})
    return layers


def _leaky(x: Array) -> Array:
    return jnp.where(x > 0, x, 0.2 * x)


def _discriminate(layers: list[Tree], x: Array) -> Array:
    """Images [B, 784] -> logits [B]."""
    for layer in layers[:-1]:
        x = _leaky(x @ layer["W"] + layer["b"])
    return (x @ layers[-1]["W"] + layers[-1]["b"])[:, 0]


def _generate(layers: list[Tree], running: list[Array], z: Array) -> tuple[Array, list[Array]]:
    """z [B, Z] -> images [B, 784] and BatchNorm's new running mean and variance, [2, width] for each hidden layer."""
    updated = []
    x = _leaky(z @ layers[0]["W"] + layers[0]["b"])
    for layer, old in zip(layers[1:-1], running, strict=True):
        x = x @ layer["W"] + layer["b"]
        mean, variance = x.mean(0), x.var(0)
        unbiased = variance * len(x) / (len(x) - 1)
        updated.append(0.9 * old + 0.1 * lax.stop_gradient(jnp.stack([mean, unbiased])))
        x = _leaky((x - mean) * (lax.rsqrt(variance + 1e-5) * layer["scale"]) + layer["shift"])
    return jnp.tanh(x @ layers[-1]["W"] + layers[-1]["b"]), updated


def build_gan(workload: Workload, noise: int = 0) -> Callable[[int], None]:
    """Whole batches only: the 96 images at the end of an epoch, which would be a second program, are left out."""
    images = jnp.asarray(images_of(noise).numpy().reshape(-1, 784).astype(np.float32) / 127.5 - 1)
    hidden = GENERATOR[2:-1]
    generator, discriminator = _layers(random.key(0), GENERATOR), _layers(random.key(1), DISCRIMINATOR)
    for layer, width in zip(generator[1:-1], hidden, strict=True):
        layer |= {"scale": jnp.ones(width), "shift": jnp.zeros(width)}
    adam = optax.adam(2e-4, b1=0.5, b2=0.999)

    def d_loss(discriminator: list[Tree], both: Array) -> Array:
        real, fake = jnp.split(_discriminate(discriminator, both), 2)
        return jax.nn.softplus(-real).mean() + jax.nn.softplus(fake).mean()

    def g_loss(generator: list[Tree], running: list[Array], discriminator: list[Tree], z: Array) -> tuple:
        fake, running = _generate(generator, running, z)
        return jax.nn.softplus(-_discriminate(discriminator, fake)).mean(), running

    def step(i: Array, state: tuple, order: Array, images: Array) -> tuple:
        g, d, g_slots, d_slots, running, key, kept = state
        key, first, second = random.split(key, 3)
        fake, running = _generate(g, running, random.normal(first, (workload.batch, LATENT)))
        loss_d, gradients = jax.value_and_grad(d_loss)(d, jnp.concatenate([images[order[i % len(order)]], fake]))
        updates, d_slots = adam.update(gradients, d_slots)
        d = optax.apply_updates(d, updates)
        z = random.normal(second, (workload.batch, LATENT))
        (loss_g, running), gradients = jax.value_and_grad(g_loss, has_aux=True)(g, running, d, z)
        updates, g_slots = adam.update(gradients, g_slots)
        return optax.apply_updates(g, updates), d, g_slots, d_slots, running, key, record(kept, i, (loss_d, loss_g))

    @partial(jax.jit, donate_argnums=1)
    def block(count: Array, state: tuple, order: Array, images: Array) -> tuple:
        return lax.fori_loop(0, count, lambda i, state: step(i, state, order, images), state)

    running = [jnp.stack([jnp.zeros(width), jnp.ones(width)]) for width in hidden]
    kept = jnp.zeros((KEPT, 2))
    state = (generator, discriminator, adam.init(generator), adam.init(discriminator), running, random.key(2), kept)
    shuffle = np.random.default_rng(0)

    def run(count: int) -> None:
        nonlocal state
        whole = len(images) // workload.batch * workload.batch
        order = shuffle.permutation(len(images))[:whole].reshape(-1, workload.batch)
        state = jax.block_until_ready(block(count, state, order, images))

    return run

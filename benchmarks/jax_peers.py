"""The same training in JAX: one compiled step, data drawn inside it, and a compiled loop over the steps of a block."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax, random
from jax_gan import KEPT, build_gan, record
from workloads import CLASSES, Workload

Tree = dict[str, Array]
State = tuple[Array, ...]


class VanillaRNN:
    """A model, by its name: how many parts its state has and its products blocks, and a step from h W_h + x W_x + b."""

    states, blocks = 1, 1

    @staticmethod
    def step(state: State, z: Array) -> State:
        return (jnp.tanh(z),)


class LSTM:
    states, blocks = 2, 4

    @staticmethod
    def step(state: State, z: Array) -> State:
        _, c = state
        H = c.shape[1]
        i, f, o = jnp.split(jax.nn.sigmoid(z[:, : 3 * H]), 3, axis=1)
        c = jnp.tanh(z[:, 3 * H :]) * i + c * f
        return jnp.tanh(c) * o, c


def _palindromes(key: Array, workload: Workload) -> tuple[Array, Array]:
    """A batch: digits but the last [B, L-1] and the last [B]."""
    half = random.randint(key, (workload.batch, (workload.length + 1) // 2), 0, CLASSES)
    digits = jnp.concatenate([half, half[:, : workload.length // 2][:, ::-1]], axis=1)
    return digits[:, :-1].astype(jnp.float32), digits[:, -1]


def _logits(weights: Tree, x: Array, workload: Workload) -> Array:
    """x [B, T] -> logits [B, O]: the input's share for all steps at once, then a scan over time."""
    model = globals()[workload.kind]
    inputs = x.T[:, :, None] * weights["W_x"] + weights["b"]  # [T, B, G]
    start = (jnp.zeros((workload.batch, workload.hidden)),) * model.states

    def step(state: State, z: Array) -> tuple[State, None]:
        return model.step(state, z + state[0] @ weights["W_h"]), None

    (h, *_), _ = lax.scan(step, start, inputs)
    return h @ weights["W_p"] + weights["b_p"]


def build_sequence(workload: Workload) -> Callable[[int], None]:
    H, G = workload.hidden, workload.hidden * globals()[workload.kind].blocks
    shapes = {"W_x": (1, G), "W_h": (H, G), "b": (G,), "W_p": (H, CLASSES), "b_p": (CLASSES,)}
    keys = random.split(random.key(0), len(shapes))
    weights = {name: random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)}
    optimizer = optax.rmsprop(0.001, decay=0.99, eps=1e-8, eps_in_sqrt=False)  # PyTorch's defaults

    def loss(weights: Tree, x: Array, target: Array) -> tuple[Array, Array]:
        logits = _logits(weights, x, workload)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, target).mean()
        return cross_entropy, (logits.argmax(1) == target).mean()

    def step(i: Array, state: tuple) -> tuple:
        weights, slots, key, kept = state
        key, draw = random.split(key)
        values, gradients = jax.value_and_grad(loss, has_aux=True)(weights, *_palindromes(draw, workload))
        updates, slots = optimizer.update(gradients, slots)
        return optax.apply_updates(weights, updates), slots, key, record(kept, i, values)

    block = jax.jit(lambda count, state: lax.fori_loop(0, count, step, state), donate_argnums=1)
    state = (weights, optimizer.init(weights), random.key(1), jnp.zeros((KEPT, 2)))

    def run(count: int) -> None:
        nonlocal state
        state = jax.block_until_ready(block(count, state))

    return run


def build(workload: Workload, noise: int = 0) -> Callable[[int], None]:
    """A function that runs the next n training steps and returns when they are computed; `noise` is for images_of."""
    return build_gan(workload, noise) if workload.kind == "GAN" else build_sequence(workload)

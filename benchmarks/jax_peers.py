"""The same training in JAX: one compiled step, data drawn inside it, and a compiled loop over the steps of a block."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from cells import CLASSES, Cell
from jax import Array, lax, random
from jax_gan import KEPT, build_gan, record

Tree = dict[str, Array]


def _palindromes(key: Array, cell: Cell) -> tuple[Array, Array]:
    """A batch: digits but the last [B, L-1] and the last [B]."""
    half = random.randint(key, (cell.batch, (cell.length + 1) // 2), 0, CLASSES)
    digits = jnp.concatenate([half, half[:, : cell.length // 2][:, ::-1]], axis=1)
    return digits[:, :-1].astype(jnp.float32), digits[:, -1]


def _logits(weights: Tree, x: Array, cell: Cell) -> Array:
    """x [B, T] -> logits [B, O]: the input's share for all steps at once, then a scan over time."""
    H = cell.hidden
    inputs = x.T[:, :, None] * weights["W_x"] + weights["b"]  # [T, B, G]
    zero = jnp.zeros((cell.batch, H))

    def rnn(h: Array, z: Array) -> tuple[Array, None]:
        return jnp.tanh(z + h @ weights["W_h"]), None

    def lstm(state: tuple[Array, Array], z: Array) -> tuple[tuple[Array, Array], None]:
        h, c = state
        z = z + h @ weights["W_h"]
        i, f, o = jnp.split(jax.nn.sigmoid(z[:, : 3 * H]), 3, axis=1)
        c = jnp.tanh(z[:, 3 * H :]) * i + c * f
        return (jnp.tanh(c) * o, c), None

    h = lax.scan(lstm, (zero, zero), inputs)[0][0] if cell.kind == "LSTM" else lax.scan(rnn, zero, inputs)[0]
    return h @ weights["W_p"] + weights["b_p"]


def build_sequence(cell: Cell) -> Callable[[int], None]:
    H, G = cell.hidden, cell.hidden * (4 if cell.kind == "LSTM" else 1)
    shapes = {"W_x": (1, G), "W_h": (H, G), "b": (G,), "W_p": (H, CLASSES), "b_p": (CLASSES,)}
    keys = random.split(random.key(0), len(shapes))
    weights = {name: random.normal(key, shape) for key, (name, shape) in zip(keys, shapes.items(), strict=True)}
    optimizer = optax.rmsprop(0.001, decay=0.99, eps=1e-8, eps_in_sqrt=False)  # PyTorch's defaults

    def loss(weights: Tree, x: Array, target: Array) -> tuple[Array, Array]:
        logits = _logits(weights, x, cell)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits, target).mean()
        return cross_entropy, (logits.argmax(1) == target).mean()

    def step(i: Array, state: tuple) -> tuple:
        weights, slots, key, kept = state
        key, draw = random.split(key)
        values, gradients = jax.value_and_grad(loss, has_aux=True)(weights, *_palindromes(draw, cell))
        updates, slots = optimizer.update(gradients, slots)
        return optax.apply_updates(weights, updates), slots, key, record(kept, i, values)

    block = jax.jit(lambda count, state: lax.fori_loop(0, count, step, state), donate_argnums=1)
    state = (weights, optimizer.init(weights), random.key(1), jnp.zeros((KEPT, 2)))

    def run(count: int) -> None:
        nonlocal state
        state = jax.block_until_ready(block(count, state))

    return run


def build(cell: Cell) -> Callable[[int], None]:
    """A function that runs the next n training steps and returns when they are computed."""
    return build_gan(cell) if cell.kind == "GAN" else build_sequence(cell)

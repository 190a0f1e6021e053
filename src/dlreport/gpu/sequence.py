"""Training steps of a sequence model by Triton: all replicates at once, on a CUDA device.

One kernel takes 16 sequences of one replicate through the forward pass, the loss, and the backward pass through time.
Products over the whole batch then give the weights' gradients, and another kernel makes the update.

Shapes: R replicates, T time steps, B batch, H hidden dim, K recurrent blocks, G = KH, O classes; one input a time step.
  x [R, T, B]   target [R, B]   inner weights [R, C, G]: W_h, below it W_x, below that b, and zeros up to C rows
  outer weights [R, C, O]: W_ph, zeros in place of W_x, and b_p   before [R, T, B, C] = [h_{t-1}, x_t, 1, 0 ...]
  last [R, B, C] = [h_T, 0, 1, 0 ...]   d_z [R, T, B, G]   d_logits [R, B, O]   measures [2, R, B]: loss, right or not
So inner's gradient is before^T d_z, and outer's is last^T d_logits. In a kernel a tile has ROWS sequences and S
columns, the power of two from H on; what is beyond H is zero.
"""

from math import gcd, inf

import torch
import triton
import triton.language as tl
from torch import Tensor

ROWS = 16  # the fewest that a product on the matrix units takes; as fast as 32 (measured on an H100)
WARPS = 8  # the fastest of 4, 8 and 16
PARTS = 4  # of the batch, whose products run side by side: one alone would leave most multiprocessors idle
BLOCK = 1024  # weights that one program of the update takes


@triton.jit
def tanh(x):
    e = tl.exp(-2 * tl.abs(x))
    y = (1 - e) / (1 + e)
    return tl.where(x < 0, -y, y)


@triton.jit
def sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def product(a, b, BF16: tl.constexpr):
    """a b with factors rounded to bfloat16, which one product in TF32 then takes as they are, or by three products in
    TF32, together as exact as one in float32. Sums are in float32."""
    if BF16:
        a, b = a.to(tl.bfloat16).to(tl.float32), b.to(tl.bfloat16).to(tl.float32)
        c = tl.dot(a, b, input_precision="tf32")
    else:
        c = tl.dot(a, b, input_precision="tf32x3")
    return c


@triton.jit
def argument(h, x_t, inner, H, G, S: tl.constexpr, BF16: tl.constexpr):
    """Of one recurrent block: h_{t-1} W_h + x_t W_x + b [ROWS, S]; `inner` points to the block's first column."""
    i, j = tl.arange(0, S), tl.arange(0, S)
    W_h = tl.load(inner + i[:, None] * G + j[None, :], mask=(i < H)[:, None] & (j < H)[None, :], other=0.0)
    W_x = tl.load(inner + H * G + j, mask=j < H, other=0.0)
    b = tl.load(inner + (H + 1) * G + j, mask=j < H, other=0.0)
    return product(h, W_h, BF16) + (x_t[:, None] * W_x[None, :] + b[None, :])


@triton.jit
def back(d, inner, H, G, S: tl.constexpr, BF16: tl.constexpr):
    """Of one recurrent block: d W_h^T [ROWS, S], by which dloss/d(its argument) reaches h_{t-1}."""
    i, j = tl.arange(0, S), tl.arange(0, S)
    W_h = tl.load(inner + i[None, :] * G + j[:, None], mask=(i < H)[None, :] & (j < H)[:, None], other=0.0)
    return product(d, W_h, BF16)


@triton.jit
def head(h, row, outer, target, d_logits, measures, R, B, H, O, S: tl.constexpr, OUT: tl.constexpr):
    """logits = h_T W_ph + b_p, their loss and what is right -> dloss/dh_T [ROWS, S] of the mean over the batch."""
    j, o = tl.arange(0, S), tl.arange(0, OUT)
    inside = row < B
    W_p = tl.load(outer + j[:, None] * O + o[None, :], mask=(j < H)[:, None] & (o < O)[None, :], other=0.0)
    b_p = tl.load(outer + (H + 1) * O + o, mask=o < O, other=-1e30)
    logits = product(h, W_p, False) + b_p[None, :]
    top = tl.max(logits, 1)
    e = tl.exp(logits - top[:, None])
    total = tl.sum(e, 1)
    y = tl.load(target + row, mask=inside, other=0)
    hit = (o[None, :] == y[:, None]).to(tl.float32)
    tl.store(measures + row, tl.log(total) + top - tl.sum(hit * logits, 1), mask=inside)
    tl.store(measures + R * B + row, (tl.argmax(logits, 1) == y).to(tl.float32), mask=inside)
    d = tl.where(inside[:, None], (e / total[:, None] - hit) / B, 0.0)
    tl.store(d_logits + row[:, None] * O + o[None, :], d, mask=inside[:, None] & (o < O)[None, :])
    return product(d, tl.trans(W_p), False)


@triton.jit
def vanilla_rnn(
    x, target, inner, outer, before, last, d_z, d_logits, measures, cells, R, T, B, H, G, O, C,
    S: tl.constexpr, OUT: tl.constexpr, ROWS: tl.constexpr, BF16: tl.constexpr,
):  # fmt: skip
    """h_t = tanh(h_{t-1} W_h + x_t W_x + b), and back through it."""
    r, row, j = tl.program_id(0).to(tl.int64), tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, S)
    inside = row < B
    tile = inside[:, None] & (j < H)[None, :]
    x, target, measures = x + r * T * B, target + r * B, measures + r * B
    inner, outer, d_logits = inner + r * C * G, outer + r * C * O, d_logits + r * B * O
    state = (r * T * B + row)[:, None] * C + j[None, :]  # a state's place in `before` at the first time step
    gate = (r * T * B + row)[:, None] * G + j[None, :]
    h = tl.zeros((ROWS, S), tl.float32)
    for t in range(T):
        x_t = tl.load(x + t * B + row, mask=inside, other=0.0)
        tl.store(before + t * B * C + state, h, mask=tile)
        tl.store(before + (r * T * B + t * B + row) * C + H, x_t, mask=inside)
        h = tanh(argument(h, x_t, inner, H, G, S, BF16))
    tl.store(last + (r * B + row)[:, None] * C + j[None, :], h, mask=tile)
    tl.debug_barrier()  # what the forward pass has stored is read by other threads on the way back
    dh = head(h, row, outer, target, d_logits, measures, R, B, H, O, S, OUT)
    for step in range(T):
        t = T - 1 - step
        d = dh * (1 - h * h)
        tl.store(d_z + t * B * G + gate, d, mask=tile)
        dh = back(d, inner, H, G, S, BF16)
        h = tl.load(before + t * B * C + state, mask=tile, other=0.0)


@triton.jit
def lstm(
    x, target, inner, outer, before, last, d_z, d_logits, measures, cells, R, T, B, H, G, O, C,
    S: tl.constexpr, OUT: tl.constexpr, ROWS: tl.constexpr, BF16: tl.constexpr,
):  # fmt: skip
    """i, f, o = sigmoid, g = tanh of their arguments;  c_t = g i + c_{t-1} f,  h_t = tanh(c_t) o;  and back through it.

    d_z holds the gates until their gradients take their place; `cells` [R, T, B, H] holds c_t.
    """
    r, row, j = tl.program_id(0).to(tl.int64), tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, S)
    inside = row < B
    tile = inside[:, None] & (j < H)[None, :]
    x, target, measures = x + r * T * B, target + r * B, measures + r * B
    inner, outer, d_logits = inner + r * C * G, outer + r * C * O, d_logits + r * B * O
    state = (r * T * B + row)[:, None] * C + j[None, :]
    gate = (r * T * B + row)[:, None] * G + j[None, :]
    cell = (r * T * B + row)[:, None] * H + j[None, :]
    h = tl.zeros((ROWS, S), tl.float32)
    c = tl.zeros((ROWS, S), tl.float32)
    for t in range(T):
        x_t = tl.load(x + t * B + row, mask=inside, other=0.0)
        tl.store(before + t * B * C + state, h, mask=tile)
        tl.store(before + (r * T * B + t * B + row) * C + H, x_t, mask=inside)
        z = d_z + t * B * G + gate
        i = sigmoid(argument(h, x_t, inner, H, G, S, BF16))
        tl.store(z, i, mask=tile)
        g = tanh(argument(h, x_t, inner + 3 * H, H, G, S, BF16))
        tl.store(z + 3 * H, g, mask=tile)
        f = sigmoid(argument(h, x_t, inner + H, H, G, S, BF16))
        tl.store(z + H, f, mask=tile)
        c = g * i + c * f
        o = sigmoid(argument(h, x_t, inner + 2 * H, H, G, S, BF16))
        tl.store(z + 2 * H, o, mask=tile)
        h = tanh(c) * o
        tl.store(cells + t * B * H + cell, c, mask=tile)
    tl.store(last + (r * B + row)[:, None] * C + j[None, :], h, mask=tile)
    tl.debug_barrier()  # what the forward pass has stored is read by other threads on the way back
    dh = head(h, row, outer, target, d_logits, measures, R, B, H, O, S, OUT)
    dc = tl.zeros((ROWS, S), tl.float32)
    for step in range(T):
        t = T - 1 - step
        z = d_z + t * B * G + gate
        o = tl.load(z + 2 * H, mask=tile, other=0.0)
        tanh_c = tanh(c)
        d_o = dh * tanh_c * o * (1 - o)
        dc += dh * o * (1 - tanh_c * tanh_c)
        tl.store(z + 2 * H, d_o, mask=tile)
        dh = back(d_o, inner + 2 * H, H, G, S, BF16)
        i = tl.load(z, mask=tile, other=0.0)
        g = tl.load(z + 3 * H, mask=tile, other=0.0)
        d_i = dc * g * i * (1 - i)
        tl.store(z, d_i, mask=tile)
        dh += back(d_i, inner, H, G, S, BF16)
        d_g = dc * i * (1 - g * g)
        tl.store(z + 3 * H, d_g, mask=tile)
        dh += back(d_g, inner + 3 * H, H, G, S, BF16)
        f = tl.load(z + H, mask=tile, other=0.0)
        c = tl.load(cells + (t - 1) * B * H + cell, mask=tile & (t > 0), other=0.0)  # c_{t-1}
        d_f = dc * c * f * (1 - f)
        tl.store(z + H, d_f, mask=tile)
        dh += back(d_f, inner + H, H, G, S, BF16)
        dc = dc * f


@triton.jit
def update(
    weights, squares, means, gradients, factors, corrections, count, rate, beta, alpha, epsilon,
    ADAM: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """RMSprop or Adam on the `count` weights of a replicate; its gradients are first multiplied by its factor."""
    r, k = tl.program_id(0), tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside, at = k < count, r * count + k
    gradient = tl.load(gradients + at, mask=inside, other=0.0) * tl.load(factors + r)
    square = tl.load(squares + at, mask=inside, other=0.0) * alpha + (1 - alpha) * gradient * gradient
    tl.store(squares + at, square, mask=inside)
    if ADAM:
        mean = tl.load(means + at, mask=inside, other=0.0) * beta + (1 - beta) * gradient
        tl.store(means + at, mean, mask=inside)
        gradient = mean / tl.load(corrections)
        square = square / tl.load(corrections + 1)
    weight = tl.load(weights + at, mask=inside, other=0.0)
    tl.store(weights + at, weight - rate * gradient / (tl.sqrt_rn(square) + epsilon), mask=inside)


CELLS = {"vanilla_rnn": vanilla_rnn, "lstm": lstm}


class Layer:
    """Weights [R, C, width] of all replicates and what their update needs; `state` is what training goes on from."""

    def __init__(self, R: int, C: int, width: int, with_means: bool, device: torch.device):
        self.weights, self.squares, self.gradients, self.means = (
            torch.zeros(R, C, width, device=device) for _ in range(4)
        )
        self.state = [self.weights, self.squares, self.means][: 3 if with_means else 2]

    def update(self, factors: Tensor, corrections: Tensor, optimizer: tuple[float, float, float, float]) -> None:
        count, adam = self.weights[0].numel(), len(self.state) == 3
        tensors = self.weights, self.squares, self.means, self.gradients, factors, corrections
        update[len(self.weights), triton.cdiv(count, BLOCK)](*tensors, count, *optimizer, adam, BLOCK)


class Network:
    """R replicates of a sequence model in training.

    `optimizer` is learning rate, decay of the means (0 without them: RMSprop), of the squares, epsilon; `max_norm` is
    infinite for no clipping.
    """

    def __init__(
        self, cell: str, R: int, H: int, K: int, O: int,
        optimizer: tuple[float, float, float, float], max_norm: float, precision: str, device: torch.device,
    ):  # fmt: skip
        self.kernel, self.R, self.H, self.G, self.O, self.device = CELLS[cell], R, H, K * H, O, device
        self.C = triton.cdiv(H + 2, 8) * 8  # rows that begin at multiples of 32 bytes
        self.optimizer, self.max_norm, self.bf16 = optimizer, max_norm, precision == "bf16"
        self.adam = optimizer[1] > 0
        self.inner, self.outer = (Layer(R, self.C, width, self.adam, device) for width in (self.G, O))
        self.corrections = torch.zeros(2, device=device)  # Adam's, of means and squares: 1 - decay^steps
        self.gains, self.one = 1 - torch.tensor(optimizer[1:3], device=device), torch.ones(2, device=device)
        self.factors = torch.ones(R, device=device)
        self.state = [*self.inner.state, *self.outer.state, *([self.corrections] if self.adam else [])]
        self.buffers: dict[tuple[int, int], tuple[Tensor, ...]] = {}  # by T and B

    def parameters(self, replicate: int, gradients: bool = False) -> dict[str, Tensor]:
        """Views of a replicate's weights, or of their gradients, by their names in the model."""
        layers, H = (self.inner, self.outer), self.H
        inner, outer = ((layer.gradients if gradients else layer.weights)[replicate] for layer in layers)
        return {"W_h": inner[:H], "W_x": inner[H : H + 1], "b": inner[H + 1], "W_ph": outer[:H], "b_p": outer[H + 1]}

    def buffers_for(self, T: int, B: int) -> tuple[Tensor, ...]:
        """before, last, d_z, d_logits, measures, and the LSTM's cells."""
        if (T, B) not in self.buffers:
            R, H, G, O, C = self.R, self.H, self.G, self.O, self.C
            shapes = [(R, T, B, C), (R, B, C), (R, T, B, G), (R, B, O), (2, R, B), (R, T, B, H)]
            before, last, *rest = (torch.zeros(shape, device=self.device) for shape in shapes)
            before[..., H + 1] = last[..., H + 1] = 1
            self.buffers[T, B] = before, last, *rest
        return self.buffers[T, B]

    def backpropagate(self, x: Tensor, target: Tensor) -> Tensor:
        """x [R, T, B], target [R, B] -> loss and accuracy [2, R]; leaves the gradients in `inner` and `outer`."""
        R, T, B = x.shape
        before, last, d_z, d_logits, measures, cells = self.buffers_for(T, B)
        sizes = R, T, B, self.H, self.G, self.O, self.C
        widths = [max(16, triton.next_power_of_2(size)) for size in (self.H, self.O)]
        self.kernel[R, triton.cdiv(B, ROWS)](
            *(x, target, self.inner.weights, self.outer.weights, before, last, d_z, d_logits, measures, cells),
            *(*sizes, *widths, ROWS, self.bf16),
            num_warps=WARPS,
            num_stages=1,  # more would overflow the shared memory
        )
        parts = gcd(T * B, PARTS)
        left, right = (each.view(R * parts, T * B // parts, -1) for each in (before, d_z))
        if self.bf16:
            left, right = left.bfloat16(), right.bfloat16()
        if self.device.type == "cuda":
            products = torch.bmm(left.mT, right, out_dtype=torch.float32)
        else:
            products = torch.bmm(left.float().mT, right.float())
        torch.sum(products.view(R, parts, self.C, self.G), 1, out=self.inner.gradients)
        torch.bmm(last.mT, d_logits, out=self.outer.gradients)
        return measures.mean(2)

    def step(self, x: Tensor, target: Tensor) -> Tensor:
        """The same, and the update of the weights."""
        results = self.backpropagate(x, target)
        layers = self.inner, self.outer
        if self.max_norm < inf:
            squares = sum(layer.gradients.square().sum((1, 2)) for layer in layers)
            torch.clamp(self.max_norm / (squares.sqrt() + 1e-6), max=1, out=self.factors)
        if self.adam:
            self.corrections.lerp_(self.one, self.gains)
        for layer in layers:
            layer.update(self.factors, self.corrections, self.optimizer)
        return results

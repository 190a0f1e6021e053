"""Training steps of a sequence model in Triton, for all replicates at once, on a CUDA device.

One kernel takes 16 sequences of one replicate through the forward pass, the loss, and the backward pass through time.
Products over the whole batch then give the weights' gradients, and another kernel updates the weights.

Shapes: R replicates, T time steps, B batch, H hidden dim, K recurrent blocks, G = KH, O classes; one input a time step.
  x [R, T, B]   target [R, B]   inner weights [R, C, G]: W_h, below it W_x, below that b, and zeros up to C rows
  outer weights [R, C, O]: W_ph, zeros in place of W_x, and b_p   before [R, T, B, C] = [h_{t-1}, x_t, 1, 0 ...]
  last [R, B, C] = [h_T, 0, 1, 0 ...]   d_z [R, T, B, G]   d_logits [R, B, O]
  measures [2, R, B]: each sequence's loss, and 1 if its answer is right, else 0
  halves [2, R, C, G]: the inner weights in the two parts that `product` takes
d_z is dloss/dz, where z are the arguments of the tanh and the gates. So inner's gradient is before^T d_z, and outer's
is last^T d_logits.

In a kernel a tile has ROWS sequences and S columns. S is the lowest power of two from H on, and at least 16. The
columns beyond H are zero. Some tiles, such as an LSTM's weights, do not fit into the registers with the others. They
come in chunks of DEEP rows, and the next chunk is loaded while one is multiplied.
"""

from math import gcd, inf

import torch
import triton
import triton.language as tl
from torch import Tensor

from dlreport.gpu.update import BLOCK, update

ROWS = 16  # sequences of a tile: the fewest that the matrix units take; as fast as 32 (measured on an H100)
WARPS = 8  # of a program: the fastest of 4, 8 and 16
DEEP = tl.constexpr(32)  # rows of a chunk; as fast as 64
STAGES = tl.constexpr(2)  # chunks, of the weights of all gates, in shared memory at once; more do not fit
BACK_STAGES = tl.constexpr(3)  # the same in the backward pass
FINER = tl.constexpr(2048.0)  # 2^11: rounding to float16 changes a number by less than 2^-11 of it
# The inner gradient is the sum of up to this many products, each over a part of the T B rows. They run side by side, as
# one alone would leave most multiprocessors idle.
PARTS = 4


@triton.jit
def tanh(x):
    e = tl.exp(-2 * tl.abs(x))
    y = (1 - e) / (1 + e)
    return tl.where(x < 0, -y, y)


@triton.jit
def sigmoid(x):
    return 1 / (1 + tl.exp(-x))


@triton.jit
def split(weights, halves, count, BF16: tl.constexpr, BLOCK: tl.constexpr):
    """Write the weights as `product` takes them: rounded to 16 bits and, for fp32, FINER times what the
    rounding left out."""
    k = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    w = tl.load(weights + k, mask=k < count, other=0.0)
    high = w.to(halves.dtype.element_ty)
    tl.store(halves + k, high, mask=k < count)
    if not BF16:
        tl.store(halves + count + k, ((w - high.to(tl.float32)) * FINER).to(tl.float16), mask=k < count)


@triton.jit
def product(a, high, low, total, rest, BF16: tl.constexpr):
    """Add the product a W to total + rest / FINER, summed in float32, and return total and rest.

    With bf16 it is one product of rounded factors. Without, three products in float16 give 22 of float32's 24 bits:
    a = a_high + a_low / FINER, W likewise, and a_low times W's low part is too little to count. float16 reaches from
    6e-8 to 65504. So the largest absolute value in a row of a must be near 1, or all must be below 1, as in a hidden
    state."""
    if BF16:
        a = a.to(tl.bfloat16).to(tl.float32)
        total = tl.dot(a, high.to(tl.float32), total, input_precision="tf32")  # TF32 holds bfloat16 exactly
    else:
        a_high = a.to(tl.float16)
        a_low = ((a - a_high.to(tl.float32)) * FINER).to(tl.float16)
        total = tl.dot(a_high, high, total)
        rest = tl.dot(a_high, low, rest)
        rest = tl.dot(a_low, high, rest)
    return total, rest


@triton.jit
def chunk(a, W, rest_of, there, total, rest, BF16: tl.constexpr):
    """Add `product` with the chunk of weights that W points to, where `there` is true, and zeros elsewhere. `rest_of`
    is the offset from W's rounded weights to what their rounding left out."""
    high = tl.load(W, mask=there, other=0.0)
    low = high if BF16 else tl.load(W + rest_of, mask=there, other=0.0)
    return product(a, high, low, total, rest, BF16)


@triton.jit
def inputs(x_t, inner, H, G, S: tl.constexpr):
    """Return x_t W_x + b [ROWS, S] of one recurrent block. `inner` points to the block's first column."""
    j = tl.arange(0, S)
    W_x = tl.load(inner + H * G + j, mask=j < H, other=0.0)
    b = tl.load(inner + (H + 1) * G + j, mask=j < H, other=0.0)
    return x_t[:, None] * W_x[None, :] + b[None, :]


@triton.jit
def scaled(largest):
    """Return the number by which to divide each row so that its largest absolute value is 1 [ROWS, 1]. It is 1 for a
    row of zeros."""
    return tl.where(largest > 0, largest, 1.0)[:, None]


@triton.jit
def head(h, row, outer, target, d_logits, measures, R, B, H, O, S: tl.constexpr, OUT: tl.constexpr):
    """Compute logits = h_T W_ph + b_p, and store each sequence's loss, whether its answer is right, and d_logits.
    Return dloss/dh_T [ROWS, S], where loss is the mean over the batch."""
    j, o = tl.arange(0, S), tl.arange(0, OUT)
    inside = row < B
    W_p = tl.load(outer + j[:, None] * O + o[None, :], mask=(j < H)[:, None] & (o < O)[None, :], other=0.0)
    b_p = tl.load(outer + (H + 1) * O + o, mask=o < O, other=-1e30)
    logits = tl.dot(h, W_p, input_precision="tf32x3") + b_p[None, :]  # three products in TF32: as exact as float32
    top = tl.max(logits, 1)
    e = tl.exp(logits - top[:, None])
    total = tl.sum(e, 1)
    y = tl.load(target + row, mask=inside, other=0)
    hit = (o[None, :] == y[:, None]).to(tl.float32)
    tl.store(measures + row, tl.log(total) + top - tl.sum(hit * logits, 1), mask=inside)
    tl.store(measures + R * B + row, (tl.argmax(logits, 1) == y).to(tl.float32), mask=inside)
    d = tl.where(inside[:, None], (e / total[:, None] - hit) / B, 0.0)
    tl.store(d_logits + row[:, None] * O + o[None, :], d, mask=inside[:, None] & (o < O)[None, :])
    return tl.dot(d, tl.trans(W_p), input_precision="tf32x3")


@triton.jit
def vanilla_rnn(
    x, target, inner, outer, halves, before, last, d_z, d_logits, measures, cells, R, T, B, H, G, O, C,
    S: tl.constexpr, OUT: tl.constexpr, ROWS: tl.constexpr, BF16: tl.constexpr,
):  # fmt: skip
    """Run h_t = tanh(h_{t-1} W_h + x_t W_x + b) over all time steps, then the loss, then the backward pass."""
    r, row, j = tl.program_id(0).to(tl.int64), tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, S)
    inside = row < B
    tile = inside[:, None] & (j < H)[None, :]
    x, target, measures = x + r * T * B, target + r * B, measures + r * B
    rest_of = tl.num_programs(0).to(tl.int64) * C * G  # from a weight rounded to what that rounds off
    inner, halves, outer, d_logits = inner + r * C * G, halves + r * C * G, outer + r * C * O, d_logits + r * B * O
    state = (r * T * B + row)[:, None] * C + j[None, :]  # a state's place in `before` at the first time step
    gate = (r * T * B + row)[:, None] * G + j[None, :]
    i, zeros = tl.arange(0, S), tl.zeros((ROWS, S), tl.float32)
    W_h, square = halves + i[:, None] * G + j[None, :], (i < H)[:, None] & (j < H)[None, :]
    high = tl.load(W_h, mask=square, other=0.0)
    low = tl.load(W_h + rest_of, mask=square, other=0.0)
    h = zeros
    for t in range(T):
        x_t = tl.load(x + t * B + row, mask=inside, other=0.0)
        tl.store(before + t * B * C + state, h, mask=tile)
        tl.store(before + (r * T * B + t * B + row) * C + H, x_t, mask=inside)
        z, rest = product(h, high, low, inputs(x_t, inner, H, G, S), zeros, BF16)
        h = tanh(z + rest / FINER)
    tl.store(last + (r * B + row)[:, None] * C + j[None, :], h, mask=tile)
    tl.debug_barrier()  # what the forward pass has stored is read by other threads on the way back
    dh = head(h, row, outer, target, d_logits, measures, R, B, H, O, S, OUT)
    W_t = halves + j[None, :] * G + i[:, None]
    high = tl.load(W_t, mask=square, other=0.0)
    low = tl.load(W_t + rest_of, mask=square, other=0.0)
    for step in range(T):
        t = T - 1 - step
        d = dh * (1 - h * h)  # dloss/dz_t
        tl.store(d_z + t * B * G + gate, d, mask=tile)
        # dloss/dh_{t-1} = d W_h^T, with d's rows scaled as `product` needs them
        scale = scaled(tl.max(tl.abs(d), 1))
        dh, rest = product(d / scale, high, low, zeros, zeros, BF16)
        dh = (dh + rest / FINER) * scale
        h = tl.load(before + t * B * C + state, mask=tile, other=0.0)


@triton.jit
def lstm(
    x, target, inner, outer, halves, before, last, d_z, d_logits, measures, cells, R, T, B, H, G, O, C,
    S: tl.constexpr, OUT: tl.constexpr, ROWS: tl.constexpr, BF16: tl.constexpr,
):  # fmt: skip
    """Run an LSTM over all time steps, then the loss, then the backward pass.

    i, f, o = sigmoid and g = tanh of their arguments;  c_t = g i + c_{t-1} f,  h_t = tanh(c_t) o.
    d_z holds the gates until the gradients of their arguments take their place. `cells` [R, T, B, H] holds c_t.
    """
    r, row, j = tl.program_id(0).to(tl.int64), tl.program_id(1) * ROWS + tl.arange(0, ROWS), tl.arange(0, S)
    inside = row < B
    tile = inside[:, None] & (j < H)[None, :]
    x, target, measures = x + r * T * B, target + r * B, measures + r * B
    rest_of = tl.num_programs(0).to(tl.int64) * C * G  # from a weight rounded to what that rounds off
    inner, halves, outer, d_logits = inner + r * C * G, halves + r * C * G, outer + r * C * O, d_logits + r * B * O
    state = (r * T * B + row)[:, None] * C + j[None, :]
    gate = (r * T * B + row)[:, None] * G + j[None, :]
    cell = (r * T * B + row)[:, None] * H + j[None, :]
    k, zeros = tl.arange(0, DEEP), tl.zeros((ROWS, S), tl.float32)
    deep = (r * T * B + row)[:, None] * C + k[None, :]
    h, c = zeros, zeros
    for t in range(T):
        x_t = tl.load(x + t * B + row, mask=inside, other=0.0)
        tl.store(before + t * B * C + state, h, mask=tile)
        tl.store(before + (r * T * B + t * B + row) * C + H, x_t, mask=inside)
        tl.debug_barrier()  # h_{t-1} is read by other threads
        i, f = inputs(x_t, inner, H, G, S), inputs(x_t, inner + H, H, G, S)
        o, g = inputs(x_t, inner + 2 * H, H, G, S), inputs(x_t, inner + 3 * H, H, G, S)
        i_rest, f_rest, o_rest, g_rest = zeros, zeros, zeros, zeros
        for begin in tl.range(0, H, DEEP, num_stages=STAGES):
            a = tl.load(before + t * B * C + deep + begin, mask=inside[:, None] & (k < H - begin)[None, :], other=0.0)
            W_i, there = halves + (begin + k)[:, None] * G + j[None, :], (k < H - begin)[:, None] & (j < H)[None, :]
            i, i_rest = chunk(a, W_i, rest_of, there, i, i_rest, BF16)
            f, f_rest = chunk(a, W_i + H, rest_of, there, f, f_rest, BF16)
            o, o_rest = chunk(a, W_i + 2 * H, rest_of, there, o, o_rest, BF16)
            g, g_rest = chunk(a, W_i + 3 * H, rest_of, there, g, g_rest, BF16)
        i, f = sigmoid(i + i_rest / FINER), sigmoid(f + f_rest / FINER)
        o, g = sigmoid(o + o_rest / FINER), tanh(g + g_rest / FINER)
        c = g * i + c * f
        h = tanh(c) * o
        z = d_z + t * B * G + gate
        tl.store(z, i, mask=tile)
        tl.store(z + H, f, mask=tile)
        tl.store(z + 2 * H, o, mask=tile)
        tl.store(z + 3 * H, g, mask=tile)
        tl.store(cells + t * B * H + cell, c, mask=tile)
    tl.store(last + (r * B + row)[:, None] * C + j[None, :], h, mask=tile)
    tl.debug_barrier()  # what the forward pass has stored is read by other threads on the way back
    dh = head(h, row, outer, target, d_logits, measures, R, B, H, O, S, OUT)
    dc = zeros
    for step in range(T):
        t = T - 1 - step
        z = d_z + t * B * G + gate
        i = tl.load(z, mask=tile, other=0.0)
        f = tl.load(z + H, mask=tile, other=0.0)
        o = tl.load(z + 2 * H, mask=tile, other=0.0)
        g = tl.load(z + 3 * H, mask=tile, other=0.0)
        tanh_c = tanh(c)
        c = tl.load(cells + (t - 1) * B * H + cell, mask=tile & (t > 0), other=0.0)  # c_{t-1}
        dc += dh * o * (1 - tanh_c * tanh_c)  # dloss/dc_t, of which a part came from c_{t+1}
        d_i = dc * g * i * (1 - i)
        d_f = dc * c * f * (1 - f)
        d_o = dh * tanh_c * o * (1 - o)
        d_g = dc * i * (1 - g * g)
        dc = dc * f  # the part of dloss/dc_{t-1} that comes from c_t
        tl.store(z, d_i, mask=tile)
        tl.store(z + H, d_f, mask=tile)
        tl.store(z + 2 * H, d_o, mask=tile)
        tl.store(z + 3 * H, d_g, mask=tile)
        largest = tl.maximum(tl.maximum(tl.abs(d_i), tl.abs(d_f)), tl.maximum(tl.abs(d_o), tl.abs(d_g)))
        scale = scaled(tl.max(largest, 1))
        tl.debug_barrier()  # d_z is read by other threads
        dh, rest = zeros, zeros  # dloss/dh_{t-1} = d_z W_h^T, with d_z's rows scaled as `product` needs them
        for begin in tl.range(0, G, DEEP, num_stages=BACK_STAGES):
            d = tl.load(
                d_z + (r * T * B + t * B + row)[:, None] * G + (begin + k)[None, :],
                mask=inside[:, None] & (k < G - begin)[None, :],
                other=0.0,
            )
            W_t, there = halves + j[None, :] * G + (begin + k)[:, None], (k < G - begin)[:, None] & (j < H)[None, :]
            dh, rest = chunk(d / scale, W_t, rest_of, there, dh, rest, BF16)
        dh = (dh + rest / FINER) * scale


CELLS = {"vanilla_rnn": vanilla_rnn, "lstm": lstm}


class Layer:
    """Holds weights [R, C, width] of all replicates and what their update needs. Training goes on from the tensors in
    `state`."""

    def __init__(self, R: int, C: int, width: int, with_means: bool, device: torch.device):
        self.weights, self.squares, self.gradients, self.means = (
            torch.zeros(R, C, width, device=device) for _ in range(4)
        )
        self.state = [self.weights, self.squares, self.means][: 3 if with_means else 2]


class Network:
    """R replicates of a sequence model in training.

    `optimizer` is the learning rate, the decay of the means, the decay of the squares, and epsilon. A decay of the
    means of 0 stands for RMSprop, which has no means. An infinite `max_norm` means no clipping.
    """

    def __init__(
        self, cell: str, R: int, H: int, K: int, O: int,
        optimizer: tuple[float, float, float, float], max_norm: float, precision: str, device: torch.device,
    ):  # fmt: skip
        self.kernel, self.R, self.H, self.G, self.O, self.device = CELLS[cell], R, H, K * H, O, device
        self.C = triton.cdiv(H + 2, 8) * 8  # so that rows of `before` and `last` begin at multiples of 32 bytes
        self.optimizer, self.max_norm, self.bf16 = optimizer, max_norm, precision == "bf16"
        self.adam = optimizer[1] > 0
        self.inner, self.outer = (Layer(R, self.C, width, self.adam, device) for width in (self.G, O))
        self.done = torch.zeros((), device=device)  # steps of Adam
        self.halves = torch.zeros(
            2, R, self.C, self.G, dtype=torch.bfloat16 if self.bf16 else torch.half, device=device
        )
        self.factors = torch.ones(R, device=device)
        self.state = [*self.inner.state, *self.outer.state, *([self.done] if self.adam else [])]
        self.buffers: dict[tuple[int, int], tuple[Tensor, ...]] = {}  # by T and B

    def parameters(self, replicate: int, gradients: bool = False) -> dict[str, Tensor]:
        """Return views of a replicate's weights, or of their gradients, by their names in the model."""
        layers, H = (self.inner, self.outer), self.H
        inner, outer = ((layer.gradients if gradients else layer.weights)[replicate] for layer in layers)
        return {"W_h": inner[:H], "W_x": inner[H : H + 1], "b": inner[H + 1], "W_ph": outer[:H], "b_p": outer[H + 1]}

    def buffers_for(self, T: int, B: int) -> tuple[Tensor, ...]:
        """Return before, last, d_z, d_logits, measures and the LSTM's cells, which are made once for each T and B."""
        if (T, B) not in self.buffers:
            R, H, G, O, C = self.R, self.H, self.G, self.O, self.C
            shapes = [(R, T, B, C), (R, B, C), (R, T, B, G), (R, B, O), (2, R, B), (R, T, B, H)]
            before, last, *rest = (torch.zeros(shape, device=self.device) for shape in shapes)
            before[..., H + 1] = last[..., H + 1] = 1
            self.buffers[T, B] = before, last, *rest
        return self.buffers[T, B]

    def backpropagate(self, x: Tensor, target: Tensor) -> Tensor:
        """Run the forward and backward pass: x [R, T, B], target [R, B] -> loss and accuracy [2, R]. The gradients are
        then in `inner` and `outer`."""
        R, T, B = x.shape
        before, last, d_z, d_logits, measures, cells = self.buffers_for(T, B)
        sizes = R, T, B, self.H, self.G, self.O, self.C
        count = self.inner.weights.numel()
        split[(triton.cdiv(count, BLOCK),)](self.inner.weights, self.halves, count, self.bf16, BLOCK)
        widths = [max(16, triton.next_power_of_2(size)) for size in (self.H, self.O)]
        self.kernel[R, triton.cdiv(B, ROWS)](
            *(x, target, self.inner.weights, self.outer.weights, self.halves),
            *(before, last, d_z, d_logits, measures, cells, *sizes, *widths, ROWS, self.bf16),
            num_warps=WARPS,
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
        """Do the same, then clip the gradients and update the weights."""
        results = self.backpropagate(x, target)
        layers = self.inner, self.outer
        if self.max_norm < inf:
            of_inner, of_outer = (layer.gradients.square().sum((1, 2)) for layer in layers)
            torch.clamp(self.max_norm / ((of_inner + of_outer).sqrt() + 1e-6), max=1, out=self.factors)
        if self.adam:
            self.done.add_(1)
        for layer in layers:
            means = layer.means if self.adam else None
            update(layer.weights, layer.gradients, layer.squares, means, self.done, self.factors, self.optimizer)
        return results

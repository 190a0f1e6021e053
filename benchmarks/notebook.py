"""The form that a student's notebook of 2023 has: what everything else is compared with.

Written from the description of the report, in the manner of PyTorch's tutorials: one palindrome at a time in a Dataset,
one matrix product a gate and time step, autograd, numbers read by `.item()` each step. The GAN is in notebook_gan.py.
"""

import math
import sys
from collections.abc import Callable, Iterator

import numpy as np
import torch
from notebook_gan import gan_steps
from torch import nn
from torch.utils.data import DataLoader, Dataset
from workloads import CLASSES, Workload


class Palindromes(Dataset):
    """Endless: every item is drawn afresh. Digits but the last, float32 [L-1], and the last digit."""

    def __init__(self, length: int):
        self.length = length

    def __len__(self) -> int:
        return sys.maxsize

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        left = np.random.randint(0, 10, math.ceil(self.length / 2))
        right = left[::-1] if self.length % 2 == 0 else left[:-1][::-1]
        palindrome = np.concatenate((left, right)).astype(np.float32)
        return palindrome[:-1], int(palindrome[-1])


class VanillaRNN(nn.Module):
    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int):
        super().__init__()
        self.hidden_dim = hidden_dim
        self.W_hx = nn.Parameter(torch.randn(input_dim, hidden_dim))
        self.W_hh = nn.Parameter(torch.randn(hidden_dim, hidden_dim))
        self.b_h = nn.Parameter(torch.zeros(hidden_dim))
        self.W_ph = nn.Parameter(torch.randn(hidden_dim, output_dim))
        self.b_o = nn.Parameter(torch.zeros(output_dim))

    def forward(self, x):
        h = torch.zeros(x.shape[0], self.hidden_dim)
        for t in range(x.shape[1]):
            h = torch.tanh(x[:, t] @ self.W_hx + h @ self.W_hh + self.b_h)
        return h @ self.W_ph + self.b_o


class LSTM(nn.Module):
    def __init__(self, input_dim: int, hidden_dim: int, output_dim: int):
        super().__init__()
        self.hidden_dim = hidden_dim
        for gate in "gifo":
            setattr(self, f"W_{gate}x", nn.Parameter(torch.randn(input_dim, hidden_dim)))
            setattr(self, f"W_{gate}h", nn.Parameter(torch.randn(hidden_dim, hidden_dim)))
            setattr(self, f"b_{gate}", nn.Parameter(torch.randn(hidden_dim)))
        self.W_ph = nn.Parameter(torch.randn(hidden_dim, output_dim))
        self.b_p = nn.Parameter(torch.randn(output_dim))

    def forward(self, x):
        h = torch.zeros(x.shape[0], self.hidden_dim)
        c = torch.zeros(x.shape[0], self.hidden_dim)
        for t in range(x.shape[1]):
            g = torch.tanh(x[:, t] @ self.W_gx + h @ self.W_gh + self.b_g)
            i = torch.sigmoid(x[:, t] @ self.W_ix + h @ self.W_ih + self.b_i)
            f = torch.sigmoid(x[:, t] @ self.W_fx + h @ self.W_fh + self.b_f)
            o = torch.sigmoid(x[:, t] @ self.W_ox + h @ self.W_oh + self.b_o)
            c = g * i + c * f
            h = torch.tanh(c) * o
        return h @ self.W_ph + self.b_p


def sequence_steps(workload: Workload) -> Iterator[None]:
    """One training step each time it is advanced."""
    model = globals()[workload.kind](1, workload.hidden, CLASSES)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.001)
    losses, accuracies = [], []
    for inputs, targets in DataLoader(Palindromes(workload.length), batch_size=workload.batch, num_workers=0):
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm=10.0)  # before the forward pass: as reported
        output = model(inputs.unsqueeze(-1))
        optimizer.zero_grad()
        loss = criterion(output, targets)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        accuracies.append((output.argmax(dim=1) == targets).float().mean().item())
        yield


def build(workload: Workload) -> Callable[[int], None]:
    """A function that runs the next n training steps."""
    steps = gan_steps(workload) if workload.kind == "GAN" else sequence_steps(workload)

    def run(count: int) -> None:
        for _ in range(count):
            next(steps)

    return run

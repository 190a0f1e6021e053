"""Measures what a trained model remembers of the first digit: its answers by digit, and whether a probe can read the
digit from its hidden state at each time step. The published report has no such measurements.

If the probe reads a digit from h_T that the model does not answer, the state holds the digit but the model does not use
it. If the probe no longer reads it, the digit is lost, at least to a linear probe.

Shapes: N sequences, T time steps, H hidden dim, O = 10 classes, one for each digit; x [N, T, 1], target [N]; states
[T, N, H].
"""

import pandas as pd
import torch
from torch import Tensor, nn

from dlreport.config import Params
from dlreport.sequence import palindromes
from dlreport.sequence.accuracy import test_sequences
from dlreport.sequence.models.base import SequenceModel
from dlreport.sequence.palindromes import DIGITS
from dlreport.sequence.task import Task
from dlreport.sequence.tracing import trace

PROBE_SEQUENCES = 4000  # so many train a probe, and as many others test it
PENALTY = 1e-3  # on the squares of a probe's weights
STEPS = 30  # of a probe's training; more steps change no accuracy by more than 0.02
PROBED = 3  # so many replicates have probes, the first ones, as a probe takes seconds


def states_of(model: SequenceModel, x: Tensor) -> Tensor:
    """Return the hidden states h_1 to h_T [T, N, H]."""
    return torch.stack([state[0] for state in trace(model, x)[0]])


def fit(features: Tensor, target: Tensor) -> Tensor:
    """Fit T multinomial logistic regressions of the target [N], one for each set of F features [T, N, F]. Return their
    weights W [T, F, O].

    Each regression minimises the cross entropy + PENALTY / 2 |W|^2. The steps are Newton's, but with an upper bound in
    place of the Hessian, so that no step is too long. For each class the bound on the cross entropy's part is
    X^T X / (2N), where X [N, F] are the features (Boehning, 1992). The steps are accelerated (Nesterov, 1983).
    """
    T, N, F = features.shape
    wanted, transposed = nn.functional.one_hot(target, DIGITS).to(features), features.transpose(1, 2)
    root = torch.linalg.cholesky(transposed @ features / (2 * N) + PENALTY * torch.eye(F))
    weights = ahead = features.new_zeros(T, F, DIGITS)
    for step in range(STEPS):
        missed = wanted - (features @ ahead).softmax(2)
        slope = transposed @ missed / N - PENALTY * ahead
        before, weights = weights, ahead + torch.cholesky_solve(slope, root)
        ahead = weights + step / (step + 3) * (weights - before)
    return weights


@torch.no_grad()
def probe(model: SequenceModel, train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor]) -> list[float]:
    """Return, for each time step t, the share of test sequences whose first digit a logistic regression reads from h_t.
    The regression, and the mean and deviation that standardise h_t, come from the sequences of `train` only."""
    learned, tested = (states_of(model, x) for x, _ in (train, test))
    mean, deviation = learned.mean(1, keepdim=True), learned.std(1, keepdim=True)
    learned, tested = (
        nn.functional.pad((states - mean) / (deviation + 1e-6), (0, 1), value=1) for states in (learned, tested)
    )
    answers = (tested @ fit(learned, train[1])).argmax(2)
    return (answers == test[1]).double().mean(1).tolist()


def probe_replicates(task: Task, ends: list[dict[str, Tensor]], params: Params) -> pd.DataFrame:
    """Probe the first PROBED replicates. `ends` has the trained weights of each replicate. Returns a table with the
    columns replicate, when, t, probe_accuracy."""
    return pd.concat(_probe_replicate(task, replicate, end, params) for replicate, end in enumerate(ends[:PROBED]))


def _probe_replicate(task: Task, replicate: int, end: dict[str, Tensor], params: Params) -> pd.DataFrame:
    """Probe a replicate with its initial weights, which its random stream gives again, and with its trained weights."""
    settings, draws = params.sequence, task.stream(params.seed, replicate, "probe")
    train, test = (palindromes.sample(PROBE_SEQUENCES, task.length, draws) for _ in range(2))
    initial = task.build(settings.hidden_dim, task.stream(params.seed, replicate, "init"), settings.initialisation)
    tables = []
    for when, weights in (("start", initial.state_dict()), ("end", end)):
        found = pd.DataFrame({"probe_accuracy": probe(task.load(settings.hidden_dim, weights), train, test)})
        tables.append(found.assign(replicate=replicate, when=when, t=found.index + 1))
    return pd.concat(tables)[["replicate", "when", "t", "probe_accuracy"]]


@torch.no_grad()
def confusion(task: Task, replicate: int, weights: dict[str, Tensor], params: Params) -> pd.DataFrame:
    """Return a table with the columns replicate, digit, answer, sequences. It says how many of the test's sequences
    with this first digit get this answer."""
    model = task.load(params.sequence.hidden_dim, weights)
    x, target = test_sequences(task, replicate, params.sequence, params.seed)
    counts = torch.bincount(target * DIGITS + model(x).argmax(1), minlength=DIGITS**2)
    pairs = pd.MultiIndex.from_product([range(DIGITS)] * 2, names=["digit", "answer"]).to_frame(index=False)
    return pairs.assign(replicate=replicate, sequences=counts.numpy())[["replicate", "digit", "answer", "sequences"]]

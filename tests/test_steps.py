"""Steps in graphs: on the CPU, by a stand-in for CUDA's graphs that records the operations of PyTorch between `graph`
and its end, undoes what they changed, and makes them again at `replay`, with what is in their tensors then."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dlreport.gan.engines import AutogradGan
from dlreport.gan.images import normalise
from dlreport.gan.networks import Discriminator, Generator
from dlreport.gpu import UNROLL, Steps
from dlreport.sequence.engines import Autograd
from dlreport.sequence.training import draw
from helpers import seeded, small_model, tiny_gan


class Recording(TorchDispatchMode):
    """A graph."""

    def __init__(self):
        super().__init__()
        self.calls, self.before = [], []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        options, schema = options or {}, function._schema
        assert function is not torch.ops.aten._local_scalar_dense.default, "a value is read on the CPU"
        written = [each.alias_info and each.alias_info.is_write for each in schema.arguments]
        values = [*arguments, *(options.get(each.name) for each in schema.arguments[len(arguments) :])]
        if function is torch.ops.aten.native_batch_norm.default:
            written[3:5] = True, True  # the running statistics, of which its schema does not say so
        changed = tree_leaves([value for value, change in zip(values, written, strict=True) if change])
        self.before += [(each, each.clone()) for each in changed if isinstance(each, torch.Tensor)]
        results = function(*arguments, **options)
        if not any(result.alias_info and not result.alias_info.is_write for result in schema.returns):  # no view
            self.calls.append((function, arguments, options, results))
        return results

    @torch.no_grad()
    def replay(self):
        for function, arguments, options, results in self.calls:
            for place, value in zip(tree_leaves(results), tree_leaves(function(*arguments, **options)), strict=True):
                if isinstance(place, torch.Tensor) and place is not value:
                    place.copy_(value)


@contextmanager
def record(graph, stream):
    with graph:
        yield
    with torch.no_grad():
        for tensor, value in reversed(graph.before):
            tensor.copy_(value)


@pytest.fixture
def graphs(monkeypatch):
    """As on CUDA; gives the number of steps of each graph that was replayed."""
    stream = SimpleNamespace(wait_stream=lambda other: None)
    stand_ins = {"CUDAGraph": Recording, "graph": record, "stream": lambda stream: nullcontext()}
    stand_ins |= {name: lambda device: stream for name in ("Stream", "current_stream")}
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    return SimpleNamespace(type="cuda")


def test_graphs_of_several_steps_and_of_one(graphs):
    total = torch.zeros(())
    made = []

    def step(x):
        made.append(x)
        return total.add_(x).clone()

    steps, x = Steps(step, graphs), torch.arange(1.0, 2 * UNROLL + 4)
    for _ in range(2):
        total.zero_()
        assert torch.equal(steps(x), x.cumsum(0))
    assert {shapes[0][0] for shapes in steps.graphs} == {UNROLL, 1}
    assert len(made) == 2 * UNROLL + 2  # each form once itself, and once recorded


def test_a_step_that_reads_a_value_cannot_be_recorded(graphs):
    with pytest.raises(AssertionError, match="read on the CPU"):
        Steps(lambda x: x * x.item(), graphs)(torch.ones(2))


@pytest.mark.parametrize("optimizer", ["RMSprop", "Adam"])
def test_autograds_steps_of_a_sequence_model_are_the_same_in_graphs(params, graphs, optimizer):
    settings = params.sequence.model_copy(update={"optimizer": optimizer, "learning_rate": 0.01})
    engines = [Autograd([small_model("GRU"), small_model("GRU", scale=0.5)], settings, "fp32") for _ in range(2)]
    engines[1].train = Steps(engines[1].step, graphs)
    for count in (2 * UNROLL + 2, 3):
        x, target = draw(3, 8, count, [seeded(count), seeded(9)])
        assert torch.equal(*(engine.train(x, target) for engine in engines))
    assert all(torch.equal(*pair) for pair in zip(*(engine.state for engine in engines), strict=True))


@pytest.mark.slow
def test_autograds_iterations_of_the_gan_are_the_same_in_graphs(params, digits, graphs):
    average = params.gan.average.model_copy(update={"every": 3, "decay": 0.9})
    settings = tiny_gan(params, average=average)
    engines = [
        AutogradGan(Generator(4, seeded(1)), Discriminator(seeded(2)), settings, seeded(3), "fp32") for _ in range(2)
    ]
    engines[1].steps = Steps(engines[1].step, graphs)
    done = 0
    for size, count in ((16, UNROLL + 3), (8, 1), (16, UNROLL + 2), (8, 1)):
        real = normalise(digits[: size * count]).view(count, size, -1)
        assert torch.equal(*(engine.train(real, done) for engine in engines))
        done += count
    first, second = (engine.state_dict() for engine in engines)
    for network in ("generator", "discriminator", "average"):
        assert all(torch.equal(value, second[network][name]) for name, value in first[network].items())
    for adam in ("generator_adam", "discriminator_adam"):
        ours, theirs = (state[adam]["state"][0] for state in (first, second))
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())

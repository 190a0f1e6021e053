import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlreport.sequence.palindromes import count_all, enumerate_all, sample
from helpers import seeded

lengths = st.integers(2, 40)
counts = st.integers(1, 20)
seeds = st.integers(0, 2**32 - 1)


def completed(inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return torch.cat([inputs[:, :, 0].long(), targets[:, None]], dim=1)


@given(lengths, counts, seeds)
def test_sample_shapes_and_types(length, count, seed):
    inputs, targets = sample(count, length, seeded(seed))
    assert inputs.shape == (count, length - 1, 1)
    assert targets.shape == (count,)
    assert inputs.dtype == torch.float32
    assert targets.dtype == torch.int64


@given(lengths, counts, seeds)
def test_inputs_are_raw_digits(length, count, seed):
    inputs, targets = sample(count, length, seeded(seed))
    allowed = set(range(10))
    assert set(inputs.flatten().tolist()) <= allowed
    assert set(targets.tolist()) <= allowed


@given(lengths, counts, seeds)
def test_target_equals_the_first_digit(length, count, seed):
    inputs, targets = sample(count, length, seeded(seed))
    assert torch.equal(inputs[:, 0, 0].long(), targets)


@given(lengths, counts, seeds)
def test_inputs_with_target_are_a_palindrome(length, count, seed):
    digits = completed(*sample(count, length, seeded(seed)))
    assert digits.shape[1] == length
    assert torch.equal(digits, digits.flip(1))


@given(lengths, counts, seeds)
def test_same_seed_draws_the_same(length, count, seed):
    first, second = sample(count, length, seeded(seed)), sample(count, length, seeded(seed))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_successive_draws_differ():
    generator = seeded(0)
    first, second = sample(50, 10, generator), sample(50, 10, generator)
    assert not torch.equal(first[0], second[0])


@pytest.mark.parametrize("length", [4, 7])
def test_every_free_digit_is_uniform_and_independent(length):
    digits = completed(*sample(20_000, length, seeded(1)))[:, : (length + 1) // 2]
    for column in digits.T:
        # 2000 expected of each digit, standard deviation 42
        assert (torch.bincount(column, minlength=10) - 2000).abs().max() < 5 * 42
    pairs = torch.bincount(digits[:, 0] * 10 + digits[:, 1], minlength=100)
    # 200 expected of each pair, standard deviation 14
    assert (pairs - 200).abs().max() < 5 * 14


@pytest.mark.parametrize("length", [1, 0, -3])
def test_lengths_below_two_are_refused(length):
    with pytest.raises(ValueError, match=f"length 2 or more, not {length}"):
        sample(4, length, seeded(0))


@pytest.mark.parametrize(("length", "count"), [(2, 10), (3, 100), (4, 100), (5, 1000)])
def test_enumerate_all_gives_every_palindrome_once(length, count):
    inputs, targets = enumerate_all(length)
    digits = completed(inputs, targets)
    numbers = [int("".join(map(str, row))) for row in digits.tolist()]
    assert count_all(length) == count
    assert numbers == [n for n in range(10**length) if f"{n:0{length}}" == f"{n:0{length}}"[::-1]]
    assert inputs.shape == (count, length - 1, 1)
    assert (inputs.dtype, targets.dtype) == (torch.float32, torch.int64)

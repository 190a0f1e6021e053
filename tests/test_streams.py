import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dlreport.streams import stream
from helpers import streams_of

names = st.lists(st.one_of(st.integers(0, 99), st.text("abcdefgh-", min_size=1, max_size=6)), min_size=1, max_size=4)
roots = st.integers(0, 2**63 - 1)


def draw(generator: torch.Generator) -> list[float]:
    return torch.randn(4, generator=generator).tolist()


@given(roots, names)
def test_same_seed_and_name_draw_the_same(seed, name):
    assert draw(stream(seed, *name)) == draw(stream(seed, *name))


@given(roots, names, names)
def test_other_names_draw_otherwise(seed, name, other):
    if [str(part) for part in name] != [str(part) for part in other]:
        assert draw(stream(seed, *name)) != draw(stream(seed, *other))


@given(roots, roots)
def test_other_seeds_draw_otherwise(seed, other):
    if seed != other:
        assert draw(stream(seed, "a")) != draw(stream(other, "a"))


@pytest.mark.parametrize(
    ("name", "other"), [(("a", "b"), ("b", "a")), (("a", "b"), ("ab",)), (("a", 1, 2), ("a", 12)), (("a",), ("a", 0))]
)
def test_the_place_of_each_part_counts(name, other):
    assert draw(stream(1, *name)) != draw(stream(1, *other))


def test_global_random_state_is_untouched():
    before = torch.get_rng_state()
    draw(stream(2023, "a"))
    assert torch.equal(torch.get_rng_state(), before)


def test_draws_stay_what_they_were_on_every_platform():
    assert stream(2023, "sequence", "LSTM-20", 0, "data").initial_seed() == 91426709


def test_all_streams_of_the_pipeline_have_seeds_of_their_own(params):
    """At full size; test_pipeline holds the list to what the stages draw."""
    used = streams_of(params)
    assert len({stream(*name).initial_seed() for name in used}) == len(used) > 1000

"""How a stage ends when something is wrong that no check could foresee."""

import re

import pytest
import torch

from dlreport.errors import run


def full() -> None:
    raise MemoryError


@pytest.mark.parametrize("main", [lambda: torch.empty(2**60, dtype=torch.uint8), full])
def test_want_of_memory_is_one_line(main):
    with pytest.raises(SystemExit) as end:
        run(main)
    assert re.match(r"error: \S", end.value.code)
    assert "memory" in end.value.code
    assert end.value.code.endswith("; lower a batch size, a hidden size or the number of sequences")
    assert "\n" not in end.value.code


def test_an_error_in_the_code_keeps_its_traceback():
    with pytest.raises(RuntimeError, match="shape"):
        run(lambda: torch.zeros(3).view(2, 2))

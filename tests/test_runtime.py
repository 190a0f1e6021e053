import pytest
import torch

from dlreport import runtime
from dlreport.errors import UserError
from dlreport.runtime import bf16_supported, check_precision, workers

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "supported"),
    [
        ({"avx2": True}, False),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
    ],
)
def test_bf16_needs_a_processor_with_its_products(monkeypatch, capabilities, supported):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert bf16_supported(CPU) is supported
    check_precision("fp32", CPU)
    if supported:
        check_precision("bf16", CPU)
    else:
        with pytest.raises(UserError, match=r"^precision: this cpu has no bf16 matrix products; set precision"):
            check_precision("bf16", CPU)


def test_workers_are_the_cores_unless_told(monkeypatch):
    monkeypatch.delenv("DLREPORT_WORKERS", raising=False)
    monkeypatch.setattr(runtime, "cores", lambda: 5)
    assert workers() == 5
    monkeypatch.setenv("DLREPORT_WORKERS", "3")
    assert workers() == 3


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("DLREPORT_WORKERS", value)
    with pytest.raises(UserError, match=rf"^DLREPORT_WORKERS: .* found '{value}'"):
        workers()

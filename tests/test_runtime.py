import os

import pytest
import torch

from dlreport import runtime
from dlreport.errors import UserError
from dlreport.runtime import bf16_supported, check_precision, prepare, select_device, workers

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "supported"),
    [
        ({"avx2": True}, False),
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"avx512_bf16": False, "amx_bf16": True}, True),
        ({"bf16": True}, True),  # Arm's
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


def test_bf16_on_a_gpu_is_that_of_its_hardware(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation)
    assert not bf16_supported(torch.device("cuda"))


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"),
    [(True, True, "cuda"), (True, False, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_auto_is_cuda_then_mps_then_the_cpu(monkeypatch, cuda, mps, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert select_device("auto").type == expected


def test_a_process_is_prepared_to_compute_the_same_each_time():
    torch.set_num_threads(2)
    torch.set_deterministic_debug_mode("default")
    prepare(threads=1)
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_least_quota_on_the_way_to_a_processs_group_counts(tmp_path, monkeypatch):
    """As of a job within a batch system's own group: 5 cores of its, of 3 for all jobs."""
    (tmp_path / "own").write_text("0::/batch/job\n")
    monkeypatch.setattr(runtime, "Path", lambda name: tmp_path / "own")  # for /proc/self/cgroup
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(64))
    (tmp_path / "batch/job").mkdir(parents=True)
    (tmp_path / "batch/job/cpu.max").write_text("500000 100000\n")
    assert runtime.cores(tmp_path) == 5
    (tmp_path / "batch/cpu.max").write_text("300000 100000\n")
    assert runtime.cores(tmp_path) == 3


def test_workers_are_the_cores_unless_told(monkeypatch):
    monkeypatch.delenv("DLREPORT_WORKERS", raising=False)
    monkeypatch.setattr(runtime, "cores", lambda: 5)
    assert workers() == 5
    monkeypatch.setenv("DLREPORT_WORKERS", "")
    assert workers() == 5
    monkeypatch.setenv("DLREPORT_WORKERS", "3")
    assert workers() == 3


@pytest.mark.parametrize("value", ["0", "-1", "two", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused(monkeypatch, value):
    monkeypatch.setenv("DLREPORT_WORKERS", value)
    with pytest.raises(UserError, match=rf"^DLREPORT_WORKERS: .* found '{value}'"):
        workers()

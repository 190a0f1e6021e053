"""The Triton kernels compile for NVIDIA GPUs, on any machine; what runs is tested in test_fused.py and test_gpu.py."""

import importlib.util
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="no Triton")

LEAST_SHARED = 99 * 1024  # bytes of shared memory that a block can have on every GPU from capability 8.0 on


def compile_for(capability: int, cell: str, bf16: bool, sizes: dict[str, int]) -> int:
    """Compile a cell's kernel as it is launched with these sizes -> the bytes of shared memory that it takes."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from dlreport.gpu import sequence

    function = sequence.CELLS[cell]
    signature, constants, attributes = {}, {}, {}
    for place, name in enumerate(function.arg_names):
        value = sizes.get(name, {"target": "*i64", "halves": "*bf16" if bf16 else "*fp16", "BF16": bf16}.get(name))
        if name in ("S", "OUT", "ROWS", "BF16") or value == 1:  # an argument that is 1 is compiled in
            signature[name], constants[place,] = "constexpr", value
        else:
            signature[name] = "i32" if isinstance(value, int) else value or "*fp32"
            if not isinstance(value, int) or value % 16 == 0:
                attributes[place,] = [["tt.divisibility", 16]]
    source, target = ASTSource(function, signature, constants, attributes), GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options={"num_warps": sequence.WARPS}).metadata.shared


ONE = {"R": 1, "T": 1, "B": 1, "H": 1, "O": 2, "C": 8, "S": 16, "OUT": 16, "ROWS": 16}
REPORT = {"R": 5, "T": 19, "B": 128, "H": 128, "O": 10, "C": 136, "S": 128, "OUT": 16, "ROWS": 16}


@pytest.mark.parametrize("cell", ["lstm", pytest.param("vanilla_rnn", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("capability", "bf16", "sizes"),
    [
        (80, False, REPORT),
        *(
            pytest.param(*other, marks=pytest.mark.slow)
            for other in [(90, True, REPORT), (90, False, {**REPORT, "R": 1}), (90, False, ONE)]
        ),
    ],
)
def test_kernels_compile_and_fit(tmp_path, repository, cell, capability, bf16, sizes):
    sizes = {**sizes, "G": sizes["H"] * {"vanilla_rnn": 1, "lstm": 4}[cell]}
    code = f"from test_gpu_compiled import compile_for; print(compile_for({capability}, {cell!r}, {bf16}, {sizes}))"
    found = subprocess.run(  # another process: where the interpreter runs kernels, none can be compiled
        [sys.executable, "-c", code],
        cwd=repository / "tests",
        env={"PYTHONPATH": str(repository / "src"), "TRITON_CACHE_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr[-3000:]
    assert 0 < int(found.stdout) <= LEAST_SHARED

"""The C of the native engines itself: no warning, no access out of bounds, no undefined behaviour."""

import ctypes
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dlreport import native
from dlreport.native import gan as native_gan
from dlreport.native import sequence as native_sequence
from helpers import needs_native, run

SOURCES = (native_sequence.SOURCE, native_gan.SOURCE, native.PRODUCTS)
ENGINES = [
    (native_sequence.SOURCE, "train_sequence", native_sequence.Training),
    (native_gan.SOURCE, "gan_gradients", native_gan.Step),
]


def gcc(language: str) -> str:
    found = shutil.which({"C": "gcc", "C++": "g++"}[language])
    return found or pytest.skip(f"no gcc for {language}")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("openmp", [True, False])
def test_it_compiles_without_a_warning(source, openmp):
    language, _, _, options = native.COMPILERS[Path(source).suffix]
    # without OpenMP its pragmas are unknown
    flags = ["-fopenmp"] if openmp else ["-Wno-unknown-pragmas"]
    warnings = ["-Wall", "-Wextra", "-Wconversion", "-Werror", "-c", "-o", os.devnull]
    path = str(Path(native.__file__).with_name(source))
    command = [gcc(language), options[0], *native.FLAGS, *flags, *warnings, path]
    assert subprocess.run(command, capture_output=True, text=True).stderr == ""


@pytest.mark.parametrize(("source", "function", "structure"), ENGINES)
@needs_native(native_sequence.SOURCE, "fp32")
@needs_native(native_gan.SOURCE, "fp32")
def test_structs_that_contradict_c_or_themselves_are_refused(source, function, structure):
    class Longer(structure):
        _fields_ = [("added", ctypes.c_size_t)]  # noqa: RUF012

    for arguments in (structure(), Longer()):
        with pytest.raises(ValueError, match=rf"{function}: these sizes do not fit together"):
            native.call(source, function, arguments)


@needs_native(native_sequence.SOURCE, "fp32")
@pytest.mark.parametrize("size", [2**32, 2**63])
def test_sizes_that_no_number_of_bytes_holds_are_no_memory(size):
    arguments = native_sequence.Training(0, 1, 1, 1, 1, size, size, 1)
    with pytest.raises(MemoryError):
        native.call(native_sequence.SOURCE, "train_sequence", arguments)


@pytest.mark.slow
@needs_native(native_sequence.SOURCE, "fp32")
@needs_native(native_gan.SOURCE, "fp32")
def test_sanitizers_find_nothing(repository):
    """By the tests of odd sizes, products in bf16 too. libasan comes first in a process, libstdc++ with it."""
    names = ("libasan.so", "libstdc++.so.6")
    libraries = [subprocess.check_output([gcc("C++"), f"-print-file-name={name}"], text=True).strip() for name in names]
    if not all(map(os.path.isabs, libraries)):
        pytest.skip("no libasan")
    chosen = "native_gradients_equal or near_float32s or cut_into_blocks or saturate or threads_change"
    command = [sys.executable, "-m", "pytest", "-s", "-p", "sanitized", "-n", "0", "-k", chosen]
    paths = os.pathsep.join([str(repository / "src"), str(repository / "tests")])
    options = {"PYTHONPATH": paths, "LD_PRELOAD": " ".join(libraries), "ASAN_OPTIONS": "detect_leaks=0"}
    result = run(
        [*command, "tests/test_engines.py", "tests/test_gan_engines.py"], repository, CC="gcc", CXX="g++", **options
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "passed" in result.stdout

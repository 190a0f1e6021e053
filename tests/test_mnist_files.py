"""Nothing but the right files of MNIST is taken: whole, well formed, from the directory that is named."""

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dlreport.errors import UserError
from dlreport.gan.mnist import decode, directory_from_environment
from dlreport.io import read_tensors
from helpers import run
from idx import (
    GARBAGE,
    MD5,
    NAMES,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    flipped,
    get,
    md5,
    pack_all,
    refused,
)
from scratch import ROOT, set_params

pytest_plugins = ["idx"]


def test_the_excerpt_is_the_one_of_the_readme(files):
    readme = (ROOT / "tests/data/README.md").read_text(encoding="utf-8")
    for name, content in files.items():
        assert md5(content) == MD5[name]
        assert f"| `{MD5[name]}` | `{name}` |" in readme


def test_files_come_from_the_named_directory(copy, files):
    assert get(copy) == files


def test_packed_files_come_from_the_named_directory(copy, files):
    assert get(pack_all(copy)) == files


def test_the_order_of_the_files_is_that_of_the_md5s(copy):
    assert list(get(copy)) == NAMES


DAMAGES = {"truncated": lambda content: content[:-1], "flipped": flipped, "empty": lambda content: b""}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_refused(copy, name, damage):
    content = DAMAGES[damage]((copy / name).read_bytes())
    (copy / name).write_bytes(content)
    message = refused(copy)
    for part in (name, str(copy), MD5[name], md5(content), f"{len(content):,} bytes", "MNIST_DIR"):
        assert part in message


@pytest.mark.parametrize("kind", ["images-idx3-ubyte", "labels-idx1-ubyte"])
def test_train_and_test_files_swapped_are_refused(copy, kind):
    train, test = copy / f"train-{kind}", copy / f"t10k-{kind}"
    other = test.read_bytes()
    test.write_bytes(train.read_bytes())
    train.write_bytes(other)
    message = refused(copy)
    for part in (train.name, f"expected MD5 {MD5[train.name]}", f"found {MD5[test.name]}", "MNIST_DIR"):
        assert part in message


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_refused(copy, name):
    (copy / name).unlink()
    message = refused(copy)
    for part in (name, str(copy), MD5[name], f"{name}.gz is in", "MNIST_DIR"):
        assert part in message


@pytest.mark.parametrize("garbage", GARBAGE)
def test_a_packed_file_that_does_not_unpack_is_refused(copy, garbage):
    pack_all(copy)
    path = copy / f"{TEST_IMAGES}.gz"
    path.write_bytes(GARBAGE[garbage](path.read_bytes()))
    message = refused(copy)
    for part in (TEST_IMAGES, str(copy), MD5[TEST_IMAGES], "MNIST_DIR"):
        assert part in message


def test_decode_gives_the_first_digits_of_mnist(files):
    train = decode(files[TRAIN_IMAGES], files[TRAIN_LABELS], "train")
    test = decode(files[TEST_IMAGES], files[TEST_LABELS], "test")
    assert (train["images"].shape, test["images"].shape) == ((384, 28, 28), (128, 28, 28))
    assert (train["labels"].shape, test["labels"].shape) == ((384,), (128,))
    for split in (train, test):
        assert (split["images"].dtype, split["labels"].dtype) == (torch.uint8, torch.int64)
    assert train["labels"][:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert test["labels"][:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert train["images"][0, 5, 12:16].tolist() == [3, 18, 18, 18]


def images(*sizes: int, content: bytes | None = None) -> bytes:
    size = sizes[0] * sizes[1] * sizes[2]
    return bytes([0, 0, 8, 3]) + struct.pack(">III", *sizes) + (bytes(size) if content is None else content)


def labels(*digits: int) -> bytes:
    return bytes([0, 0, 8, 1]) + struct.pack(">I", len(digits)) + bytes(digits)


def test_decode_accepts_a_small_well_formed_pair():
    split = decode(images(2, 28, 28), labels(0, 9), "train")
    assert split["labels"].tolist() == [0, 9]


MALFORMED = {
    "magic of the images": (b"\x00\x00\x08\x01" + images(2, 28, 28)[4:], labels(0, 9)),
    "element type of the images": (b"\x00\x00\x0d\x03" + images(2, 28, 28)[4:], labels(0, 9)),
    "magic of the labels": (images(2, 28, 28), b"\x00\x00\x08\x03" + labels(0, 9)[4:]),
    "files exchanged": (labels(0, 9), images(2, 28, 28)),
    "label out of range": (images(2, 28, 28), labels(0, 10)),
    "fewer labels": (images(2, 28, 28), labels(0)),
    "more labels": (images(2, 28, 28), labels(0, 1, 2)),
    "size of the images": (images(2, 28, 27), labels(0, 9)),
    "truncated images": (images(2, 28, 28)[:-1], labels(0, 9)),
    "truncated labels": (images(2, 28, 28), labels(0, 9)[:-1]),
    "bytes too many": (images(2, 28, 28) + b"\x00", labels(0, 9)),
    "no images": (images(0, 28, 28), labels()),
    "empty": (b"", b""),
    "header cut between sizes": (images(2, 28, 28)[:8], labels(0, 9)),
    "header cut within a size": (images(2, 28, 28)[:6], labels(0, 9)),
    "product of sizes beyond 64 bits": (images(2**31, 2**31, 4, content=b""), labels(0, 9)),
}


@pytest.mark.parametrize("fault", MALFORMED)
def test_decode_refuses_malformed_files(fault):
    with pytest.raises(UserError, match=r"^MNIST (file )?train .*expected .*found .*again$"):
        decode(*MALFORMED[fault], "train")


def test_mnist_dir_is_read_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("MNIST_DIR", str(tmp_path))
    assert directory_from_environment() == tmp_path


@pytest.mark.parametrize("value", [None, ""])
def test_mnist_dir_may_be_unset_or_empty(monkeypatch, value):
    monkeypatch.delenv("MNIST_DIR", raising=False)
    if value is not None:
        monkeypatch.setenv("MNIST_DIR", value)
    assert directory_from_environment() is None


@pytest.mark.parametrize("name", ["absent", "file"])
def test_mnist_dir_that_is_no_directory_is_refused(monkeypatch, tmp_path, name):
    (tmp_path / "file").touch()
    monkeypatch.setenv("MNIST_DIR", str(tmp_path / name))
    with pytest.raises(UserError, match=rf"^MNIST_DIR: {tmp_path / name} is not a directory"):
        directory_from_environment()


def run_stage(project: Path, mnist_dir: Path) -> subprocess.CompletedProcess:
    """stages/prepare_mnist.py in a project whose params.yaml expects the excerpt."""
    project.mkdir()
    shutil.copy(ROOT / "params.yaml", project)
    set_params(project, {"mnist.md5": MD5})
    return run([sys.executable, str(ROOT / "stages/prepare_mnist.py")], project, MNIST_DIR=str(mnist_dir))


def test_the_stage_writes_both_splits(tmp_path, sample_dir, digits):
    project = tmp_path / "project"
    result = run_stage(project, sample_dir)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    written = sorted(path.name for path in (project / "data" / "mnist").iterdir())
    assert written == ["test.safetensors", "train.safetensors"]
    train, test = (read_tensors(project / f"data/mnist/{split}.safetensors") for split in ("train", "test"))
    assert torch.equal(train["images"], digits)
    assert (len(train["labels"]), len(test["images"]), len(test["labels"])) == (384, 128, 128)
    assert test["labels"][:5].tolist() == [7, 2, 1, 0, 4]


def test_the_stage_ends_in_one_line_and_writes_nothing_if_a_file_is_damaged(tmp_path, copy):
    (copy / TEST_LABELS).write_bytes(flipped((copy / TEST_LABELS).read_bytes()))
    project = tmp_path / "project"
    result = run_stage(project, copy)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert TEST_LABELS in result.stderr
    assert not (project / "data").exists()

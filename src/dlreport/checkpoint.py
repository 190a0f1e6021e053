"""Checkpoints: the state that a training saves on its way. From it the training resumes after a signal, a kill or a
power cut.

A checkpoint is a file of tensors that begins with the SHA-256 of the rest. The file is renamed into place once it is
safely on the disk, and the checkpoint before it is kept. Its directory is named by a hash of the training's settings,
code and data, so no training with others can load it.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import torch

from dlreport.errors import STOPPING, Interrupted, UserError
from dlreport.io import tensors_from_bytes, tensors_to_bytes, write_atomic
from dlreport.progress import log

PACKAGE = Path(__file__).parent
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}  # the errors of network file systems that have no locks
_asked_to_stop: list[int] = []  # the numbers of the signals that came


def _stop(number: int, frame: object) -> None:
    _asked_to_stop.append(number)


def stop_by_signal() -> None:
    """Keep the signals of STOPPING from ending this process.

    From now on they ask its training to save and stop, which it does after the block of steps that it is at.
    """
    for number in STOPPING:
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _stop)


def fingerprint(settings: dict[str, Any], *data: torch.Tensor) -> str:
    """Return a hash of everything that decides a training's numbers: the settings (values that JSON can hold), the
    data, PyTorch's version, and this package's code with its comments."""
    digest = hashlib.sha256(json.dumps([settings, torch.__version__], sort_keys=True).encode())
    for tensor in data:
        digest.update(tensor.contiguous().numpy().tobytes())
    for path in sorted(path for kind in ("py", "c", "cpp", "h") for path in PACKAGE.rglob(f"*.{kind}")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def asked_to_stop() -> int | None:
    """Return the number of the first signal that came since `stop_by_signal`, or None if none came."""
    return _asked_to_stop[0] if _asked_to_stop else None


class Disk:
    """Reads and writes checkpoints on this machine. On a cluster the executor uses a subclass in its place."""

    def read(self, path: Path) -> bytes | None:
        """Return the content of the file without its checksum, or None if there is no such file.

        Raises UserError if the content does not have that checksum.
        """
        if not path.exists():
            return None
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise UserError(f"{path}: damaged (wrong checksum); the one before it is taken, or training starts again")
        return content[32:]

    def write(self, path: Path, content: bytes | memoryview, previous: Path) -> None:
        """Write the SHA-256 of the content, then the content. A file that was there before is renamed to `previous`."""

        def write(file: BinaryIO) -> None:
            file.write(hashlib.sha256(content).digest())
            file.write(content)

        write_atomic(path, write, keep=previous)

    @contextmanager
    def hold(self, directory: Path, name: str) -> Iterator[None]:
        """Lock the checkpoint of this name for this process. Raises UserError if another process has locked it."""
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / f"{name}.lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                raise UserError(
                    f"{name} is being trained by process {file.read()} already, perhaps left by a killed run; "
                    "wait for it, or end it by `kill`, which loses nothing"
                ) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                log.warning("%s: nothing can be locked on this disk; let no other run train here meanwhile", directory)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


class Checkpoint:
    """The checkpoint of one training, for as long as the training holds the lock. Without a path nothing is saved."""

    def __init__(self, path: Path | None, seconds: float, disk: Disk):
        self.path, self.seconds, self.disk = path, seconds, disk
        self.saved_at = time.monotonic()

    def load(self) -> Any:
        """Return the newest state that is whole, or None if there is none.

        If the checkpoint is damaged, this logs a warning and takes the one before it.
        """
        for path in (self.path, self._previous) if self.path else ():
            try:
                if (content := self.disk.read(path)) is not None:
                    return tensors_from_bytes(content, path)
            except (UserError, OSError) as error:
                log.warning("checkpoint %s", error)
        return None

    @property
    def due(self) -> bool:
        """Whether to save now: a signal asked for a stop, or `seconds` have passed since the last save."""
        return bool(_asked_to_stop) or (self.path is not None and time.monotonic() - self.saved_at >= self.seconds)

    def save(self, state: Any) -> None:
        """Write the state: tensors, numbers and words in dicts and lists.

        Raises UserError if it cannot be written. The checkpoint before it is still there then.
        """
        if self.path:
            self.disk.write(self.path, tensors_to_bytes(state), self._previous)
            self.saved_at = time.monotonic()

    def stop_if_asked(self, at: str) -> None:
        """Raise Interrupted if a signal asked for a stop. Call this after a save; `at` says where the training is."""
        if _asked_to_stop:
            kept = "is saved; run it again to go on from there" if self.path else "is not kept; run it again"
            raise Interrupted(_asked_to_stop[0], f"{at} {kept}")

    def beside(self, name: str) -> "Checkpoint":
        """Return another checkpoint in the same directory, for a part of the state that does not change any more."""
        return Checkpoint(self.path and self.path.with_name(f"{name}.safetensors"), self.seconds, self.disk)

    @property
    def _previous(self) -> Path:
        assert self.path
        return self.path.with_suffix(".previous")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one stage: their directory, named by its fingerprint, and the seconds between two saves."""

    directory: Path | None = None
    seconds: float = 0
    disk: Disk = field(default_factory=Disk)

    @classmethod
    def of(cls, parent: Path, seconds: float, settings: dict[str, Any], *data: torch.Tensor) -> "Checkpoints":
        """Return the checkpoints that belong to exactly these settings, this data and this code."""
        return cls(parent / fingerprint(settings, *data), seconds)

    @contextmanager
    def open(self, name: str) -> Iterator[Checkpoint]:
        """Yield the checkpoint of this name, locked meanwhile. Raises UserError if another process has locked it."""
        with self.disk.hold(self.directory, name) if self.directory else nullcontext():
            yield Checkpoint(self.directory and self.directory / f"{name}.safetensors", self.seconds, self.disk)

    def remove(self) -> None:
        """Delete the checkpoints. Call this once everything that was trained is written where it belongs."""
        if self.directory:
            shutil.rmtree(self.directory)


NO_CHECKPOINTS = Checkpoints()

"""What a training saves on its way, so that it goes on after any end: a signal, a kill, a power cut.

A checkpoint is a file of tensors under the SHA-256 of its bytes, renamed into place when it is safely on the disk; the
one before it is kept. It lies in a directory of its settings, code and data, so it is never taken for others.
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
NO_LOCKS = {errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS}  # of some network file systems
_asked_to_stop: list[int] = []  # signals


def _stop(number: int, frame: object) -> None:
    _asked_to_stop.append(number)


def stop_by_signal() -> None:
    """From now on these signals do not end this process: training saves at its next step, and stops."""
    for number in STOPPING:
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(number, _stop)


def fingerprint(settings: dict[str, Any], *data: torch.Tensor) -> str:
    """Of everything that decides a training's numbers: its settings (JSON), its data, PyTorch, this package's code."""
    digest = hashlib.sha256(json.dumps([settings, torch.__version__], sort_keys=True).encode())
    for tensor in data:
        digest.update(tensor.contiguous().numpy().tobytes())
    for path in sorted(path for kind in ("py", "c", "cpp", "h") for path in PACKAGE.rglob(f"*.{kind}")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def asked_to_stop() -> int | None:
    """The first signal that came since `stop_by_signal`."""
    return _asked_to_stop[0] if _asked_to_stop else None


class Disk:
    """Where checkpoints lie: on this machine. The executor puts another in its place for a run on another one."""

    def read(self, path: Path) -> bytes | None:
        """None if there is no such file; UserError if it is not as it was written."""
        if not path.exists():
            return None
        content = path.read_bytes()
        if hashlib.sha256(content[32:]).digest() != content[:32]:
            raise UserError(f"{path}: damaged (wrong checksum); the one before it is taken, or training starts again")
        return content[32:]

    def write(self, path: Path, content: bytes | memoryview, previous: Path) -> None:
        """Under the SHA-256 of the content; what was there before goes to `previous`."""

        def write(file: BinaryIO) -> None:
            file.write(hashlib.sha256(content).digest())
            file.write(content)

        write_atomic(path, write, keep=previous)

    @contextmanager
    def hold(self, directory: Path, name: str) -> Iterator[None]:
        """Keep the checkpoint of this name for this process. Raises UserError if another one has it."""
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
    """One training's, while it holds the lock. Without a path nothing is saved."""

    def __init__(self, path: Path | None, seconds: float, disk: Disk):
        self.path, self.seconds, self.disk = path, seconds, disk
        self.saved_at = time.monotonic()

    def load(self) -> Any:
        """The newest state that is whole, or None; a damaged one is reported and the one before it taken."""
        for path in (self.path, self._previous) if self.path else ():
            try:
                if (content := self.disk.read(path)) is not None:
                    return tensors_from_bytes(content, path)
            except (UserError, OSError) as error:
                log.warning("checkpoint %s", error)
        return None

    @property
    def due(self) -> bool:
        return bool(_asked_to_stop) or (self.path is not None and time.monotonic() - self.saved_at >= self.seconds)

    def save(self, state: Any) -> None:
        """Keep the state: tensors and numbers in dicts and lists. Raises UserError if it cannot be written; the one
        before it is still there then."""
        if self.path:
            self.disk.write(self.path, tensors_to_bytes(state), self._previous)
            self.saved_at = time.monotonic()

    def stop_if_asked(self, at: str) -> None:
        """After a save: raises Interrupted, saying where the training is (`at`), if a signal asked for it."""
        if _asked_to_stop:
            kept = "is saved; run it again to go on from there" if self.path else "is not kept; run it again"
            raise Interrupted(_asked_to_stop[0], f"{at} {kept}")

    def beside(self, name: str) -> "Checkpoint":
        """Another one, for a part of the state that does not change any more."""
        return Checkpoint(self.path and self.path.with_name(f"{name}.safetensors"), self.seconds, self.disk)

    @property
    def _previous(self) -> Path:
        assert self.path
        return self.path.with_suffix(".previous")


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one stage: a directory, named by its fingerprint, and the seconds between two of them."""

    directory: Path | None = None
    seconds: float = 0
    disk: Disk = field(default_factory=Disk)

    @classmethod
    def of(cls, parent: Path, seconds: float, settings: dict[str, Any], *data: torch.Tensor) -> "Checkpoints":
        """Those of exactly these settings and data, and of this code."""
        return cls(parent / fingerprint(settings, *data), seconds)

    @contextmanager
    def open(self, name: str) -> Iterator[Checkpoint]:
        """The one of this name, for one process at a time. Raises UserError if another one has it."""
        with self.disk.hold(self.directory, name) if self.directory else nullcontext():
            yield Checkpoint(self.directory and self.directory / f"{name}.safetensors", self.seconds, self.disk)

    def remove(self) -> None:
        """When all that was trained is written where it belongs."""
        if self.directory:
            shutil.rmtree(self.directory)


NO_CHECKPOINTS = Checkpoints()

"""Files: everything is written whole or not at all, and weights are read as weights only."""

import io
import json
import os
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from ruamel.yaml import YAML, YAMLError

from dlreport.errors import UserError


def write_atomic(path: Path, write: Callable[[BinaryIO], object], keep: Path | None = None) -> None:
    """Call `write(file)` on a temporary file beside `path`, then rename it: a failure leaves nothing half-written.

    What was there before goes to `keep`, if one is given. The file is on the disk, not in its cache alone, before it is
    renamed, so that a power cut too leaves the old or the new. Raises UserError naming `path` if the disk is full or
    read-only.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        if keep and path.exists():
            path.replace(keep)
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); make room or give access, then run it again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_metrics(path: Path, values: dict[str, float | int | None]) -> None:
    """Flat JSON for `dvc metrics`, fractions rounded to 6 decimals so that a diff shows no noise."""
    write_json(path, {key: round(value, 6) if isinstance(value, float) else value for key, value in values.items()})


def write_figure(path: Path, figure) -> None:
    """A matplotlib figure as PNG; no time and no version in it, so that the same figure is the same file."""
    write_atomic(path, lambda file: figure.savefig(file, format="png", dpi=100, metadata={"Software": None}))


def write_csv(path: Path, frame) -> None:
    """A pandas frame as CSV, floats to 6 significant digits."""
    write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(_existing(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run the pipeline again") from error


def read_yaml(path: Path) -> Any:
    """By the rules of YAML 1.2: `off` is a word and 1e-05 a number, which PyYAML reads otherwise."""
    try:
        return YAML(typ="safe", pure=True).load(_existing(path, f"`git restore {path}` brings it back").read_text())
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error


def read_csv(path: Path):
    import pandas as pd

    try:
        return pd.read_csv(_existing(path))
    except ValueError as error:
        raise UserError(f"{path}: not a readable CSV file ({error}); delete it and run the pipeline again") from error


def write_tensors(path: Path, tensors: Any) -> None:
    """Tensors, or dicts and lists of them (a state_dict)."""
    content = tensors_to_bytes(tensors)
    write_atomic(path, lambda file: file.write(content))


def read_tensors(path: Path) -> Any:
    """What `write_tensors` wrote; anything but tensors (code, in a pickle) is refused."""
    return tensors_from_bytes(_existing(path).read_bytes(), path)


def tensors_to_bytes(tensors: Any) -> memoryview:
    """In memory first: on a full disk torch.save's own writer fails with an error that names neither disk nor file."""
    import torch  # here, so that stages which handle no tensors start without it

    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getbuffer()


def tensors_from_bytes(content: bytes, path: Path) -> Any:
    """Raises UserError naming the `path` they came from if they are not tensors."""
    import torch

    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling bytes that are no pickle raises whatever the bytes happen to name
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(f"{path}: not a file of tensors ({reason}); delete it and run the pipeline again") from error


def _existing(path: Path, advice: str = "run the pipeline, which makes it") -> Path:
    if not path.is_file():
        raise UserError(f"{path}: missing; {advice}")
    return path

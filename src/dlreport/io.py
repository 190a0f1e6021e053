"""Reading and writing of files. A file is written whole or not at all, and no file of weights can hold code."""

import errno
import json
import os
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dlreport.errors import UserError

if TYPE_CHECKING:  # imported where it is used, since many stages that read or write files do not need it
    import pandas as pd


def write_atomic(path: Path, write: Callable[[BinaryIO], object], keep: Path | None = None) -> None:
    """Call `write(file)` on a temporary file beside `path`, then rename it, so a failure leaves nothing half-written.

    A file that was at `path` before is renamed to `keep`, if one is given. The temporary file is on the disk, and not
    only in a cache, before it is renamed. So even a power cut leaves the old file or the new one. Raises UserError
    naming `path` if it cannot be written, for example because the disk is full or read-only.
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
        _sync_directory(path.parent)
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); make room or give access, then run it again"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_directory(path: Path) -> None:
    """Put a rename in this directory on the disk. Where a network file system refuses, nothing more can be done."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise
    finally:
        os.close(directory)


def write_text(path: Path, text: str) -> None:
    write_atomic(path, lambda file: file.write(text.encode()))


def write_json(path: Path, values: dict[str, Any]) -> None:
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


def write_metrics(path: Path, values: Mapping[str, float | None]) -> None:
    """Write flat JSON for `dvc metrics`. Floats are rounded to 6 decimals, so that a diff shows no noise."""
    write_json(path, {key: round(value, 6) if isinstance(value, float) else value for key, value in values.items()})


def write_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib figure as a PNG in grey, as all of ours are grey.

    The file holds no time and no version, so the same figure gives the same file.
    """
    from PIL import Image

    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=100, metadata={"Software": None})
    write_atomic(path, lambda file: Image.open(drawn).convert("L").save(file, format="PNG", optimize=True))


def write_csv(path: Path, frame: "pd.DataFrame") -> None:
    """Write a pandas frame as CSV, with floats to 6 significant digits."""
    write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file. Raises UserError if it is missing or not valid."""
    try:
        return json.loads(_existing(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}); delete it and run the pipeline again") from error


def read_yaml(path: Path) -> Any:
    """Read a file by the rules of YAML 1.2: `off` is a word and 1e-05 a number, unlike in PyYAML.

    Raises UserError if the file is missing or not valid.
    """
    try:
        return YAML(typ="safe", pure=True).load(
            _existing(path, f"`git restore {path}` brings it back").read_text(encoding="utf-8")
        )
    except (YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not valid YAML; correct it: {error}") from error


def read_csv(path: Path) -> "pd.DataFrame":
    """Read a CSV file. Raises UserError if it is missing or not valid."""
    import pandas as pd

    try:
        return pd.read_csv(_existing(path))
    except ValueError as error:
        raise UserError(f"{path}: not a readable CSV file ({error}); delete it and run the pipeline again") from error


def write_tensors(path: Path, tensors: Any) -> None:
    """Write tensors, numbers and words in dicts and lists (such as a state_dict) as a file of safetensors."""
    content = tensors_to_bytes(tensors)
    write_atomic(path, lambda file: file.write(content))


def read_tensors(path: Path) -> Any:
    """Read what `write_tensors` wrote, with tuples as lists. Raises UserError naming the file if it is another kind."""
    return tensors_from_bytes(_existing(path).read_bytes(), path)


def tensors_to_bytes(values: Any) -> bytes:
    """Return the content of a file of safetensors that holds these values.

    A tensor has the name of the keys that lead to it, such as "0.weight"; everything else is in the header. The bytes
    follow from the values alone, and there is no code in them.
    """
    from safetensors.numpy import save

    tensors: dict[str, Any] = {}

    def described(value: Any, name: str) -> Any:
        """Return the value in a form that JSON can hold. A dict becomes pairs, as its keys may be numbers."""
        if isinstance(value, dict):
            return {"dict": [[key, described(each, f"{name}.{key}")] for key, each in value.items()]}
        if isinstance(value, list | tuple):
            return {"list": [described(each, f"{name}.{index}") for index, each in enumerate(value)]}
        if value is None or isinstance(value, str | int | float):
            return value
        name = name.removeprefix(".") or "tensor"
        tensors[name] = np.ascontiguousarray(value.detach().cpu()).reshape(value.shape)
        return {"tensor": name}

    import numpy as np  # here, as stages without tensors start faster without it

    structure = described(values, "")
    return save(tensors, {"structure": json.dumps(structure)})


def tensors_from_bytes(content: bytes, path: Path) -> Any:
    """Return the values that `tensors_to_bytes` was given, with tuples as lists.

    Raises UserError if the bytes are of another kind. It names `path`, the file that they came from.
    """
    from safetensors.torch import load

    def built(value: Any) -> Any:
        """Return the value that `described` has put into the header."""
        match value:
            case {"tensor": name}:
                return tensors[name]
            case {"dict": pairs}:
                return {key: built(each) for key, each in pairs}
            case {"list": items}:
                return [built(each) for each in items]
        return value

    try:
        tensors = load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return built(json.loads(header["__metadata__"]["structure"]))
    except Exception as error:  # with bytes of another kind, the library can raise any error
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        reason = "a pickle, as version 1.0 wrote them" if content[:2] in (b"PK", b"\x80\x02") else reason
        raise UserError(
            f"{path}: not a file of safetensors ({reason}); delete it and run the pipeline again"
        ) from error


def _existing(path: Path, advice: str = "run the pipeline, which makes it") -> Path:
    """Return the path. Raises UserError with this advice if there is no file."""
    if not path.is_file():
        raise UserError(f"{path}: missing; {advice}")
    return path

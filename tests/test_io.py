import errno
import math
import os
import stat
from pathlib import Path

import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from safetensors.torch import load_file

from dlreport.errors import UserError
from dlreport.io import (
    read_csv,
    read_json,
    read_tensors,
    read_yaml,
    write_atomic,
    write_csv,
    write_figure,
    write_json,
    write_metrics,
    write_tensors,
    write_text,
)
from helpers import Payload


def half_written(file) -> None:
    file.write(b"half")
    raise RuntimeError("interrupted")


def test_a_failed_write_leaves_no_file(tmp_path):
    with pytest.raises(RuntimeError, match="interrupted"):
        write_atomic(tmp_path / "new" / "a.txt", half_written)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_failed_write_keeps_the_old_content(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="interrupted"):
        write_atomic(path, half_written)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_content_is_there_until_the_write_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    seen = []

    def write(file) -> None:
        file.write(b"new")
        file.flush()
        seen.append(path.read_text())

    write_atomic(path, write)
    assert seen == ["old"]
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


STATE = {"weight": torch.arange(6.0).reshape(2, 3), "steps": torch.tensor(7)}


def test_tensors_come_back_as_they_were(tmp_path):
    path = tmp_path / "deep" / "a.safetensors"
    write_tensors(path, (STATE, {"bytes": torch.tensor([0, 255], dtype=torch.uint8), 0: [0.1, None, "a", True]}))
    first, second = read_tensors(path)
    assert second[0] == [0.1, None, "a", True]
    assert load_file(path).keys() == {"0.weight", "0.steps", "1.bytes"}  # to others too
    assert first.keys() == STATE.keys()
    for key, value in STATE.items():
        assert torch.equal(first[key], value)
        assert first[key].dtype == value.dtype
    assert second["bytes"].tolist() == [0, 255]
    assert second["bytes"].dtype == torch.uint8


def test_the_same_tensors_are_the_same_bytes(tmp_path):
    paths = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    flat = torch.zeros(12)
    flat[:6] = torch.arange(6.0)
    view = {"".join(["wei", "ght"]): flat[:6].view(2, 3), "steps": torch.tensor(7)}
    for path, state in zip(paths, (STATE, view), strict=True):
        write_tensors(path, state)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_tensors_that_are_no_rows_of_memory_are_kept_as_they_look(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"columns": STATE["weight"].T, "one": STATE["weight"][:, 1]})
    found = read_tensors(tmp_path / "a.safetensors")
    assert found["columns"].tolist() == [[0, 3], [1, 4], [2, 5]]
    assert found["one"].tolist() == [1, 4]


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_file_of_tensors_is_refused_and_not_run(tmp_path, zipped):
    target, path = tmp_path / "touched", tmp_path / "a.pt"
    torch.save({"weight": Payload(target)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError) as error:
        read_tensors(path)
    assert "not a file of safetensors (a pickle, as version 1.0 wrote them)" in str(error.value)
    assert not target.exists()
    assert_one_line_about(error, path)
    torch.load(path, weights_only=False)
    assert target.exists(), "the payload is harmless: this test shows nothing"


def assert_one_line_about(error: pytest.ExceptionInfo, path: Path, advice: str = "run the pipeline") -> None:
    assert str(error.value).startswith(f"{path}: ")
    assert advice in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_of_tensors_is_refused(tmp_path, share):
    path = tmp_path / "a.safetensors"
    write_tensors(path, STATE)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError) as error:
        read_tensors(path)
    assert_one_line_about(error, path)


@pytest.mark.parametrize(
    "content",
    [b"hello world\n", b"<html></html>", b"\x00\x00", b"tensors\n", b"\xe2(" * 9, b"..", b"J\x00\x00"],
    ids=repr,
)
def test_any_other_file_is_refused_as_tensors(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_tensors(path)
    assert_one_line_about(error, path)


@pytest.mark.parametrize(
    ("read", "advice"),
    [*((read, "run the pipeline") for read in (read_tensors, read_json, read_csv)), (read_yaml, "git restore")],
)
def test_a_missing_file_is_named(tmp_path, read, advice):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UserError, match="missing") as error:
            read(path)
        assert_one_line_about(error, path, advice)


@pytest.mark.parametrize(("read", "content"), [(read_json, b"{"), (read_json, b"\xff"), (read_csv, b"")])
def test_a_damaged_file_is_named(tmp_path, read, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read(path)
    assert_one_line_about(error, path)


@pytest.mark.parametrize("content", [b"a: [1", b"\xff\xfe\x80"], ids=repr)
def test_damaged_yaml_is_named(tmp_path, content):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_yaml(path)
    assert str(error.value).startswith(f"{path}: not valid YAML")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("write", [write_json, write_metrics])
def test_json_refuses_numbers_that_are_not_finite(tmp_path, write, value):
    path = tmp_path / "a.json"
    with pytest.raises(ValueError, match="not JSON compliant"):
        write(path, {"loss": value})
    assert not list(tmp_path.iterdir())


def test_json_comes_back_in_full_and_metrics_rounded(tmp_path):
    values = {"accuracy": 1 / 3, "steps": 7, "low": None}
    write_json(tmp_path / "a.json", values)
    write_metrics(tmp_path / "b.json", values)
    assert read_json(tmp_path / "a.json") == values
    assert read_json(tmp_path / "b.json") == {"accuracy": 0.333333, "steps": 7, "low": None}


def test_csv_has_six_digits_and_plain_line_ends(tmp_path):
    path = tmp_path / "a.csv"
    write_csv(path, pd.DataFrame({"step": [99, 199], "loss": [1 / 3, 1234567.0]}))
    assert path.read_bytes() == b"step,loss\n99,0.333333\n199,1.23457e+06\n"
    assert read_csv(path)["step"].tolist() == [99, 199]


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path, monkeypatch):
    """And then its name is: after a power cut there is the old file or the whole new one."""
    path, synced = tmp_path / "a.txt", []

    def fsync(file: int) -> None:
        synced.append(("directory" if stat.S_ISDIR(os.fstat(file).st_mode) else "file", path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(path, "new")
    assert synced == [("file", False), ("directory", True)]


def test_a_figure_is_a_grey_picture_and_the_same_file_each_time(tmp_path):
    figure = Figure(figsize=(2, 1))
    figure.add_subplot().plot([1, 2, 1])
    for name in ("a.png", "b.png"):
        write_figure(tmp_path / name, figure)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as picture:
        assert (picture.mode, picture.size) == ("L", (200, 100))


def test_a_disk_that_cannot_sync_directories_is_written_to(tmp_path, monkeypatch):
    """As some network file systems; any other failure of a disk is one."""
    sync = os.fsync

    def refuse(code: int) -> None:
        def fsync(file: int) -> None:
            if stat.S_ISDIR(os.fstat(file).st_mode):
                raise OSError(code, "refused")
            sync(file)

        monkeypatch.setattr(os, "fsync", fsync)

    refuse(errno.EINVAL)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"
    refuse(errno.EIO)
    with pytest.raises(UserError, match=r"a.txt: cannot be written \(refused\)"):
        write_text(tmp_path / "a.txt", "newer")

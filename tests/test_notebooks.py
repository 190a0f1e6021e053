"""The notebook of docs/notebooks.md, run by a Jupyter kernel as a user's is."""

import os
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import scratch
from helpers import stages_run

pytest_plugins = ["browser"]
pytestmark = pytest.mark.slow

HOME = "~/dlreport"  # of the recipe


@pytest.fixture(scope="module")
def outputs(serial, tmp_path_factory) -> list[list[dict]]:
    """What each cell gave, after a change that one stage has to run for. The project's commands are not on the PATH."""
    home = tmp_path_factory.mktemp("notebook")
    project = shutil.copytree(serial[0], home / "dlreport", symlinks=True)
    scratch.set_params(project, {"gan.grid_images": 16})
    (project / ".venv").symlink_to(sys.prefix)
    text = (scratch.ROOT / "docs/notebooks.md").read_text(encoding="utf-8")
    cells = re.findall(r"^```python\n(.+?)\n```$", text, flags=re.DOTALL | re.MULTILINE)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    others = [folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "dvc").exists()]
    env = {**scratch.environment(project), "HOME": str(home), "PATH": os.pathsep.join(others)}
    NotebookClient(notebook, timeout=600).execute(env=env, cwd=str(home))
    return [cell.outputs for cell in notebook.cells]


def said(outputs: list[dict]) -> str:
    """Without colours and other control of a terminal, which `!command` has."""
    return re.sub(r"\x1b\[[\d;?]*[A-Za-z]|\r", "\n", "".join(output.get("text", "") for output in outputs))


def test_the_pipeline_runs_with_a_notebooks_settings(outputs):
    assert said(outputs[0]).endswith(f"{HOME[1:]}\n")
    assert {"sample_gan", "report"} <= {*stages_run(said(outputs[1]))} <= {"sources", "sample_gan", "report"}
    assert "ERROR" not in said(outputs[1])
    assert re.search(r"file://\S+/dvc_plots/index.html", said(outputs[2]))


def test_the_page_is_drawn_in_the_notebook(outputs, open_page, tmp_path):
    [shown] = [output["data"]["text/html"] for output in outputs[3] if "data" in output]
    (tmp_path / "notebook.html").write_text(f"<!doctype html><meta charset=utf-8>{shown}", encoding="utf-8")
    page, complaints = open_page(tmp_path / "notebook.html")
    page.frame_locator("iframe").locator("svg.marks").nth(2).wait_for()
    assert complaints == []

"""Results shared through a DVC remote: a local directory, and an S3 server on this machine's loopback."""

import shutil
import sys
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from urllib.request import Request, urlopen

import pytest
from moto.server import ThreadedMotoServer

import scratch
from dlreport.io import read_yaml
from helpers import (
    DVC,
    dvc,
    git,
    is_up_to_date,
    name_author,
    output_of,
    run,
    small_files_only,
    stages_run,
    with_results_committed,
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _credentials():
    """S3 wants some, these or others."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    with urlopen(Request(f"{url}/bucket", method="PUT")):
        yield url
    server.stop()


@pytest.fixture(scope="module", params=["directory", "s3"])
def origin(request, serial, tmp_path_factory) -> Path:
    """A tiny project whose results are committed and pushed; its own cache is gone."""
    folder = tmp_path_factory.mktemp(request.param)
    project = with_results_committed(serial[0], folder / "origin")
    if request.param == "s3":
        dvc(project, "remote", "add", "--default", "store", "s3://bucket/dlreport")
        dvc(project, "remote", "modify", "store", "endpointurl", request.getfixturevalue("s3_server"))
    else:
        dvc(project, "remote", "add", "--default", "store", str(folder / "store"))
    git(project, "commit", "-qam", "A remote")
    assert "files pushed" in dvc(project, "push")
    assert dvc(project, "push") == "Everything is up to date.\n"
    shutil.rmtree(project / ".dvc/cache")
    return project


@pytest.fixture
def clone(origin, tmp_path) -> Path:
    git(origin, "clone", "-q", str(origin), str(tmp_path / "clone"))
    name_author(tmp_path / "clone")
    return tmp_path / "clone"


def fetched(project: Path) -> set[str]:
    """The files that DVC, not git, has put there."""
    return {
        str(path.relative_to(project))
        for name in ("data", "models")
        for path in (project / name).rglob("*.safetensors")
    }


def test_a_clone_that_pulls_trains_nothing(origin, clone):
    dvc(clone, "pull")
    assert fetched(clone) == fetched(origin)
    assert all((clone / name).read_bytes() == (origin / name).read_bytes() for name in fetched(origin))
    assert stages_run(dvc(clone, "repro")) == []
    assert git(clone, "status", "--porcelain") == ""


def test_a_clone_that_changes_nothing_needs_no_data(clone):
    assert stages_run(dvc(clone, "repro", "--pull", "--allow-missing")) == []
    assert fetched(clone) == set()
    assert git(clone, "status", "--porcelain") == ""


def test_a_clone_with_another_comment_derives_its_sources_and_needs_no_data(clone):
    module = clone / "src/dlreport/gan/networks.py"
    module.write_text(f"{module.read_text()}# another comment\n")
    assert stages_run(dvc(clone, "repro", "--pull", "--allow-missing")) == ["sources"]
    assert fetched(clone) == set()
    assert git(clone, "status", "--porcelain", "--", "sources") == ""


def test_only_what_a_changed_stage_needs_is_downloaded_and_run(clone):
    scratch.set_params(clone, {"gan.grid_images": 16})
    ran = stages_run(dvc(clone, "repro", "--pull", "--allow-missing"))
    assert set(ran) == {"sources", "sample_gan", "report"}
    assert {path.partition("/0/")[0].partition("/1/")[0] for path in fetched(clone)} == {"models/gan"}


def test_another_test_downloads_the_sequence_models_and_trains_nothing(clone):
    scratch.set_params(clone, {"sequence.test.report_sequences": 64})
    ran = stages_run(dvc(clone, "repro", "--pull", "--allow-missing"))
    evaluations = {"evaluate_sequence", "evaluate_longer", "evaluate_ablation", "compare_sequences", "compare_ablation"}
    assert {name.partition("@")[0] for name in ran} == {"sources", *evaluations, "check_claims", "report"}
    assert not [path for path in fetched(clone) if "gan" in path or "mnist" in path]


def test_an_experiment_with_the_gan_downloads_the_generator_and_trains_nothing(clone):
    settings = ("-S", "gan.interpolation_points=5")
    ran = stages_run(dvc(clone, "exp", "run", "--pull", "--allow-missing", *settings))
    assert set(ran) == {"sources", "interpolate_gan", "check_claims", "report"}
    assert {"models/classifier.safetensors", "models/gan/0/generator.safetensors"} <= fetched(clone)
    assert not [path for path in fetched(clone) if "sequence" in path or "mnist" in path]


def test_artifacts_are_fetched_by_name_and_version(origin, clone, tmp_path):
    """`clone` stands for the repository on a server: it has tags, and no model."""
    artifacts = read_yaml(clone / "dvc.yaml")["artifacts"]
    assert all(artifact["type"] == "model" and artifact["desc"] for artifact in artifacts.values())
    for name, artifact in artifacts.items():
        git(clone, "tag", "--annotate", f"{name}@v1.0.0", "--message", "First version")
        dvc(tmp_path, "artifacts", "get", str(clone), name, "--rev", "v1.0.0", "--out", name)
        found, expected = tmp_path / name, origin / artifact["path"]
        assert contents(found) == contents(expected)
        assert contents(found)


def contents(path: Path) -> dict[str, bytes]:
    """Of a model, or of a folder of them, by name."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return {str(file.relative_to(path)): file.read_bytes() for file in files}


def test_a_model_is_opened_where_it_lies(clone, tmp_path):
    script = """
import sys, dvc.api, safetensors.torch
with dvc.api.open("models/gan/0/generator.safetensors", repo=sys.argv[1], mode="rb") as file:
    print(len(safetensors.torch.load(file.read())))
"""
    assert int(output_of([sys.executable, "-c", script, str(clone)], tmp_path)) > 0


def test_a_push_and_a_pull_that_fail_on_their_way_are_made_good_by_the_next(serial, tmp_path):
    """The large files are refused, as by a disk that is full."""
    project, store = with_results_committed(serial[0], tmp_path / "origin"), tmp_path / "store"
    dvc(project, "remote", "add", "--default", "store", str(store))
    git(project, "commit", "-qam", "A remote")
    expected = {name: (project / name).read_bytes() for name in fetched(project)}

    def on_a_full_disk(folder: Path, verb: str) -> None:
        result = run([*DVC, verb], folder, preexec_fn=small_files_only)
        assert result.returncode != 0
        assert "File too large" in result.stderr

    def wrong_files() -> list[Path]:
        """Whose name is not the MD5 of what they hold; a part of a file has a name of its own, NAME.tmp."""
        files = [path for path in store.rglob("*") if path.is_file() and path.suffix != ".tmp"]
        assert files
        return [path for path in files if md5(path.read_bytes()).hexdigest() != path.parent.name + path.stem]

    on_a_full_disk(project, "push")
    assert wrong_files() == []
    clones = [tmp_path / name for name in ("before", "after")]
    for clone in clones:
        git(tmp_path, "clone", "-q", str(project), str(clone))
    assert run([*DVC, "pull"], clones[0]).returncode != 0  # not all is there yet
    assert all((clones[0] / name).read_bytes() == expected[name] for name in fetched(clones[0]))
    dvc(project, "push")
    assert wrong_files() == []
    on_a_full_disk(clones[1], "pull")
    for clone in clones:
        dvc(clone, "pull")
        assert {name: (clone / name).read_bytes() for name in fetched(clone)} == expected
        assert is_up_to_date(clone)
        assert git(clone, "status", "--porcelain") == ""

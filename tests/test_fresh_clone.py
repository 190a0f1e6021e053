"""An experiment in a fresh clone without a DVC remote: what is not in git is trained, and nothing else."""

import pytest

import scratch
from helpers import DVC, dvc, git, name_author, run, stages_run, with_results_committed

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def origin(serial, tmp_path_factory):
    return with_results_committed(serial[0], tmp_path_factory.mktemp("fresh") / "origin")


@pytest.fixture
def clone(origin, tmp_path):
    git(origin, "clone", "-q", str(origin), str(tmp_path / "clone"))
    name_author(tmp_path / "clone")
    return tmp_path / "clone"


def experiment(clone, setting: str) -> list[str]:
    return stages_run(dvc(clone, "exp", "run", "--allow-missing", "-S", setting))


def test_a_change_of_the_sequences_trains_them_alone(clone):
    ran = experiment(clone, "longer.replicates=1")
    assert ran == ["sources", "train_longer", "evaluate_longer", "check_claims", "report"]
    assert {"metrics/longer/train.json", "report/index.html"} <= {*git(clone, "diff", "--name-only").split()}
    assert dvc(clone, "exp", "list", "--name-only")


def test_a_change_of_the_gan_needs_the_classifier_and_no_sequence_model(clone):
    lost = run([*DVC, "exp", "run", "--allow-missing", "-S", "gan.epochs=2"], clone)
    assert lost.returncode
    assert f"No such file or directory: '{clone}/data/mnist/train.safetensors'" in lost.stderr
    git(clone, "restore", ".")

    assert stages_run(dvc(clone, "repro", "train_classifier")) == ["prepare_mnist", "train_classifier"]
    assert git(clone, "status", "--porcelain", "--", *scratch.RESULTS) == ""
    ran = experiment(clone, "gan.epochs=2")
    of_the_gan = {"train_gan", "sample_gan", "interpolate_gan", "evaluate_gan", "describe_gan"}
    assert set(ran) == {"sources", *of_the_gan, "check_claims", "report"}
    assert not list((clone / "models/sequence").rglob("*.safetensors"))

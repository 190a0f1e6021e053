"""The whole pipeline by the real `dvc repro`, at tiny size, in a repository of its own. No test leaves this machine."""

import importlib.metadata
import json
import re
import shutil
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from safetensors.torch import load_file

import scratch
from dlreport.config import load_params
from dlreport.io import read_yaml
from helpers import DVC, dvc, git, output_of, run, stages_run, streams_of

GAN_STAGES = ("train_gan", "sample_gan", "interpolate_gan", "evaluate_gan", "describe_gan")
COLLECTORS = ("compare_sequences", "compare_ablation", "check_claims", "report")


def sequence_stages(length: int) -> set[str]:
    stages = product(("train_sequence", "evaluate_sequence"), ("VanillaRNN", "LSTM"))
    return {f"{stage}@{model}-{length}" for stage, model in stages}


def ablation_stages() -> set[str]:
    stages = product(("train_ablation", "evaluate_ablation"), ("all_changed",))
    return {f"{stage}@{variant}-5" for stage, variant in stages}


def repro(project: Path) -> list[str]:
    """Run `dvc repro`; names of the stages that ran, in order."""
    return stages_run(dvc(project, "repro"))


@pytest.fixture(scope="module")
def project(serial, tmp_path_factory) -> Path:
    """A tiny copy after its first `dvc repro`. The tests below are in order: each leaves it up to date."""
    made, output = serial
    ran = stages_run(output)
    assert ran[0] == "sources"
    assert ran[-1] == "report"
    assert set(ran) == {
        *("sources", "prepare_mnist", "train_classifier"),
        *(*GAN_STAGES, *COLLECTORS, *sequence_stages(5)),
        *("train_longer", "evaluate_longer"),
        *ablation_stages(),
    }
    return shutil.copytree(made, tmp_path_factory.mktemp("pipeline") / "project", symlinks=True)


@pytest.fixture(scope="module")
def report(project) -> str:
    return (project / "report/report.md").read_text()


def test_each_stage_declares_the_parameters_that_it_reads(serial):
    """If it did not, `dvc repro` would keep an old result after a change of the parameter."""
    project, _ = serial
    changes_no_number = {"checkpoint_seconds", "sequence.log_every"}  # the latter but for what train_sequence keeps
    replaced = {("train_longer", "sequence.steps"), ("train_longer", "sequence.average_from")}  # by those of `longer`
    declared = {
        stage: {key for keys in locked.get("params", {}).values() for key in keys}
        for stage, locked in read_yaml(project / "dvc.lock")["stages"].items()
    }
    read = pd.read_csv(project.with_suffix(".recorded") / "parameters", sep="\t", names=["stage", "key"])
    assert set(read["stage"]) >= declared.keys()
    for stage, key in read.itertuples(index=False):
        covered = any(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in declared[stage])
        without = stage == "sources" or key in changes_no_number or (stage, key) in replaced  # sources: the whole file
        assert covered or without, f"{stage} reads {key}"
    assert "sequence.log_every" in declared["train_sequence@LSTM-5"]


def test_the_streams_drawn_are_those_of_which_no_two_are_alike(serial):
    """Of length 5 all palindromes are tested, so no test is drawn."""
    project, _ = serial
    drawn = pd.read_csv(project.with_suffix(".recorded") / "streams", sep="\t", names=["stage", "stream"])["stream"]
    known = {"/".join(map(str, name)) for name in streams_of(load_params(project / "params.yaml"))}
    assert {*drawn} == {name for name in known if not name.endswith("/test")}


def test_metrics_are_there_and_possible(project):
    for model in ("VanillaRNN", "LSTM"):
        metrics = json.loads((project / f"metrics/sequence/{model}-5.json").read_text())
        assert metrics.keys() == {"train_accuracy_mean", "test_accuracy", "solved"}
        replicates = pd.read_csv(project / f"plots/sequence/replicates/{model}-5.csv")
        assert replicates["replicate"].tolist() == [0, 1]
        for name, value in metrics.items():
            assert value == pytest.approx(replicates[name].mean(), abs=1e-5)
        assert replicates["test_sequences"].tolist() == [1000, 1000]  # every palindrome of length 5
        right = replicates["test_accuracy_report_batch"] * 128
        assert right.tolist() == pytest.approx(right.round().tolist(), abs=1e-3)
    claims = json.loads((project / "metrics/claims.json").read_text())
    table = pd.read_csv(project / "plots/claims.csv")
    of_claim = table[table["claim"] == 4]
    assert claims["claim_4_supported"] == (of_claim["verdict"] == "supported").sum()
    assert claims["undecided"] == (table["claim"].notna() & (table["verdict"] == "undecided")).sum() > 0
    gan = json.loads((project / "metrics/gan/training.json").read_text())
    assert gan["training_images"] == 384
    quality = json.loads((project / "metrics/gan/quality.json").read_text())
    assert 0 < quality["fid_reference"] < quality["fid"]
    assert 0 <= quality["two_sample_accuracy"] <= 1
    interpolation = json.loads((project / "metrics/gan/interpolation.json").read_text())
    assert 1 / 8 <= interpolation["largest_step_share"] < 1


def test_dvc_metrics_show_reads_them(project):
    files = json.loads(dvc(project, "metrics", "show", "--json"))[""]["data"]
    assert sorted(files) == [
        "metrics/claims.json",
        "metrics/classifier.json",
        "metrics/gan/interpolation.json",
        "metrics/gan/quality.json",
        "metrics/gan/training.json",
        "metrics/gradients.json",
        "metrics/sequence/LSTM-5.json",
        "metrics/sequence/VanillaRNN-5.json",
        "studies/frontier/metrics.json",  # as it is in git: the study is no part of the pipeline
    ]


def test_plot_files(project):
    curves = pd.read_csv(project / "plots/sequence/curves.csv")
    assert list(curves.columns) == ["model", "length", "replicate", "step", "accuracy", "loss"]
    assert len(curves) == 2 * 2 * 20  # models, replicates, windows
    assert curves["step"].max() == 59
    assert curves["accuracy"].between(0, 1).all()
    runs = pd.read_csv(project / "plots/sequence/runs.csv")
    assert len(runs) == 2 * 2 * 2  # models, replicates, measures
    losses = pd.read_csv(project / "plots/gan/losses.csv")
    assert losses["epoch"].tolist() == [1, 2, 3] * 2
    assert losses["replicate"].tolist() == [0] * 3 + [1] * 3
    assert (losses[["discriminator", "generator"]] > 0).all(axis=None)
    grids = {f"plots/gan/grids/{epoch:04d}.png" for epoch in (0, 2, 3)}
    outs = {out["path"] for stage in read_yaml(project / "dvc.lock")["stages"].values() for out in stage["outs"]}
    pictures = [*project.glob("plots/**/*.png")]
    assert {str(path.relative_to(project)) for path in pictures} == {name for name in outs if ".png" in name} | grids
    for picture in pictures:
        with Image.open(picture) as image:
            assert len(image.convert("L").getcolors()) > 2, f"{picture} is empty"


def test_what_a_model_remembers_is_written(project):
    gradients = pd.read_csv(project / "plots/gradients/by_time_step.csv")
    ends = gradients[gradients["when"] == "end"].set_index("model")
    held = ["held_accuracy", "held_i_accuracy", "held_f_accuracy", "held_o_accuracy"]
    assert ends.loc["LSTM", [*held, "accuracy"]].notna().all(axis=None)
    assert ends.loc["VanillaRNN", held].isna().all(axis=None)
    probed = pd.read_csv(project / "plots/memory/probe.csv")
    assert len(probed) == 2 * 2 * 2 * 4  # models, replicates, times, and steps
    answers = pd.read_csv(project / "plots/memory/confusion.csv")
    assert answers.groupby(["model", "replicate"])["sequences"].sum().tolist() == [1000] * 4
    growths = pd.read_csv(project / "plots/ablation/growth.csv").set_index("variant")
    assert growths.at["as_reported", "growth_measured"] > growths.at["all_changed", "growth_measured"]


def test_weights_are_saved_as_weights_only(project):
    for name in ("generator", "discriminator", "snapshots/0000", "snapshots/0002", "snapshots/0003"):
        state = load_file(project / f"models/gan/0/{name}.safetensors")
        assert all(tensor.isfinite().all() for tensor in state.values())


def test_dvc_plots_show_draws_every_plot(project):
    dvc(project, "plots", "show")
    page = (project / "dvc_plots/index.html").read_text()
    for part in ("Training accuracy, median run", "The GAN's losses", "plots/gan/grids/0002.png", "closest_pairs.png"):
        assert part in page
    assert not re.search("<DVC_METRIC", page)


def test_the_report_shows_the_numbers_of_the_metrics(project, report):
    for model in ("VanillaRNN", "LSTM"):
        table = pd.read_csv(project / "plots/sequence/comparison.csv").set_index("model")
        row = next(line for line in report.splitlines() if line.startswith(f"| 5 | {model} |"))
        for key in ("train_accuracy_mean", "test_accuracy", "test_accuracy_report_batch"):
            assert f"{table.at[model, key]:.4f}" in row
        assert pd.isna(table.at[model, "test_accuracy_low"])  # two runs have no interval
        assert "nan" not in row
    assert (project / "report/findings.md").read_text().startswith("- It is undecided whether")
    assert "533,505 parameters" in report
    assert "over the 384 training images" in report


def test_the_reports_pictures_exist_and_are_inside_the_page(project, report):
    sources = re.findall(r"!\[.+?\]\((.+?)\)", report)
    pictures = [path.relative_to(project) for path in project.glob("plots/**/*.png")]
    apart = ("final_grid.png", "0002.png")  # the README's, and the grid of an epoch that no claim names
    drawn = [f"../{path}" for path in pictures if path.name not in apart]
    charts = [f"figures/{path.name}" for path in (project / "report/figures").iterdir()]
    assert sorted(sources) == sorted([*drawn, *charts])  # each once
    for source in sources:
        assert (project / "report" / source).is_file()
    page = (project / "report/index.html").read_text()
    assert page.count('src="data:image/png;base64,') == len(drawn)
    assert page.count("data-chart=") == len(charts)
    assert "<math" in page
    text = re.sub("<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"""(src|data)=["']?(https?:|//|\.\.)|url\(|@import""", text)


def test_what_made_the_results_is_put_on_record_by_its_command_alone(project, report):
    stages = read_yaml(project / "dvc.lock")["stages"].keys()
    head = git(project, "rev-parse", "HEAD").strip()
    assert "provenance" not in git(project, "status", "--porcelain")
    for last, expected in (("", len(stages)), ("report", len(stages) - 1)):
        if last:  # as in another checkout, where one stage was up to date
            (project / f".provenance/{last}.json").unlink()
        said = output_of([sys.executable, "tools/provenance.py"], project)
        assert said == f"provenance.csv: {len(stages)} stages, {expected} of them as they ran here\n"
        record = pd.read_csv(project / "provenance.csv", index_col="stage")
        assert sorted(record.index) == sorted(stages)
        assert record["finished"].is_monotonic_increasing
        assert set(record["commit"]) == {head}
        assert not record["code_changed_since_commit"].any()
    training = record.loc["train_gan"]
    assert training["seconds"] > 0.1
    version = importlib.metadata.version("torch")
    assert (training["torch"], training["workers"], training["device"]) == (version, 1, "cpu")
    assert training["cpu"] not in report  # which is the same bytes on another machine


def test_a_record_that_a_merge_has_spoilt_is_named(project):
    record = project / "provenance.csv"
    before = record.read_text()
    for spoilt in ("<<<<<<< HEAD\n" + before, before.replace("finished", "ended"), before + "train_gan,1.0\n"):
        record.write_text(spoilt)
        result = run([sys.executable, "tools/provenance.py"], project)
        assert result.returncode == 1
        assert result.stderr.startswith("error: provenance.csv: not as `make provenance` writes it; ")
    record.write_text(before)


def test_a_second_repro_runs_nothing(project):
    lock = (project / "dvc.lock").read_bytes()
    assert repro(project) == []
    assert (project / "dvc.lock").read_bytes() == lock


def test_a_bad_parameter_ends_it_before_any_work(project):
    scratch.set_params(project, {"sequence.lengths": [5, 1]})
    result = run([*DVC, "repro"], project)
    scratch.set_params(project, {"sequence.lengths": [5]})
    assert result.returncode != 0
    assert "error: params.yaml: sequence.lengths.1: " in result.stderr
    assert stages_run(result.stdout) == ["sources"]


@pytest.mark.slow
def test_another_number_of_gan_epochs_reruns_no_sequence_stage(project):
    scratch.set_params(project, {"gan.epochs": 2})
    ran = repro(project)
    assert set(ran) == {"sources", "check_claims", "report", *GAN_STAGES}
    assert "2 epochs over" in (project / "report/report.md").read_text()


@pytest.mark.slow
def test_a_new_length_trains_that_length_alone(project):
    scratch.set_params(project, {"sequence.lengths": [5, 4]})
    ran = repro(project)
    assert set(ran) == {"sources", *COLLECTORS, *sequence_stages(4)}
    report = (project / "report/report.md").read_text()
    assert "<summary>Length 4, " in report
    assert report.index("<summary>Length 4, ") < report.index("<summary>Length 5, ")


@pytest.mark.slow
def test_a_removed_length_leaves_the_tables(project):
    scratch.set_params(project, {"sequence.lengths": [4]})
    assert set(repro(project)) == {"sources", *COLLECTORS}
    assert (project / "metrics/sequence/LSTM-5.json").exists()
    assert set(pd.read_csv(project / "plots/sequence/curves.csv")["length"]) == {4}
    assert "Length 5" not in (project / "report/report.md").read_text()


@pytest.mark.slow
def test_a_claim_that_no_section_says_is_refused(project):
    words = project / "src/dlreport/gan/claims.yaml"
    before = words.read_text()
    words.write_text(before.replace("section: walk", "section: pictures"))
    result = run([*DVC, "repro"], project)
    words.write_text(before)
    assert result.returncode != 0
    assert "gan/claims.yaml: the report has no section 'pictures'; choose one of: length " in result.stderr
    repro(project)

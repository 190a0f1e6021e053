"""What is to be measured on a GPU runs, here without one and tiny, and says that there is none."""

import json
import sys

import pytest

from dlreport.errors import UserError
from helpers import output_of, run

TINY = ("--tiny", "--device", "cpu", "--repeats", "1", "--block-seconds", "0.01")


@pytest.fixture
def pipeline(monkeypatch, repository):
    monkeypatch.syspath_prepend(repository / "benchmarks")
    import gpu_pipeline

    return gpu_pipeline


@pytest.mark.slow
@pytest.mark.parametrize("script", ["gpu.py", "gpu_pipeline.py"])
def test_without_cuda_there_is_one_line(repository, script):
    result = run([sys.executable, f"benchmarks/{script}"], repository, CUDA_VISIBLE_DEVICES="")
    assert (result.returncode, result.stderr) == (1, "error: no CUDA GPU here\n")


@pytest.mark.slow
def test_every_competitor_is_timed(repository, tmp_path):
    output = tmp_path / "gpu.json"
    said = output_of([sys.executable, "benchmarks/gpu.py", *TINY, "--output", str(output)], repository)
    lstm, gan = json.loads(output.read_text())["workloads"]
    assert {"ours", "nn.LSTM, eager", "nn.LSTM, in graphs", "torch.compile, in graphs"} <= lstm["us_a_step"].keys()
    assert {"ours", "torch GAN, eager"} <= gan["us_a_step"].keys()
    assert gan["bytes"] == 4 * 8 * (1_510_032 + 533_505)
    for entry in (lstm, gan):
        assert 0 < entry["floor_us"] < entry["us_a_step"]["ours"]
        assert f"{entry['name']:>14} floor" in said


def test_the_stages_of_dvc_yaml_in_the_order_of_its_graph(pipeline, repository):
    found = {stage.name: stage for stage in pipeline.stages(repository)}
    lstm = found["evaluate_sequence@LSTM-10"]
    assert lstm.command == "python stages/evaluate_sequence.py --model LSTM --length 10"
    assert "models/sequence/LSTM-10.safetensors" in lstm.deps
    assert pipeline.upstream(lstm, [*found.values()]) == {"sources", "train_sequence@LSTM-10"}
    assert pipeline.upstream(found["sample_gan"], [*found.values()]) == {"sources", "train_gan"}
    assert "train_ablation@adam-10" in pipeline.upstream(found["compare_ablation"], [*found.values()])
    everyone = set().union(*(pipeline.upstream(stage, [*found.values()]) for stage in found.values()))
    assert found.keys() - everyone == {"report"}


def test_commands_run_when_what_they_need_is_made(pipeline, tmp_path):
    (tmp_path / "params.yaml").write_text("letters: [a, b]\n")
    (tmp_path / "dvc.yaml").write_text(
        """
stages:
  last: {cmd: cat made/a.txt made/b.txt > all.txt, deps: [made], outs: [all.txt]}
  make: {matrix: {letter: "${letters}"}, cmd: "echo ${item} > made/${key}.txt", outs: ["made/${key}.txt"]}
"""
    )
    (tmp_path / "made").mkdir()
    times = pipeline.run_commands(tmp_path, {}, jobs=2)
    assert list(times) in (["make@a", "make@b", "last"], ["make@b", "make@a", "last"])
    assert (tmp_path / "all.txt").read_text() == "--letter a\n--letter b\n"
    (tmp_path / "made/a.txt").unlink()
    (tmp_path / "params.yaml").write_text("letters: [b]\n")
    with pytest.raises(UserError, match=r"last failed: cat: made/a\.txt"):
        pipeline.run_commands(tmp_path, {}, jobs=2)

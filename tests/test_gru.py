"""The GRU, a model that is off by default: PyTorch's own, and no more than its file and a line of the registry."""

import shutil

import pandas as pd
import pytest
import torch
from torch import nn

import scratch
from dlreport.sequence.initialisation import reinitialise
from dlreport.sequence.models import MODELS, model_class
from dlreport.sequence.tracing import gate_control, hold, reach, trace
from helpers import dvc, seeded, small_model, stages_run

D, H, CLASSES = 2, 5, 3


def peer(model: nn.Module) -> nn.GRU:
    """PyTorch's GRU with the model's weights: its gates' weights are rows, ours columns, in the same order."""
    gru = nn.GRU(D, H, batch_first=True, dtype=torch.float64)
    for name, ours in (("weight_ih_l0", "W_x"), ("weight_hh_l0", "W_h"), ("bias_ih_l0", "b_x"), ("bias_hh_l0", "b_h")):
        getattr(gru, name).data = getattr(model, ours).detach().T.clone()
    return gru


@pytest.fixture
def model() -> nn.Module:
    return small_model("GRU", D, H, CLASSES).double()


def test_states_and_gradients_are_those_of_nn_gru(model):
    x = torch.randn(4, 6, D, generator=seeded(1), dtype=torch.float64)
    gru = peer(model)
    expected, last = gru(x)
    states, units = trace(model, x)
    torch.testing.assert_close(torch.stack([h for (h,) in states], dim=1), expected)
    assert [sorted(of_step) for of_step in units] == [["n", "r", "z"]] * 6
    logits = model(x)
    torch.testing.assert_close(logits, last[0] @ model.W_ph + model.b_p)
    logits.square().sum().backward()
    (last[0] @ model.W_ph.detach() + model.b_p.detach()).square().sum().backward()
    for name, ours in (("weight_ih_l0", "W_x"), ("weight_hh_l0", "W_h"), ("bias_ih_l0", "b_x"), ("bias_hh_l0", "b_h")):
        torch.testing.assert_close(getattr(model, ours).grad, getattr(gru, name).grad.T)


def test_its_three_blocks_begin_orthogonal_and_its_biases_at_zero():
    model = model_class("GRU")(D, H, CLASSES, seeded())
    assert model_class("GRU").blocks() == 3
    reinitialise(model, "orthogonal", seeded())
    for block in model.W_h.split(H, dim=1):
        torch.testing.assert_close(block.T @ block, torch.eye(H))
    assert not any(bias.any() for bias in (model.b_x, model.b_h, model.b_p))


def test_it_is_traced_by_h_and_its_gates_can_be_held():
    model = small_model("GRU")
    x, target = torch.randint(10, (32, 4, 1), generator=seeded(2)).float(), torch.arange(32) % 10
    control = gate_control(model, x, target)
    assert control.keys() == {"accuracy", "held_accuracy", "held_r_accuracy", "held_z_accuracy"}
    found = reach(model, x, target)
    assert "gradient_cell" not in found
    assert len(found["gradient_median"]) == len(found["saturated_gates"]) == 4
    # Held open at z = 1 the state stays what it was: nothing of the input comes in.
    assert not hold(model, x, [{"z": torch.ones(8)}] * 4, ["z"]).any()


@pytest.mark.slow
def test_it_joins_the_report_and_retrains_nothing_else(serial, tmp_path):
    made, _ = serial
    project = shutil.copytree(made, tmp_path / "project", symlinks=True)
    before = pd.read_csv(project / "plots/claims.csv")
    scratch.set_params(project, {"sequence.models": [*MODELS]})
    ran = stages_run(dvc(project, "repro"))
    own = {f"{stage}@GRU-5" for stage in ("train_sequence", "evaluate_sequence")}
    collectors = {"compare_sequences", "compare_ablation", "check_claims", "report"}
    assert set(ran) == {"sources", *own, *collectors}
    after = pd.read_csv(project / "plots/claims.csv")
    pd.testing.assert_frame_equal(*(table[table["claim"].notna()] for table in (before, after)))
    assert after["claim"].isna().sum() > before["claim"].isna().sum()
    report = (project / "report/report.md").read_text()
    for part in ("**GRU.** It starts from $h_0 = 0$", "| 5 | GRU |", "The GRU's gradient"):
        assert part.lower() in report.lower()
    gradients = pd.read_csv(project / "plots/gradients/by_task/GRU-5.csv")
    assert gradients["gradient_cell"].isna().all()
    assert gradients["saturated_gates"].notna().all()

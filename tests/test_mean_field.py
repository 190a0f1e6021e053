"""The mean-field theory against networks with random weights, and against what is known of it."""

import math

import pytest
import torch

from dlreport.sequence import palindromes
from dlreport.sequence.mean_field import INPUT, critical, mean_field
from dlreport.sequence.models import model_class
from dlreport.sequence.task import Task
from dlreport.sequence.tracing import reach
from dlreport.sequence.variants import growth_at_the_start
from helpers import seeded


def test_the_published_initialisation_is_deep_in_the_chaotic_phase():
    found = mean_field(128, INPUT)
    assert found.chi == pytest.approx(5.59, abs=0.005)
    assert found.growth == pytest.approx(2.364, abs=0.0005)
    assert found.saturated == pytest.approx(0.828, abs=0.0005)
    assert found.growth**18 == pytest.approx(5.3e6, rel=0.01)


def test_many_units_behave_as_predicted():
    """A wide network: growth and saturation after the first steps, in which the state has yet to settle."""
    H = 512
    model = model_class("VanillaRNN")(1, H, 10, seeded(1))
    found = reach(model, *palindromes.sample(400, 14, seeded(2)))
    predicted = mean_field(H, INPUT)
    norms = found["gradient"]
    assert (norms[6] / norms[-1]) ** (1 / 6) == pytest.approx(predicted.growth, rel=0.05)
    assert sum(found["saturated_tanh"][2:]) / 11 == pytest.approx(predicted.saturated, abs=0.01)


def test_without_input_a_state_dies_below_the_edge_of_chaos_and_lives_above_it():
    """Schoenholz et al. (2017): for tanh without biases the edge is at w = 1, and below it chi = w."""
    assert mean_field(1.5, 0).variance > 0.1
    assert mean_field(0.5, 0).variance == pytest.approx(0, abs=1e-6)
    assert mean_field(0.5, 0).chi == pytest.approx(0.5)
    assert mean_field(0.5, 0).saturated == 0


def test_the_variance_is_a_fixed_point_by_another_way_of_averaging():
    found = mean_field(64, INPUT)
    z = torch.randn(2_000_000, generator=seeded(3), dtype=torch.float64)
    h = torch.tanh(math.sqrt(found.variance) * z)
    assert found.variance == pytest.approx(64 * h.square().mean().item() + INPUT, rel=2e-3)
    assert found.chi == pytest.approx(64 * (1 - h.square()).square().mean().item(), rel=1e-2)
    assert found.saturated == pytest.approx((h.abs() > 0.99).double().mean().item(), abs=2e-3)


@pytest.mark.parametrize("inputs", [0.1, INPUT])
def test_at_the_critical_weights_chi_is_one(inputs):
    assert mean_field(critical(inputs), inputs).chi == pytest.approx(1, abs=1e-6)


def test_a_variants_growth_is_predicted_from_its_own_weights(params):
    """And measured near it; far fewer units make for less."""
    found = {
        units: growth_at_the_start(
            Task("VanillaRNN", 10), params.sequence.model_copy(update={"hidden_dim": units}), params
        )
        for units in (32, 128)
    }
    for units, growth in found.items():
        assert growth["hidden_dim"] == units
        assert growth["growth_predicted"] == pytest.approx(mean_field(units, INPUT).growth, rel=0.05)
        assert growth["growth_measured"] == pytest.approx(growth["growth_predicted"], rel=0.2)
    scaled = params.sequence.model_copy(update={"initialisation": "scaled"})
    assert growth_at_the_start(Task("VanillaRNN", 10), scaled, params)["growth_measured"] < 0.6

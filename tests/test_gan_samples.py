"""Pictures from a generator, and walks through its latent space."""

import pandas as pd
import pytest
import torch

from dlreport.gan import samples
from dlreport.gan.classifier import Classifier, read
from dlreport.gan.courses import whole_walks
from dlreport.gan.networks import Generator
from dlreport.gan.samples import at_epoch, generate, grid_latents, line_latents, pair_latents, spherical, straight
from dlreport.gan.walk import measure_walk, step_shares
from helpers import seeded


def assert_normal(latents: torch.Tensor) -> None:
    """As in training: thousands of numbers from N(0, 1)."""
    assert latents.mean().item() == pytest.approx(0, abs=0.05)
    assert latents.std().item() == pytest.approx(1, abs=0.05)


def test_the_walks_between_random_vectors_have_ends_of_their_own(params):
    settings = params.gan.model_copy(update={"interpolation_pairs": 50})
    ends = pair_latents(settings, 1)
    assert ends.shape == (50, 2, 100)
    assert_normal(ends)
    assert torch.equal(ends, pair_latents(settings, 1))
    assert not torch.equal(ends, pair_latents(settings, 2))
    assert torch.isin(ends, grid_latents(settings, 1)).float().mean() < 0.01


def test_a_generator_is_named_by_its_epoch():
    assert [at_epoch(epoch) for epoch in (0, 1, 20)] == ["before training", "after epoch 1", "after epoch 20"]


def test_grid_noise_is_fixed_and_the_line_goes_from_zeros_to_ones(params):
    assert torch.equal(grid_latents(params.gan, 1), grid_latents(params.gan, 1))
    assert not torch.equal(grid_latents(params.gan, 1), grid_latents(params.gan, 2))
    assert grid_latents(params.gan, 1).shape == (64, 100)
    assert_normal(grid_latents(params.gan, 1))
    line = line_latents(params.gan)
    assert line.shape == (9, 100)
    assert not line[0].any()
    assert (line[-1] == 1).all()
    torch.testing.assert_close(line.diff(dim=0), torch.full((8, 100), 1 / 8))


def test_generate_is_in_eval_mode_and_draws_all_in_parts(monkeypatch):
    generator = Generator(4, seeded(1))
    latents = torch.randn(5, 4, generator=seeded(2))
    together = generate(generator.state_dict(), latents)
    assert together.shape == (5, 1, 28, 28)
    alone = torch.cat([generate(generator.state_dict(), z[None]) for z in latents])
    torch.testing.assert_close(together, alone)  # in train mode BatchNorm would mix the batch (and refuse one image)
    monkeypatch.setattr(samples, "CHUNK", 2)
    torch.testing.assert_close(generate(generator.state_dict(), latents), together)


def test_step_shares():
    even = torch.arange(9.0).view(9, 1, 1, 1).expand(9, 1, 28, 28)
    assert step_shares(even).tolist() == pytest.approx([1 / 8] * 8)
    jump = torch.zeros(9, 1, 28, 28)
    jump[4:] = 1
    assert step_shares(jump).tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    spot = torch.zeros(3, 1, 28, 28)
    spot[1:] = 1
    spot[2, 0, 0, 0] += 28  # one pixel by as far as all of them by 1: 784 = 28^2
    assert step_shares(spot).tolist() == pytest.approx([0.5, 0.5])
    assert step_shares(torch.zeros(3, 1, 28, 28)).tolist() == [0, 0]  # not NaN


def test_a_walk_has_a_row_for_each_image_with_its_reading_and_the_step_that_leads_to_it():
    images = torch.randn(4, 1, 28, 28, generator=seeded(1))
    classifier = Classifier(10, seeded(2)).eval()
    table, reading = measure_walk(images, torch.linspace(0, 1, 4), classifier), read(classifier, images)
    assert table["weight"].tolist() == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert table["digit"].tolist() == reading.digits.tolist()
    assert table["confidence"].tolist() == pytest.approx(reading.confidence.tolist())
    assert table["pixel_step"].isna().tolist() == [True, False, False, False]
    assert table["pixel_step"][1:].tolist() == pytest.approx(step_shares(images).tolist())
    assert table["feature_step"][1:].tolist() == pytest.approx(step_shares(reading.features).tolist())


def test_each_replicates_walk_is_summed_up_alone():
    table = pd.DataFrame(
        {
            "replicate": [0, 0, 0, 1, 1, 1],
            "digit": [9, 0, 0, 3, 5, 3],
            "confidence": [0.9, 0.8, 1, 0.7, 0.95, 1],
            "pixel_step": [None, 0.2, 0.8, None, 0.5, 0.5],
            "feature_step": [None, 0.9, 0.1, None, 0.4, 0.6],
        }
    )
    assert whole_walks(table).to_dict("index") == {
        0: {
            "largest_step_share": 0.8,
            "largest_step_share_features": 0.9,
            "digit_changes": 1,
            "least_confidence": 0.8,
        },
        1: {
            "largest_step_share": 0.5,
            "largest_step_share_features": 0.6,
            "digit_changes": 2,
            "least_confidence": 0.7,
        },
    }


def test_straight_and_spherical_walks_have_their_ends_and_the_sphere_its_norm():
    a, b = torch.nn.functional.normalize(torch.randn(2, 50, generator=seeded(1))) * 7
    for way in (straight, spherical):
        walk = way(a, b, 9)
        assert walk.shape == (9, 50)
        torch.testing.assert_close(walk[[0, -1]], torch.stack([a, b]))
    torch.testing.assert_close(spherical(a, b, 9).norm(dim=1), torch.full((9,), 7.0))
    torch.testing.assert_close(straight(a, b, 9)[4], (a + b) / 2)
    assert straight(a, b, 9)[4].norm() < 6

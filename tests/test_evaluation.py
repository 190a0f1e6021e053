import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import made_up
from dlreport.sequence import palindromes
from dlreport.sequence.accuracy import evaluate_sequence
from dlreport.sequence.comparison import comparison_table
from dlreport.evaluation.curves import late_gain, loss_course, over_replicates, steps_to_reach, window_spread
from dlreport.gan.samples import (
    generate,
    grid_latents,
    layer_table,
    line_latents,
    spherical,
    step_shares,
    straight,
    tile,
)
from dlreport.statistics.intervals import wilson
from dlreport.io import read_yaml
from dlreport.models import SEQUENCE_MODELS
from dlreport.gan.networks import Discriminator, Generator
from dlreport.streams import stream
from dlreport.sequence.training import Cell, build_model
from helpers import seeded


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    # Newcombe, 1998, Statistics in Medicine 17, table I, method 3.
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_wilson_gives_published_intervals(successes, trials, expected):
    assert wilson(successes, trials, 0.95) == pytest.approx(expected, abs=5e-5)


@given(st.integers(1, 500), st.data(), st.floats(0.5, 0.999))
def test_wilson_holds_the_proportion_and_stays_within_0_and_1(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials, confidence)
    assert 0 <= low <= successes / trials + 1e-12
    assert successes / trials - 1e-12 <= high <= 1
    assert wilson(trials - successes, trials, confidence) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@pytest.fixture
def settings(params):
    test = params.sequence.test.model_copy(update={"sequences": 1000})
    return params.sequence.model_copy(update={"hidden_dim": 8, "test": test})


def repeats_last(cell: Cell, hidden_dim: int) -> dict[str, torch.Tensor]:
    """Weights of a model whose answer is the last input it sees: right for length 2, and for palindromes like 1221."""
    model = build_model(cell, hidden_dim, torch.Generator())
    state = {key: torch.zeros_like(value) for key, value in model.state_dict().items()}
    # One hidden unit, nearly linear in the digit; logit k is largest where the digit is k: k x - k^2 / 2.
    digits = torch.arange(10.0)
    state["W_hx"][0, 0] = 1e-3
    state["W_ph"][0] = digits * 1e3
    state["b_o"] = -(digits**2) / 2
    return state


def test_evaluation_counts_right_answers_of_a_model_that_repeats_its_last_input(settings):
    weights = repeats_last(Cell("VanillaRNN", 2), 8)
    perfect = evaluate_sequence(Cell("VanillaRNN", 2), [weights], settings, seed=1)
    assert perfect.report_batch == [1.0]
    assert perfect.large == [1.0]
    assert perfect.sequences == 10  # every palindrome of length 2

    # Of all 100 palindromes of length 4, abba, the last input b is the answer a in ten.
    tenth = evaluate_sequence(Cell("VanillaRNN", 4), [weights, weights], settings, seed=1)
    assert tenth.large == pytest.approx([0.1, 0.1])


def test_large_lengths_are_tested_on_a_sample_of_their_own_for_each_replicate(settings):
    weights = repeats_last(Cell("VanillaRNN", 8), 8)
    result = evaluate_sequence(Cell("VanillaRNN", 8), [weights, weights], settings, seed=1)
    assert result.sequences == 1000
    assert result.large[0] != result.large[1]
    assert result == evaluate_sequence(Cell("VanillaRNN", 8), [weights, weights], settings, seed=1)


def test_test_streams_are_not_the_training_stream(settings):
    name = ("sequence", "LSTM-20", 0)
    drawn = [palindromes.sample(64, 20, stream(1, *name, use))[0] for use in ("data", "test", "test-report")]
    assert not any(torch.equal(drawn[i], drawn[j]) for i, j in [(0, 1), (0, 2), (1, 2)])


PUBLISHED = {
    "mean_accuracy_steps_40000_50000": {"LSTM": {5: 0.99}},
    "test_accuracy": {"LSTM": {5: 0.5}},
}


def found(*accuracies: float) -> pd.DataFrame:
    """Replicates with these accuracies."""
    names = ("train_accuracy_mean", "test_accuracy", "test_accuracy_report_batch")
    solved = [int(accuracy >= 0.99) for accuracy in accuracies]
    return pd.DataFrame({**dict.fromkeys(names, accuracies), "solved": solved, "test_sequences": 1000})


def test_comparison_is_of_the_mean_over_replicates():
    (row,) = comparison_table({("LSTM", 5): found(0.8, 0.9, 1.0)}, PUBLISHED, 0.95).to_dict("records")
    assert (row["replicates"], row["solved"]) == (3, pytest.approx(1 / 3))
    half = 4.302653 * 0.1 / 3**0.5  # Student's t, two degrees of freedom
    for name in ("train_accuracy_mean", "test_accuracy"):
        assert row[name] == pytest.approx(0.9)
        assert (row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx((0.9 - half, 1.0))


def test_comparison_has_the_published_figure_where_there_is_one():
    cells = {("LSTM", 5): found(0.8), ("LSTM", 6): found(0.8), ("VanillaRNN", 5): found(0.8)}
    table = comparison_table(cells, PUBLISHED, 0.95)
    assert table["published_train_accuracy_mean"].tolist() == pytest.approx([0.99, np.nan, np.nan], nan_ok=True)
    single = table.loc[0, ["test_accuracy", "test_accuracy_low", "test_accuracy_high"]].tolist()
    assert single == pytest.approx([0.8, *wilson(800, 1000, 0.95)])
    assert table["train_accuracy_mean_low"].isna().all()


def test_published_figures_are_the_reports(repository):
    sequence = read_yaml(repository / "published.yaml")["sequence"]
    assert sequence["mean_accuracy_steps_40000_50000"]["VanillaRNN"][10] == 0.7600197519751976
    for model, lengths in sequence["test_accuracy"].items():
        assert model in SEQUENCE_MODELS
        for length, value in lengths.items():
            assert (value * sequence["test_sequences"]).is_integer()
            assert sequence["log"][model][length][0]


def curve(*replicates: list[float]) -> pd.DataFrame:
    """Windows of ten steps with these mean accuracies, and losses the same."""
    runs = [(np.array(values), np.array(values)) for values in replicates]
    return made_up.curve(10 * np.arange(len(replicates[0])) + 9, *runs, extremes=0.1)


def test_over_replicates_takes_the_mean_and_the_extremes_of_the_replicates():
    joined = over_replicates(curve([0.2, 0.4], [0.4, 0.8]))
    assert joined["step"].tolist() == [9, 19]
    assert joined["accuracy_mean"].tolist() == pytest.approx([0.3, 0.6])
    assert joined["accuracy_low"].tolist() == pytest.approx([0.2, 0.4])
    assert joined["accuracy_high"].tolist() == pytest.approx([0.4, 0.8])


def test_over_a_single_replicate_the_extremes_are_those_of_its_steps():
    joined = over_replicates(curve([0.2, 0.4]))
    assert joined["loss_mean"].tolist() == pytest.approx([0.2, 0.4])
    assert joined["loss_low"].tolist() == pytest.approx([0.1, 0.3])
    assert joined["loss_high"].tolist() == pytest.approx([0.3, 0.5])


def test_steps_to_reach():
    assert steps_to_reach(curve([0.2, 0.99, 0.5, 1], [0.2, 0.98, 0.98, 0.98]), 0.99) == [19, None]


def test_window_spread_is_within_each_replicate():
    # Replicates at different levels, each constant, do not fluctuate.
    assert window_spread(curve([0, 0.5, 0.5], [0, 0.9, 0.9]), 10) == pytest.approx([0, 0])
    assert window_spread(curve([0, 0.4, 0.6], [0, 0.8, 1.2]), 10) == pytest.approx([0.1, 0.2])


def test_late_gain():
    assert late_gain(curve([0, 0.2, 0.3, 0.6, 0.7]), 10) == pytest.approx([0.4])
    assert late_gain(curve([0.5]), 0) == [0]


def test_loss_course_of_a_loss_that_falls_rises_and_declines():
    values = [1.0, 0.6, 0.8, 0.9, *np.linspace(0.85, 0.4, 16)]
    course = loss_course(pd.Series(values, index=range(1, 21)), falls_first=True)
    assert (course.first, course.turn_epoch, course.turn) == (1.0, 2, 0.6)
    assert (course.back_epoch, course.back, course.last) == (4, 0.9, pytest.approx(0.4))
    assert course.trend == pytest.approx(-3)
    mirrored = loss_course(-pd.Series(values, index=range(1, 21)), falls_first=False)
    assert (mirrored.turn_epoch, mirrored.back_epoch, mirrored.trend) == (2, 4, pytest.approx(3))


def test_loss_course_of_a_single_epoch():
    course = loss_course(pd.Series([0.7], index=[1]), falls_first=True)
    assert (course.first, course.turn, course.back, course.last, course.trend) == (0.7, 0.7, 0.7, 0.7, 0)


def test_grid_noise_is_fixed_and_the_line_goes_from_zeros_to_ones(params):
    assert torch.equal(grid_latents(params.gan, 1), grid_latents(params.gan, 1))
    assert not torch.equal(grid_latents(params.gan, 1), grid_latents(params.gan, 2))
    assert grid_latents(params.gan, 1).shape == (64, 100)
    line = line_latents(params.gan)
    assert line.shape == (9, 100)
    assert not line[0].any()
    assert (line[-1] == 1).all()
    torch.testing.assert_close(line.diff(dim=0), torch.full((8, 100), 1 / 8))


def test_generate_is_in_eval_mode():
    generator = Generator(4, seeded(1))
    latents = torch.randn(5, 4, generator=seeded(2))
    together = generate(generator.state_dict(), latents)
    assert together.shape == (5, 1, 28, 28)
    alone = torch.cat([generate(generator.state_dict(), z[None]) for z in latents])
    torch.testing.assert_close(together, alone)  # in train mode BatchNorm would mix the batch (and refuse one image)


def test_tile_normalises_all_images_together():
    images = torch.stack([torch.full((1, 28, 28), value) for value in (-0.5, 0.0, 0.5)])
    picture = tile(images, columns=3)
    assert picture.shape == (32, 92)
    assert [picture[16, 16 + 30 * k].item() for k in range(3)] == pytest.approx([0, 0.5, 1], abs=1e-4)


def test_step_shares():
    even = torch.arange(9.0).view(9, 1, 1, 1).expand(9, 1, 28, 28)
    assert step_shares(even).tolist() == pytest.approx([1 / 8] * 8)
    jump = torch.zeros(9, 1, 28, 28)
    jump[4:] = 1
    assert step_shares(jump).tolist() == [0, 0, 0, 1, 0, 0, 0, 0]


def test_straight_and_spherical_walks_have_their_ends_and_the_sphere_its_norm():
    a, b = torch.nn.functional.normalize(torch.randn(2, 50, generator=seeded(1))) * 7
    for way in (straight, spherical):
        walk = way(a, b, 9)
        assert walk.shape == (9, 50)
        torch.testing.assert_close(walk[[0, -1]], torch.stack([a, b]))
    torch.testing.assert_close(spherical(a, b, 9).norm(dim=1), torch.full((9,), 7.0))
    torch.testing.assert_close(straight(a, b, 9)[4], (a + b) / 2)
    assert straight(a, b, 9)[4].norm() < 6


def test_layer_table_adds_up_to_the_parameter_counts():
    networks = {"generator": Generator(100, torch.Generator()), "discriminator": Discriminator(torch.Generator())}
    table = pd.DataFrame(layer_table(networks))
    assert table.groupby("network")["parameters"].sum().to_dict() == {"generator": 1510032, "discriminator": 533505}

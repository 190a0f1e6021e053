"""The figures, by the data of what they draw."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import same_color, to_hex

import made_up
from dlreport.gan import figures as gan_figures
from dlreport.sequence import figures
from dlreport.sequence.comparison import comparison_table
from dlreport.sequence.models import MODELS, colours

STEPS = np.array([9, 19, 29])


def runs(accuracy: float, replicates: int = 1) -> pd.DataFrame:
    """Curves of replicates around this accuracy, each a little higher than the one before; losses are ten times it."""
    values = [accuracy + 0.01 * k + np.array([0, 0.02, 0.05]) for k in range(replicates)]
    return made_up.curve(STEPS, *((value, 10 * value) for value in values), extremes=0.005)


def lines(axes) -> dict[str, list[tuple[list[float], list[float]]]]:
    """x and y of the lines of each label, without the numbers that are missing; those of no label are under ""."""
    found = {}
    for line in axes.get_lines():
        x, y = (np.asarray(values, dtype=float) for values in line.get_data())
        label = "" if line.get_label().startswith("_") else line.get_label()
        found.setdefault(label, []).append((x[~np.isnan(y)].tolist(), y[~np.isnan(y)].tolist()))
    return found


def only(axes, label: str) -> tuple[list[float], list[float]]:
    """x and y of the one line of this label."""
    (line,) = lines(axes)[label]
    return line


def band(axes) -> tuple[float, float]:
    """The least and the largest y of the one band."""
    (area,) = axes.collections
    y = area.get_paths()[0].vertices[:, 1]
    return y.min(), y.max()


def colour_of(axes, label: str) -> str:
    return next(line.get_color() for line in axes.get_lines() if line.get_label() == label)


@pytest.mark.parametrize("lengths", [[5], [5, 10], [20, 5, 10]])
def test_the_curves_figure_has_a_panel_for_each_length_with_each_models_accuracy(lengths):
    curves = {task: runs(0.1 + 0.01 * k, replicates=2) for k, task in enumerate(product(MODELS, lengths))}
    figure = figures.curves_by_length(curves, colours(MODELS))
    assert [axes.get_title() for axes in figure.axes] == [f"length {length}" for length in sorted(lengths)]
    for axes, length in zip(figure.axes, sorted(lengths), strict=True):
        assert axes.get_ylabel() == "accuracy"
        for model in MODELS:
            curve = curves[model, length]
            steps, means = only(axes, model)
            assert steps == STEPS.tolist()
            assert means == pytest.approx(curve.groupby("step")["accuracy_mean"].mean().tolist())
            assert same_color(colour_of(axes, model), MODELS[model].colour)
        faint = lines(axes)[""]
        assert len(faint) == 2 * len(MODELS)
        for _, one in curves[next(iter(MODELS)), length].groupby("replicate"):
            assert (STEPS.tolist(), one["accuracy_mean"].tolist()) in faint


def test_the_training_figure_has_the_loss_on_the_left_and_the_accuracy_on_the_right():
    figure = figures.training_curves(runs(0.5), "LSTM", 5, "#123456")
    loss, accuracy = figure.axes
    assert (loss.get_title(), loss.get_yscale()) == ("Loss", "log")
    assert (accuracy.get_title(), accuracy.get_yscale()) == ("Accuracy", "linear")
    for axes, values in ((loss, [5, 5.2, 5.5]), (accuracy, [0.5, 0.52, 0.55])):
        ((steps, means),) = lines(axes)[""]
        assert steps == STEPS.tolist()
        assert means == pytest.approx(values)
        assert band(axes) == pytest.approx((values[0] - 0.005, values[-1] + 0.005))
        assert axes.get_lines()[0].get_color() == "#123456"
    assert figure.get_suptitle() == "LSTM, palindromes of length 5"


def test_the_accuracy_figure_has_ours_and_the_published_each_under_its_name():
    """Our numbers of training and test and the published ones are all different."""
    published = {
        "mean_accuracy_steps_40000_50000": {"LSTM": {5: 0.31, 10: 0.32}},
        "test_accuracy": {"LSTM": {5: 0.41}},
    }
    tasks = {
        ("LSTM", length): pd.DataFrame(
            {
                "train_accuracy_mean": [0.5 + length / 100 + k / 250 for k in range(6)],
                "test_accuracy": [0.7 + length / 100 + k / 250 for k in range(6)],
                "test_accuracy_report_batch": 0.95,
                "solved": 0,
                "test_sequences": 1000,
            }
        )
        for length in (10, 5)
    }
    table = comparison_table(tasks, published, 0.95)
    figure = figures.accuracy_by_length(table, tasks, 0.95, {"LSTM": "#123456"})
    train, test = figure.axes
    assert train.get_title().startswith("Mean training accuracy")
    assert test.get_title().startswith("Test accuracy")
    crosses = {train: ([5, 10], [0.31, 0.32]), test: ([5], [0.41])}
    for axes, name, ours in ((train, "train_accuracy_mean", [0.56, 0.61]), (test, "test_accuracy", [0.76, 0.81])):
        (errorbar,) = axes.containers
        assert errorbar.get_label() == "LSTM, here"
        assert errorbar.lines[0].get_xdata().tolist() == [5, 10]
        assert errorbar.lines[0].get_ydata().tolist() == pytest.approx(ours)
        (bars,) = errorbar.lines[2]
        ends = [segment[:, 1].tolist() for segment in bars.get_segments()]
        intervals = table.sort_values("length")[[f"{name}_low", f"{name}_high"]].to_numpy().tolist()
        assert np.array(ends) == pytest.approx(np.array(intervals))

        dashed = [line for line in axes.get_lines() if line.get_marker() == "x"]
        (here, legend) = dashed
        shown = ~np.isnan(here.get_ydata())
        assert (here.get_xdata()[shown].tolist(), here.get_ydata()[shown].tolist()) == crosses[axes]
        assert same_color(here.get_color(), "#123456")
        assert (legend.get_label(), len(legend.get_ydata())) == ("published (one run)", 0)

        points = {tuple(line.get_ydata()) for line in axes.get_lines() if line.get_marker() == "o"}
        assert points == {tuple(found[name]) for found in tasks.values()}
        assert only(axes, "guessing")[1] == [0.1, 0.1]


TRACED = ["gradient", "gradient_cell", *(f"{name}_{end}" for name in ("gradient", "growth") for end in figures.ENDS)]
TRACED += ["saturated_tanh", "saturated_gates"]


@pytest.fixture
def traced() -> pd.DataFrame:
    """Of two models, the first without c and gates, two replicates at two lengths, three times and all steps; every
    number is another."""
    generator, rows = np.random.default_rng(1), []
    for model, length, replicate, when in product(["VanillaRNN", "LSTM"], (5, 3), (0, 1), figures.WHEN):
        for t in range(1, length):
            values = dict(zip(TRACED, generator.uniform(0.1, 1, len(TRACED)), strict=True))
            if model == "VanillaRNN":
                values["gradient_cell"] = values["saturated_gates"] = np.nan
            rows.append({"model": model, "length": length, "replicate": replicate, "when": when, "t": t, **values})
    return pd.DataFrame(rows)


def bands(axes) -> list[tuple[list[float], list[float]]]:
    """The lower and the upper ends of each band, from the left."""
    found = []
    for area in axes.collections:
        points = np.unique(area.get_paths()[0].vertices, axis=0)  # by x, then by y
        found.append((points[::2, 1].tolist(), points[1::2, 1].tolist()))
    return found


def panels_of(figure, lengths=(3, 5)) -> dict[tuple[str, int], object]:
    """By model and length, in the figure's order."""
    panels = {axes.get_title(): axes for axes in figure.axes}
    tasks = [(model, length) for length in lengths for model in ("VanillaRNN", "LSTM")]
    assert [*panels] == [f"{model}, length {length}" for model, length in tasks]
    return dict(zip(tasks, panels.values(), strict=True))


def test_the_gradients_figure_has_the_median_sequence_and_the_range_of_sequences(traced):
    """Of several replicates their medians; of two that is the mean."""
    figure = figures.gradients(traced)
    for (model, length), axes in panels_of(figure).items():
        cell = traced[(traced["model"] == model) & (traced["length"] == length)]
        assert axes.get_yscale() == "log"
        for when, (low, high) in zip(figures.WHEN, bands(axes), strict=True):
            means = cell[cell["when"] == when].groupby("t").mean(numeric_only=True)
            ends = np.sort(means[["gradient_low", "gradient_high"]].to_numpy(), axis=1)  # made up: in any order
            assert only(axes, when) == ([*range(1, length)], pytest.approx(means["gradient_median"].tolist()))
            assert (low, high) == (pytest.approx(ends[:, 0].tolist()), pytest.approx(ends[:, 1].tolist()))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [*figures.WHEN]


def test_the_growth_figure_has_the_longest_length_by_steps_back_beside_the_prediction(traced):
    figure = figures.growth(traced, {"VanillaRNN": 3.0})
    for (model, _), axes in panels_of(figure, [5]).items():
        cell = traced[(traced["model"] == model) & (traced["length"] == 5)]
        memory = "gradient_cell" if model == "LSTM" else "gradient"
        assert axes.get_xlabel() == "time steps back from the last"
        for when in figures.WHEN:
            rows = cell[cell["when"] == when]
            median = rows.groupby("t")["growth_median"].mean()
            assert only(axes, when) == ([0, 1, 2, 3], pytest.approx(median[::-1].tolist()))
            squares = [one[memory].to_numpy()[::-1] for _, one in rows.groupby("replicate")]
            ratios = np.mean([values / values[0] for values in squares], axis=0)
            assert only(axes, f"{when}, r.m.s.") == ([0, 1, 2, 3], pytest.approx(ratios.tolist()))
        predicted = lines(axes).get("mean-field theory, r.m.s.")
        assert predicted == ([([0, 1, 2, 3], [1, 3, 9, 27])] if model == "VanillaRNN" else None)


def test_the_saturation_figure_has_each_column_under_its_name(traced):
    columns = {"tanh": "saturated_tanh", "gates": "saturated_gates"}
    figure = figures.saturation(traced)
    for (model, length), axes in panels_of(figure).items():
        cell = traced[(traced["model"] == model) & (traced["length"] == length)]
        assert axes.get_yscale() == "linear"
        for when, label in product(figures.WHEN, columns):
            means = cell[cell["when"] == when].groupby("t")[columns[label]].mean()
            if means.isna().any():
                assert f"{when}, {label}" not in lines(axes)
            else:
                assert only(axes, f"{when}, {label}") == ([*range(1, length)], pytest.approx(means.tolist()))
    (legend,) = figure.legends
    labels = [f"{when}, {label}" for when, label in product(figures.WHEN, columns)]
    assert sorted(text.get_text() for text in legend.get_texts()) == sorted(labels)


def test_the_probe_figure_has_each_model_before_and_after_training():
    cells = [*product(["VanillaRNN", "LSTM"], (3, 5), (0, 1), ("start", "end"))]
    rows = [
        {"model": model, "length": length, "replicate": replicate, "when": when, "t": t}
        | {"probe_accuracy": (k + 1) / 40 + t / 100}
        for k, (model, length, replicate, when) in enumerate(cells)
        for t in range(1, length)
    ]
    table = pd.DataFrame(rows)
    figure = figures.probe(table, {"VanillaRNN": "#123456", "LSTM": "#654321"})
    assert [axes.get_title() for axes in figure.axes] == ["length 3", "length 5"]
    for axes, length in zip(figure.axes, (3, 5), strict=True):
        assert only(axes, "guessing")[1] == [0.1, 0.1]
        for model, when in product(["VanillaRNN", "LSTM"], ("start", "end")):
            found = table[(table["model"] == model) & (table["length"] == length) & (table["when"] == when)]
            means = found.groupby("t")["probe_accuracy"].mean().tolist()
            assert only(axes, f"{model}, {when}") == ([*range(1, length)], pytest.approx(means))
            assert colour_of(axes, f"{model}, {when}") == {"VanillaRNN": "#123456", "LSTM": "#654321"}[model]


def test_the_confusion_figure_has_the_shares_of_answers_by_first_digit():
    """Two replicates; a model's rows are not all of the same number, and no two digits are answered alike."""
    rows = [
        {"model": model, "length": length, "replicate": replicate, "digit": digit, "answer": answer}
        | {"sequences": 1 + (answer == digit) * (digit + replicate) * 3 * length + (model == "LSTM") * answer}
        for model, length, replicate in product(["VanillaRNN", "LSTM"], (3, 5), (0, 1))
        for digit, answer in product(range(10), repeat=2)
    ]
    table = pd.DataFrame(rows)
    figure = figures.confusion(table, 5, {"VanillaRNN": "#123456", "LSTM": "#654321"})
    *panels, right, _ = figure.axes
    for axes, model in zip(panels, ["VanillaRNN", "LSTM"], strict=True):
        assert axes.get_title() == f"{model}, length 5"
        assert (axes.get_ylabel(), axes.get_xlabel()) == ("first digit", "answer")
        found = table[(table["model"] == model) & (table["length"] == 5)]["sequences"].to_numpy().reshape(2, 10, 10)
        shares = (found / found.sum(2, keepdims=True)).mean(0)
        (image,) = axes.get_images()
        assert np.asarray(image.get_array()) == pytest.approx(shares)
        assert only(right, model) == ([*range(10)], pytest.approx(np.diag(shares).tolist()))


def test_the_ablations_figure_has_the_accuracy_of_each_variant():
    curves = {task: runs(0.1 * (k + 1)) for k, task in enumerate(product(["as_reported", "adam"], [10, 20]))}
    figure = figures.ablation(curves)
    assert [axes.get_title() for axes in figure.axes] == ["VanillaRNN, length 10", "VanillaRNN, length 20"]
    for axes, length in zip(figure.axes, (10, 20), strict=True):
        for variant in ("as_reported", "adam"):
            steps, means = only(axes, variant.replace("_", " "))
            assert steps == STEPS.tolist()
            assert means == pytest.approx(curves[variant, length]["accuracy_mean"].tolist())


def test_no_two_variants_of_the_ablation_look_alike():
    variants = [f"variant_{k}" for k in range(14)]
    (axes,) = figures.ablation({(variant, 10): runs(0.5) for variant in variants}).axes
    looks = {line.get_label(): (to_hex(line.get_color()), line.get_linestyle()) for line in axes.get_lines()}
    assert [*looks] == [variant.replace("_", " ") for variant in variants]
    assert len(set(looks.values())) == 14


def test_models_have_colours_of_their_own():
    assert colours(MODELS).keys() == MODELS.keys()
    assert len({to_hex(colour) for colour in colours(MODELS).values()}) == len(MODELS)


def test_the_gans_loss_figure_has_losses_on_the_left_and_the_discriminators_accuracies_on_the_right():
    found = {"discriminator": [1.0, 0.9], "generator": [0.7, 0.8]}
    accuracies = {"accuracy_real": [0.6, 0.7], "accuracy_generated": [0.8, 0.9]}
    loss, accuracy = gan_figures.losses(pd.DataFrame({"replicate": 0, "epoch": [1, 2], **found, **accuracies})).axes
    assert lines(loss) == {"discriminator": [([1, 2], [1.0, 0.9])], "generator": [([1, 2], [0.7, 0.8])]}
    assert lines(accuracy) == {
        "real images": [([1, 2], [0.6, 0.7])],
        "generated images": [([1, 2], [0.8, 0.9])],
        "both": [([1, 2], [pytest.approx(0.7), pytest.approx(0.8)])],
    }


def test_the_figure_of_shares_has_a_panel_for_each_digit_with_its_real_share():
    rows = [(0, epoch, digit, (digit + epoch) / 100) for epoch in (0, 20, 40) for digit in range(10)]
    table = pd.DataFrame(rows, columns=["replicate", "epoch", "digit", "share"])
    panels = gan_figures.digit_shares(table, [digit / 45 for digit in range(10)]).axes
    assert [axes.get_title() for axes in panels] == [str(digit) for digit in range(10)]
    for digit, axes in enumerate(panels):
        shares, real = axes.get_lines()
        assert shares.get_xdata().tolist() == [20, 40]
        assert shares.get_ydata().tolist() == pytest.approx([(digit + 20) / 100, (digit + 40) / 100])
        assert set(real.get_ydata()) == {digit / 45}


def test_the_gans_quality_figure_has_the_distance_on_the_left_and_shares_on_the_right():
    shares = {"coverage": [0.1, 0.2], "precision": [0.3, 0.4], "unsure": [0.6, 0.5]}
    distances = {"fid": [300.0, 7.0], "fid_matched": [np.nan, 6.0]}  # no digit is drawn before training
    table = pd.DataFrame({"replicate": 0, "epoch": [0, 20], **distances, **shares})
    distance, share = gan_figures.quality_by_epoch(table).axes
    assert distance.get_yscale() == "log"
    assert lines(distance) == {"as they are": [([0, 20], [300, 7])], "at matched shares": [([20], [6])]}
    assert {name: line for name, (line,) in lines(share).items()} == {
        "coverage": ([0, 20], [0.1, 0.2]),
        "precision": ([0, 20], [0.3, 0.4]),
        "doubtful to the classifier": ([0, 20], [0.6, 0.5]),
    }


def test_an_image_grid_normalises_all_images_together_and_shows_them_in_grey_over_its_labels():
    images = torch.stack([torch.full((1, 28, 28), value) for value in (-0.5, 0.0, 0.5)])
    (axes,) = gan_figures.image_grid(images, "title", 3, ["left", "middle", "right"]).axes
    (image,) = axes.get_images()
    pixels = image.get_array()
    assert pixels.shape == (32, 92)
    assert [pixels[16, 16 + 30 * k] for k in range(3)] == pytest.approx([0, 0.5, 1], abs=1e-4)
    assert image.get_clim() == (0, 1)
    assert image.get_cmap().name == "gray"
    assert axes.get_title() == "title"
    assert axes.get_xticks().tolist() == pytest.approx([92 / 6, 92 / 2, 92 * 5 / 6])
    assert [label.get_text() for label in axes.get_xticklabels()] == ["left", "middle", "right"]

"""The figures, by the data of what they draw."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from charts import marks, panels, scene, texts, under, values
from dlreport.drawing import rows, svg
from dlreport.gan import figures as of_gan
from dlreport.sequence import figures as of_sequence
from dlreport.sequence.models import MODELS, colours

COLOURS = colours(MODELS)
STEPS = (9, 19, 29)
THIN, THICK = 0.8, 2.2  # of a replicate's line, and of the median's


def curves(names: dict[str, list], columns: dict[str, float]) -> pd.DataFrame:
    """Three replicates for each combination of these names, at three steps. A column's values start at its number, are
    higher by 0.01 a step and by 0.1 a replicate, and by 0.001 with every combination."""
    found = []
    for number, combination in enumerate(product(*names.values())):
        for replicate, (index, step) in product(range(3), enumerate(STEPS)):
            row = dict(zip(names, combination, strict=True)) | {"replicate": replicate, "step": step}
            offset = 0.1 * replicate + 0.01 * index + 0.001 * number
            found.append(row | {name: start + offset for name, start in columns.items()})
    return pd.DataFrame(found)


def expected(start: float, replicate: int, number: int) -> list[tuple[float, float]]:
    return [(step, pytest.approx(start + 0.1 * replicate + 0.01 * k + 0.001 * number)) for k, step in enumerate(STEPS)]


def rounded(points: list[tuple]) -> list[tuple]:
    """As an axis of whole per cents says them."""
    return [(x, round(y.expected, 2)) for x, y in points]


@pytest.mark.parametrize("lengths", [[5], [20, 5, 10]])
def test_training_curves_have_a_panel_for_each_length_each_run_thin_and_the_median_thick(lengths):
    table = curves({"model": [*MODELS], "length": lengths}, {"accuracy": 0.1, "loss": 2.0})
    for draw, column, title, start in (
        (of_sequence.accuracy_curves, "accuracy", "accuracy", 0.1),
        (of_sequence.loss_curves, "loss", "loss", 2.0),
    ):
        found = panels(draw(rows(table), COLOURS))
        assert [*found] == [f"length {length}" for length in sorted(lengths)]
        for panel, (number, model) in product(found, enumerate(MODELS)):
            at = number * len(lengths) + lengths.index(int(panel.removeprefix("length ")))
            lines = [line for line in marks(found[panel], "line") if line.colour == COLOURS[model]]
            assert [line.width for line in lines] == [THIN] * 3 + [THICK]
            for replicate, line in enumerate(lines[:3]):
                assert values(line, "training step", title) == expected(start, replicate, at)
            assert values(lines[3], "training step", title) == expected(start, 1, at), column  # the middle one


def test_a_guess_is_marked_where_it_is():
    table = curves({"model": ["LSTM"], "length": [5]}, {"accuracy": 0.1, "loss": 2.0})
    (panel,) = panels(of_sequence.accuracy_curves(rows(table), COLOURS)).values()
    (rule,) = [
        one for group in under(panel) if group.get("marktype") == "rule" for one in group["items"] if marked(group)
    ]
    assert rule["y"] == pytest.approx(panel["height"] * 0.9)  # of the axis from 0 to 1
    assert texts(panel, "mark") == ["a guess"]


def marked(group: dict) -> bool:
    """Drawn by the chart, not by an axis."""
    return group.get("role") == "mark"


def test_published_losses_are_crosses_at_their_steps_in_their_models_colour():
    table = curves({"model": ["VanillaRNN", "LSTM"], "length": [5]}, {"loss": 2.0})
    published = pd.DataFrame([{"model": "LSTM", "length": 5, "step": 19, "published": 0.25}])
    (panel,) = panels(of_sequence.loss_curves(rows(pd.concat([table, published])), COLOURS)).values()
    (cross,) = [one for one in marks(panel, "symbol") if "published loss" in one.said[0]]
    assert cross.colour == COLOURS["LSTM"]
    assert values(cross, "training step", "loss") == [(19, 0.25)]
    assert [line.said[0]["model"] for line in marks(panel, "line") if line.width == THICK] == ["VanillaRNN", "LSTM"]


@pytest.fixture
def accuracies() -> pd.DataFrame:
    cells = product(["VanillaRNN", "LSTM"], [5, 10], of_sequence.MEASURES)
    return pd.DataFrame(
        {"model": model, "length": length, "replicate": k, "measure": measure}
        | {"accuracy": 0.2 + 0.05 * number + 0.01 * k, "published": None if model == "LSTM" else 0.9 + 0.01 * number}
        for number, (model, length, measure) in enumerate(cells)
        for k in range(3)
    )


def test_the_accuracy_figure_has_each_run_the_median_and_the_published_number(accuracies):
    found = panels(of_sequence.accuracy_by_length(rows(accuracies), COLOURS))
    assert [*found] == [*of_sequence.MEASURES]
    for measure, panel in found.items():
        of_panel = accuracies[accuracies["measure"] == measure]
        said = {kind: [(one.colour, one.said[0]) for one in marks(panel, kind)] for kind in ("symbol", "rect")}
        for (model, length), cell in of_panel.groupby(["model", "length"]):
            here = {
                kind: sorted(
                    float(each["accuracy"])
                    for colour, each in found
                    if (colour, each["model"], each["palindrome length"]) == (COLOURS[model], model, str(length))
                )
                for kind, found in said.items()
            }
            published = cell["published"].dropna().unique().tolist()
            assert here["symbol"] == pytest.approx(sorted([*cell["accuracy"], *published]))
            assert here["rect"] == pytest.approx([cell["accuracy"].median()])


def test_runs_of_several_revisions_are_told_apart(accuracies):
    """As `dvc plots diff` draws them: the median of each revision, by dashes, and no runs."""
    table = curves({"rev": ["workspace", "HEAD"], "model": ["LSTM"], "length": [5]}, {"accuracy": 0.1})
    (panel,) = panels(of_sequence.accuracy_curves(rows(table), COLOURS, revisions=True)).values()
    lines = marks(panel, "line")
    assert [(line.dashed, line.width, line.said[0]["revision"]) for line in lines] == [
        (False, THICK, "workspace"),
        (True, THICK, "HEAD"),
    ]
    assert [values(line, "training step", "accuracy") for line in lines] == [expected(0.1, 1, 0), expected(0.1, 1, 1)]


def traced(**columns: float) -> pd.DataFrame:
    """Of two models at two lengths, before, half-way through and after training."""
    table = curves({"model": ["VanillaRNN", "LSTM"], "length": [5, 10], "when": ["start", "halfway", "end"]}, columns)
    return table.rename(columns={"step": "t"})


def test_gradients_have_the_median_sequence_as_a_line_and_the_range_as_a_band():
    table = traced(gradient_low=1.0, gradient_median=2.0, gradient_high=3.0)
    found = panels(of_sequence.gradients(rows(table), COLOURS, [5, 10]))
    assert [*found] == ["VanillaRNN", "LSTM"]
    for (number, panel), (k, (when, colour)) in product(enumerate(found.values()), enumerate(of_sequence.WHEN.items())):
        at = 6 * number + 3 + k  # of the greater length, which is chosen at first
        (line,) = [one for one in marks(panel, "line") if one.colour == colour]
        assert line.said[0]["when"] == when
        assert values(line, "time step t", "norm of the gradient") == expected(2.0, 1, at)
        (band,) = [one for one in marks(panel, "area") if one.colour == colour]
        assert values(band, "time step t", "norm of the gradient") == expected(1.0, 1, at)
        assert values(band, "Median of gradient_high") == [(y,) for _, y in expected(3.0, 1, at)]


def test_growth_is_of_the_longest_length_beside_the_theory():
    table = traced(growth_low=1.0, growth_median=2.0, growth_high=3.0, growth_rms=4.0).rename(columns={"t": "back"})
    theory = pd.DataFrame(
        {"model": "VanillaRNN", "length": 10, "when": of_sequence.THEORY, "back": STEPS, "growth_rms": 7.0}
    )
    found = panels(of_sequence.growth(rows(pd.concat([table, theory])), COLOURS))
    title, back = "gradient over the last step's", "time steps back from the last"
    for number, (model, panel) in enumerate(found.items()):
        lines = {(line.said[0]["when"], line.dashed): line for line in marks(panel, "line")}
        for k, when in enumerate(of_sequence.WHEN):
            assert values(lines[when, False], back, title) == expected(2.0, 1, 6 * number + 3 + k)
            assert values(lines[when, True], back, title) == expected(4.0, 1, 6 * number + 3 + k)
        told = model == "VanillaRNN"
        assert len(lines) == 6 + told
        if told:
            assert values(lines[of_sequence.THEORY, True], title) == [(7.0,)] * 3


def test_saturation_tells_units_from_gates_by_their_dashes():
    table = curves(
        {"model": ["LSTM"], "length": [5], "when": [*of_sequence.WHEN], "units": ["tanh units", "gates"]},
        {"share": 0.1},
    ).rename(columns={"step": "t"})
    (panel,) = panels(of_sequence.saturation(rows(table), COLOURS, [5])).values()
    for number, ((when, colour), units) in enumerate(product(of_sequence.WHEN.items(), ("tanh units", "gates"))):
        (line,) = [
            line
            for line in marks(panel, "line")
            if line.width == THICK and (line.said[0]["when"], line.said[0]["units"]) == (when, units)
        ]
        assert (line.colour, line.dashed) == (colour, units == "gates")
        assert values(line, "time step t", "saturated share") == expected(0.1, 1, number)


def test_the_probe_is_drawn_before_and_after_training():
    table = curves({"model": ["VanillaRNN", "LSTM"], "length": [5], "when": ["start", "end"]}, {"probe_accuracy": 0.1})
    (panel,) = panels(of_sequence.probe(rows(table.rename(columns={"step": "t"})), COLOURS)).values()
    lines = {(one.colour, one.dashed): one for one in marks(panel, "line") if one.width == THICK}
    for number, (model, when) in enumerate(product(("VanillaRNN", "LSTM"), ("start", "end"))):
        line = lines[COLOURS[model], when == "start"]
        assert values(line, "time step t", "first digits read") == expected(0.1, 1, number)
    assert len(lines) == 4


def test_the_confusion_figure_has_the_share_of_each_answer_by_first_digit():
    cells = [*product(["VanillaRNN", "LSTM"], [5, 10], range(3), range(3))]
    table = pd.DataFrame(cells, columns=["model", "length", "digit", "answer"]).assign(
        share=np.linspace(0, 1, len(cells))
    )
    for model, panel in panels(of_sequence.confusion(rows(table, 6), COLOURS, [5, 10])).items():
        shown = table[(table["model"] == model) & (table["length"] == 10)]
        told = [one.said[0] for one in marks(panel, "rect")]
        found = [(int(one["first digit"]), int(one["answer"]), float(one["share of the answers"])) for one in told]
        assert sorted(found) == [
            (digit, answer, pytest.approx(share, abs=1e-4))
            for digit, answer, share in zip(shown["digit"], shown["answer"], shown["share"], strict=True)
        ]


def test_accuracy_by_digit():
    table = curves({"model": ["VanillaRNN", "LSTM"], "length": [5]}, {"accuracy": 0.1}).rename(
        columns={"step": "digit"}
    )
    (panel,) = panels(of_sequence.accuracy_by_digit(rows(table), COLOURS)).values()
    for number, model in enumerate(("VanillaRNN", "LSTM")):
        *_, median = [line for line in marks(panel, "line") if line.colour == COLOURS[model]]
        assert values(median, "first digit", "accuracy") == expected(0.1, 1, number)


def test_the_ablation_has_each_run_and_the_median_of_each_variant():
    table = pd.DataFrame(
        {"variant": variant, "length": length, "test_accuracy": 0.1 * number + 0.02 * k}
        for number, (variant, length) in enumerate(product(("as reported", "adam"), (10, 20)))
        for k in range(3)
    )
    for panel, cell in panels(of_sequence.ablation(rows(table))).items():
        of_panel = table[panel == "length " + table["length"].astype(str)]
        for variant, group in of_panel.groupby("variant"):
            runs, medians = (
                [float(one.said[0]["test accuracy"]) for one in marks(cell, kind) if one.said[0]["variant"] == variant]
                for kind in ("symbol", "rect")
            )
            assert sorted(runs) == pytest.approx(sorted(group["test_accuracy"]))
            assert medians == pytest.approx([group["test_accuracy"].median()])


def test_the_ablations_curves_have_a_panel_for_each_variant():
    table = curves({"variant": ["as reported", "adam"], "length": [10, 20]}, {"accuracy": 0.1})
    found = panels(of_sequence.ablation_curves(rows(table), ["as reported", "adam"]))
    assert [*found] == ["as reported", "adam"]
    for number, panel in enumerate(found.values()):
        medians = [line for line in marks(panel, "line") if line.width == THICK]
        assert len({line.colour for line in medians}) == 2
        for k, line in enumerate(medians):
            assert values(line, "training step", "accuracy") == expected(0.1, 1, 2 * number + k)


def test_the_study_has_a_cell_for_each_variant_and_length():
    table = pd.DataFrame({"variant": ["a", "a", "b"], "length": [10, 20, 10], "solved": [3, 1, 0], "replicates": 3})
    (panel,) = panels(of_sequence.study(rows(table.assign(test_accuracy_mean=[1.0, 0.5, 0.1])))).values()
    assert texts(panel, "mark") == ["3 of 3", "1 of 3", "0 of 3"]
    told = [one.said[0] for one in marks(panel, "rect")]
    assert [(one["variant"], one["palindrome length"], float(one["mean test accuracy"])) for one in told] == [
        ("a", "10", 1.0),
        ("a", "20", 0.5),
        ("b", "10", 0.1),
    ]


def of_epochs(names: dict[str, list], columns: dict[str, float]) -> pd.DataFrame:
    return curves(names, columns).rename(columns={"step": "epoch"})


def test_the_gans_losses_are_left_and_the_discriminators_accuracies_right():
    columns = {"discriminator": 1.0, "generator": 2.0, "accuracy_real": 0.3, "accuracy_generated": 0.5}
    left, right = panels(of_gan.losses(rows(of_epochs({}, columns)))).values()
    for panel, shown, title in (
        (left, {"discriminator": 1.0, "generator": 2.0}, "mean loss of the epoch"),
        (right, {"real images": 0.3, "generated images": 0.5, "both": 0.4}, "right answers"),
    ):
        for name, start in shown.items():
            lines = [line for line in marks(panel, "line") if line.said[0]["series"] == name]
            assert [line.width for line in lines] == [THIN] * 3 + [THICK]
            assert values(lines[-1], "epoch", title) == expected(start, 1, 0)
    known = {"discriminator": of_gan.BLUE, "generator": of_gan.ORANGE, "real images": of_gan.BLUE}
    for panel in (left, right):
        for line in marks(panel, "line"):
            assert known.get(line.said[0]["series"], line.colour) == line.colour


def test_the_gans_quality_has_the_distance_left_and_shares_right():
    columns = {"fid": 50.0, "fid_matched": 20.0, "coverage": 0.1, "precision": 0.3, "unsure": 0.5}
    table = of_epochs({}, columns)
    table.loc[table["epoch"] == STEPS[0], "fid_matched"] = np.nan  # as before training
    left, right = panels(of_gan.quality_by_epoch(rows(table, 6))).values()
    shares = {"coverage": 0.1, "precision": 0.3, "doubtful to the classifier": 0.5}
    for panel, shown, title in (
        (left, {"as they are": 50.0, "at matched shares": 20.0}, "FID"),
        (right, shares, "share of the images"),
    ):
        for name, start in shown.items():
            *_, median = [line for line in marks(panel, "line") if line.said[0]["series"] == name]
            assert values(median, "epoch", title) == expected(start, 1, 0)[name == "at matched shares" :]


def test_the_figure_of_shares_has_a_panel_for_each_digit_with_its_real_share():
    table = of_epochs({"digit": [0, 1]}, {"share": 0.1})
    table["real"] = 0.2 + 0.1 * table["digit"]
    found = panels(of_gan.digit_shares(rows(table)))
    assert [*found] == ["0", "1"]
    for number, panel in enumerate(found.values()):
        *_, median = marks(panel, "line")
        assert values(median, "epoch", "share") == rounded(expected(0.1, 1, number))
        (rule,) = marks(panel, "rule")
        assert rule.dashed
        assert float(rule.said[0]["share"]) == pytest.approx(0.2 + 0.1 * number)


def test_a_walk_has_its_steps_in_both_spaces_and_the_even_one():
    table = curves({"space": ["pixels", "features"]}, {"share": 0.1})
    chart = of_gan.walk(rows(table), 0.125)
    panel = scene(chart)
    for number, name in enumerate(("pixels", "features")):
        *_, median = [line for line in marks(panel, "line") if line.said[0]["space"] == name]
        assert values(median, "step of the walk", "share of the way") == rounded(expected(0.1, 1, number))
    assert [one.dashed for one in marks(panel, "rule")] == [True]


def test_a_picture_of_a_chart_has_its_words_and_a_white_ground():
    table = curves({"model": ["LSTM"], "length": [5]}, {"accuracy": 0.1})
    picture = svg(of_sequence.accuracy_curves(rows(table), COLOURS))
    assert 'fill="white"' in picture
    assert all(words in picture for words in ("length 5", "training step", "LSTM"))
    assert svg(of_sequence.accuracy_curves(rows(table), COLOURS)) == picture


def test_models_have_colours_of_their_own():
    assert len(set(COLOURS.values())) == len(MODELS)


def test_an_image_grid_normalises_all_images_together_and_shows_them_in_grey_over_its_labels():
    images = torch.stack([torch.full((1, 28, 28), value) for value in (-1.0, 0.0, 0.5, 1.0)])
    figure = of_gan.image_grid(images, "a title", columns=2, labels=["left", "right"])
    (axes,) = figure.axes
    (image,) = axes.get_images()
    pixels = image.get_array()
    assert pixels.shape == (62, 62)
    assert [pixels[15, 15], pixels[15, 45], pixels[45, 15], pixels[45, 45]] == pytest.approx([0, 0.5, 0.75, 1])
    assert (image.get_cmap().name, image.get_clim()) == ("gray", (0, 1))
    assert axes.get_title() == "a title"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["left", "right"]
    assert axes.get_xticks().tolist() == [15.5, 46.5]

from itertools import product

import pytest

import made_up
from dlreport import figures
from dlreport.models import SEQUENCE_MODELS


@pytest.mark.parametrize("lengths", [[5], [5, 10], [20, 5, 10]])
def test_the_curves_figure_has_a_panel_for_each_length(lengths):
    cells = product(SEQUENCE_MODELS, lengths)
    figure = figures.curves_by_length({cell: made_up.one_run(0.9, 100) for cell in cells})
    assert [axes.get_title() for axes in figure.axes] == [f"length {length}" for length in sorted(lengths)]


def test_every_model_has_a_colour():
    assert figures.COLOURS.keys() == SEQUENCE_MODELS.keys()

"""What the GAN's losses show, as numbers."""

import numpy as np
import pandas as pd
import pytest

from dlreport.gan.courses import loss_course


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


def test_the_turn_is_in_the_first_fifth_and_the_way_back_within_half_the_epochs_from_there():
    values = np.full(20, 0.7)
    values[[0, 3, 4, 12, 13]] = 1, 0.6, 0.5, 0.9, 0.95  # of epochs 1, 4, 5, 13, 14
    course = loss_course(pd.Series(values, index=range(1, 21)), falls_first=True)
    assert (course.turn_epoch, course.back_epoch) == (4, 13)


def test_of_two_and_three_epochs():
    assert loss_course(pd.Series([0.5, 0.9], index=[1, 2]), falls_first=True).back_epoch == 1
    assert loss_course(pd.Series([1, 0.8, 0.6], index=[1, 2, 3]), falls_first=True).trend == pytest.approx(-20)

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

"""What the claims are checked by, and what comes of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import pandas as pd

from dlreport.config import Params
from dlreport.evaluation.curves import CONVERGED, steps_to_reach, window_spread
from dlreport.evaluation.verdicts import Outcome

LATER = " †"  # at the end of a statement: added, reworded or made stricter when the numbers were known
Found = Iterator[tuple[str, str, str, Outcome]]  # a statement, its test, why that test, and what came of it


def reached(curve: pd.DataFrame) -> list[float]:
    return [inf if step is None else step for step in steps_to_reach(curve, CONVERGED)]


def fifths(values: pd.Series | pd.DataFrame) -> pd.Series | pd.DataFrame:
    """Means of five equal parts of the rows, in their order; of fewer than five rows there are fewer parts."""
    return values.groupby(np.arange(len(values)) * 5 // len(values)).mean()


@dataclass(frozen=True)
class Statement:
    """One testable part of a claim, and what the numbers say of it."""

    claim: int  # 1 to 7 as in the report; 0 for its numbers
    statement: str
    test: str  # the statistic and its threshold
    why: str  # this threshold
    verdict: str
    evidence: str


@dataclass(frozen=True)
class Evidence:
    """What the other stages found. Cells are (model, length); tables have a row per replicate or are by replicate."""

    params: Params
    published: dict[str, Any]
    replicates: dict[tuple[str, int], pd.DataFrame]
    curves: dict[tuple[str, int], pd.DataFrame]
    longer: pd.DataFrame
    longer_curve: pd.DataFrame
    gradients: pd.DataFrame
    losses: pd.DataFrame
    quality: pd.DataFrame
    quality_by_epoch: pd.DataFrame
    interpolation: dict[str, float]

    @property
    def confidence(self) -> float:
        return self.params.sequence.test.confidence

    def column(self, cell: tuple[str, int], name: str) -> list[float]:
        return self.replicates[cell][name].tolist()

    def reached(self, cell: tuple[str, int]) -> list[float]:
        """Of each replicate the step by which a window's accuracy was CONVERGED, infinite if none was."""
        return reached(self.curves[cell])

    def spread(self, cell: tuple[str, int]) -> list[float]:
        return window_spread(self.curves[cell], self.params.sequence.average_from)

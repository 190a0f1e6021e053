"""A claim as statements that numbers can decide: each with its test, the verdict of it, and the sentence that says so.

Whoever tells of a statement, in a table or in prose, takes verdict and sentence from here.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Outcome

VERDICTS = (SUPPORTED, NOT_SUPPORTED, UNDECIDED)
LATER = " †"  # at the end of a statement: added, reworded or made stricter when the numbers were known


@dataclass(frozen=True)
class Wording:
    """The parts of a statement's sentences: subject, predicate if it holds, predicate if it does not, and the rest."""

    subject: str
    holds: str
    fails: str
    rest: str = ""

    def sentence(self, verdict: str, evidence: str) -> str:
        predicate = self.fails if verdict == NOT_SUPPORTED else self.holds
        clause = " ".join(filter(None, [self.subject, predicate, self.rest]))
        if verdict == UNDECIDED:
            clause = f"it is undecided whether {clause}"
        return f"{clause[0].upper()}{clause[1:]} ({evidence})."


@dataclass(frozen=True)
class Statement:
    """One testable part of a claim, and what the numbers say of it."""

    statement: str
    test: str  # the statistic and its threshold
    why: str  # this threshold
    outcome: Outcome
    wording: Wording
    section: str  # of the report, where its sentence stands
    claim: int | None = None  # its number in the report; 0 for the published numbers; None for a finding of ours

    @property
    def verdict(self) -> str:
        return self.outcome.verdict

    @property
    def sentence(self) -> str:
        return self.wording.sentence(self.verdict, self.outcome.evidence)

    def row(self) -> dict[str, object]:
        """Of the table of all statements."""
        return {
            "claim": self.claim,
            "statement": self.statement,
            "test": self.test,
            "why": self.why,
            "level": self.outcome.level,
            "verdict": self.verdict,
            "evidence": self.outcome.evidence,
            "section": self.section,
            "sentence": self.sentence,
        }


Found = Iterator[Statement]


def means_of_fifths(values: pd.Series | pd.DataFrame) -> pd.Series | pd.DataFrame:
    """Means of five equal parts of the rows, in their order; of fewer than five rows there are fewer parts."""
    return values.groupby(np.arange(len(values)) * 5 // len(values)).mean()


def table(statements: Iterable[Statement]) -> pd.DataFrame:
    rows = pd.DataFrame([statement.row() for statement in statements]).astype({"claim": "Int64"})
    return rows.sort_values("claim", kind="stable")  # ours, without a number, last


def counts(statements: pd.DataFrame) -> dict[str, int | dict[str, int]]:
    """How many of the published statements have each verdict: of all, and by claim; and of ours."""

    def by_verdict(rows: pd.DataFrame) -> dict[str, int]:
        return {verdict.replace(" ", "_"): int((rows["verdict"] == verdict).sum()) for verdict in VERDICTS}

    published = statements[statements["claim"].notna()]
    claims = {f"claim_{claim}": by_verdict(rows) for claim, rows in published.groupby("claim")}
    return {**by_verdict(published), **claims, "ours": by_verdict(statements[statements["claim"].isna()])}

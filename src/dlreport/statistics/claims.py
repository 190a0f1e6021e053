"""Splits a claim into statements that numbers can decide. Each statement has a test, a verdict, and a sentence that
says the verdict.

The report's tables and its prose take verdict and sentence from here.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dlreport.errors import UserError
from dlreport.io import read_yaml
from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Outcome, small

VERDICTS = (SUPPORTED, NOT_SUPPORTED, UNDECIDED)
OURS = "ours"  # takes the place of a claim's number if the finding is ours
CHOICE = re.compile(r"\[(.*?)\|(.*?)(?:\|(.*?))?\]")


@dataclass(frozen=True)
class Statement:
    """One testable part of a claim, and what the numbers say of it."""

    claim: int | str  # its number in the report, 0 for the published numbers, or OURS
    statement: str
    test: str  # the statistic and its threshold
    why: str  # the reason for this threshold
    says: str  # the sentence, with [words if it holds|words if it does not], and perhaps |words if undecided
    section: str  # the section of the report that says it
    outcome: Outcome
    headline: str = ""  # like `says`, for the first lines of the report; empty if it is not said there

    def sentence(self, verdict: str) -> str:
        """Return the sentence that says this verdict."""
        return f"{_clause(self.says, verdict)} ({self.outcome.evidence})."


def _clause(text: str, verdict: str) -> str:
    """Return the text with the words of this verdict. An empty text stays empty. Undecided takes the third words, or
    the first if there are no third ones."""

    def chosen(words: re.Match[str]) -> str:
        return words[2] if verdict == NOT_SUPPORTED else (words[3] or words[1]) if verdict == UNDECIDED else words[1]

    clause = CHOICE.sub(chosen, text)
    if clause and verdict == UNDECIDED:
        clause = f"it is undecided whether {clause}"
    return clause[:1].upper() + clause[1:]


class Claims:
    """Reads a file of claims, which says what is published and has the words of the statements that test it."""

    def __init__(self, path: Path, **values: Any):
        """The texts of all statements may name these `values`."""
        self.path, self.entries, self.values = path, read_yaml(path), values

    def each(self, key: str) -> dict[int, Any]:
        """Return what each claim has under this key, such as `published`. Claims without the key are left out."""
        return {claim: entry[key] for claim, entry in self.entries.items() if key in entry}

    def sections(self) -> set[str]:
        """Return the sections that the file's statements name."""
        found = (entry["statements"].values() for entry in self.entries.values() if "statements" in entry)
        return {texts["section"] for statements in found for texts in statements if "section" in texts}

    def state(self, claim: int | str, name: str, outcome: Outcome, **values: Any) -> Statement:
        """Return one of the file's statements with its outcome. Its texts may name these `values` and those that the
        texts of all statements may name. Raises UserError if they name any other."""
        texts = {"section": "length {length}", **self.entries[claim]["statements"][name]}
        try:
            said = {key: text.format(**self.values, **values) for key, text in texts.items()}
        except KeyError as error:
            raise UserError(f"{self.path}: {claim}.{name} names {error}, which claims.py does not give it") from error
        return Statement(claim, **said, outcome=outcome)


def holm(p_values: Sequence[float]) -> list[float]:
    """Raise the p-values of several tests by Holm's correction (1979, Scandinavian Journal of Statistics 6).

    The smallest of n p-values is multiplied by n, the next by n - 1, and so on. None becomes smaller than the one
    before, and none larger than 1.
    """
    corrected, largest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = largest
    return corrected


def table(statements: Iterable[Statement]) -> pd.DataFrame:
    """Return a table with a row for each statement. Our own findings come last; their claim is empty.

    The column `p_corrected` has the p-value after Holm's correction within a claim, and `corrected` has the verdict by
    that p-value. The corrected verdict decides the headline.
    """
    statements = [*statements]
    rows = [
        {
            "claim": None if one.claim == OURS else one.claim,
            **{key: getattr(one, key) for key in ("statement", "test", "why")},
            **{key: getattr(one.outcome, key) for key in ("level", "power", "evidence", "p", "verdict")},
            "section": one.section,
            "sentence": one.sentence(one.outcome.verdict),
        }
        for one in statements
    ]
    found = pd.DataFrame(rows).astype({"claim": "Int64", "level": float, "p": float})
    families = found["p"].dropna().groupby(found["claim"], dropna=False)
    found.insert(found.columns.get_loc("p") + 1, "p_corrected", families.transform(lambda p: holm(p.tolist())))
    # a verdict is lost if its p-value was small enough, and the corrected one is not
    lost = small(found["p"], found["level"]) & ~small(found["p_corrected"], found["level"])
    corrected = found["verdict"].mask(lost, UNDECIDED)
    found.insert(found.columns.get_loc("verdict") + 1, "corrected", corrected)
    found["headline"] = [_clause(one.headline, verdict) for one, verdict in zip(statements, corrected, strict=True)]
    return found.sort_values("claim", kind="stable")


def counts(statements: pd.DataFrame) -> dict[str, int | dict[str, int]]:
    """Count how many published statements have each verdict, in all and in each claim; how many verdicts Holm's
    correction makes undecided; and how many of our own statements have each verdict."""

    def by_verdict(rows: pd.DataFrame) -> dict[str, int]:
        return {verdict.replace(" ", "_"): int((rows["verdict"] == verdict).sum()) for verdict in VERDICTS}

    published = statements[statements["claim"].notna()]
    claims = {f"claim_{claim}": by_verdict(rows) for claim, rows in published.groupby("claim")}
    lost = int((published["verdict"] != published["corrected"]).sum())
    return {
        **by_verdict(published),
        "lost_by_correction": lost,
        **claims,
        OURS: by_verdict(statements[statements["claim"].isna()]),
    }


def metrics(statements: pd.DataFrame) -> dict[str, int]:
    """Shorten `counts` for `dvc metrics diff`: how many published statements have each verdict, how many verdicts the
    correction makes undecided, and how many statements of each claim, and of ours, are supported."""
    found = counts(statements)
    whole = {name: value for name, value in found.items() if not isinstance(value, dict)}
    return whole | {f"{name}_supported": each[SUPPORTED] for name, each in found.items() if isinstance(each, dict)}


def means_of_fifths(values: pd.Series | pd.DataFrame) -> pd.Series | pd.DataFrame:
    """Return the means of five equal parts of the rows, in their order. Fewer than five rows make fewer parts."""
    return values.groupby(np.arange(len(values)) * 5 // len(values)).mean()

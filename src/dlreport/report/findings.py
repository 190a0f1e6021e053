"""The numbers that the report's sentences turn on."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import mean, median_high
from typing import Any

import pandas as pd

from dlreport.config import Sequence
from dlreport.evaluation.curves import CONVERGED, RETAINED, late_gain, over_replicates, steps_to_reach, window_spread
from dlreport.evaluation.intervals import student


@dataclass(frozen=True)
class Finding:
    """What one cell of the table shows, over its replicates."""

    model: str
    length: int
    train: float
    test: float
    test_low: float
    test_high: float
    solved: float  # share of the replicates
    outcome: str  # solved: all at the optimum; partly: better than the report's line; lost: below it
    reached: int | None  # step by which a window was at CONVERGED, median; None if a replicate never was
    spread: float
    gain: float
    gain_low: float | None  # its interval, if there is more than one replicate
    gain_high: float | None
    loss_first: float
    loss_tenth: float
    loss_last: float


def outcome(solved: float, test: float) -> str:
    if solved == 1:
        return "solved"
    return "lost" if test < RETAINED else "partly"


def find(row: dict[str, Any], curve: pd.DataFrame, settings: Sequence) -> Finding:
    """From a row of the comparison table and the cell's curve, by replicate."""
    loss = over_replicates(curve).set_index("step")["loss_mean"]
    reached = steps_to_reach(curve, CONVERGED)
    gains = late_gain(curve, settings.average_from)
    low, high = student(gains, settings.test.confidence) if len(gains) > 1 else (None, None)
    return Finding(
        model=row["model"],
        length=row["length"],
        train=row["train_accuracy_mean"],
        test=row["test_accuracy"],
        test_low=row["test_accuracy_low"],
        test_high=row["test_accuracy_high"],
        solved=row["solved"],
        outcome=outcome(row["solved"], row["test_accuracy"]),
        reached=None if None in reached else int(median_high(reached)),
        spread=mean(window_spread(curve, settings.average_from)),
        gain=mean(gains),
        gain_low=low,
        gain_high=high,
        loss_first=loss.iloc[0],
        loss_tenth=loss[loss.index >= settings.steps // 10].iloc[0],
        loss_last=loss.iloc[-1],
    )


def slows_with_length(findings: list[Finding]) -> bool | None:
    """Whether one model needs more steps for each greater length to reach CONVERGED.

    None with fewer than two lengths, or if one was not reached.
    """
    reached = [finding.reached for finding in sorted(findings, key=lambda finding: finding.length)]
    if len(reached) < 2 or None in reached:
        return None
    return all(shorter < longer for shorter, longer in pairwise(reached))


@dataclass(frozen=True)
class Conclusions:
    """What the report concludes of the LSTM against the VanillaRNN; None where no length can tell (claim 4)."""

    lasts: bool | None  # at the optimum at some length where the other is not, and never the reverse
    faster: bool | None  # reaches CONVERGED earlier at every length that both reach
    steadier: bool | None  # spreads less at every length where both end at the optimum


def conclude(findings: list[Finding]) -> Conclusions:
    lstm, vanilla = ({f.length: f for f in findings if f.model == model} for model in ("LSTM", "VanillaRNN"))
    pairs = [(lstm[length], vanilla[length]) for length in lstm if length in vanilla]
    apart = [a for a, b in pairs if (a.outcome == "solved") != (b.outcome == "solved")]
    reached = [(a.reached, b.reached) for a, b in pairs if a.reached is not None and b.reached is not None]
    spreads = [(a.spread, b.spread) for a, b in pairs if a.outcome == b.outcome == "solved"]
    return Conclusions(
        lasts=bool(apart) and all(a.outcome == "solved" for a in apart) if pairs else None,
        faster=all(a < b for a, b in reached) if reached else None,
        steadier=all(a < b for a, b in spreads) if spreads else None,
    )


@dataclass(frozen=True)
class Help:
    """Which variants of the VanillaRNN end at the optimum at one length."""

    length: int
    reported: bool  # whether the form as reported does in some run
    always: list[str]  # variants of which all runs do
    sometimes: list[str]  # variants of which some runs do
    lost: int  # runs, of any variant, that reached CONVERGED and did not end there


def what_helps(table: pd.DataFrame) -> list[Help]:
    """By length, from the ablation's row per variant, length and replicate."""
    found = []
    for length, rows in table.groupby("length"):
        share = rows.groupby("variant", sort=False)["solved"].mean()
        others = share.drop("as_reported", errors="ignore")
        found.append(
            Help(
                length=length,
                reported=bool(share.get("as_reported", 0) > 0),
                always=[_words(name) for name in others.index[others == 1]],
                sometimes=[_words(name) for name in others.index[(others > 0) & (others < 1)]],
                lost=int((rows["reached"].notna() & (rows["solved"] == 0)).sum()),
            )
        )
    return found


def _words(variant: str) -> str:
    return variant.replace("_", " ")


def helps_alone(helps: list[Help], changes: dict[str, Any]) -> list[str]:
    """Variants with a single change of which all runs end at the optimum at a length where none does as reported."""
    single = [_words(name) for name, change in changes.items() if len(change.model_fields_set) == 1]
    return [name for name in single if any(name in help.always for help in helps if not help.reported)]

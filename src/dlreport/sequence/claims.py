"""Claims 1 to 4 of the published report, its numbers, and findings of ours on the sequence models, decided. Their words
are in claims.yaml. A statement about a length or a model that was not trained is left out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.sequence.curves import (
    first_over_last,
    knee,
    late_fall,
    late_gain,
    memory_column,
    steps_to_reach,
    window_spread,
)
from dlreport.sequence.thresholds import CONVERGED, RETAINED
from dlreport.statistics.claims import OURS, Claims, Statement, means_of_fifths
from dlreport.statistics.verdicts import Outcome, kendall_trend, majority, mann_whitney, mean_in_range, prediction

FILE = Path(__file__).with_name("claims.yaml")
EARLY = 0.1  # of the training: "within few steps", "quickly"
AROUND = (0.10, 0.14)  # "around 0.12", give or take two in the last digit
GUESS = (0.09, 0.11)  # a guess is right in 0.1; a difference of 0.01 would be of no use
KNEE = (2_500, 10_000)  # "about step 5,000": within a factor of two
VANISHED = 0.01  # share of a gradient that is left, two orders of magnitude; its inverse is an explosion
NEEDED = 0.5  # accuracy lost without a thing that is needed: most of what a model can do
HALVED = 0.5  # share of its first loss to which a loss has quickly fallen
STILL = 0.02  # a loss that moves by less than this share has converged

Key = tuple[str, int]  # model and length
VANILLA, LSTM = "VanillaRNN", "LSTM"  # the models that the published report speaks of


@dataclass(frozen=True)
class SequenceEvidence:
    """What the stages of Part 1 found. Tables have a row per replicate or are by replicate."""

    params: Params
    published: dict[str, Any]
    replicates: dict[Key, pd.DataFrame]
    curves: dict[Key, pd.DataFrame]
    longer: pd.DataFrame
    longer_curve: pd.DataFrame
    gradients: pd.DataFrame

    @property
    def average_from(self) -> int:
        return self.params.sequence.average_from

    @property
    def early(self) -> float:
        return EARLY * self.params.sequence.steps

    @property
    def lengths(self) -> list[int]:
        """At which both published models were trained."""
        lengths = sorted({length for _, length in self.replicates})
        return [n for n in lengths if {(VANILLA, n), (LSTM, n)} <= self.replicates.keys()]

    @cached_property
    def claims(self) -> Claims:
        return Claims(
            FILE,
            **{"converged": CONVERGED, "retained": RETAINED, "around": AROUND, "guess": GUESS, "knee": KNEE},
            **{"still": STILL, "vanished": VANISHED, "exploded": 1 / VANISHED, "needed": NEEDED, "halved": HALVED},
            **{"early": self.early, "average_from": self.average_from},
            majority="Wilson's interval of the share of runs, against a half",
        )

    def column(self, task: Key, name: str) -> list[float]:
        return self.replicates[task][name].tolist()

    def reached(self, task: Key) -> list[float]:
        return steps_to_reach(self.curves[task], CONVERGED)

    def ends(self, length: int) -> dict[str, pd.DataFrame]:
        """By model the gradients of one length after training."""
        rows = self.gradients[(self.gradients["length"] == length) & (self.gradients["when"] == "end")]
        return dict(iter(rows.groupby("model", sort=False)))

    # The tests, at the confidence of the parameters

    def most(self, holds: list[bool]) -> Outcome:
        return majority(holds, self.params.sequence.test.confidence)

    def mean_in(self, values: list[float], at_least: float, at_most: float) -> Outcome:
        return mean_in_range(values, at_least, at_most, self.params.sequence.test.confidence)

    def smaller(self, values: list[float], others: list[float]) -> Outcome:
        return mann_whitney(values, others, self.params.sequence.test.confidence)

    def solved(self, claim: int | str, task: Key) -> Statement:
        outcome = self.most([bool(solved) for solved in self.column(task, "solved")])
        return self.claims.state(claim, "solved", outcome, model=task[0], length=task[1])

    def reaches_early(self, claim: int, task: Key) -> Statement:
        outcome = self.most([step <= self.early for step in self.reached(task)])
        return self.claims.state(claim, "early", outcome, model=task[0], length=task[1])

    def steadier(self, claim: int, length: int) -> Statement:
        spreads = [window_spread(self.curves[model, length], self.average_from) for model in (LSTM, VANILLA)]
        return self.claims.state(claim, "steadier", self.smaller(*spreads), length=length)


def check(e: SequenceEvidence) -> Iterator[Statement]:
    """All statements: the published numbers, then claim by claim; ours last, but for what a claim says already."""
    published = [statement for part in (numbers, claim_1, claim_2, claim_3, claim_4) for statement in part(e)]
    said = {statement.says for statement in published}
    yield from published
    yield from (statement for statement in ours(e) if statement.says not in said)


def numbers(e: SequenceEvidence) -> Iterator[Statement]:
    sources = {
        "mean": ("mean_accuracy_steps_40000_50000", "train_accuracy_mean"),
        "test": ("test_accuracy", "test_accuracy_report_batch"),
    }
    for name, (source, column) in sources.items():
        for model, length in e.replicates:
            if (value := e.published["sequence"][source].get(model, {}).get(length)) is not None:
                outcome = prediction(e.column((model, length), column), value, e.params.sequence.test.confidence)
                yield e.claims.state(0, name, outcome, model=model, length=length)


def claim_1(e: SequenceEvidence) -> Iterator[Statement]:
    for task in [task for task in e.replicates if task in {(VANILLA, 5), (LSTM, 5)}]:
        yield e.solved(1, task)
        yield e.reaches_early(1, task)
    if 5 in e.lengths:
        yield e.steadier(1, 5)


def claim_2(e: SequenceEvidence) -> Iterator[Statement]:
    if (LSTM, 10) in e.replicates:
        yield e.solved(2, (LSTM, 10))
        yield e.reaches_early(2, (LSTM, 10))
        if (LSTM, 5) in e.replicates:
            spreads = [window_spread(e.curves[LSTM, length], e.average_from) for length in (5, 10)]
            yield e.claims.state(2, "fluctuates", e.smaller(*spreads))
    if (VANILLA, 10) in e.replicates:
        curve, tenth = e.curves[VANILLA, 10], e.params.sequence.steps // 10
        yield e.claims.state(2, "knee", e.most([KNEE[0] <= step <= KNEE[1] for step in knee(curve)]))
        yield e.claims.state(2, "rises", e.mean_in(late_gain(curve, e.average_from), 0, inf))
        rises = [_rises(one, tenth) for _, one in curve.groupby("replicate")]
        yield e.claims.state(2, "steadily", e.most(rises), tenth=tenth)
    longer = e.params.longer
    if longer.model_dump(include={"length", "steps"}) == e.published["sequence"]["longer"]:
        for name, holds in (
            ("longer_converges", [bool(solved) for solved in e.longer["solved"]]),
            ("longer_reaches", [step < inf for step in steps_to_reach(e.longer_curve, CONVERGED)]),
            ("longer_ends", (e.longer["test_accuracy"] >= CONVERGED).tolist()),
        ):
            settings = {"length": longer.length, "steps": longer.steps, "from_step": longer.average_from}
            yield e.claims.state(2, name, e.most(holds), **settings)


def _rises(curve: pd.DataFrame, start: int) -> bool:
    """Whether one replicate's accuracy does from fifth to fifth of the steps from `start` on."""
    means = means_of_fifths(curve.loc[curve["step"] >= start, "accuracy_mean"])
    return bool((means.diff().dropna() > 0).all())


def claim_3(e: SequenceEvidence) -> Iterator[Statement]:
    for length in (15, 20):
        if (task := (VANILLA, length)) in e.replicates:
            losses = e.curves[task].groupby("replicate")["loss_mean"].agg(["first", "last"])
            tested = e.column(task, "test_accuracy")
            for name, outcome in (
                ("falls", e.most((losses["first"] > losses["last"]).tolist())),
                ("converges", e.mean_in(late_fall(e.curves[task], e.average_from), -STILL, STILL)),
                ("around", e.mean_in(e.column(task, "train_accuracy_mean"), *AROUND)),
                ("below", e.mean_in(tested, 0, RETAINED)),
                ("forgotten", e.mean_in(tested, *GUESS)),
            ):
                yield e.claims.state(3, name, outcome, length=length, last_loss=losses["last"].mean())
        if (task := (LSTM, length)) in e.replicates:
            yield e.solved(3, task)
            halved = [_halved(one, e.early) for _, one in e.curves[task].groupby("replicate")]
            yield e.claims.state(3, "halved", e.most(halved), length=length)
    by_length = [e.reached((LSTM, n)) for n in sorted(length for model, length in e.replicates if model == LSTM)]
    if by_length:
        yield e.claims.state(3, "slows", kendall_trend(by_length, e.params.sequence.test.confidence))


def _halved(curve: pd.DataFrame, limit: float) -> bool:
    return bool((curve.loc[curve["step"] <= limit, "loss_mean"] <= curve["loss_mean"].iloc[0] * HALVED).any())


def claim_4(e: SequenceEvidence) -> Iterator[Statement]:
    if not e.lengths:
        return
    longest = e.lengths[-1]
    ends = e.ends(longest)
    kept = {model: first_over_last(ends[model], memory_column(ends[model])) for model in (VANILLA, LSTM)}
    yield e.claims.state(4, "keeps_more", e.smaller(kept[VANILLA], kept[LSTM]), length=longest)
    yield e.claims.state(4, "lstm_keeps", e.most([share >= VANISHED for share in kept[LSTM]]), length=longest)
    yield e.claims.state(4, "vanishes", e.most([share < VANISHED for share in kept[VANILLA]]), length=longest)
    solved = [_longest_solved(e, model) for model in (VANILLA, LSTM)]
    yield e.claims.state(4, "longer", e.smaller(*solved), lengths=", ".join(map(str, e.lengths)))
    gates = ends[LSTM].groupby("replicate")[["accuracy", "frozen_gates_accuracy"]].first()
    lost = (gates["accuracy"] - gates["frozen_gates_accuracy"]).tolist()
    yield e.claims.state(4, "gates", e.mean_in(lost, NEEDED, inf), length=longest)
    for length in e.lengths:
        steps = [e.reached((model, length)) for model in (LSTM, VANILLA)]
        yield e.claims.state(4, "faster", e.smaller(*steps), length=length)
    for length in e.lengths:
        if length != 5:  # that is part of claim 1
            yield e.steadier(4, length)


def _longest_solved(e: SequenceEvidence, model: str) -> list[float]:
    table = pd.DataFrame({length: e.column((model, length), "solved") for length in e.lengths})
    return [max((length for length in e.lengths if row[length]), default=0) for _, row in table.iterrows()]


def ours(e: SequenceEvidence) -> Iterator[Statement]:
    """Which tasks are solved, and where gradients explode."""
    for task in e.replicates:
        yield e.solved(OURS, task)
    longest = max(length for _, length in e.replicates)
    for model, table in e.ends(longest).items():
        explodes = [ratio >= 1 / VANISHED for ratio in first_over_last(table, "gradient_median")]
        yield e.claims.state(OURS, "explodes", e.most(explodes), model=model, length=longest)

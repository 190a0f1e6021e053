"""Decides the statements on the sequence models: those of claims 1 to 4 of the published report, those on its numbers,
and our own findings. The words of the statements are in claims.yaml. docs/statistics.md gives the reason for each
threshold.

A statement about a length or a model that was not trained is left out. Where possible, a statement says what most runs
do, since that has an exact test.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.sequence.comparison import MEASURES, TEST, TRAINING, published_value
from dlreport.sequence.curves import (
    distance_from_one,
    excess_spread,
    first_over_last,
    knee,
    late_fall,
    late_gain,
    steps_to_reach,
)
from dlreport.sequence.thresholds import CHANCE, CONVERGED, FADED, GUESS_LOSS, RETAINED
from dlreport.statistics.claims import OURS, Claims, Statement, means_of_fifths
from dlreport.statistics.intervals import exact
from dlreport.statistics.verdicts import (
    STEPS,
    Outcome,
    at_least_one,
    majority,
    mann_whitney,
    median_in_range,
    one_of_ours,
    trend,
)

FILE = Path(__file__).with_name("claims.yaml")
EARLY = 0.1  # the first tenth of the training counts as "within few steps" and "quickly"
AROUND = (0.11, 0.13)  # "around 0.12": no nearer to the 0.10 of a guess than to 0.12, and as far above 0.12
GUESS = (0.09, 0.11)  # a guess is right in 0.1 of cases; a difference of 0.01 would be of no use
KNEE = (4_000, 6_000)  # "about step 5,000", give or take a fifth
ACCURACY_LOST = 0.5  # a model needs a gate if it loses this much accuracy without it, which is most of what it can do
LOSS_AT_REST = 0.02  # a loss that changes by no more than this share has converged
EXPLODED = 1 / FADED  # a gradient has exploded if it is this many times as large as at the last time step, or more
GATES = {"i": "input", "f": "forget", "o": "output"}  # the LSTM's gates, by their names in the columns of tables

Key = tuple[str, int]  # model and length
VANILLA, LSTM = "VanillaRNN", "LSTM"  # the models of the published report


@dataclass(frozen=True)
class SequenceEvidence:
    """What the stages of Part 1 found. A table has a row for each replicate, or a column that names the replicate."""

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
    def longer_as_published(self) -> bool:
        """Whether our longer training has the published length and number of steps."""
        return self.params.longer.model_dump(include={"length", "steps"}) == self.published["sequence"]["longer"]

    @property
    def of_longer(self) -> dict[str, int]:
        """Return the values that the texts on the longer training name."""
        longer = self.params.longer
        return {"length": longer.length, "steps": longer.steps, "from_step": longer.average_from}

    @property
    def early(self) -> float:
        return EARLY * self.params.sequence.steps

    @property
    def lengths(self) -> list[int]:
        """Return the lengths at which both published models were trained."""
        lengths = sorted({length for _, length in self.replicates})
        return [n for n in lengths if {(VANILLA, n), (LSTM, n)} <= self.replicates.keys()]

    @cached_property
    def claims(self) -> Claims:
        return Claims(
            FILE,
            converged=CONVERGED,
            retained=RETAINED,
            around=AROUND,
            guess=GUESS,
            guess_loss=GUESS_LOSS,
            knee=KNEE,
            still=LOSS_AT_REST,
            vanished=FADED,
            exploded=EXPLODED,
            needed=ACCURACY_LOST,
            early=self.early,
            average_from=self.average_from,
            majority="the exact interval of their share lies above a half",
        )

    def column(self, task: Key, name: str) -> list[float]:
        return self.replicates[task][name].tolist()

    def reached(self, task: Key) -> list[float]:
        return steps_to_reach(self.curves[task], CONVERGED)

    def ends(self, length: int) -> dict[str, pd.DataFrame]:
        """Return each model's gradients at one length after training."""
        rows = self.gradients[(self.gradients["length"] == length) & (self.gradients["when"] == "end")]
        return dict(iter(rows.groupby("model", sort=False)))

    # The tests, at the confidence that the parameters give

    def most(self, holds: list[bool]) -> Outcome:
        return majority(holds, self.params.sequence.test.confidence)

    def median_in(self, values: list[float], at_least: float, at_most: float) -> Outcome:
        return median_in_range(values, at_least, at_most, self.params.sequence.test.confidence)

    def smaller(self, values: list[float], others: list[float], names: tuple[str, str], **words: str) -> Outcome:
        return mann_whitney(values, others, self.params.sequence.test.confidence, names, **words)

    def solved(self, claim: int | str, task: Key) -> Statement:
        outcome = self.most([bool(solved) for solved in self.column(task, "solved")])
        return self.claims.state(claim, "solved", outcome, model=task[0], length=task[1])

    def reaches_early(self, claim: int, task: Key) -> Statement:
        outcome = self.most([step <= self.early for step in self.reached(task)])
        return self.claims.state(claim, "early", outcome, model=task[0], length=task[1])

    def steadier(self, claim: int, length: int) -> Statement:
        return self.claims.state(
            claim, "steadier", self.fluctuates_less((LSTM, length), (VANILLA, length)), length=length
        )

    def fluctuates_less(self, less: Key, more: Key) -> Outcome:
        batch = self.params.sequence.batch_size
        spreads = [excess_spread(self.curves[task], self.average_from, batch) for task in (less, more)]
        names = (less[0], more[0]) if less[0] != more[0] else (f"length {less[1]}", f"length {more[1]}")
        return self.smaller(spreads[0], spreads[1], names, what="medians of the standard deviation")

    def by_run(self, task: Key) -> list[pd.DataFrame]:
        """Return the curve of each replicate."""
        return [one for _, one in self.curves[task].groupby("replicate")]

    def tested(self, task: Key) -> list[tuple[float, float]]:
        """Return the exact interval of each replicate's test accuracy. It allows for the draw of the sequences."""
        confidence, table = self.params.sequence.test.confidence, self.replicates[task]
        rows = zip(table["test_accuracy"], table["test_sequences"], strict=True)
        return [exact(round(accuracy * sequences), int(sequences), confidence) for accuracy, sequences in rows]


def check(e: SequenceEvidence) -> Iterator[Statement]:
    """Yield all statements: those on the published numbers, then those of the claims in their order, then ours. A
    statement of ours is left out if a claim says the same."""
    published = [statement for part in (numbers, claim_1, claim_2, claim_3, claim_4) for statement in part(e)]
    said = {statement.says for statement in published}
    yield from published
    yield from (statement for statement in ours(e) if statement.says not in said)


def numbers(e: SequenceEvidence) -> Iterator[Statement]:
    """Yield the statements on the published numbers. The published test has few sequences, so it is compared with tests
    of as few sequences by models as good as ours."""
    published, confidence = e.published["sequence"], e.params.sequence.test.confidence
    for name, measure, trials in (("mean", TRAINING, None), ("test", TEST, published["test_sequences"])):
        for model, length in e.replicates:
            if (value := published_value(published, MEASURES[measure], model, length)) is not None:
                ours = e.column((model, length), MEASURES[measure].ours)
                outcome = one_of_ours(ours, value, confidence, trials)
                yield e.claims.state(0, name, outcome, model=model, length=length, sequences=trials)


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
            yield e.claims.state(2, "fluctuates", e.fluctuates_less((LSTM, 5), (LSTM, 10)))
    if (VANILLA, 10) in e.replicates:
        curve, tenth = e.curves[VANILLA, 10], e.params.sequence.steps // 10
        yield e.claims.state(2, "knee", e.median_in(knee(curve), *KNEE))
        yield e.claims.state(2, "rises", e.most([gain > 0 for gain in late_gain(curve, e.average_from)]))
        steadily = [_rises(one, tenth) for one in e.by_run((VANILLA, 10))]
        yield e.claims.state(2, "steadily", e.most(steadily), tenth=tenth)
    if e.longer_as_published:
        ends = _longer_ends(e)
        yield e.claims.state(2, "can", at_least_one(ends, e.params.sequence.test.confidence), **e.of_longer)
        yield e.claims.state(2, "does", e.most(ends), **e.of_longer)


def _longer_ends(e: SequenceEvidence) -> list[bool]:
    """Whether each longer run has converged to 1 after its last step."""
    return (e.longer["test_accuracy"] >= CONVERGED).tolist()


def _rises(curve: pd.DataFrame, start: int) -> bool:
    """Whether one replicate's accuracy rises from each fifth of the steps to the next, from step `start` on."""
    means = means_of_fifths(curve.loc[curve["step"] >= start, "accuracy_mean"])
    return bool((means.diff().dropna() > 0).all())


def claim_3(e: SequenceEvidence) -> Iterator[Statement]:
    for length in (15, 20):
        if (task := (VANILLA, length)) in e.replicates:
            losses = e.curves[task].groupby("replicate")["loss_mean"].agg(["first", "last"])
            at_rest = [abs(fall) <= LOSS_AT_REST for fall in late_fall(e.curves[task], e.average_from)]
            guesses = [GUESS[0] <= accuracy <= GUESS[1] for accuracy in e.column(task, "test_accuracy")]
            for name, outcome in (
                ("falls", e.most((losses["first"] > losses["last"]).tolist())),
                ("converges", e.most(at_rest)),
                ("around", e.median_in(e.column(task, "train_accuracy_mean"), *AROUND)),
                ("below", e.most([accuracy < RETAINED for accuracy in e.column(task, "test_accuracy")])),
                ("forgotten", e.most(guesses)),
            ):
                yield e.claims.state(3, name, outcome, length=length, last_loss=losses["last"].median())
        if (task := (LSTM, length)) in e.replicates:
            yield e.solved(3, task)
            learned = [
                bool((one.loc[one["step"] <= e.early, "loss_mean"] < GUESS_LOSS).any()) for one in e.by_run(task)
            ]
            yield e.claims.state(3, "quickly", e.most(learned), length=length)
    by_length = [e.reached((LSTM, n)) for n in sorted(length for model, length in e.replicates if model == LSTM)]
    if by_length:
        yield e.claims.state(3, "slows", trend(by_length, e.params.sequence.test.confidence, "length", STEPS))


def claim_4(e: SequenceEvidence) -> Iterator[Statement]:
    if not e.lengths:
        return
    longest = e.lengths[-1]
    ends = e.ends(longest)
    kept = {model: first_over_last(ends[model]) for model in (VANILLA, LSTM)}
    off = {model: distance_from_one(ratios) for model, ratios in kept.items()}
    solved = [_longest_solved(e, model) for model in (VANILLA, LSTM)]
    what = "medians of the longest length solved"
    longer = e.smaller(solved[0], solved[1], (VANILLA, LSTM), what=what)
    yield e.claims.state(4, "longer", longer, lengths=", ".join(map(str, e.lengths)))
    what = "medians of the distance from 1, in powers of ten"
    keeps_more = e.smaller(off[LSTM], off[VANILLA], (LSTM, VANILLA), what=what)
    yield e.claims.state(4, "keeps_more", keeps_more, length=longest)
    yield e.claims.state(4, "lstm_keeps", e.most([share >= FADED for share in kept[LSTM]]), length=longest)
    yield e.claims.state(4, "vanishes", e.most([share < FADED for share in kept[VANILLA]]), length=longest)
    yield e.claims.state(4, "gates", e.most(_needed(ends[LSTM], "held_accuracy")), length=longest)
    for length in e.lengths:
        steps = [e.reached((model, length)) for model in (LSTM, VANILLA)]
        what = f"medians until accuracy {CONVERGED}"
        faster = e.smaller(steps[0], steps[1], (LSTM, VANILLA), unit=STEPS, what=what)
        yield e.claims.state(4, "faster", faster, length=length)
    for length in e.lengths:
        if length != 5:  # claim 1 has that statement
            yield e.steadier(4, length)


def _needed(gradients: pd.DataFrame, held: str) -> list[bool]:
    """Whether each replicate loses ACCURACY_LOST or more of its accuracy when gates are held. The column named `held`
    has the accuracy that is left."""
    found = gradients.groupby("replicate")[["accuracy", held]].first()
    return (found["accuracy"] - found[held] >= ACCURACY_LOST).tolist()


def _longest_solved(e: SequenceEvidence, model: str) -> list[float]:
    """Return the greatest length that each replicate solves, or 0 if it solves none. Only those replicates count that
    were trained at all lengths."""
    runs = zip(*(e.column((model, length), "solved") for length in e.lengths), strict=False)
    return [max((n for n, solved in zip(e.lengths, run, strict=True) if solved), default=0) for run in runs]


def ours(e: SequenceEvidence) -> Iterator[Statement]:
    """Yield our own statements: which tasks are solved, what is retained, what longer training reaches, where gradients
    explode, and which gate is needed."""
    for task in e.replicates:
        yield e.solved(OURS, task)
    for length in (15, 20):
        if (task := (VANILLA, length)) in e.replicates:
            above = e.most([low > CHANCE for low, _ in e.tested(task)])
            yield e.claims.state(OURS, "something", above, length=length, chance=CHANCE)
    if e.longer_as_published:
        reaches = e.most([step < inf for step in steps_to_reach(e.longer_curve, CONVERGED)])
        yield e.claims.state(OURS, "reaches", reaches, **e.of_longer)
        yield e.claims.state(OURS, "stays", e.most(e.longer["solved"].tolist()), **e.of_longer)
    longest = max(length for _, length in e.replicates)
    for model, table in e.ends(longest).items():
        explodes = [ratio >= EXPLODED for ratio in first_over_last(table)]
        yield e.claims.state(OURS, "explodes", e.most(explodes), model=model, length=longest)
        if model == LSTM:
            for name, gate in GATES.items():
                needed = e.most(_needed(table, f"held_{name}_accuracy"))
                yield e.claims.state(OURS, "gate", needed, gate=gate, length=longest)

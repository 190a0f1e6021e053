"""Claims 1 to 4 of the published report, its numbers, and findings of ours on the sequence models. Report, part 1.

Each statement's test was written down before the replicates' numbers were seen (those of one earlier run were known): a
statistic, a threshold, and why that one. Those that were added, reworded or made stricter later end in LATER. A
statement about a length or a model that was not trained is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.sequence.curves import knee, late_fall, late_gain, steps_to_reach, window_spread
from dlreport.sequence.gradients import first_over_last, memory_column
from dlreport.sequence.thresholds import CONVERGED, RETAINED
from dlreport.statistics.claims import LATER, Found, Statement, Wording, means_of_fifths
from dlreport.statistics.verdicts import kendall_trend, majority, mann_whitney, mean_in_range, prediction

EARLY = 0.1  # of the training: "within few steps", "quickly"
AROUND = (0.10, 0.14)  # "around 0.12", give or take two in the last digit
GUESS = (0.09, 0.11)  # a guess is right in 0.1; a difference of 0.01 would be of no use
KNEE = (2_500, 10_000)  # "about step 5,000": within a factor of two
VANISHED = 0.01  # share of a gradient that is left; its inverse is an explosion
STILL = 0.02  # a loss that moves by less than this share has converged
MAJORITY = "Wilson's interval of the share of runs, against a half"

Task = tuple[str, int]  # (model, length)


@dataclass(frozen=True)
class SequenceEvidence:
    """What the stages of Part 1 found. Tables have a row per replicate or are by replicate."""

    params: Params
    published: dict[str, Any]
    replicates: dict[Task, pd.DataFrame]
    curves: dict[Task, pd.DataFrame]
    longer: pd.DataFrame
    longer_curve: pd.DataFrame
    gradients: pd.DataFrame

    @property
    def confidence(self) -> float:
        return self.params.sequence.test.confidence

    @property
    def average_from(self) -> int:
        return self.params.sequence.average_from

    def column(self, task: Task, name: str) -> list[float]:
        return self.replicates[task][name].tolist()

    def reached(self, task: Task) -> list[float]:
        return reached(self.curves[task])

    def spread(self, task: Task) -> list[float]:
        return window_spread(self.curves[task], self.average_from)

    def tasks_of(self, *models: str) -> list[Task]:
        return [task for task in self.replicates if task[0] in models]


def reached(curve: pd.DataFrame) -> list[float]:
    """Of each replicate the step by which a window's accuracy was CONVERGED, infinite if none was."""
    return [inf if step is None else step for step in steps_to_reach(curve, CONVERGED)]


PUBLISHED = ("VanillaRNN", "LSTM")  # the models that the published report speaks of


def check(e: SequenceEvidence) -> list[Statement]:
    """All statements, the published numbers first, then claim by claim; ours last."""
    parts = {0: numbers, 1: length_5, 2: length_10, 3: lengths_15_and_20, 4: conclusion}
    published = [replace(statement, claim=claim) for claim, part in parts.items() for statement in part(e)]
    said = {statement.wording for statement in published}
    return [*published, *(statement for statement in ours(e) if statement.wording not in said)]


def _at(length: int) -> str:
    return f"length {length}"


def _solved(e: SequenceEvidence, task: Task, words: str) -> Statement:
    model, length = task
    return Statement(
        f"{model}, length {length}: {words}",
        f"accuracy {CONVERGED} or more at the end of training and in the test; {MAJORITY}",
        "as good as 1 on a batch of 128",
        majority([bool(solved) for solved in e.column(task, "solved")], e.confidence),
        Wording(f"the {model}", "solves", "does not solve", f"length {length}"),
        _at(length),
    )


def _early(e: SequenceEvidence, task: Task, words: str) -> Statement:
    model, length = task
    limit = EARLY * e.params.sequence.steps
    return Statement(
        f"{model}, length {length}: {words}",
        f"a window of steps at {CONVERGED} by step {limit:,.0f}; {MAJORITY}",
        "a tenth of the training",
        majority([step <= limit for step in e.reached(task)], e.confidence),
        Wording(f"the {model}", "reaches", "does not reach", f"{CONVERGED} at length {length} by step {limit:,.0f}"),
        _at(length),
    )


def _steadier(e: SequenceEvidence, length: int) -> Statement:
    return Statement(
        f"length {length}: the LSTM fluctuates less than the VanillaRNN",
        f"standard deviation of the windows' accuracy from step {e.average_from:,} on; Mann-Whitney",
        "at whatever accuracy",
        mann_whitney(e.spread(("LSTM", length)), e.spread(("VanillaRNN", length)), e.confidence),
        Wording(
            "the LSTM's accuracy", "fluctuates less", "fluctuates more", f"than the VanillaRNN's at length {length}"
        ),
        _at(length),
    )


def numbers(e: SequenceEvidence) -> Found:
    accuracies = (
        ("mean_accuracy_steps_40000_50000", "train_accuracy_mean", "mean accuracy", ""),
        ("test_accuracy", "test_accuracy_report_batch", "test accuracy", LATER),
    )
    for source, column, words, mark in accuracies:
        for model, length in e.tasks_of(*PUBLISHED):
            if (value := e.published["sequence"][source][model].get(length)) is not None:
                yield Statement(
                    f"{model}, length {length}: the published {words} could be one of our runs{mark}",
                    "Student's t interval of prediction of one more run",
                    "one published run",
                    prediction(e.column((model, length), column), value, e.confidence),
                    Wording(
                        f"the {model}'s published {words} at length {length}",
                        *("could be one of our runs", "lies outside the range of our runs"),
                    ),
                    _at(length),
                )


def length_5(e: SequenceEvidence) -> Found:
    tasks = [task for task in e.tasks_of(*PUBLISHED) if task[1] == 5]
    for task in tasks:
        yield _solved(e, task, "reaches the optimum")
        yield _early(e, task, "within few steps")
    if {model for model, _ in tasks} == {*PUBLISHED}:
        yield _steadier(e, 5)


def length_10(e: SequenceEvidence) -> Found:
    lstm, vanilla = ("LSTM", 10), ("VanillaRNN", 10)
    settings = e.params.sequence
    if lstm in e.replicates:
        yield _solved(e, lstm, "converges to 1")
        yield _early(e, lstm, "quickly")
        if ("LSTM", 5) in e.replicates:
            yield Statement(
                "LSTM: larger fluctuation at length 10 than at 5",
                f"standard deviation of the windows' accuracy from step {e.average_from:,} on; Mann-Whitney",
                "both are at 1",
                mann_whitney(e.spread(("LSTM", 5)), e.spread(lstm), e.confidence),
                Wording("the LSTM's accuracy", "fluctuates more", "fluctuates less", "at length 10 than at 5"),
                _at(10),
            )
    if vanilla in e.replicates:
        curve = e.curves[vanilla]
        yield Statement(
            "VanillaRNN, length 10: the loss falls fast at first and slows from about step 5,000",
            f"where two straight lines fit the loss best: between {KNEE[0]:,} and {KNEE[1]:,}; {MAJORITY}",
            '"about": within a factor of two',
            majority([KNEE[0] <= step <= KNEE[1] for step in knee(curve)], e.confidence),
            Wording("the VanillaRNN's loss", "slows", "does not slow", "at about step 5,000 of length 10"),
            _at(10),
        )
        yield Statement(
            "VanillaRNN, length 10: the accuracy keeps rising",
            f"gain between the halves of the steps from {e.average_from:,} on, above 0; Student's t",
            "the part of which the report gives the mean",
            mean_in_range(late_gain(curve, e.average_from), 0, inf, e.confidence),
            Wording("the VanillaRNN's accuracy at length 10", "still rises", "falls", f"after step {e.average_from:,}"),
            _at(10),
        )
        start = settings.steps // 10
        yield Statement(
            f"VanillaRNN, length 10: the accuracy rises steadily{LATER}",
            f"means of fifths of the steps from {start:,} on, each above the one before; {MAJORITY}",
            "steadily: without a turn",
            majority([_rises(one, start) for _, one in curve.groupby("replicate")], e.confidence),
            Wording("the VanillaRNN's accuracy at length 10", "rises", "does not rise", "steadily"),
            _at(10),
        )
    yield from longer(e)


def longer(e: SequenceEvidence) -> Found:
    settings = e.params.longer
    if settings.model_dump(include={"length", "steps"}) != e.published["sequence"]["longer"]:
        return
    words = f"VanillaRNN, length {settings.length}: with {settings.steps:,} steps"
    subject = f"with {settings.steps:,} steps the VanillaRNN at length {settings.length}"
    for predicate, test, why, found, holds, fails in (
        (
            "it converges to 1",
            f"accuracy {CONVERGED} or more from step {settings.average_from:,} on and in the test; {MAJORITY}",
            "the last fifth, as above",
            [bool(solved) for solved in e.longer["solved"]],
            *("converges to 1", "does not converge to 1"),
        ),
        (
            f"it gets to 1, for a time at least{LATER}",
            f"a window of steps at {CONVERGED}; {MAJORITY}",
            "as above",
            [step < inf for step in reached(e.longer_curve)],
            *(f"reaches {CONVERGED} for a time at least", f"never reaches {CONVERGED}"),
        ),
        (
            f"it ends at 1{LATER}",
            f"test accuracy {CONVERGED} or more after the last step; {MAJORITY}",
            "as above",
            (e.longer["test_accuracy"] >= CONVERGED).tolist(),
            *(f"ends at {CONVERGED} or more in the test", f"ends below {CONVERGED} in the test"),
        ),
    ):
        outcome, wording = majority(found, e.confidence), Wording(subject, holds, fails)
        yield Statement(f"{words} {predicate}", test, why, outcome, wording, "longer")


def _rises(curve: pd.DataFrame, start: int) -> bool:
    """Whether one replicate's accuracy does from fifth to fifth of the steps from `start` on."""
    means = means_of_fifths(curve.loc[curve["step"] >= start, "accuracy_mean"])
    return bool((means.diff().dropna() > 0).all())


def lengths_15_and_20(e: SequenceEvidence) -> Found:
    for length in (15, 20):
        if ("VanillaRNN", length) in e.replicates:
            yield from _not_retained(e, length)
        lstm = ("LSTM", length)
        if lstm in e.replicates:
            limit = EARLY * e.params.sequence.steps
            yield _solved(e, lstm, "ends almost perfect")
            yield Statement(
                f"LSTM, length {length}: the loss falls quickly{LATER}",
                f"a window of steps at half the first one's loss by step {limit:,.0f}; {MAJORITY}",
                "a tenth of the training",
                majority(_halved(e.curves[lstm], limit), e.confidence),
                Wording("the LSTM's loss", "halves", "does not halve", f"by step {limit:,.0f} of length {length}"),
                _at(length),
            )
    groups = [e.reached(task) for task in sorted(e.tasks_of("LSTM"), key=lambda task: task[1])]
    if groups:
        yield Statement(
            "LSTM: convergence slows as the length grows",
            f"steps to a window at {CONVERGED}, by length; Kendall's tau",
            "a trend over all lengths",
            kendall_trend(groups, e.confidence),
            Wording("the LSTM", "converges later", "does not converge later", "the longer the palindromes are"),
            "part 1",
        )


def _not_retained(e: SequenceEvidence, length: int) -> Found:
    task, where = ("VanillaRNN", length), f"at length {length}"
    curve = e.curves[task]
    ends = curve.groupby("replicate")["loss_mean"].agg(["first", "last"])
    test_accuracy = e.column(task, "test_accuracy")
    for words, test, why, outcome, wording in (
        (
            "the loss falls",
            f"first window above the last, in each run; {MAJORITY}",
            "any fall",
            majority((ends["first"] > ends["last"]).tolist(), e.confidence),
            Wording("the VanillaRNN's loss", "falls", "does not fall", where),
        ),
        (
            f"the loss converges (at {ends['last'].mean():.3g})",
            f"fall between the halves from step {e.average_from:,} on, within {STILL:.0%}; Student's t",
            "a loss at rest",
            mean_in_range(late_fall(curve, e.average_from), -STILL, STILL, e.confidence),
            Wording("the VanillaRNN's loss", "has converged", "has not converged", where),
        ),
        (
            "the accuracy stays around 0.12",
            f"mean training accuracy at the end between {AROUND[0]} and {AROUND[1]}; Student's t",
            "0.12, give or take two in the last digit",
            mean_in_range(e.column(task, "train_accuracy_mean"), *AROUND, e.confidence),
            Wording("the VanillaRNN's training accuracy", "ends around 0.12", "does not end around 0.12", where),
        ),
        (
            f"below {RETAINED} in the test",
            f"test accuracy below {RETAINED}; Student's t",
            "the report's own line",
            mean_in_range(test_accuracy, 0, RETAINED, e.confidence),
            Wording("the VanillaRNN's test accuracy", f"is below {RETAINED}", f"is above {RETAINED}", where),
        ),
        (
            "it does not retain the sequence",
            f"test accuracy between {GUESS[0]} and {GUESS[1]}, that of a guess; Student's t",
            "a hundredth more would be of no use, but would be something retained",
            mean_in_range(test_accuracy, *GUESS, e.confidence),
            Wording("the VanillaRNN", "retains nothing of the first digit", "retains some of the first digit", where),
        ),
    ):
        yield Statement(f"VanillaRNN, length {length}: {words}", test, why, outcome, wording, _at(length))


def _halved(curve: pd.DataFrame, limit: float) -> list[bool]:
    runs = [one for _, one in curve.groupby("replicate")]
    return [bool((one.loc[one["step"] <= limit, "loss_mean"] <= one["loss_mean"].iloc[0] / 2).any()) for one in runs]


def conclusion(e: SequenceEvidence) -> Found:
    lengths = sorted({length for _, length in e.replicates})
    both = [length for length in lengths if {(model, length) for model in PUBLISHED} <= e.replicates.keys()]
    if not both:
        return
    yield from _gradients(e, both[-1])
    solved = {model: _longest_solved(e, model, both) for model in PUBLISHED}
    yield Statement(
        "the LSTM retains dependencies longer",
        f"of each replicate the greatest length among {', '.join(map(str, both))} that it solves; Mann-Whitney",
        "0 if none",
        mann_whitney(solved["VanillaRNN"], solved["LSTM"], e.confidence),
        Wording(
            "the LSTM", "retains dependencies longer than", "retains no longer dependencies than", "the VanillaRNN"
        ),
        "part 1",
    )
    yield _gates(e, both[-1])
    for length in both:
        yield Statement(
            f"length {length}: the LSTM converges faster",
            f"steps to a window at {CONVERGED}; Mann-Whitney",
            "a run that never reaches it ranks last",
            mann_whitney(e.reached(("LSTM", length)), e.reached(("VanillaRNN", length)), e.confidence),
            Wording(
                "the LSTM", "converges faster", "does not converge faster", f"than the VanillaRNN at length {length}"
            ),
            _at(length),
        )
    for length in both:
        if length != 5:  # that is part of claim 1
            yield _steadier(e, length)


def _at_the_end(e: SequenceEvidence, length: int) -> Iterable[tuple[str, pd.DataFrame]]:
    """By model the gradients of one length after training."""
    return e.gradients[(e.gradients["length"] == length) & (e.gradients["when"] == "end")].groupby("model", sort=False)


def _gradients(e: SequenceEvidence, length: int) -> Found:
    share = {model: first_over_last(table, memory_column(table)) for model, table in _at_the_end(e, length)}
    where = f"(length {length}, after training)"
    rest = f"at length {length}"
    yield Statement(
        f"the LSTM keeps more of the gradient than the VanillaRNN {where}{LATER}",
        "d loss / d c at the first step over that at the last, against the VanillaRNN's of h; Mann-Whitney",
        "the way on which each carries its memory",
        mann_whitney(share["VanillaRNN"], share["LSTM"], e.confidence),
        Wording("the LSTM's gradient", "keeps more", "keeps less", f"of its size than the VanillaRNN's {rest}"),
        "gradients",
    )
    yield Statement(
        f"the LSTM's gradient does not vanish {where}{LATER}",
        f"d loss / d c at the first step a hundredth of that at the last, or more; {MAJORITY}",
        "two orders of magnitude",
        majority([value >= VANISHED for value in share["LSTM"]], e.confidence),
        Wording("the LSTM's gradient", "does not vanish", "vanishes", rest),
        "gradients",
    )
    yield Statement(
        f"the VanillaRNN's gradient vanishes {where}",
        f"d loss / d h at the first step less than a hundredth of that at the last; {MAJORITY}",
        "two orders of magnitude",
        majority([value < VANISHED for value in share["VanillaRNN"]], e.confidence),
        Wording("the VanillaRNN's gradient", "vanishes", "does not vanish", rest),
        "gradients",
    )


def _gates(e: SequenceEvidence, length: int) -> Statement:
    gates = (
        dict(iter(_at_the_end(e, length)))["LSTM"].groupby("replicate")[["accuracy", "frozen_gates_accuracy"]].first()
    )
    lost = (gates["accuracy"] - gates["frozen_gates_accuracy"]).tolist()
    return Statement(
        f"the LSTM controls the flow of information by its gates (length {length})",
        "accuracy lost when every gate is held at its mean, above a half; Student's t",
        "most of what it can do",
        mean_in_range(lost, 0.5, inf, e.confidence),
        Wording("the LSTM", "needs", "does not need", f"gates that react at length {length}, by the accuracy lost"),
        "gradients",
    )


def _longest_solved(e: SequenceEvidence, model: str, lengths: list[int]) -> list[float]:
    table = pd.DataFrame({length: e.column((model, length), "solved") for length in lengths})
    return [max((length for length in lengths if row[length]), default=0) for _, row in table.iterrows()]


def ours(e: SequenceEvidence) -> Found:
    """Which tasks are solved, and where gradients explode."""
    for task in e.replicates:
        yield _solved(e, task, "reaches the optimum")
    longest = max(length for _, length in e.replicates)
    for model, table in _at_the_end(e, longest):
        ratios = first_over_last(table, "gradient_median")
        yield Statement(
            f"the {model}'s gradient explodes (length {longest}, after training)",
            f"in the median sequence a hundred times as large at the first step as at the last, or more; {MAJORITY}",
            "two orders of magnitude",
            majority([ratio >= 1 / VANISHED for ratio in ratios], e.confidence),
            Wording(f"the {model}'s gradient", "explodes", "does not explode", f"at length {longest}"),
            "gradients",
        )

"""Claims 1 to 4, of the sequence models, and the published numbers. Report, part 1, "Claims made in the text"."""

from math import inf

import pandas as pd

from dlreport.evaluation.curves import CONVERGED, RETAINED, carried, first_over_last, knee, late_fall, late_gain
from dlreport.evaluation.evidence import LATER, Evidence, Found, fifths, reached
from dlreport.evaluation.verdicts import Outcome, another_run, between, less, most, rising

EARLY = 0.1  # of the training: "within few steps", "quickly"
AROUND = (0.10, 0.14)  # "around 0.12", give or take two in the last digit
GUESS = (0.09, 0.11)  # a guess is right in 0.1; a difference of 0.01 would be of no use
KNEE = (2_500, 10_000)  # "about step 5,000": within a factor of two
VANISHED = 0.01  # share of a gradient that is left
STILL = 0.02  # a loss that moves by less than this share has converged
MOST = "Wilson's interval of the share of runs, against a half"


def _solved(e: Evidence, cell: tuple[str, int], words: str) -> tuple[str, str, str, Outcome]:
    test = f"accuracy {CONVERGED} or more at the end of training and in the test; {MOST}"
    return (
        f"{cell[0]}, length {cell[1]}: {words}",
        test,
        "as good as 1 on a batch of 128",
        most([bool(solved) for solved in e.column(cell, "solved")], e.confidence),
    )


def _early(e: Evidence, cell: tuple[str, int], words: str) -> tuple[str, str, str, Outcome]:
    limit = EARLY * e.params.sequence.steps
    test = f"a window of steps at {CONVERGED} by step {limit:,.0f}; {MOST}"
    found = most([step <= limit for step in e.reached(cell)], e.confidence)
    return f"{cell[0]}, length {cell[1]}: {words}", test, "a tenth of the training", found


def _steadier(e: Evidence, length: int) -> tuple[str, str, str, Outcome]:
    test = f"standard deviation of the windows' accuracy from step {e.params.sequence.average_from:,} on; Mann-Whitney"
    spreads = less(e.spread(("LSTM", length)), e.spread(("VanillaRNN", length)), e.confidence)
    return f"length {length}: the LSTM fluctuates less than the VanillaRNN", test, "at whatever accuracy", spreads


def numbers(e: Evidence) -> Found:
    accuracies = (
        ("mean_accuracy_steps_40000_50000", "train_accuracy_mean", "mean accuracy", ""),
        ("test_accuracy", "test_accuracy_report_batch", "test accuracy", LATER),
    )
    for published, column, words, mark in accuracies:
        for cell in e.replicates:
            if (value := e.published["sequence"][published].get(cell[0], {}).get(cell[1])) is not None:
                yield (
                    f"{cell[0]}, length {cell[1]}: the published {words} could be one of our runs{mark}",
                    "Student's t interval of prediction of one more run",
                    "one published run",
                    another_run(e.column(cell, column), value, e.confidence),
                )


def length_5(e: Evidence) -> Found:
    cells = [cell for cell in e.replicates if cell[1] == 5]
    for cell in cells:
        yield _solved(e, cell, "reaches the optimum")
        yield _early(e, cell, "within few steps")
    if len(cells) == 2:
        yield _steadier(e, 5)


def length_10(e: Evidence) -> Found:
    lstm, vanilla = ("LSTM", 10), ("VanillaRNN", 10)
    settings = e.params.sequence
    if lstm in e.replicates:
        yield _solved(e, lstm, "converges to 1")
        yield _early(e, lstm, "quickly")
        if ("LSTM", 5) in e.replicates:
            yield (
                "LSTM: larger fluctuation at length 10 than at 5",
                f"standard deviation of the windows' accuracy from step {settings.average_from:,} on; Mann-Whitney",
                "both are at 1",
                less(e.spread(("LSTM", 5)), e.spread(lstm), e.confidence),
            )
    if vanilla in e.replicates:
        curve = e.curves[vanilla]
        yield (
            "VanillaRNN, length 10: the loss falls fast at first and slows from about step 5,000",
            f"where two straight lines fit the loss best: between {KNEE[0]:,} and {KNEE[1]:,}; {MOST}",
            '"about": within a factor of two',
            most([KNEE[0] <= step <= KNEE[1] for step in knee(curve)], e.confidence),
        )
        yield (
            "VanillaRNN, length 10: the accuracy keeps rising",
            f"gain between the halves of the steps from {settings.average_from:,} on, above 0; Student's t",
            "the part of which the report gives the mean",
            between(late_gain(curve, settings.average_from), 0, inf, e.confidence),
        )
        yield (
            f"VanillaRNN, length 10: the accuracy rises steadily{LATER}",
            f"means of fifths of the steps from {settings.steps // 10:,} on, each above the one before; {MOST}",
            "steadily: without a turn",
            most([_rises(one, settings.steps // 10) for _, one in curve.groupby("replicate")], e.confidence),
        )
    longer = e.params.longer
    if longer.model_dump(include={"length", "steps"}) == e.published["sequence"]["longer"]:
        words = f"VanillaRNN, length {longer.length}: with {longer.steps:,} steps"
        yield (
            f"{words} it converges to 1",
            f"accuracy {CONVERGED} or more from step {longer.average_from:,} on and in the test; {MOST}",
            "the last fifth, as above",
            most([bool(solved) for solved in e.longer["solved"]], e.confidence),
        )
        yield (
            f"{words} it gets to 1, for a time at least{LATER}",
            f"a window of steps at {CONVERGED}; {MOST}",
            "as above",
            most([step < inf for step in reached(e.longer_curve)], e.confidence),
        )
        yield (
            f"{words} it ends at 1{LATER}",
            f"test accuracy {CONVERGED} or more after the last step; {MOST}",
            "as above",
            most((e.longer["test_accuracy"] >= CONVERGED).tolist(), e.confidence),
        )


def _rises(curve: pd.DataFrame, start: int) -> bool:
    """Whether one replicate's accuracy does from fifth to fifth of the steps from `start` on."""
    means = fifths(curve.loc[curve["step"] >= start, "accuracy_mean"])
    return bool((means.diff().dropna() > 0).all())


def lengths_15_and_20(e: Evidence) -> Found:
    settings = e.params.sequence
    for length in (15, 20):
        cell = ("VanillaRNN", length)
        if cell in e.replicates:
            ends = e.curves[cell].groupby("replicate")["loss_mean"].agg(["first", "last"])
            yield (
                f"VanillaRNN, length {length}: the loss falls",
                f"first window above the last, in each run; {MOST}",
                "any fall",
                most((ends["first"] > ends["last"]).tolist(), e.confidence),
            )
            yield (
                f"VanillaRNN, length {length}: the loss converges (at {ends['last'].mean():.3g})",
                f"fall between the halves from step {settings.average_from:,} on, within {STILL:.0%}; Student's t",
                "a loss at rest",
                between(late_fall(e.curves[cell], settings.average_from), -STILL, STILL, e.confidence),
            )
            yield (
                f"VanillaRNN, length {length}: the accuracy stays around 0.12",
                f"mean training accuracy at the end between {AROUND[0]} and {AROUND[1]}; Student's t",
                "0.12, give or take two in the last digit",
                between(e.column(cell, "train_accuracy_mean"), *AROUND, e.confidence),
            )
            yield (
                f"VanillaRNN, length {length}: below {RETAINED} in the test",
                f"test accuracy below {RETAINED}; Student's t",
                "the report's own line",
                between(e.column(cell, "test_accuracy"), 0, RETAINED, e.confidence),
            )
            yield (
                f"VanillaRNN, length {length}: it does not retain the sequence",
                f"test accuracy between {GUESS[0]} and {GUESS[1]}, that of a guess; Student's t",
                "a hundredth more would be of no use, but would be something retained",
                between(e.column(cell, "test_accuracy"), *GUESS, e.confidence),
            )
        if ("LSTM", length) in e.replicates:
            yield _solved(e, ("LSTM", length), "ends almost perfect")
            yield (
                f"LSTM, length {length}: the loss falls quickly{LATER}",
                f"a window of steps at half the first one's loss by step {EARLY * settings.steps:,.0f}; {MOST}",
                "a tenth of the training",
                most(_halved(e.curves["LSTM", length], EARLY * settings.steps), e.confidence),
            )
    groups = [e.reached(cell) for cell in sorted(e.replicates, key=lambda cell: cell[1]) if cell[0] == "LSTM"]
    if groups:
        yield (
            "LSTM: convergence slows as the length grows",
            f"steps to a window at {CONVERGED}, by length; Kendall's tau",
            "a trend over all lengths",
            rising(groups, e.confidence),
        )


def _halved(curve: pd.DataFrame, limit: float) -> list[bool]:
    runs = [one for _, one in curve.groupby("replicate")]
    return [bool((one.loc[one["step"] <= limit, "loss_mean"] <= one["loss_mean"].iloc[0] / 2).any()) for one in runs]


def conclusion(e: Evidence) -> Found:
    lengths = sorted({length for _, length in e.replicates})
    both = [length for length in lengths if {("LSTM", length), ("VanillaRNN", length)} <= e.replicates.keys()]
    if not both:
        return
    longest = both[-1]
    end = e.gradients[(e.gradients["length"] == longest) & (e.gradients["when"] == "end")].groupby("model")
    share = {model: first_over_last(cell, carried(model)) for model, cell in end}
    yield (
        f"the LSTM keeps more of the gradient than the VanillaRNN (length {longest}, after training){LATER}",
        "d loss / d c at the first step over that at the last, against the VanillaRNN's of h; Mann-Whitney",
        "the way on which each carries its memory",
        less(share["VanillaRNN"], share["LSTM"], e.confidence),
    )
    yield (
        f"the LSTM's gradient does not vanish (length {longest}, after training){LATER}",
        f"d loss / d c at the first step a hundredth of that at the last, or more; {MOST}",
        "two orders of magnitude",
        most([value >= VANISHED for value in share["LSTM"]], e.confidence),
    )
    yield (
        f"the VanillaRNN's gradient vanishes (length {longest}, after training)",
        f"d loss / d h at the first step less than a hundredth of that at the last; {MOST}",
        "two orders of magnitude",
        most([value < VANISHED for value in share["VanillaRNN"]], e.confidence),
    )
    solved = {model: _longest_solved(e, model, both) for model in ("LSTM", "VanillaRNN")}
    yield (
        "the LSTM retains dependencies longer",
        f"of each replicate the greatest length among {', '.join(map(str, both))} that it solves; Mann-Whitney",
        "0 if none",
        less(solved["VanillaRNN"], solved["LSTM"], e.confidence),
    )
    gates = end.get_group("LSTM").groupby("replicate")[["accuracy", "frozen_gates_accuracy"]].first()
    lost = (gates["accuracy"] - gates["frozen_gates_accuracy"]).tolist()
    yield (
        f"the LSTM controls the flow of information by its gates (length {longest})",
        "accuracy lost when every gate is held at its mean, above a half; Student's t",
        "most of what it can do",
        between(lost, 0.5, inf, e.confidence),
    )
    for length in both:
        yield (
            f"length {length}: the LSTM converges faster",
            f"steps to a window at {CONVERGED}; Mann-Whitney",
            "never is the slowest",
            less(e.reached(("LSTM", length)), e.reached(("VanillaRNN", length)), e.confidence),
        )
    for length in both:
        if length != 5:  # that is part of claim 1
            yield _steadier(e, length)


def _longest_solved(e: Evidence, model: str, lengths: list[int]) -> list[float]:
    table = pd.DataFrame({length: e.column((model, length), "solved") for length in lengths})
    return [max((length for length in lengths if row[length]), default=0) for _, row in table.iterrows()]

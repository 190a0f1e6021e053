"""Verdicts follow the numbers: made-up results in which every claim holds, and others in which it does not."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest

import made_up
from dlreport.evaluation.claims import check
from dlreport.evaluation.curves import knee, late_fall
from dlreport.evaluation.evidence import Evidence
from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from dlreport.io import read_yaml
from made_up import STEPS, wave

RUNS = 5


def curve(reached: int, level: float, spread: float, bend: int = 5_000) -> pd.DataFrame:
    """Runs at 0.1 until about `reached`, then at `level` give or take `spread`; a loss that falls until it bends."""
    loss = np.interp(STEPS, [0, bend, 50_000], [16, 2.3, 2.3])
    accuracies = [np.where(reached + 100 * k > STEPS, 0.1, level) + wave(spread * (1 + 0.1 * k)) for k in range(RUNS)]
    return made_up.curve(STEPS, *((accuracy, loss) for accuracy in accuracies))


def replicates(*accuracies: float) -> pd.DataFrame:
    solved = [int(accuracy >= 0.99) for accuracy in accuracies]
    names = ("train_accuracy_mean", "test_accuracy", "test_accuracy_report_batch")
    return pd.DataFrame({**dict.fromkeys(names, accuracies), "solved": solved})


def around(value: float) -> pd.DataFrame:
    return replicates(*(value + np.linspace(-1e-4, 1e-4, RUNS)))


def gradients(vanilla: float, lstm: float, held: float) -> pd.DataFrame:
    """Of length 20, after training: gradients at the first step, where they are 1 at the last."""
    rows = [
        {
            "model": model,
            "length": 20,
            "replicate": k,
            "when": "end",
            "t": t,
            "accuracy": 1.0,
            "frozen_gates_accuracy": held,
        }
        | {"gradient": 1 if t == 19 else vanilla * (1 + k / 9), "gradient_cell": 1 if t == 19 else lstm * (1 + k / 9)}
        for model, k, t in product(("VanillaRNN", "LSTM"), range(RUNS), (1, 19))
    ]
    return pd.DataFrame(rows)


def quality(told_apart: float, missing: int) -> pd.DataFrame:
    rows = [
        {"images": images, "replicate": 0, "fid_sd": 1.0, "digits_missing": missing, "two_sample_accuracy": share}
        | {"two_sample_low": share - 0.01, "two_sample_high": share + 0.01}
        for images, share in (("generator", told_apart), ("training images", 0.53))
    ]
    return pd.DataFrame(rows)


def losses(sign: int) -> pd.DataFrame:
    epochs = np.arange(1, 251)
    course = sign * np.interp(epochs, [1, 10, 60, 250], [0.2, -0.4, 0.0, -0.3])
    return pd.DataFrame({"replicate": 0, "epoch": epochs, "discriminator": 1 + course, "generator": 1 - course})


@pytest.fixture
def as_claimed(params, repository) -> Evidence:
    published = read_yaml(repository / "published.yaml")
    cells = {
        ("VanillaRNN", 5): (curve(3_000, 0.999, 0.004), around(0.9992)),
        ("VanillaRNN", 10): (curve(60_000, 0, 0.02), replicates(0.70, 0.73, 0.76, 0.79, 0.82)),
        ("VanillaRNN", 15): (curve(60_000, 0, 0.01), replicates(0.104, 0.105, 0.106, 0.105, 0.105)),
        ("VanillaRNN", 20): (curve(60_000, 0, 0.01), replicates(0.104, 0.105, 0.106, 0.105, 0.105)),
        ("LSTM", 5): (curve(500, 1, 0.0001), around(0.9998)),
        ("LSTM", 10): (curve(1_500, 1, 0.001), around(0.9998)),
        ("LSTM", 15): (curve(4_000, 1, 0.001), around(0.9998)),
        ("LSTM", 20): (curve(13_000, 1, 0.001), around(0.9996)),
    }
    rising_run = cells["VanillaRNN", 10][0].assign(accuracy_mean=lambda table: table["step"] / 60_000)
    by_epoch = {"epoch": [0, 40, 100, 250], "fid": [300.0, 60, 20, 10], "unsure": [1.0, 0.3, 0.2, 0.1]}
    return Evidence(
        params=params,
        published=published,
        replicates={cell: table for cell, (_, table) in cells.items()},
        curves={cell: table for cell, (table, _) in cells.items()} | {("VanillaRNN", 10): rising_run},
        longer=around(1 - 1e-4),
        longer_curve=curve(30_000, 0.999, 0.0001).assign(step=lambda table: table["step"] * 2),
        gradients=gradients(vanilla=1e-6, lstm=0.5, held=0.1),
        losses=losses(1),
        quality=quality(0.54, 0),
        quality_by_epoch=pd.DataFrame({"replicate": 0, **by_epoch}),
        interpolation={"largest_step_share": 0.2, "largest_step_share_features": 0.3},
    )


def verdicts(evidence: Evidence) -> dict[int, list[str]]:
    found = check(evidence)
    assert all(statement.test and statement.why and statement.evidence for statement in found)
    return {claim: [one.verdict for one in found if one.claim == claim] for claim in range(8)}


def test_results_as_claimed_support_every_statement(as_claimed):
    found = check(as_claimed)
    wrong = [(one.claim, one.statement, one.evidence) for one in found if one.claim and one.verdict != SUPPORTED]
    assert wrong == []
    assert len(found) > 50


def test_the_published_numbers_are_checked_against_the_spread_of_runs(as_claimed):
    def of_length_10(evidence: Evidence) -> list[str]:
        return [one.verdict for one in check(evidence) if one.claim == 0 and "VanillaRNN, length 10" in one.statement]

    assert of_length_10(as_claimed) == [SUPPORTED, SUPPORTED]  # training, test
    other = replace(as_claimed, replicates=as_claimed.replicates | {("VanillaRNN", 10): around(0.95)})
    assert of_length_10(other) == [NOT_SUPPORTED, NOT_SUPPORTED]


def test_results_the_other_way_round_support_none(as_claimed):
    """The LSTM never ends at the optimum, gets near it later than the VanillaRNN, and sooner the longer the sequence;
    the VanillaRNN ends there at all lengths but the least. Losses rise where they fell, and all else is swapped."""
    late = {5: 36_000, 10: 28_000, 15: 20_000, 20: 12_000}
    lstm = {length: curve(step, 0.995, 0.008 if length == 5 else 0.004) for length, step in late.items()}
    vanilla = {length: curve(6_000, 0.999, 0.001, bend=30_000) for length in late}
    vanilla[10] = vanilla[10].assign(accuracy_mean=1 - vanilla[10]["step"] / 10**7)  # falls, and hardly fluctuates
    for curves in (lstm, vanilla):
        for length in (15, 20):
            curves[length] = curves[length].assign(loss_mean=1 + curves[length]["step"] / 50_000)
    by_epoch = as_claimed.quality_by_epoch
    other = replace(
        as_claimed,
        replicates={("VanillaRNN", length): around(0.5 if length == 5 else 0.9998) for length in late}
        | {("LSTM", length): around(0.5) for length in late},
        curves={("VanillaRNN", length): table for length, table in vanilla.items()}
        | {("LSTM", length): table for length, table in lstm.items()},
        longer=around(0.5),
        longer_curve=curve(60_000, 0.5, 0.001),
        gradients=gradients(vanilla=0.5, lstm=1e-6, held=1.0),
        losses=losses(-1),
        quality=quality(0.9, 3),
        quality_by_epoch=by_epoch.assign(fid=by_epoch["fid"][::-1].values, unsure=0.9),
        interpolation={"largest_step_share": 0.9, "largest_step_share_features": 0.8},
    )
    claimed = [(one.claim, one.test) for one in check(as_claimed)]
    found = check(other)
    assert [(one.claim, one.test) for one in found] == claimed
    wrong = [(one.claim, one.statement, one.evidence) for one in found if one.verdict != NOT_SUPPORTED]
    assert wrong == []


def test_two_epochs_say_nothing_of_the_long_run(as_claimed):
    few = replace(as_claimed, losses=as_claimed.losses[as_claimed.losses["epoch"] <= 2])
    long_run = [one.verdict for one in check(few) if "in the long run the" in one.statement]
    assert long_run == [UNDECIDED, UNDECIDED]


def test_other_steps_than_the_published_ones_do_not_test_the_claim(as_claimed):
    longer = as_claimed.params.longer.model_copy(update={"steps": 200_000})
    other = replace(as_claimed, params=as_claimed.params.model_copy(update={"longer": longer}))
    assert not [one for one in check(other) if "00 steps" in one.statement]


def test_a_run_that_gets_to_1_and_falls_back_does_not_converge_to_it(as_claimed):
    jumping = as_claimed.longer.assign(train_accuracy_mean=0.95, solved=0)
    found = [one for one in check(replace(as_claimed, longer=jumping)) if "100,000 steps" in one.statement]
    assert [one.verdict for one in found] == [NOT_SUPPORTED, SUPPORTED, SUPPORTED]


def test_a_single_run_leaves_the_claims_on_runs_undecided(as_claimed):
    one = replace(
        as_claimed,
        replicates={cell: table.iloc[:1] for cell, table in as_claimed.replicates.items()},
        curves={cell: table[table["replicate"] == 0] for cell, table in as_claimed.curves.items()},
        longer=as_claimed.longer.iloc[:1],
        longer_curve=as_claimed.longer_curve[as_claimed.longer_curve["replicate"] == 0],
        gradients=as_claimed.gradients[as_claimed.gradients["replicate"] == 0],
    )
    found = verdicts(one)
    for claim in (0, 1, 2, 4):
        assert set(found[claim]) == {UNDECIDED}


def test_lengths_that_were_not_trained_are_left_out(as_claimed):
    cells = [cell for cell in as_claimed.replicates if cell[1] == 20]
    few = replace(
        as_claimed,
        replicates={cell: as_claimed.replicates[cell] for cell in cells},
        curves={cell: as_claimed.curves[cell] for cell in cells},
    )
    found = check(few)
    assert not [one for one in found if one.claim == 1]
    assert not [one for one in found if "length 15" in one.statement]


def test_the_knee_of_two_lines_is_where_they_meet():
    assert knee(curve(0, 1, 0, bend=8_000)) == pytest.approx([8_000] * RUNS, abs=150)


def test_late_fall():
    """A fall from 4 to 2 within the second half of its steps."""
    table = pd.DataFrame({"replicate": 0, "step": [1, 2, 3, 4], "loss_mean": [9.0, 4, 4, 2]})
    assert late_fall(table, 2) == pytest.approx([1 - 3 / 4])
    assert late_fall(table, 3) == pytest.approx([0.5])

"""Verdicts follow the numbers: made-up results in which every claim holds, and others in which it does not."""

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import evidence
from dlreport.errors import UserError
from dlreport.gan.claims import FILE as GAN_CLAIMS
from dlreport.gan.claims import Trainings
from dlreport.sequence.claims import FILE as SEQUENCE_CLAIMS
from dlreport.sequence.curves import knee, late_fall
from dlreport.sequence.thresholds import GUESS_LOSS
from dlreport.statistics.claims import OURS, VERDICTS, Claims, Statement, counts, holm, means_of_fifths, metrics, table
from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED, Outcome, mean_in_range
from evidence import RUNS, Evidence, around, runs

PUBLISHED = range(1, 10)
GAN = range(5, 10)


@pytest.fixture
def as_claimed(params) -> Evidence:
    return evidence.as_claimed(params)


def verdicts(found: Evidence) -> dict[int | str, list[str]]:
    statements = found.check()
    assert all(one.test and one.why and one.outcome.evidence and one.outcome.power for one in statements)
    return {claim: [one.outcome.verdict for one in statements if one.claim == claim] for claim in (*range(10), OURS)}


def unlike(found: Evidence, verdict: str) -> list[tuple[int, str, str]]:
    """The published claims' statements with another verdict."""
    statements = [one for one in found.check() if one.claim in PUBLISHED]
    return [(one.claim, one.statement, one.outcome.evidence) for one in statements if one.outcome.verdict != verdict]


def test_results_as_claimed_support_every_statement(as_claimed):
    assert unlike(as_claimed, SUPPORTED) == []
    assert len(as_claimed.check()) > 50


def test_the_published_numbers_are_checked_against_the_spread_of_runs(as_claimed):
    def of_length_10(found: Evidence) -> list[str]:
        about = [one for one in found.check() if one.claim == 0 and "VanillaRNN, length 10" in one.statement]
        return [one.outcome.verdict for one in about]

    assert of_length_10(as_claimed) == [SUPPORTED, SUPPORTED]  # training, test
    many = pd.concat([around(0.95)] * 7)  # 42 runs
    for replicates, verdict in ((around(0.95), UNDECIDED), (many, NOT_SUPPORTED)):
        other = as_claimed.but(replicates=as_claimed.sequence.replicates | {("VanillaRNN", 10): replicates})
        assert of_length_10(other) == [verdict, verdict]


def test_results_the_other_way_round_support_none(as_claimed):
    def claimed(found: Evidence) -> list[tuple[int, str]]:
        return [(one.claim, one.test) for one in found.check() if one.claim in PUBLISHED]

    other = evidence.otherwise(as_claimed)
    assert claimed(other) == claimed(as_claimed)
    assert unlike(other, NOT_SUPPORTED) == []


def test_ours_can_have_either_verdict(as_claimed):
    """A model that is said to solve a length by a published claim is not said to by us as well."""
    explodes = as_claimed.but(gradients=evidence.gradients(vanilla=1e4, lstm=1e4, held=0.1))
    for found, verdict in ((explodes, SUPPORTED), (as_claimed, NOT_SUPPORTED)):
        ours = {one.says: one.outcome.verdict for one in found.check() if one.claim == OURS and "explode" in one.says}
        assert [*ours.values()] == [verdict, verdict]
    for found, verdict in ((as_claimed, SUPPORTED), (evidence.otherwise(as_claimed), NOT_SUPPORTED)):
        copies = [one.outcome.verdict for one in found.check() if "copying" in one.says]
        assert copies == [verdict, verdict]  # of the generator and its average
    solved = [one for one in as_claimed.check() if "solves" in one.says]
    assert len(solved) == len({one.says for one in solved}) == 8


def test_a_third_model_changes_no_published_claim(as_claimed):
    """It is one of our findings, whatever it does."""
    sequence = as_claimed.sequence
    third = as_claimed.but(
        replicates=sequence.replicates | {("GRU", 7): around(0.5), ("GRU", 20): around(1.0)},
        curves=sequence.curves | {("GRU", length): runs(100, 1, 0.1) for length in (7, 20)},
        gradients=pd.concat([sequence.gradients, sequence.gradients.query("model == 'LSTM'").assign(model="GRU")]),
    )

    def published(found: Evidence) -> list[tuple[str, str]]:
        return [(one.statement, one.outcome.evidence) for one in found.check() if one.claim != OURS]

    assert published(third) == published(as_claimed)
    assert [one.says.split("[")[0] for one in third.check() if "GRU" in one.says] == [
        *("the GRU ", "the GRU "),
        "the GRU's gradient ",
    ]


@pytest.mark.parametrize("trainings", [1, 2])
def test_fewer_than_three_trainings_of_the_gan_decide_nothing(as_claimed, trainings):
    found = verdicts(evidence.first_trainings(as_claimed, trainings))
    assert {verdict for claim in GAN for verdict in found[claim]} == {UNDECIDED}


def gan_outcome(found: Evidence, words: str) -> Outcome:
    """Of the one statement that is said in these words."""
    (outcome,) = [one.outcome for one in found.check() if words in one.says]
    return outcome


def test_what_differs_between_trainings_decides(as_claimed):
    """The same mean share, far above a half: three trainings that agree support the statement, others do not."""
    table = as_claimed.gan.quality_by_epoch
    for unsure, verdict in (((0.29, 0.3, 0.31), SUPPORTED), ((0.01, 0.3, 0.59), UNDECIDED)):
        changed = as_claimed.but(quality_by_epoch=table.assign(unsure=[unsure[k] for k in table["replicate"]]))
        assert gan_outcome(changed, "digits to the judge").verdict == verdict


def test_evidence_of_trainings_is_their_mean_its_interval_and_each(as_claimed):
    """Of ratios: the logarithms' mean and Student's interval, taken back."""
    ratios = np.array([0.5, 0.4, 0.25])
    table = as_claimed.gan.quality_by_epoch.set_index(["epoch", "replicate"])["fid"].unstack()
    table.loc[100] = table.loc[40] * ratios
    fids = table.stack().rename("fid").reset_index().assign(fid_matched=1.0, unsure=0.1)
    outcome = gan_outcome(as_claimed.but(quality_by_epoch=fids), "those of epoch 40")
    low, high = np.exp(stats.t.interval(0.95, 2, np.log(ratios).mean(), stats.sem(np.log(ratios))))
    expected = (
        f"ratio of later to earlier {stats.gmean(ratios):.2f} ({low:.2f} to {high:.2f}); trainings 0.50, 0.40, 0.25"
    )
    assert (outcome.verdict, outcome.evidence) == (SUPPORTED, expected)


@pytest.mark.parametrize(
    ("matched", "verdict"),
    [([20, 20, 20, 20], SUPPORTED), ([20, 30, 45, 59], NOT_SUPPORTED), ([20, 30, 35, 40], UNDECIDED)],
)
def test_a_rise_of_fid_is_a_drift_of_shares_if_most_of_it_goes_when_they_are_matched(as_claimed, matched, verdict):
    """FID rises from 20 to 60; in the last case half of that stays, give or take a little."""
    found = evidence.by_epoch([300.0, 60, 20, 30, 45, 60], [300.0, 60, *map(float, matched)], unsure=0.1)
    found.loc[found["epoch"] == 250, "fid_matched"] += [-1, 0, 2]
    outcome = gan_outcome(as_claimed.but(quality_by_epoch=found), "drift of the digits' shares")
    assert outcome.verdict == verdict


def test_a_discriminator_that_leans_to_real_images_is_better_than_a_guess_on_both_kinds_together(as_claimed):
    leaning = as_claimed.but(losses=as_claimed.gan.losses.assign(accuracy_real=0.9, accuracy_generated=0.4))
    found = [one.outcome.verdict for one in leaning.check() if one.claim == 9 and "images right" in one.statement]
    assert found == [SUPPORTED, NOT_SUPPORTED, SUPPORTED]  # real, generated, both


def test_trainings_that_all_lie_on_the_threshold_decide_nothing(as_claimed):
    """A discriminator that calls every image real."""
    blind = as_claimed.but(losses=as_claimed.gan.losses.assign(accuracy_real=1.0, accuracy_generated=0.0))
    found = [one.outcome for one in blind.check() if one.claim == 9 and "images right" in one.statement]
    assert [outcome.verdict for outcome in found] == [SUPPORTED, NOT_SUPPORTED, UNDECIDED]
    assert {outcome.power for outcome in found} == {"all trainings alike"}


def test_a_loss_whose_line_moves_by_less_than_a_hundredth_has_settled(as_claimed):
    """Over the last fifth of 250 epochs."""
    losses = as_claimed.gan.losses
    for change, verdict in ((0.005, SUPPORTED), (-0.02, NOT_SUPPORTED)):
        line = 1 + change * (losses["epoch"] - 225) / 49
        found = as_claimed.but(losses=losses.assign(discriminator=line * (1 + 0.01 * losses["replicate"])))
        assert gan_outcome(found, "discriminator's loss [has settled").verdict == verdict


def test_without_a_rise_of_fid_there_is_no_drift_to_explain(as_claimed):
    assert gan_outcome(as_claimed, "drift of the digits' shares").verdict == UNDECIDED


def test_a_walk_with_a_step_of_a_third_of_the_way_is_not_gradual(as_claimed):
    """One step of eight took 45 % of the way of version 1.0's walk."""
    for step, verdict in ((0.30, SUPPORTED), (0.3333, UNDECIDED), (0.45, NOT_SUPPORTED)):
        walks = as_claimed.gan.walks.assign(largest_step_share_features=[step - 0.01, step, step + 0.01])
        found = [one.outcome.verdict for one in as_claimed.but(walks=walks).check() if "features" in one.statement]
        assert found == [verdict]


def test_two_epochs_say_nothing_of_the_long_run(as_claimed):
    few = as_claimed.but(losses=as_claimed.gan.losses[as_claimed.gan.losses["epoch"] <= 2])
    long_run = [one.outcome for one in few.check() if "in the long run the" in one.statement]
    assert [outcome.verdict for outcome in long_run] == [UNDECIDED, UNDECIDED]
    assert {outcome.power for outcome in long_run} == {"decides nothing without the measure"}


def test_other_steps_than_the_published_ones_do_not_test_the_claim(as_claimed):
    params = as_claimed.sequence.params
    longer = params.longer.model_copy(update={"steps": 200_000})
    other = as_claimed.but(params=params.model_copy(update={"longer": longer}))
    assert not [one for one in other.check() if "00 steps" in one.statement]


def test_a_run_that_gets_to_1_and_falls_back_does_not_converge_to_it(as_claimed):
    jumping = as_claimed.but(longer=as_claimed.sequence.longer.assign(train_accuracy_mean=0.95, solved=0))
    found = {one.statement.split("steps ")[1]: one.outcome.verdict for one in of(jumping.check(), "100,000 steps")}
    assert found == {
        **{"it can converge to 1": SUPPORTED, "most runs converge to 1": SUPPORTED},
        **{"it gets to 1, for a time at least": SUPPORTED, "it stays at 1": NOT_SUPPORTED},
    }


def of(statements: list[Statement], words: str) -> list[Statement]:
    """Those with these words."""
    return [one for one in statements if words in one.statement]


def verdict(statements: list[Statement], words: str) -> str:
    """That of the one with these words."""
    (one,) = of(statements, words)
    return one.outcome.verdict


def with_curve(found: Evidence, task: tuple[str, int], curve: pd.DataFrame) -> Evidence:
    return found.but(curves=found.sequence.curves | {task: curve})


def with_runs(found: Evidence, task: tuple[str, int], replicates: pd.DataFrame) -> Evidence:
    return found.but(replicates=found.sequence.replicates | {task: replicates})


def test_one_run_of_six_that_converges_shows_that_it_can_but_not_that_most_do(as_claimed):
    ends = as_claimed.but(longer=around(0.5).assign(test_accuracy=[1.0, 0.5, 0.5, 0.5, 0.5, 0.5])).check()
    assert verdict(ends, "it can converge to 1") == SUPPORTED
    assert verdict(ends, "most runs converge to 1") == UNDECIDED


@pytest.mark.parametrize(("bend", "expected"), [(2_900, NOT_SUPPORTED), (5_000, SUPPORTED), (6_500, NOT_SUPPORTED)])
def test_the_knee_is_at_5000_or_it_is_not(as_claimed, bend, expected):
    found = with_curve(as_claimed, ("VanillaRNN", 10), runs(60_000, 0, 0.02, bend)).check()
    assert verdict(found, "slows from") == expected


@pytest.mark.parametrize(("value", "expected"), [(0.12, SUPPORTED), (0.1, NOT_SUPPORTED), (0.14, NOT_SUPPORTED)])
def test_around_012_is_not_a_guess(as_claimed, value, expected):
    found = with_runs(as_claimed, ("VanillaRNN", 20), around(value)).check()
    assert verdict(found, "VanillaRNN, length 20: the accuracy stays around 0.12") == expected


@pytest.mark.parametrize(
    ("accuracies", "retains_nothing", "something"),
    [
        ([0.1] * 20, SUPPORTED, NOT_SUPPORTED),
        ([0.1] * 10 + [0.13] * 10, UNDECIDED, UNDECIDED),
        ([0.13] * 20, NOT_SUPPORTED, SUPPORTED),
        ([0.107] * 20, SUPPORTED, SUPPORTED),  # a little more than a guess, and less than a hundredth more
        ([0.1] * 5, UNDECIDED, UNDECIDED),
    ],
)
def test_what_is_retained_is_undecided_where_it_is(as_claimed, accuracies, retains_nothing, something):
    tested = pd.concat([around(0.1, spread=0)] * 4).iloc[: len(accuracies)].assign(test_accuracy=accuracies)
    found = with_runs(as_claimed, ("VanillaRNN", 20), tested).check()
    assert verdict(found, "length 20: it does not retain") == retains_nothing
    assert verdict(found, "retains something at length 20") == something


@pytest.mark.parametrize(("least", "expected"), [(GUESS_LOSS + 0.01, NOT_SUPPORTED), (GUESS_LOSS - 0.01, SUPPORTED)])
def test_to_shed_a_bad_start_is_not_to_fall_quickly(as_claimed, least, expected):
    """From 16 to what a guess costs, by step 4,000."""
    found = with_curve(as_claimed, ("LSTM", 20), runs(13_000, 1, 0.001, bend=4_000, least=least)).check()
    assert verdict(found, "LSTM, length 20: the loss falls quickly") == expected


@pytest.mark.parametrize(("vanilla", "lstm", "expected"), [(1e5, 10, SUPPORTED), (1e-6, 1e7, NOT_SUPPORTED)])
def test_a_gradient_that_explodes_is_not_kept(as_claimed, vanilla, lstm, expected):
    found = as_claimed.but(gradients=evidence.gradients(vanilla, lstm, held=0.1)).check()
    assert verdict(found, "the LSTM keeps more of the gradient") == expected


def test_each_gate_is_judged_by_itself(as_claimed):
    statements = as_claimed.but(gradients=as_claimed.sequence.gradients.assign(held_f_accuracy=0.95)).check()
    ours = {gate: f"the LSTM needs its {gate} gate" for gate in ("input", "forget", "output")}
    found = {gate: verdict(statements, words) for gate, words in ours.items()}
    assert found == {"input": SUPPORTED, "forget": NOT_SUPPORTED, "output": SUPPORTED}


def test_models_may_have_different_numbers_of_runs(as_claimed):
    """Twenty of the VanillaRNN beside six of the LSTM."""
    sequence = as_claimed.sequence
    twenty = as_claimed.but(
        replicates={
            task: pd.concat([table] * 4).iloc[: 20 if task[0] == "VanillaRNN" else RUNS]
            for task, table in sequence.replicates.items()
        },
        curves={
            task: pd.concat([table.assign(replicate=table["replicate"] + RUNS * k) for k in range(3)])
            if task[0] == "VanillaRNN"
            else table
            for task, table in sequence.curves.items()
        },
    ).check()
    assert {one.outcome.verdict for one in twenty if one.claim in PUBLISHED} == {SUPPORTED}
    assert "decides from 15 of 20 runs on" in of(twenty, "VanillaRNN, length 5: reaches")[0].outcome.power
    assert "decides from 6 of 6 runs on" in of(twenty, "LSTM, length 5: reaches")[0].outcome.power


def test_a_single_run_leaves_the_claims_on_runs_undecided(as_claimed):
    """But for what one run proves: that a thing can be."""
    found = evidence.one_run_each(as_claimed).check()
    among = {*range(5), *GAN}
    decided = {one.statement for one in found if one.outcome.verdict != UNDECIDED and one.claim in among}
    assert decided == {"VanillaRNN, length 10: with 100,000 steps it can converge to 1"}


def test_holms_correction_against_a_worked_example():
    """The least of four times four, the next times three, and so on, none below the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([]) == []


def test_the_correction_is_within_a_claim_and_takes_verdicts_that_a_small_p_decided():
    def statement(claim: int, outcome: Outcome) -> Statement:
        return Statement(claim, *[str(outcome.p)] * 5, outcome=outcome)

    p_values = [(1, 0.02), (1, 0.03), (1, None), (2, 0.04), (3, 0.001), (3, 0.04)]
    rows = table([statement(claim, Outcome(SUPPORTED, "", 0.95, p)) for claim, p in p_values])
    assert rows["p_corrected"].tolist() == pytest.approx([0.04, 0.04, float("nan"), 0.04, 0.002, 0.04], nan_ok=True)
    assert set(rows["corrected"]) == {SUPPORTED}
    rows = table([statement(1, Outcome(SUPPORTED, "", 0.95, p)) for p in (0.01, 0.03, 0.04, 0.9)])
    assert rows["corrected"].tolist() == [SUPPORTED, UNDECIDED, UNDECIDED, SUPPORTED]  # the last never rested on p
    assert counts(rows)["lost_by_correction"] == 2


def test_ours_are_corrected_among_themselves_and_counted_apart():
    def statement(claim: int | str, p: float, verdict: str = SUPPORTED) -> Statement:
        return Statement(claim, *[str(p)] * 5, outcome=Outcome(verdict, "", 0.95, p))

    found = [statement(OURS, p) for p in (0.01, 0.03, 0.04)]
    found += [statement(1, 0.02), statement(1, 0.9, UNDECIDED), statement(2, 0.001, NOT_SUPPORTED)]
    rows = table(found)
    assert rows["p_corrected"].tolist() == pytest.approx([0.04, 0.9, 0.001, 0.03, 0.06, 0.06])
    assert rows["corrected"].tolist() == [SUPPORTED, UNDECIDED, NOT_SUPPORTED, SUPPORTED, UNDECIDED, UNDECIDED]
    assert metrics(rows) == {
        **{"supported": 1, "not_supported": 1, "undecided": 1, "lost_by_correction": 0},
        **{"claim_1_supported": 1, "claim_2_supported": 0, "ours_supported": 3},
    }


def test_undecided_has_words_of_its_own_or_those_of_what_is_asked():
    expected = {
        "it [is|is not] so": ("It is so", "It is not so", "It is undecided whether it is so"),
        "it [is|is not|may be] so": ("It is so", "It is not so", "It is undecided whether it may be so"),
    }
    for says, sentences in expected.items():
        one = Statement(1, "so", "thus", "as", says=says, section="walk", outcome=Outcome(SUPPORTED, "that"))
        assert [one.sentence(verdict) for verdict in VERDICTS] == [f"{sentence} (that)." for sentence in sentences]


def test_fifths_are_five_equal_parts_in_order():
    assert means_of_fifths(pd.Series(range(10))).tolist() == [0.5, 2.5, 4.5, 6.5, 8.5]
    assert means_of_fifths(pd.Series([3.0, 1.0, 2.0])).tolist() == [3, 1, 2]


def test_no_headline_states_what_the_correction_leaves_undecided():
    def statement(p: float) -> Statement:
        words = {"says": "it [is|is not] so", "headline": "so it [is|is not]", "section": "walk"}
        return Statement(1, "so", "thus", "as", **words, outcome=Outcome(NOT_SUPPORTED, "that", 0.95, p))

    rows = table([statement(p) for p in (0.01, 0.03, 0.04)])
    assert rows["headline"].tolist() == ["So it is not", *["It is undecided whether so it is"] * 2]
    assert set(rows["sentence"]) == {"It is not so (that)."}


def test_a_mean_of_shares_is_judged_on_the_log_odds():
    """Student's interval of the shares themselves would reach beyond 1."""
    shares = np.array([0.97, 0.995, 0.99])
    assert mean_in_range(shares.tolist(), 0.5, 1, 0.95).verdict == UNDECIDED
    outcome = Trainings(0.95).share(pd.Series(shares), low=0.5)
    assert outcome.verdict == SUPPORTED
    assert outcome.p == pytest.approx(stats.ttest_1samp(np.log(shares / (1 - shares)), 0).pvalue)


def test_the_counts_are_few(as_claimed):
    found = counts(table(as_claimed.check()))
    assert sum(len(value) if isinstance(value, dict) else 1 for value in found.values()) <= 40


def test_lengths_that_were_not_trained_are_left_out(as_claimed):
    sequence = as_claimed.sequence
    tasks = [task for task in sequence.replicates if task[1] == 20]
    few = as_claimed.but(
        replicates={task: sequence.replicates[task] for task in tasks},
        curves={task: sequence.curves[task] for task in tasks},
    ).check()
    assert not [one for one in few if one.claim == 1]
    assert not [one for one in few if "length 15" in one.statement]


def test_every_statement_of_the_files_is_made_and_says_three_things(as_claimed, monkeypatch):
    """The three sentences differ, and each verdict's is a whole one."""
    stated, state = set(), Claims.state

    def record(self, claim, name, outcome, **values):
        stated.add((claim, name))
        return state(self, claim, name, outcome, **values)

    monkeypatch.setattr(Claims, "state", record)
    made = as_claimed.check()
    assert stated == {(claim, name) for file in (SEQUENCE_CLAIMS, GAN_CLAIMS) for claim, name in statements_of(file)}
    assert len({one.statement for one in made}) == len(made)
    for one in made:
        said = [one.sentence(verdict) for verdict in VERDICTS]
        assert len(set(said)) == 3
        assert all(sentence[0].isupper() and sentence.endswith(").") and "[" not in sentence for sentence in said)
        assert said[2].startswith("It is undecided whether ")


def test_a_statement_stands_under_the_claim_on_its_length(as_claimed):
    lengths = Claims(SEQUENCE_CLAIMS).each("lengths")
    found = [(one.claim, one.statement) for one in as_claimed.check() if one.claim in (1, 2, 3)]
    for claim, statement in found:
        of_others = set(map(int, re.findall(r"length (\d+)", statement))) - set(lengths[claim])
        assert (of_others, statement) == (set(), statement)
    assert len(found) > 20


def statements_of(file) -> list[tuple[int | str, str]]:
    entries = {claim: entry for claim, entry in Claims(file).entries.items() if claim != "parts"}
    return [(claim, name) for claim, entry in entries.items() for name in entry["statements"]]


def test_the_table_and_the_counts_are_those_of_the_statements(as_claimed):
    """Ours come last and are counted apart."""
    statements = evidence.otherwise(as_claimed).check()
    rows = table(statements)
    assert sorted(rows["sentence"]) == sorted(one.sentence(one.outcome.verdict) for one in statements)
    ours = [one for one in statements if one.claim == OURS]
    assert rows["claim"].isna().tolist() == [False] * (len(rows) - len(ours)) + [True] * len(ours)
    found = counts(rows)
    of_claims = [found[f"claim_{claim}"] for claim in range(10)]
    for verdict, name in zip(VERDICTS, ("supported", "not_supported", "undecided"), strict=True):
        published = [one for one in statements if one.claim != OURS and one.outcome.verdict == verdict]
        assert found[name] == sum(claim[name] for claim in of_claims) == len(published)
        assert found[OURS][name] == sum(one.outcome.verdict == verdict for one in ours)


def test_the_knee_of_two_lines_is_where_they_meet():
    assert knee(runs(0, 1, 0, bend=8_000)) == pytest.approx([8_000] * RUNS, abs=150)


def test_late_fall():
    """A fall from 4 to 2 within the second half of its steps."""
    curve = pd.DataFrame({"replicate": 0, "step": [1, 2, 3, 4], "loss_mean": [9.0, 4, 4, 2]})
    assert late_fall(curve, 2) == pytest.approx([1 - 3 / 4])
    assert late_fall(curve, 3) == pytest.approx([0.5])


def test_words_that_name_what_is_not_given_are_refused_by_their_place(tmp_path):
    file = tmp_path / "claims.yaml"
    file.write_text(
        "5: {statements: {sharp: {statement: sharp, test: 'at {least}', why: so, says: it is, section: walk}}}"
    )
    with pytest.raises(UserError, match=r"claims.yaml: 5.sharp names 'least', which claims.py does not give it"):
        Claims(file).state(5, "sharp", Outcome(SUPPORTED, "1"))

"""Where each claim's threshold lies: evidence just inside has one verdict, just outside another. The numbers are
written out, so that a threshold which moves by a few per cent is seen."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import pytest

import evidence
from dlreport.gan.claims import check
from dlreport.sequence.claims import claim_1, claim_2, claim_3, claim_4, ours
from dlreport.statistics.claims import Statement
from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED
from evidence import RUNS, TRAININGS, Evidence, around
from made_up import STEPS, curve

EPOCHS = np.arange(1, 251)
VANILLA_10, VANILLA_20, LSTM_5, LSTM_20 = ("VanillaRNN", 10), ("VanillaRNN", 20), ("LSTM", 5), ("LSTM", 20)


@pytest.fixture
def as_claimed(params) -> Evidence:
    return evidence.as_claimed(params)


def verdict(statements: Iterator[Statement], words: str) -> str:
    """Of the first with these words; what comes after it is not computed."""
    return next(one.outcome.verdict for one in statements if words in one.statement)


def decides(part, words: str, change: Callable[[Evidence, float], Evidence], inside: float, outside: float):
    """A case: the claims among which is the statement with these words, what puts a value into its evidence, a value on
    either side."""
    return pytest.param(part, words, change, inside, outside, id=f"{words} {inside:g} {outside:g}")


def runs_alike(accuracy: np.ndarray | float, loss: np.ndarray | float = 2.0) -> pd.DataFrame:
    both = [np.broadcast_to(values, STEPS.shape) for values in (accuracy, loss)]
    return curve(STEPS, *[tuple(both)] * RUNS)


def with_curve(task: tuple[str, int], made: Callable[[float], pd.DataFrame]) -> Callable[[Evidence, float], Evidence]:
    return lambda found, value: found.but(curves=found.sequence.curves | {task: made(value)})


def in_a_large_test(found: Evidence, accuracy: float) -> Evidence:
    """In a test so large that it is known to a thousandth."""
    table = around(0.12, spread=0, tested=accuracy).assign(test_sequences=10**6)
    return found.but(replicates=found.sequence.replicates | {VANILLA_20: table})


def trained(found: Evidence, accuracy: float) -> Evidence:
    return found.but(replicates=found.sequence.replicates | {VANILLA_20: around(accuracy, spread=0)})


def longer(found: Evidence, accuracy: float) -> Evidence:
    return found.but(longer=around(accuracy, spread=0))


def left_of_gradient(model: str) -> Callable[[Evidence, float], Evidence]:
    def change(found: Evidence, share: float) -> Evidence:
        table = found.sequence.gradients.copy()
        table.loc[(table["model"] == model) & (table["t"] == 1), "growth_median"] = share
        return found.but(gradients=table)

    return change


def held(column: str) -> Callable[[Evidence, float], Evidence]:
    return lambda found, left: found.but(gradients=found.sequence.gradients.assign(**{column: left}))


def right_from(step: float) -> pd.DataFrame:
    return runs_alike(np.where(step > STEPS, 0.1, 1.0))


def learned_from(step: float) -> pd.DataFrame:
    return at_a_loss(np.where(step > STEPS, 16.0, 2.29))


def at_a_loss(loss: np.ndarray | float) -> pd.DataFrame:
    return runs_alike(1.0, loss)


def longer_reaches(found: Evidence, accuracy: float) -> Evidence:
    return found.but(longer_curve=runs_alike(accuracy))


def bent(at: float) -> pd.DataFrame:
    return runs_alike(0.5, np.interp(STEPS, [0, at, 50_000], [16, 2, 1]))


def falling(by: float) -> pd.DataFrame:
    """By this share between the halves of the steps from 40,000 on."""
    return runs_alike(0.1, np.where(STEPS < 40_000, 16.0, np.where(STEPS < 45_000, 1.0, 1 - by)))


SEQUENCE = [
    decides(claim_1, "LSTM, length 5: within few steps", with_curve(LSTM_5, right_from), 4_999, 5_099),
    decides(claim_1, "LSTM, length 5: within few steps", with_curve(LSTM_5, runs_alike), 0.99, 0.989),
    decides(claim_3, "LSTM, length 20: the loss falls quickly", with_curve(LSTM_20, learned_from), 4_999, 5_099),
    decides(claim_3, "LSTM, length 20: the loss falls quickly", with_curve(LSTM_20, at_a_loss), 2.302, 2.303),
    decides(claim_2, "slows from about step 5,000", with_curve(VANILLA_10, bent), 4_150, 3_850),
    decides(claim_2, "slows from about step 5,000", with_curve(VANILLA_10, bent), 5_850, 6_150),
    decides(claim_3, "VanillaRNN, length 20: the loss converges", with_curve(VANILLA_20, falling), 0.0199, 0.0201),
    decides(claim_3, "VanillaRNN, length 20: the loss converges", with_curve(VANILLA_20, falling), -0.0199, -0.0201),
    decides(claim_3, "VanillaRNN, length 20: the accuracy stays around 0.12", trained, 0.1101, 0.1099),
    decides(claim_3, "VanillaRNN, length 20: the accuracy stays around 0.12", trained, 0.1299, 0.1301),
    decides(claim_3, "VanillaRNN, length 20: below 0.2 in the test", in_a_large_test, 0.199, 0.2),
    decides(claim_3, "VanillaRNN, length 20: it does not retain", in_a_large_test, 0.0901, 0.0899),
    decides(claim_3, "VanillaRNN, length 20: it does not retain", in_a_large_test, 0.1099, 0.1101),
    decides(ours, "the VanillaRNN retains something at length 20", in_a_large_test, 0.1008, 0.1004),
    decides(claim_2, "steps it can converge to 1", longer, 0.99, 0.9899),
    decides(claim_2, "steps most runs converge to 1", longer, 0.99, 0.9899),
    decides(ours, "steps it gets to 1, for a time", longer_reaches, 0.99, 0.9899),
    decides(claim_4, "the LSTM's gradient does not vanish", left_of_gradient("LSTM"), 0.0101, 0.0099),
    decides(claim_4, "the VanillaRNN's gradient vanishes", left_of_gradient("VanillaRNN"), 0.0099, 0.0101),
    decides(ours, "the LSTM's gradient explodes", left_of_gradient("LSTM"), 101, 99),
    decides(claim_4, "flow of information by its gates", held("held_accuracy"), 0.49, 0.51),
    decides(ours, "the LSTM needs its forget gate", held("held_f_accuracy"), 0.49, 0.51),
]


def trainings_alike(**columns: object) -> pd.DataFrame:
    return pd.concat([pd.DataFrame({"replicate": k, **columns}) for k in range(TRAININGS)], ignore_index=True)


def losses(discriminator: np.ndarray, generator: np.ndarray, **accuracies: object) -> pd.DataFrame:
    right = {"accuracy_real": 0.7, "accuracy_generated": 0.7, **accuracies}
    return trainings_alike(epoch=EPOCHS, discriminator=discriminator, generator=generator, **right)


def taking_back(found: Evidence, share: float) -> Evidence:
    course = np.interp(EPOCHS, [1, 20, 80, 250], [0, -1, share - 1, share - 1])
    return found.but(losses=losses(2 + course, 2 - course))


def moving(found: Evidence, share: float) -> Evidence:
    """In the last fifth, from its first epoch to its last."""
    line = 1 + share * (EPOCHS - 225.5) / 49
    return found.but(losses=losses(line, line))


def in_the_fourth_fifth(found: Evidence, slope: float) -> Evidence:
    """A loss that declines in the second half, but for a fifth of it in which it does so by this slope."""
    slopes = np.where((EPOCHS > 201) & (EPOCHS <= 225), slope, -0.001)
    return found.but(losses=losses(3 + np.cumsum(slopes), 3 - np.cumsum(slopes)))


def summing(found: Evidence, ratio: float) -> Evidence:
    """Deviations of the losses' sum and the discriminator's in this ratio."""
    wave = np.sin(EPOCHS)
    return found.but(losses=losses(3 + wave, 3 - (1 - ratio) * wave))


def right(found: Evidence, accuracy: float) -> Evidence:
    """Once in the second half."""
    least = np.where(EPOCHS == 126, accuracy, 0.7)
    return found.but(losses=losses(*[2 + EPOCHS * 0.0] * 2, accuracy_real=least, accuracy_generated=least))


def images(found: Evidence, **columns: object) -> Evidence:
    """By kept epoch."""
    values = {"fid": 20.0, "fid_matched": 20.0, "unsure": 0.1, **columns}
    return found.but(quality_by_epoch=trainings_alike(epoch=evidence.EPOCHS, **values))


def changing(since: int) -> Callable[[Evidence, float], Evidence]:
    """FID at the end over that at this epoch; before it is three times as large."""

    def change(found: Evidence, ratio: float) -> Evidence:
        fids = [300.0 if epoch < since else 100.0 for epoch in evidence.EPOCHS[:-1]] + [100 * ratio]
        return images(found, fid=fids, fid_matched=fids)

    return change


def better(found: Evidence, ratio: float) -> Evidence:
    return images(found, fid=[300, 100, 100 * ratio, 1, 1, 1])


def left_when_matched(found: Evidence, rise: float) -> Evidence:
    """Of a rise by 40."""
    return images(found, fid=[300, 60, 20, 30, 45, 60], fid_matched=[300, 60, 20, 20, 20, 20 + rise])


def of_sets(**values: float) -> Callable[[Evidence, float], Evidence]:
    """Of the generators' images the share that is told apart, and that is near; `values` are the real ones'."""

    def change(found: Evidence, value: float) -> Evidence:
        real = {"two_sample_accuracy": 0.53, "two_sample_high": 0.54, "near_training": 0.01, **values}
        made = [
            {"images": name, "replicate": k, "two_sample_accuracy": value, "near_training": value}
            for name in ("generator", "average")
            for k in range(TRAININGS)
        ]
        return found.but(quality=pd.DataFrame([{"images": "training images", "replicate": 0, **real}, *made]))

    return change


def step(column: str) -> Callable[[Evidence, float], Evidence]:
    return lambda found, share: found.but(walks=found.gan.walks.assign(**{column: share}))


GAN = [
    decides(check, "epoch 40: the outlines", lambda found, unsure: images(found, unsure=unsure), 0.49, 0.51),
    decides(check, "epoch 100: better than at epoch 40", better, 0.99, 1.01),
    decides(check, "almost indistinguishable", of_sets(), 0.549, 0.551),
    decides(
        check, "every digit is drawn", lambda found, share: found.but(shares=evidence.shares(share)), 0.0101, 0.0099
    ),
    decides(check, "generated images are no nearer", of_sets(), 0.0199, 0.0201),
    decides(check, "averaged generator's images are no nearer", of_sets(), 0.0199, 0.0201),
    # one that is near among 10,000 real ones, or none, counts as half of one
    decides(check, "generated images are no nearer", of_sets(near_training=0.0), 0.99e-4, 1.01e-4),
    decides(check, "discriminator's loss falls first", taking_back, 0.51, 0.49),
    decides(check, "generator's loss rises first", taking_back, 0.51, 0.49),
    decides(check, "discriminator's loss declines steadily", in_the_fourth_fifth, -0.0009, 0.003),
    decides(check, "generator's loss rises steadily", in_the_fourth_fifth, -0.0009, 0.003),
    decides(check, "discriminator's loss has converged", moving, 0.0099, 0.0101),
    decides(check, "generator's loss has converged", moving, -0.0099, -0.0101),
    decides(check, "more than half of real images", right, 0.501, 0.499),
    decides(check, "more than half of generated images", right, 0.501, 0.499),
    decides(check, "more than half of real and generated images", right, 0.501, 0.499),
    decides(check, "zero-sum game", summing, 0.099, 0.101),
    decides(check, "still improve in the long run, by FID at", changing(since=140), 0.99, 1.01),
    decides(check, "the images have converged, by FID at", changing(since=200), 1.099, 1.101),
    decides(check, "the images have converged, by FID at", changing(since=200), 0.901, 0.899),
    decides(check, "because the shares of the digits drift", left_when_matched, 19.9, 20.1),
    decides(check, "gradual in pixels", step("largest_step_share"), 0.333, 0.334),
    decides(check, "gradual in the classifier's features", step("largest_step_share_features"), 0.333, 0.334),
]


@pytest.mark.parametrize(("part", "words", "change", "inside", "outside"), [*SEQUENCE, *GAN])
def test_a_value_on_either_side_has_either_verdict(as_claimed, part, words, change, inside, outside):
    for value, expected in ((inside, SUPPORTED), (outside, NOT_SUPPORTED)):
        found = change(as_claimed, value)
        assert verdict(part(found.gan if part is check else found.sequence), words) == expected


@pytest.mark.parametrize(("epoch", "expected"), [(125, SUPPORTED), (126, NOT_SUPPORTED), (250, NOT_SUPPORTED)])
def test_the_late_phase_is_the_second_half_with_its_last_epoch(as_claimed, epoch, expected):
    found = as_claimed.but(
        losses=as_claimed.gan.losses.assign(accuracy_real=lambda table: np.where(table["epoch"] == epoch, 0.4, 0.7))
    )
    assert verdict(check(found.gan), "more than half of real images") == expected

"""Made-up evidence for the claims: as the published report has it, and the other way round."""

from dataclasses import fields, replace
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from dlreport.config import Params
from dlreport.gan import claims as gan_claims
from dlreport.io import read_yaml
from dlreport.sequence import claims as sequence_claims
from dlreport.statistics.claims import Statement
from made_up import STEPS, curve, wave
from scratch import ROOT

RUNS = 6
TRAININGS = 3  # of the GAN
EPOCHS = [0, 40, 100, 140, 200, 250]  # at which its generator is kept


class Evidence(NamedTuple):
    """Of both parts."""

    sequence: sequence_claims.SequenceEvidence
    gan: gan_claims.GanEvidence

    def but(self, **values: Any) -> "Evidence":
        """With other values in the fields of either part."""
        parts = ({name: values[name] for name in values.keys() & {one.name for one in fields(part)}} for part in self)
        return Evidence(*(replace(part, **own) for part, own in zip(self, parts, strict=True)))

    def check(self) -> list[Statement]:
        return [*sequence_claims.check(self.sequence), *gan_claims.check(self.gan)]


def runs(reached: int, level: float, spread: float, bend: int = 5_000, least: float = 2.31) -> pd.DataFrame:
    """Runs at 0.1 until about `reached`, then at `level` give or take `spread`; a loss that falls until it bends, to
    no less than this: a guess costs 2.303."""
    loss = np.interp(STEPS, [0, bend, 50_000], [16, least, least])
    accuracies = [np.where(reached + 100 * k > STEPS, 0.1, level) + wave(spread * (1 + 0.1 * k)) for k in range(RUNS)]
    return curve(STEPS, *((accuracy, loss) for accuracy in accuracies))


def around(value: float, spread: float = 1e-4, tested: float | None = None) -> pd.DataFrame:
    """Runs with accuracies this near to a value in training, and in the test, if that has no other."""
    train = value + np.linspace(-spread, spread, RUNS)
    test = train if tested is None else train - value + tested
    accuracies = {"train_accuracy_mean": train, "test_accuracy": test, "test_accuracy_report_batch": test}
    return pd.DataFrame({**accuracies, "test_sequences": 10_240, "solved": (train >= 0.99).astype(int)})


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
            **dict.fromkeys(("held_accuracy", "held_i_accuracy", "held_f_accuracy", "held_o_accuracy"), held),
        }
        | {"gradient": first if t == 1 else 1, "growth_median": first if t == 1 else 1}
        | {"gradient_cell": None if model == "VanillaRNN" else first if t == 1 else 1}
        for (model, first_of_all), k, t in product({"VanillaRNN": vanilla, "LSTM": lstm}.items(), range(RUNS), (1, 19))
        for first in [first_of_all * (1 + k / 9)]
    ]
    return pd.DataFrame(rows).astype({"gradient_cell": float})


def quality(told_apart: float, near: float) -> pd.DataFrame:
    """Of the trainings' sets of images, and of one of real ones."""
    of_real = {"two_sample_accuracy": 0.53, "two_sample_high": 0.54, "near_training": 0.01}
    rows = [{"images": "training images", "replicate": 0, **of_real}]
    for k, name in product(range(TRAININGS), ("generator", "average")):
        found = {"two_sample_accuracy": told_apart + 0.001 * k, "near_training": near + 0.001 * k}
        rows.append({"images": name, "replicate": k, **found})
    return pd.DataFrame(rows)


def of_trainings(table: dict[str, Any]) -> pd.DataFrame:
    """The same for each training, but for some per cent."""
    numbers = [name for name in table if name != "epoch"]
    tables = [pd.DataFrame({"replicate": k, **table}) for k in range(TRAININGS)]
    for k, one in enumerate(tables):
        one[numbers] *= 1 - 0.01 * k
    return pd.concat(tables, ignore_index=True)


def losses(sign: int, end: float, drift: float, accuracy: float) -> pd.DataFrame:
    """The discriminator's loss falls, rises and falls to `end` (or the other way round), the generator's mirrors it but
    for a drift by epoch."""
    epochs = np.arange(1, 251)
    course = sign * np.interp(epochs, [1, 10, 60, 200, 250], [0.2, -0.4, 0.0, -0.3, end])
    found = {"discriminator": 1 + course, "generator": 1 - course + drift * epochs}
    return of_trainings({"epoch": epochs, **found, "accuracy_real": accuracy, "accuracy_generated": accuracy})


def by_epoch(fids: list[float], matched: list[float], unsure: float) -> pd.DataFrame:
    return of_trainings({"epoch": EPOCHS, "fid": fids, "fid_matched": matched, "unsure": unsure})


def shares(rarest: float) -> pd.DataFrame:
    """Of two digits at the end of training."""
    rows = [{"replicate": k, "epoch": EPOCHS[-1], "digit": d} for k, d in product(range(TRAININGS), range(2))]
    return pd.DataFrame(rows).assign(share=lambda table: np.where(table["digit"] == 0, rarest, 1 - rarest))


def walks(pixels: float, features: float) -> pd.DataFrame:
    return of_trainings({"largest_step_share": [pixels], "largest_step_share_features": [features]})


def as_claimed(params: Params) -> Evidence:
    """Every statement holds."""
    found = {
        ("VanillaRNN", 5): (runs(3_000, 0.999, 0.004), around(0.9992)),
        ("VanillaRNN", 10): (runs(60_000, 0, 0.02), around(0.76, spread=0.06, tested=0.8)),
        ("VanillaRNN", 15): (runs(60_000, 0, 0.01), around(0.12, tested=0.1)),
        ("VanillaRNN", 20): (runs(60_000, 0, 0.01), around(0.12, tested=0.1)),
        ("LSTM", 5): (runs(500, 1, 0.0001), around(0.9998)),
        ("LSTM", 10): (runs(1_500, 1, 0.001), around(0.9998)),
        ("LSTM", 15): (runs(4_000, 1, 0.001, least=0.01), around(0.9998)),
        ("LSTM", 20): (runs(13_000, 1, 0.001, least=0.01), around(0.9996)),
    }
    rising_run = found["VanillaRNN", 10][0].assign(accuracy_mean=lambda table: table["step"] / 60_000)
    fids = [300.0, 60, 20, 14, 10, 9.8]
    sequence = sequence_claims.SequenceEvidence(
        params=params,
        published=read_yaml(ROOT / "published.yaml"),
        replicates={task: table for task, (_, table) in found.items()},
        curves={task: table for task, (table, _) in found.items()} | {("VanillaRNN", 10): rising_run},
        longer=around(1 - 1e-4),
        longer_curve=runs(30_000, 0.999, 0.0001).assign(step=lambda table: table["step"] * 2),
        gradients=gradients(vanilla=1e-6, lstm=0.5, held=0.1),
    )
    gan = gan_claims.GanEvidence(
        params=params,
        losses=losses(1, end=-0.302, drift=0, accuracy=0.7),
        quality=quality(0.52, 0.01),
        quality_by_epoch=by_epoch(fids, fids, unsure=0.3),
        shares=shares(0.1),
        walks=walks(0.2, 0.3),
    )
    return Evidence(sequence, gan)


def otherwise(claimed: Evidence) -> Evidence:
    """No published statement holds. The LSTM never ends at the optimum, gets near it later than the VanillaRNN, and
    sooner the longer the sequence; the VanillaRNN ends there at all lengths but the least. Losses rise where they fell,
    and all else is swapped."""
    late = {5: 36_000, 10: 28_000, 15: 20_000, 20: 12_000}
    lstm = {length: runs(step, 0.995, 0.008 if length == 5 else 0.004) for length, step in late.items()}
    vanilla = {length: runs(6_000, 0.999, 0.001, bend=30_000) for length in late}
    vanilla[10] = vanilla[10].assign(accuracy_mean=1 - vanilla[10]["step"] / 10**7)  # falls, and hardly fluctuates
    for curves in (lstm, vanilla):
        for length in (15, 20):
            curves[length] = curves[length].assign(loss_mean=3 + curves[length]["step"] / 50_000)
    fids = [10.0, 20, 60, 100, 150, 300]
    return claimed.but(
        replicates={("VanillaRNN", length): around(0.5 if length == 5 else 0.9998) for length in late}
        | {("LSTM", length): around(0.5) for length in late},
        curves={("VanillaRNN", length): table for length, table in vanilla.items()}
        | {("LSTM", length): table for length, table in lstm.items()},
        longer=around(0.5),
        longer_curve=runs(60_000, 0.5, 0.001),
        gradients=gradients(vanilla=0.5, lstm=1e-6, held=1.0),
        losses=losses(-1, end=-0.6, drift=-0.001, accuracy=0.4),
        quality=quality(0.9, 0.3),
        quality_by_epoch=by_epoch(fids, fids, unsure=0.9),
        shares=shares(0.001),
        walks=walks(0.9, 0.45),
    )


def first_trainings(claimed: Evidence, count: int) -> Evidence:
    """Of the GAN's trainings these alone."""
    gan = claimed.gan
    return claimed.but(
        **{
            name: table[table["replicate"] < count]
            for name in ("losses", "quality", "quality_by_epoch", "shares", "walks")
            for table in [getattr(gan, name)]
        }
    )


def one_run_each(claimed: Evidence) -> Evidence:
    """Of each training, as far as there are several, the first run alone."""
    claimed = first_trainings(claimed, 1)
    sequence = claimed.sequence
    return claimed.but(
        replicates={task: table.iloc[:1] for task, table in sequence.replicates.items()},
        curves={task: table[table["replicate"] == 0] for task, table in sequence.curves.items()},
        longer=sequence.longer.iloc[:1],
        longer_curve=sequence.longer_curve[sequence.longer_curve["replicate"] == 0],
        gradients=sequence.gradients[sequence.gradients["replicate"] == 0],
    )

"""Made-up results: training curves, and all that the report is written from."""

from typing import Any

import numpy as np
import pandas as pd

from dlreport.config import Params
from dlreport.io import read_yaml
from dlreport.report.context import build
from dlreport.report.render import markdown
from dlreport.sequence.comparison import comparison_table
from scratch import ROOT

STEPS = np.arange(99, 50_000, 100)  # the last of each window


def wave(spread: float) -> np.ndarray:
    """By window, up and down by turns."""
    return spread * np.where(np.arange(len(STEPS)) % 2, 1, -1)


def curve(steps: np.ndarray, *runs: tuple[np.ndarray, np.ndarray], extremes: float = 0.0) -> pd.DataFrame:
    """A row per replicate and window, from each run's accuracy and loss; its steps' extremes are that far from them."""
    tables = []
    for replicate, run in enumerate(runs):
        table = {"replicate": replicate, "step": steps}
        for name, mean in zip(("accuracy", "loss"), run, strict=True):
            table |= {f"{name}_mean": mean, f"{name}_min": mean - extremes, f"{name}_max": mean + extremes}
        tables.append(pd.DataFrame(table))
    return pd.concat(tables, ignore_index=True)


def one_run(accuracy: float, reached: int, spread: float = 0.001) -> pd.DataFrame:
    """At chance until `reached`, then around `accuracy`."""
    loss = np.where(reached > STEPS, 2.3, 2.3 * (1 - accuracy))
    loss[0] = 16
    return curve(STEPS, (np.where(reached > STEPS, 0.1, accuracy) + wave(spread), loss))


AS_PUBLISHED = {
    ("VanillaRNN", 5): (0.999, 3000, 0.004),
    ("VanillaRNN", 10): (0.8, 20000, 0.02),
    ("VanillaRNN", 15): (0.12, 0, 0.01),
    ("VanillaRNN", 20): (0.1, 0, 0.01),
    ("LSTM", 5): (1.0, 500, 0.0),
    ("LSTM", 10): (1.0, 1500, 0.0),
    ("LSTM", 15): (0.9997, 4000, 0.0),
    ("LSTM", 20): (0.9995, 13000, 0.0),
}

WALKS = pd.DataFrame(
    {
        "replicate": [0, 0, 0, 1, 1, 1],
        "digit": [9, 9, 4, 1, 1, 1],
        "confidence": [0.9, 0.8, 0.99] * 2,
        "pixel_step": [np.nan, 0.4, 0.6, np.nan, 0.5, 0.5],
        "feature_step": [np.nan, 0.3, 0.7, np.nan, 0.5, 0.5],
    }
)


def quality(name: str, replicate: int = 0, **values: float) -> dict[str, float | str]:
    shares = ("precision", "recall", "density", "coverage", "unsure", "digits_total_variation")
    return {
        "images": name,
        "replicate": replicate,
        **dict.fromkeys(shares, 0.5),
        **{"fid": 7.0 + replicate, "fid_matched": 6.0, "distinct_matched": 9000, "kid": 0.01, "digits_missing": 0},
        **{"near_training": 0.01, "two_sample_accuracy": 0.5, "two_sample_low": 0.49, "two_sample_high": 0.51},
        **values,
    }


def by_digit() -> pd.DataFrame:
    """Of two digits, of which the second is never generated."""
    rows = [
        {"images": images, "replicate": 0, "digit": digit, "share": share, "fid": fid}
        for images, of_digits in (
            ("generator", [(1.0, 40.0), (0.0, np.nan)]),
            ("training images", [(0.4, 20.0), (0.6, 21.0)]),
        )
        for digit, (share, fid) in enumerate(of_digits)
    ]
    return pd.DataFrame(rows)


def ablation(as_reported: int, adam: int) -> pd.DataFrame:
    """Two variants at three lengths, always at the optimum or never."""
    rows = [
        {"variant": variant, "length": length, "replicate": 0, "test_accuracy": float(solved), "solved": solved}
        | {"reached": 300.0 if solved or length == 20 else np.nan}
        for variant, solved in (("as_reported", as_reported), ("adam", adam))
        for length in (10, 15, 20)
    ]
    return pd.DataFrame(rows)


def gradients() -> pd.DataFrame:
    """Of length 20, after training: a VanillaRNN's vanishes, a LSTM's stays."""
    vanilla = {"growth_median": [1e-6, 1], "growth_low": [1e-7, 1], "growth_high": [1e-5, 1], "shrinks": 0.99}
    lstm = {"growth_median": [0.4, 1], "growth_low": [0.3, 1], "growth_high": [0.5, 1], "shrinks": 0.98}
    held = {"accuracy": 1.0, "held_accuracy": 0.2, "held_i_accuracy": 0.3, "held_f_accuracy": 0.9}
    shared = {"length": 20, "replicate": 0, "when": "end", "t": [1, 19], "saturated_tanh": 0.6, "top_share": 0.8}
    shared |= {"vanishes": 0.97, "cosine": 0.05}
    return pd.concat(
        [
            pd.DataFrame({"model": "VanillaRNN", **shared, **vanilla, "saturated_gates": np.nan}),
            pd.DataFrame({"model": "LSTM", **shared, **lstm, "saturated_gates": 0.4, **held, "held_o_accuracy": 0.5}),
        ]
    )


def results(tasks: dict[tuple[str, int], tuple[float, int, float]] = AS_PUBLISHED, courses=(1, -1)) -> dict[str, Any]:
    """Results of tasks that reach an accuracy by a step with a spread, and losses whose trends have these signs."""
    published = read_yaml(ROOT / "published.yaml")
    replicates = {
        task: pd.DataFrame(
            {
                "train_accuracy_mean": [accuracy],
                "test_accuracy": [accuracy],
                "test_accuracy_report_batch": [accuracy],
                "solved": [int(accuracy >= 0.99)],
                "test_sequences": [10240],
            }
        )
        for task, (accuracy, _, _) in tasks.items()
    }
    epochs = np.arange(1, 251)
    turns = np.interp(epochs, [1, 10, 60], [1.2, 0.6, 1.0])  # falls, then rises
    return {
        "published": published,
        "comparison": comparison_table(replicates, published["sequence"], 0.95),
        "curves": {task: one_run(*how) for task, how in tasks.items()},
        "gan": {
            "training_images": 60000,
            "discriminator_loss": 1.0,
            "generator_loss": 1.0,
        },
        "losses": pd.DataFrame(
            {
                "replicate": 0,
                "epoch": epochs,
                "discriminator": turns - courses[0] * 0.001 * np.maximum(epochs - 60, 0),
                "generator": 2 - turns - courses[1] * 0.001 * np.maximum(epochs - 60, 0),
                "accuracy_real": 0.7,
                "accuracy_generated": 0.8,
            }
        ),
        "layers": pd.DataFrame(
            {"network": ["generator", "discriminator"], "layer": ["A()", "B()"], "parameters": [1, 2]}
        ),
        "grid_epochs": [0, 20, 250],
        "walks": WALKS,
        "classifier": {"test_accuracy": 0.9935},
        "quality": pd.DataFrame(
            [
                *(quality("generator", k) for k in (0, 1)),
                quality("average", recall=np.nan, kid=np.nan, two_sample_accuracy=np.nan),
                quality("training images"),
            ]
        ),
        "quality_by_epoch": pd.DataFrame(
            {"replicate": 0, "epoch": [0, 100, 250], "fid": [300.0, 9.0, 7.0], "fid_matched": [np.nan, 8.0, 6.0]}
            | {"precision": [1.0, 0.9, 0.9], "density": [0.2, 1, 1], "coverage": [0.0001, 0.9, 0.9]}
        ),
        "quality_by_digit": by_digit(),
        "digit_shares": pd.DataFrame(
            {"replicate": 0, "epoch": 250, "digit": [0, 1], "share": [0.75, 0.25], "real": 0.5}
        ),
        "claims": pd.DataFrame(
            [
                {
                    "claim": claim,
                    "statement": "so" if claim != 0 else "LSTM, length 10: so",
                    "test": "thus",
                    "why": "as",
                    "verdict": verdict,
                    "evidence": "that",
                }
                | {"corrected": verdict, "power": "sees all", "p": 0.01, "p_corrected": 0.02}
                | {"level": 0.95, "section": "length 10", "sentence": f"It is so, {number}.", "headline": headline}
                for number, (claim, verdict, headline) in enumerate(
                    (
                        *((0, "supported", ""), (2, "not supported", "")),
                        *((2, "supported", "So it is"), (None, "undecided", "")),
                    )
                )
            ]
        ),
        "longer_runs": pd.DataFrame(
            {"train_accuracy_mean": [0.99, 0.8], "test_accuracy": [0.99, 0.995], "solved": [1, 0]}
        ),
        "ablation_runs": ablation(0, 1),
        "frontier": pd.DataFrame(
            {"model": ["VanillaRNN", "VanillaRNN", "LSTM"], "hidden_dim": 64, "clip": ["off", "effective", "off"]}
            | {"initialisation": ["as_reported", "orthogonal", "as_reported"], "longest": [10, 50, 20]}
        ),
        "study": {"solved_at": 0.98, "lengths": [10, 20, 50], "hidden_dims": [64], "steps": 25000, "replicates": 3}
        | {"initialisations": ["as_reported", "orthogonal"]},
        "steps": {
            task: pd.DataFrame({"replicate": 0, "step": range(0, 50_000, 2000), "loss": 2.0, "accuracy": 0.25})
            for task in tasks
        },
        "gradients": gradients(),
        "ablation_growth": pd.DataFrame(
            {"variant": ["as_reported", "adam"], "hidden_dim": 128, "growth_predicted": 2.36, "growth_measured": 2.43}
        ),
        "probe": pd.DataFrame(
            [
                {"model": model, "length": length, "replicate": 0, "when": when, "t": t, "probe_accuracy": share / t}
                for model, length in tasks
                for when, share in (("start", 0.6), ("end", 0.9))
                for t in range(1, length)
            ]
        ),
        "confusion": pd.DataFrame(
            [
                {"model": model, "length": length, "replicate": 0, "digit": digit, "answer": answer}
                | {"sequences": 91 - digit if answer == digit else 1}
                for model, length in tasks
                for digit in range(10)
                for answer in range(10)
            ]
        ),
    }


def report(params: Params, results: dict[str, Any]) -> str:
    """As Markdown."""
    return markdown(build(params, results))

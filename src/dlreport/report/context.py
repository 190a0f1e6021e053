"""Makes all that the report's templates read, from what the stages computed.

Nothing is judged here: verdicts and their sentences come from the table of claims. A template gets no table as it is.
Whatever is derived from a table has a name of its own.
"""

from typing import Any

import pandas as pd

from dlreport.config import Params
from dlreport.gan.claims import FEWEST
from dlreport.gan.claims import FILE as GAN_CLAIMS
from dlreport.io import read_yaml
from dlreport.report import part1, part2
from dlreport.report.shared import Row, records
from dlreport.sequence.claims import FILE as SEQUENCE_CLAIMS
from dlreport.statistics.claims import Claims, counts
from dlreport.statistics.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED, deciding_runs, refuting_runs

FROZEN = SEQUENCE_CLAIMS.with_name("frozen.yaml")
# the sections of params.yaml that can change a number
SHOWN = {"seed", "precision", "sequence", "longer", "gradients", "ablation", "gan", "classifier", "quality"}
MARKS = {SUPPORTED: "✓", NOT_SUPPORTED: "✗", UNDECIDED: "?"}
SECTIONS = ("longer", "part 1", "gradients", "losses", "images", "walk")  # say statements, as the lengths' sections do
FIGURES = [  # in the order of the report
    "accuracy_by_length",
    "accuracy_curves",
    "loss_curves",
    "growth",
    "gradients",
    "saturation",
    "probe",
    "confusion",
    "accuracy_by_digit",
    "ablation",
    "ablation_curves",
    "study",
    "losses",
    "grids",
    "quality_by_epoch",
    "digit_shares",
    "closest_pairs",
    "interpolation",
    "walk",
    "interpolation_pairs",
]


def build(params: Params, results: dict[str, Any]) -> dict[str, Any]:
    """Return what the templates read, by name. `results` are the contents of the files that stages/report.py names,
    each under its name there."""
    return {
        "params": params,
        "settings": pd.json_normalize(params.model_dump(include=SHOWN, exclude_unset=True)).to_dict("records")[0],
        "published": results["published"],
        "figure_number": {name: number for number, name in enumerate(FIGURES, 1)},
        **_judged(params, results["claims"].astype({"claim": "Int64"})),
        **part1.context(params, results),
        **part2.context(params, results),
    }


def _judged(params: Params, claims: pd.DataFrame) -> dict[str, Any]:
    """Return the claims, their statements and verdicts."""
    sequence, of_sequences, of_gan = params.sequence, Claims(SEQUENCE_CLAIMS), Claims(GAN_CLAIMS)
    titles = of_sequences.each("title") | of_gan.each("title")
    refuting = refuting_runs(sequence.test.confidence)
    irrefutable = max(sequence.runs_of(name) for name in sequence.models) < refuting
    if irrefutable:
        titles[0] += "; so few runs cannot refute them"
    # a section says first what the published report got wrong, and the headlines
    refuted = claims["claim"].notna() & (claims["verdict"] == NOT_SUPPORTED)
    said = claims.assign(first=refuted | claims["headline"].fillna("").ne(""))
    sections = [*(f"length {length}" for length in sorted(sequence.lengths)), *SECTIONS]
    return {
        "marks": MARKS,
        "frozen": read_yaml(FROZEN),
        "titles": titles,
        "claimed": of_sequences.each("published") | of_gan.each("published"),
        "claim_of_length": {length: claim for claim, found in of_sequences.each("lengths").items() for length in found},
        "statements_of": {claim: group.to_dict("records") for claim, group in claims.groupby("claim")},
        "our_statements": claims[claims["claim"].isna()].to_dict("records"),
        "numbers_checked": _numbers_checked(claims[claims["claim"] == 0].to_dict("records")),
        "counts": counts(claims),
        "said": {section: records(said[said["section"] == section]) for section in sections},
        "headlines": [f"{words}." for words in claims["headline"].dropna() if words],
        "irrefutable": irrefutable,
        "refuting_runs": refuting,
        "deciding_runs": deciding_runs(sequence.test.confidence),
        "fewest_trainings": FEWEST,
    }


def _numbers_checked(statements: list[Row]) -> dict[str, Any]:
    """Return one statement on the published numbers for each measure (`kinds`), and all of them by model and length
    (`tasks`)."""
    kinds: dict[str, Row] = {}
    tasks: dict[str, list[Row]] = {}
    for row in statements:
        task, _, what = row["statement"].rpartition(": ")
        kinds[row["test"]] = {**row, "what": what}
        tasks.setdefault(task, []).append(row)
    return {"kinds": [*kinds.values()], "tasks": tasks}

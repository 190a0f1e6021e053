"""Check every claim of the published report by the numbers of the other stages."""

from dataclasses import asdict
from itertools import product
from pathlib import Path

import pandas as pd

from dlreport.config import load_params
from dlreport.evaluation.claims import check
from dlreport.evaluation.evidence import Evidence
from dlreport.evaluation.verdicts import NOT_SUPPORTED, SUPPORTED, UNDECIDED
from dlreport.io import read_csv, read_json, read_yaml, write_csv, write_metrics
from stage import run

SEQUENCE, GAN = Path("plots/sequence"), Path("plots/gan")

VERDICTS = (SUPPORTED, NOT_SUPPORTED, UNDECIDED)


def main() -> None:
    params = load_params()
    cells = list(product(params.sequence.models, params.sequence.lengths))
    evidence = Evidence(
        params=params,
        published=read_yaml(Path("published.yaml")),
        replicates={cell: read_csv(SEQUENCE / "replicates/{}-{}.csv".format(*cell)) for cell in cells},
        curves={cell: read_csv(SEQUENCE / "curves/{}-{}.csv".format(*cell)) for cell in cells},
        longer=read_csv(Path("plots/longer/replicates.csv")),
        longer_curve=read_csv(Path("plots/longer/curves.csv")),
        gradients=read_csv(Path("plots/gradients/by_time_step.csv")),
        losses=read_csv(GAN / "losses.csv"),
        quality=read_csv(GAN / "quality.csv"),
        quality_by_epoch=read_csv(GAN / "quality_by_epoch.csv"),
        interpolation=read_json(Path("metrics/gan/interpolation.json")),
    )
    table = pd.DataFrame([asdict(statement) for statement in check(evidence)])
    write_csv(Path("plots/claims.csv"), table)

    counts = {name.replace(" ", "_"): int((table["verdict"] == name).sum()) for name in VERDICTS}
    shares = (table["verdict"] == SUPPORTED).groupby(table["claim"]).mean()
    claims = {f"claim_{claim}": float(share) for claim, share in shares.items() if claim}
    write_metrics(Path("metrics/claims.json"), counts | claims)


if __name__ == "__main__":
    run(main)

"""Decide every claim of the published report by the numbers of the other stages."""

from pathlib import Path

from common.stage import run
from common.tables import read_tables

from dlreport.config import load_params
from dlreport.gan import claims as gan_claims
from dlreport.gan.courses import whole_walks
from dlreport.io import read_csv, read_yaml, write_csv, write_json
from dlreport.sequence import claims as sequence_claims
from dlreport.statistics.claims import metrics, table

SEQUENCE, GAN = Path("plots/sequence"), Path("plots/gan")


def main() -> None:
    params = load_params()
    replicates, curves = (
        read_tables(SEQUENCE / kind, params.sequence.models, params.sequence.lengths)
        for kind in ("replicates", "curves")
    )
    sequence = sequence_claims.SequenceEvidence(
        params=params,
        published=read_yaml(Path("published.yaml")),
        replicates=replicates,
        curves=curves,
        longer=read_csv(Path("plots/longer/replicates.csv")),
        longer_curve=read_csv(Path("plots/longer/curves.csv")),
        gradients=read_csv(Path("plots/gradients/by_time_step.csv")),
    )
    gan = gan_claims.GanEvidence(
        params=params,
        losses=read_csv(GAN / "losses.csv"),
        quality=read_csv(GAN / "quality.csv"),
        quality_by_epoch=read_csv(GAN / "quality_by_epoch.csv"),
        shares=read_csv(GAN / "digit_shares.csv"),
        walks=whole_walks(read_csv(GAN / "interpolation.csv")),
    )
    statements = table([*sequence_claims.check(sequence), *gan_claims.check(gan)])
    write_csv(Path("plots/claims.csv"), statements)
    write_json(Path("metrics/claims.json"), metrics(statements))


if __name__ == "__main__":
    run(main)

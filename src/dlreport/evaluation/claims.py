"""The published report's claims as statements that numbers can decide. Report, "Claims made in the text".

Each statement's test was written down before the replicates' numbers were seen (those of one earlier run and of one GAN
were known): a statistic, a threshold, and why that one. Those that were added, reworded or made stricter later end in
LATER. The verdicts follow by `verdicts`. A statement about a length that was not trained is left out.
"""

from dlreport.evaluation import claims_gan, claims_sequence
from dlreport.evaluation.evidence import Evidence, Statement

PARTS = {
    0: claims_sequence.numbers,
    1: claims_sequence.length_5,
    2: claims_sequence.length_10,
    3: claims_sequence.lengths_15_and_20,
    4: claims_sequence.conclusion,
    5: claims_gan.images,
    6: claims_gan.losses,
    7: claims_gan.walk,
}


def check(evidence: Evidence) -> list[Statement]:
    """All statements, in the order of the claims."""
    return [
        Statement(claim, statement, test, why, outcome.verdict, outcome.evidence)
        for claim, part in PARTS.items()
        for statement, test, why, outcome in part(evidence)
    ]

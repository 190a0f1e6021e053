"""Other trainings of the VanillaRNN than the report shows: with more steps (claim 2), and with changes (ours)."""

from dlreport.config import Params, Sequence


def longer(params: Params) -> Sequence:
    """`sequence` with the steps of `longer`."""
    return params.sequence.model_copy(update=params.longer.model_dump(include={"steps", "average_from"}))


def changed(params: Params, variant: str) -> Sequence:
    """`sequence` with the steps of `ablation`, and what this variant changes."""
    own = params.ablation.model_dump(include={"replicates", "steps", "average_from"})
    change = params.ablation.changes[variant]
    changes = {name: getattr(change, name) for name in change.model_fields_set}
    return params.sequence.model_copy(update={**own, **changes})

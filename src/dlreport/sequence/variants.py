"""Other trainings of the VanillaRNN than the report shows: with more steps (claim 2), and with changes (ours)."""

from dlreport.config import Params, SequenceSettings


def longer(params: Params) -> SequenceSettings:
    """`sequence` with the steps of `longer`."""
    return params.sequence.model_copy(update=params.longer.model_dump(include={"steps", "average_from"}))


def changed(params: Params, variant: str) -> SequenceSettings:
    """`sequence` with the steps of `ablation`, and what this variant changes."""
    own = params.ablation.model_dump(include={"replicates", "steps", "average_from"})
    change = params.ablation.changes[variant]
    changes = {name: getattr(change, name) for name in change.model_fields_set}
    return params.sequence.model_copy(update={**own, **changes})

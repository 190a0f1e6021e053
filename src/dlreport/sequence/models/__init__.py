"""Lists the sequence models by the names that params.yaml gives them. A model's module is imported only when the model
is asked for, so no stage depends on a model that it does not use."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

from dlreport.errors import UserError


class Entry(NamedTuple):
    """Says in which module a model is, and which colour it has. A figure gets the colour without loading the model."""

    module: str  # in this package; it defines a class with the model's name
    colour: str


MODELS = {
    "VanillaRNN": Entry("vanilla_rnn", "#d95f02"),
    "LSTM": Entry("lstm", "#1f77b4"),
    "GRU": Entry("gru", "#1b9e77"),
}


def model_class(name: str) -> type[Any]:
    """Return the subclass of SequenceModel that has this name. Raises UserError if the name is not in MODELS."""
    check_names([name])
    return getattr(import_module(f"{__name__}.{MODELS[name].module}"), name)


def colours(names: Iterable[str]) -> dict[str, str]:
    """Return the colour of each model in the figures, by the model's name."""
    return {name: MODELS[name].colour for name in names}


def check_names(names: Iterable[str]) -> None:
    """Check that MODELS has all these names. Raises UserError that names the first one that is missing."""
    for name in names:
        if name not in MODELS:
            raise UserError(f"sequence.models: {name!r} is no model; choose from {', '.join(MODELS)}")

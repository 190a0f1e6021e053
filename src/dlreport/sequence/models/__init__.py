"""The sequence models by the name that params.yaml gives them. A model's module is imported only when it is asked for,
so a model that is not trained is nobody's dependency."""

from collections.abc import Iterable
from importlib import import_module
from typing import Any, NamedTuple

from dlreport.errors import UserError


class Entry(NamedTuple):
    """Where a model is, and what a figure needs to know of it without loading it."""

    module: str  # of this package; its class has the model's name
    colour: str


MODELS = {
    "VanillaRNN": Entry("vanilla_rnn", "#d95f02"),
    "LSTM": Entry("lstm", "#1f77b4"),
    "GRU": Entry("gru", "#1b9e77"),
}


def model_class(name: str) -> type[Any]:
    """The SequenceModel of this name. Raises UserError for a name that is none of MODELS."""
    check_names([name])
    return getattr(import_module(f"{__name__}.{MODELS[name].module}"), name)


def colours(names: Iterable[str]) -> dict[str, str]:
    """By model, for the figures."""
    return {name: MODELS[name].colour for name in names}


def check_names(names: Iterable[str]) -> None:
    """Raises UserError naming the first that is none of MODELS."""
    for name in names:
        if name not in MODELS:
            raise UserError(f"sequence.models: {name!r} is no model; choose from {', '.join(MODELS)}")

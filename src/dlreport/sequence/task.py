"""A task of Part 1: a model at a palindrome length."""

from dataclasses import dataclass

import torch

from dlreport.errors import UserError
from dlreport.sequence import palindromes
from dlreport.sequence.initialisation import reinitialise
from dlreport.sequence.models import model_class
from dlreport.sequence.models.base import SequenceModel
from dlreport.streams import stream


@dataclass(frozen=True)
class Task:
    """A model at a palindrome length. Its name, MODEL-LENGTH, is part of the names of its random streams, so no other
    task can change its random numbers."""

    model: str
    length: int
    runs: str = "sequence"  # the first part of the streams' names, such as "longer" for other runs of the same task

    def __str__(self) -> str:
        return f"{self.model}-{self.length}"

    def stream(self, seed: int, replicate: int, use: str) -> torch.Generator:
        return stream(seed, self.runs, str(self), replicate, use)

    def build(self, hidden_dim: int, generator: torch.Generator, initialisation: str = "as_reported") -> SequenceModel:
        """Build the model with weights drawn from `generator`. It reads one number at each time step, and puts out a
        logit for each digit. Raises UserError for an unknown model."""
        model = model_class(self.model)(1, hidden_dim, palindromes.DIGITS, generator)
        if initialisation != "as_reported":
            reinitialise(model, initialisation, generator)
        return model

    def load(self, hidden_dim: int, weights: dict[str, torch.Tensor]) -> SequenceModel:
        """Return the model with these trained weights, in eval mode. Raises UserError if they do not fit the model."""
        model = self.build(hidden_dim, torch.Generator())
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(f"{self}: its weights belong to another model, size or version; train it again") from error
        return model.eval()

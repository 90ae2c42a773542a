"""Every hyperparameter with its type, bounds and meaning, and the named architectures.

Search spaces are written, and models are built, in these words. Must not import Keras, Ray or Optuna: `tuner spaces`
reads them.
"""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from tuner.errors import SpaceError

Scalar = bool | int | float | str

TOY_MODULE = "tuner.training.toy"  # its architecture, which toy trials search, runs nothing


class Pooling(StrEnum):
    """How the outputs of the last LSTM layer become one vector; all of them ignore padding."""

    LAST = "last"
    MAX = "max"
    MEAN = "mean"
    MAX_MEAN = "max_mean"


class Cell(StrEnum):
    """What an architecture's recurrent layers consist of."""

    LSTM = "lstm"
    GRU = "gru"


class Optimizer(StrEnum):
    """Keras' optimizers that a trial may use."""

    ADAM = "adam"
    ADAMW = "adamw"
    RMSPROP = "rmsprop"
    SGD = "sgd"


class Schedule(StrEnum):
    """How the learning rate moves over the trial's epochs."""

    CONSTANT = "constant"
    COSINE = "cosine"

    @property
    def decays(self) -> bool:
        """Whether the rate falls to nothing at the end."""
        return self is Schedule.COSINE


class ClassWeight(StrEnum):
    """How much a sequence of a class counts in training."""

    NONE = "none"  # as much as any other
    BALANCED = "balanced"  # so that each class counts as much as any other


class Hyperparameters(BaseModel):
    """One trial's complete configuration. The defaults are those of the reference tutorial's plain LSTM."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    architecture: str = Field(description="a named architecture, or package.module:function")

    vocabulary_size: int = Field(
        5000,
        ge=4,
        description="ids kept, rarer words become unknown; counts padding, start and unknown",
    )
    max_length: int = Field(500, ge=1, description="last tokens of a sequence that are read")

    embedding_size: int = Field(32, ge=1, description="units of the embedding")
    embedding_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of embedding values dropped"
    )
    spatial_dropout: float = Field(
        0.0, ge=0, lt=1, description="share of embedding channels dropped"
    )

    adversarial_noise: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="norm of the adversarial noise on embeddings, as a share of theirs; doubles a step's time",
    )

    filters: int = Field(32, ge=1, description="filters of the convolution (cnn_ architectures)")
    kernel_size: int = Field(3, ge=1, description="tokens per filter (cnn_ architectures)")
    pool_size: int = Field(
        2, ge=1, description="steps pooled into one after the convolution (cnn_ architectures)"
    )

    lstm_units: int = Field(
        100, ge=1, description="units of an LSTM (or GRU) layer, in each direction"
    )
    lstm_layers: int = Field(1, ge=1, le=2, description="LSTM (or GRU) layers on top of each other")
    input_dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout on an LSTM's (or GRU's) input (Keras: dropout)"
    )
    recurrent_dropout: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="dropout on an LSTM's (or GRU's) state; leaves cuDNN: about 25 times slower on a GPU",
    )
    pooling: Pooling = Field(
        Pooling.LAST, description="how LSTM outputs become one vector: last, max, mean, max_mean"
    )
    output_dropout: float = Field(0.0, ge=0, lt=1, description="dropout before the classifier")
    ngrams: int = Field(
        0,
        ge=0,
        le=3,
        description="n-grams of up to so many tokens add their log-count ratios to the logits; 0 for none",
    )

    optimizer: Optimizer = Field(Optimizer.ADAM, description="adam, adamw, rmsprop or sgd")
    learning_rate: float = Field(1e-3, gt=0, description="peak learning rate")
    schedule: Schedule = Field(
        Schedule.CONSTANT, description="constant, or cosine decay over the trial's epochs"
    )
    warmup: float = Field(
        0.0, ge=0, lt=1, description="share of all steps in which the learning rate rises from 0"
    )
    length_warmup: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of all steps that read a sequence's last 100 tokens only; at most 200 steps, and a third of "
        "the first epoch",
    )
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay (adamw)")
    clipnorm: float = Field(
        0.0, ge=0, description="largest norm of a variable's gradient; 0 does not clip"
    )
    batch_size: int = Field(64, ge=1, description="sequences per step")
    class_weight: ClassWeight = Field(
        ClassWeight.NONE,
        description="none, or balanced: rare classes count as much as frequent ones in the training loss",
    )

    custom: Mapping[str, JsonValue] = Field(
        default_factory=dict,
        description="parameters of a user's own architecture, passed to its function",
    )


MODEL_PARAMETERS = frozenset(Hyperparameters.model_fields) - {"architecture", "custom"}
_CONVOLUTION = frozenset({"filters", "kernel_size", "pool_size"})
# Those that also hold for a user's own architecture: how sequences are cut, and how the model is trained. All other
# parameters are passed to its function. `adversarial_noise` is not one of these: it needs our embedding layer.
_TRAINING = frozenset(
    {
        "vocabulary_size",
        "max_length",
        "optimizer",
        "learning_rate",
        "schedule",
        "warmup",
        "length_warmup",
        "weight_decay",
        "clipnorm",
        "batch_size",
        "class_weight",
    }
)


@dataclass(frozen=True)
class Architecture:
    """A named setting of the one model builder."""

    name: str
    summary: str
    convolution: bool = False
    bidirectional: bool = False
    cell: Cell = Cell.LSTM
    defaults: Mapping[str, Scalar] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the hyperparameters that have a meaning for this architecture."""
        return MODEL_PARAMETERS if self.convolution else MODEL_PARAMETERS - _CONVOLUTION


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        architecture.name: architecture
        for architecture in (
            Architecture("lstm", "Embedding, LSTM"),
            Architecture(
                "lstm_dropout",
                "Embedding, Dropout, LSTM, Dropout",
                defaults=MappingProxyType({"embedding_dropout": 0.2, "output_dropout": 0.2}),
            ),
            Architecture(
                "lstm_recurrent_dropout",
                "Embedding, LSTM with dropout on its inputs and state",
                defaults=MappingProxyType({"input_dropout": 0.2, "recurrent_dropout": 0.2}),
            ),
            Architecture("cnn_lstm", "Embedding, Conv1D, MaxPooling1D, LSTM", convolution=True),
            Architecture(
                "cnn_lstm_dropout",
                "Embedding, Dropout, Conv1D, MaxPooling1D, LSTM, Dropout",
                convolution=True,
                defaults=MappingProxyType({"embedding_dropout": 0.2, "output_dropout": 0.2}),
            ),
            Architecture(
                "stacked_lstm",
                "Embedding, two LSTM layers",
                defaults=MappingProxyType({"lstm_layers": 2}),
            ),
            Architecture("gru", "Embedding, GRU", cell=Cell.GRU),
            Architecture(
                "bilstm",
                "Embedding, bidirectional LSTM, pooling over time",
                bidirectional=True,
                defaults=MappingProxyType({"pooling": Pooling.MAX}),
            ),
            Architecture(
                "bigru",
                "Embedding, bidirectional GRU, pooling over time",
                bidirectional=True,
                cell=Cell.GRU,
                defaults=MappingProxyType({"pooling": Pooling.MAX}),
            ),
            Architecture(
                "cnn_bilstm",
                "Embedding, Conv1D, MaxPooling1D, bidirectional LSTM, pooling over time",
                convolution=True,
                bidirectional=True,
                defaults=MappingProxyType({"pooling": Pooling.MAX}),
            ),
        )
    }
)


def is_custom(architecture: str) -> bool:
    """True for a user's own architecture, written `package.module:function`."""
    return ":" in architecture


def module_of(architecture: str) -> str:
    """The module that an architecture of a person's own is in."""
    return architecture.partition(":")[0]


def module_options(architectures: Iterable[str]) -> str:
    """The options that a command of a run with these architectures needs, after a blank: ` --module my_models`.

    Empty where none is a person's own.
    """
    modules = {module_of(each): None for each in architectures if is_custom(each)}
    modules.pop(TOY_MODULE, None)
    return "".join(f" --module {shlex.quote(module)}" for module in modules)


def resolve(architecture: str, parameters: Mapping[str, Any]) -> Hyperparameters:
    """The complete hyperparameters of `architecture` with `parameters` in place of its defaults.

    Raises:
        SpaceError: an unknown architecture, a parameter it does not take, or a value out of bounds.
    """
    if is_custom(architecture):
        ours = {name: value for name, value in parameters.items() if name in _TRAINING}
        custom = {name: value for name, value in parameters.items() if name not in _TRAINING}
        return _valid(architecture, {**ours, "custom": custom})
    if architecture not in ARCHITECTURES:
        raise SpaceError(
            f"architecture {architecture!r} is unknown; write one of {', '.join(ARCHITECTURES)}"
        )
    known = ARCHITECTURES[architecture]
    foreign = sorted(set(parameters) - known.parameters)
    if foreign:
        raise SpaceError(f"{architecture} takes no parameter {foreign[0]!r}; remove it")
    return _valid(architecture, {**known.defaults, **parameters})


def _valid(architecture: str, values: Mapping[str, Any]) -> Hyperparameters:
    try:
        return Hyperparameters(architecture=architecture, **values)
    except ValidationError as cause:
        problem = cause.errors(include_url=False)[0]
        rule = problem["msg"].replace("Input should", "must")
        raise SpaceError(
            f"{architecture}: {problem['loc'][0]}: {rule}, got {problem['input']!r}"
        ) from cause

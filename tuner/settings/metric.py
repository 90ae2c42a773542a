"""The metric that trials are scored by. Only this module decides which of two scores is better."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Literal, assert_never

from pydantic import model_validator

from tuner.errors import ConfigError
from tuner.settings.validation import Strict

Direction = Literal["maximize", "minimize"]  # Optuna's words


class Mode(StrEnum):
    """The direction in which a metric is better."""

    MAX = "max"
    MIN = "min"


class MetricName(StrEnum):
    """The metrics that can score a trial, measured on the validation split after every epoch."""

    VAL_ACCURACY = "val_accuracy"
    VAL_F1 = "val_f1"
    VAL_F1_POSITIVE = "val_f1_positive"
    VAL_BALANCED_ACCURACY = "val_balanced_accuracy"
    VAL_LOSS = "val_loss"

    @property
    def plain_name(self) -> str:
        """The name without the split: `accuracy` for `val_accuracy`."""
        return self.value.removeprefix("val_")

    @property
    def in_words(self) -> str:
        """The name for a person: `validation accuracy` for `val_accuracy`."""
        return f"validation {self.measure}"

    @property
    def measure(self) -> str:
        """The name for a person, without the split: `macro F1` for `val_f1`, whatever the number of classes."""
        match self:
            case MetricName.VAL_F1:
                return "macro F1"
            case MetricName.VAL_F1_POSITIVE:
                return "F1 of the second class"
            case _:
                return self.plain_name.replace("_", " ")

    @property
    def is_share(self) -> bool:
        """Whether it lies between 0 and 1, and 1 is best; a loss has no upper bound, and 0 is best."""
        match self:
            case MetricName.VAL_ACCURACY | MetricName.VAL_F1:
                return True
            case MetricName.VAL_F1_POSITIVE | MetricName.VAL_BALANCED_ACCURACY:
                return True
            case MetricName.VAL_LOSS:
                return False
            case _:
                assert_never(self)

    def check_classes(self, n_classes: int) -> None:
        """Refuses a metric that data of so many classes do not have.

        Raises:
            ConfigError: it is one of two classes.
        """
        if self is MetricName.VAL_F1_POSITIVE and n_classes != 2:
            raise ConfigError(
                f"metric {self}: is a figure of two classes, and the data have {n_classes}; score by "
                f"{MetricName.VAL_F1} or {MetricName.VAL_BALANCED_ACCURACY}"
            )


class Metric(Strict):
    """The metric of a space, and which of two of its scores is better.

    All code that compares scores uses these methods. The mode is for people and files to read: comparing by it
    elsewhere would be a second rule, which `tests/test_rules.py` refuses.
    """

    name: MetricName = MetricName.VAL_ACCURACY
    mode: Mode = Mode.MAX

    @model_validator(mode="after")
    def _check(self) -> "Metric":
        right = Mode.MAX if self.name.is_share else Mode.MIN
        if self.mode is not right:
            raise ValueError(f"mode of {self.name} must be {right}, got {self.mode}")
        return self

    @property
    def direction(self) -> Direction:
        """The direction in which it is better, in Optuna's words."""
        return "maximize" if self.mode is Mode.MAX else "minimize"

    @property
    def better_is(self) -> Literal["higher", "lower"]:
        """The direction in which it is better, for a sentence."""
        return "higher" if self.mode is Mode.MAX else "lower"

    def as_cost(self, score: float) -> float:
        """The score as a number of which less is better."""
        return -score if self.mode is Mode.MAX else score

    def sort_key(self, score: float | None) -> tuple[bool, float]:
        """A key that sorts the best first, and trials without a score last."""
        return (True, 0.0) if score is None else (False, self.as_cost(score))

    def is_better(self, score: float, than: float) -> bool:
        """Whether `score` is better than another one."""
        return self.as_cost(score) < self.as_cost(than)

    def gain(self, score: float, over: float) -> float:
        """The amount by which `score` is better than `over`; negative where it is worse."""
        return self.as_cost(over) - self.as_cost(score)

    def best(self, scores: Iterable[float]) -> float:
        """The best of `scores`, which are not none."""
        return min(scores, key=self.as_cost)

    def best_epoch(self, scores: Mapping[int, float]) -> int:
        """The epoch with the best of `scores` (epoch -> score); the earliest of equals."""
        return min(scores, key=lambda epoch: (self.as_cost(scores[epoch]), epoch))

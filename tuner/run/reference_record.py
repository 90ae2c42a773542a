"""The linear reference of a run, as the study records it: its figures, and by how much the search's models beat it.

The search measures it (`tuner.search.kept_reference`); tables and reports read it here. Must not import Ray, Keras or
Optuna.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from tuner.run.attributes import Attribute
from tuner.run.study_records import record_in
from tuner.text import count_text, score_text


class Comparison(BaseModel):
    """A model against the reference, by the run's metric on the same sequences."""

    model_config = ConfigDict(frozen=True)

    name: str  # `the average of 5 trials`, `trial 7`
    gain: float  # by which it is better, negative where it is worse
    low: float  # a 95 % interval of it, paired
    high: float

    @property
    def text(self) -> str:
        """`trial 7 is better by 0.0190 (95 % interval +0.0050 to +0.0330)`."""
        interval = f"(95 % interval {self.low:+.4f} to {self.high:+.4f})"
        if self.low <= 0 <= self.high:
            return f"{self.name} is not shown to differ: {self.gain:+.4f} {interval}"
        kind = "better" if self.gain > 0 else "worse"
        return f"{self.name} is {kind} by {abs(self.gain):.4f} {interval}"


class ReferenceRecord(BaseModel):
    """The figures of the reference on the confirmation split, by the run's metric, and who was compared with it."""

    model_config = ConfigDict(frozen=True)

    sequences: int
    clusters: int | None = None  # as in `EnsembleRecord`
    score: float
    low: float  # a 95 % interval of it over further sequences
    high: float
    majority: float  # the score of always giving the classes their frequencies
    seconds: float  # that training and measuring took
    compared: tuple[Comparison, ...] = ()
    # Whether the search goes on, so that the models to compare are not known, or no more.
    is_outdated: bool = False

    @property
    def text(self) -> str:
        """Its own figures: `linear model on n-grams 0.8812 (…), trained in 3 s; …`."""
        return (
            f"linear model on n-grams {score_text(self.score)} (95 % interval {score_text(self.low)} to "
            f"{score_text(self.high)}), trained in {self.seconds:.0f} s; the most frequent class alone "
            f"{score_text(self.majority)}; on {count_text(self.sequences, 'confirmation sequence')}"
        )

    @property
    def is_unbeaten(self) -> bool:
        """Whether the search's models were compared with it, and none is shown to be better."""
        return bool(self.compared) and not any(each.low > 0 for each in self.compared)

    @property
    def short_text(self) -> str:
        """`linear model on n-grams 0.8812, the most frequent class alone 0.5000`."""
        return (
            f"linear model on n-grams {score_text(self.score)}, the most frequent class alone "
            f"{score_text(self.majority)}"
        )


def reference_in(attributes: Mapping[str, object]) -> ReferenceRecord | None:
    """The reference that a study's user attributes record; None where it was not measured.

    Raises:
        RunFolderError: the record is damaged.
    """
    return record_in(attributes, Attribute.REFERENCE, ReferenceRecord)

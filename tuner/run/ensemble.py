"""The ensemble of a search, its best trials averaged, as the study records it: members, figures, cost.

The search measures it (`tuner.search.ensemble`); tables, reports and commands read it here. Must not import Ray, Keras
or Optuna.
"""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from tuner.run.attributes import Attribute
from tuner.run.study_records import record_in
from tuner.text import count_text, joined, score_text

NO_MODELS = "no trials' weights were kept"
_BYTES_PER_WEIGHT = 4  # float32


class MembersOf(StrEnum):
    """Whose models `tuner test` and `tuner export` take."""

    FINALISTS = "finalists"  # trained anew with fresh seeds; of each, the best seed's
    SEEDS = "seeds"  # all seeds' of these finalists
    TRIALS = "trials"  # the best of the search, as they were trained there


class EnsembleRecord(BaseModel):
    """The best trials of a search, their probabilities averaged, on sequences that nothing was chosen by.

    Scores are the run's metric on the confirmation split.
    """

    model_config = ConfigDict(frozen=True)

    members: tuple[int, ...] = Field(
        min_length=1
    )  # trials, best first by their scores in the search
    left_out: tuple[int, ...] = ()  # trials that would be members if their weights had been kept
    sequences: int  # of the confirmation split
    averaged: float  # the score of the members' mean probabilities
    low: float  # a 95 % interval of it over further sequences
    high: float
    single: float  # the score of the first member alone
    gain: float  # by which the average is better, negative where it is worse
    gain_low: float  # a 95 % interval of it, paired: over further sequences, of the same models
    gain_high: float
    weights: int  # of all members
    seconds_per_text: float | None = (
        None  # of all members, where they trained; None where it was not measured
    )

    @property
    def text(self) -> str:
        """The figures: `best 5 averaged 0.7400, best single 0.7270 (trial 7): gain …`."""
        where = f"on {count_text(self.sequences, 'confirmation sequence')}"
        if len(self.members) == 1:
            return f"best single {score_text(self.single)} (trial {self.members[0]}) {where}"
        return (
            f"{self.short_text}: gain {self.gain:+.4f} (95 % interval {self.gain_low:+.4f} to "
            f"{self.gain_high:+.4f}) {where}"
        )

    @property
    def short_text(self) -> str:
        """`best 5 averaged 0.7400, best single 0.7270 (trial 7)`."""
        return (
            f"best {len(self.members)} averaged {score_text(self.averaged)}, best single {score_text(self.single)} "
            f"(trial {self.members[0]})"
        )

    @property
    def cost_text(self) -> str:
        """The members and what they cost: `trials 7, 3 and 12; 1,023,000 weights, 4.1 MB; 2.3 ms per text`."""
        noun = "trial" if len(self.members) == 1 else "trials"
        megabytes = self.weights * _BYTES_PER_WEIGHT / 1e6
        parts = [
            f"{noun} {joined(self.members)}",
            f"{count_text(self.weights, 'weight')}, {megabytes:,.1f} MB",
        ]
        if self.seconds_per_text is not None:
            parts.append(f"{self.seconds_per_text * 1000:.2g} ms per text")
        if self.left_out:
            noun = "trial" if len(self.left_out) == 1 else "trials"
            parts.append(f"without {noun} {joined(self.left_out)}, whose weights are missing")
        return "; ".join(parts)


def ensemble_in(attributes: Mapping[str, object]) -> EnsembleRecord | None:
    """The ensemble that a study's user attributes record; None before there is one.

    Raises:
        RunFolderError: the record is damaged.
    """
    return record_in(attributes, Attribute.ENSEMBLE, EnsembleRecord)

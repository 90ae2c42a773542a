"""The ensemble of a search, its best trials averaged, as the study records it: members, figures, cost.

The search measures it (`tuner.search.ensemble`); tables, reports and commands read it here. Must not import Ray, Keras
or Optuna.
"""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from tuner.run.attributes import Attribute
from tuner.run.study_records import record_in
from tuner.text import count_text, joined, score_text

NO_MODELS = "no trials' weights were kept"
_BYTES_PER_WEIGHT = 4  # float32


class EnsembleWithReference(BaseModel):
    """The linear reference as a further member, of trials or finalists: the average's figures with it, on the same
    sequences.

    Its weight is chosen on the confirmation split. The score and the gain are of two halves of that, each with the
    weight that the other half chooses.
    """

    model_config = ConfigDict(frozen=True)

    weight: float = Field(ge=0, lt=1)  # its part of the average; 0 where it adds nothing
    averaged: float  # the score with it
    low: float  # a 95 % interval of it over further sequences
    high: float
    gain: float  # over the other models alone, negative where it is worse
    gain_low: float  # a 95 % interval of it, paired
    gain_high: float
    weights: int  # of its model
    seconds_per_text: float | None = None  # as for the trials

    @property
    def text(self) -> str:
        """`with the linear reference (half of the average) 0.7560 (95 % interval …): gain …`."""
        if not self.weight:
            return "the linear reference would add nothing to it"
        remark = "; its part is chosen by the loss" if self.gain < 0 else ""
        return (
            f"with the linear reference ({part_text(self.weight)} of the average) {score_text(self.averaged)} (95 % "
            f"interval {score_text(self.low)} to {score_text(self.high)}): gain {self.gain:+.4f} "
            f"({self.gain_low:+.4f} to {self.gain_high:+.4f}){remark}"
        )


def part_text(weight: float) -> str:
    """The part of the average that the linear reference has: `half`."""
    parts = {0.25: "a quarter", 0.5: "half", 0.75: "three quarters"}
    return parts.get(weight, f"{weight:.0%}")


class EnsembleRecord(BaseModel):
    """Chosen trials of a search, their probabilities averaged, on sequences that nothing was chosen by.

    Scores are the run's metric on the confirmation split.
    """

    model_config = ConfigDict(frozen=True)

    members: tuple[int, ...] = Field(
        min_length=1
    )  # trials, best first by their scores in the search
    left_out: tuple[
        int, ...
    ] = ()  # of the best trials by score, those whose weights are not kept: no member was chosen from them
    sequences: int  # of the confirmation split
    # Clusters that these form; None where each is its own, and in a record of an earlier version.
    clusters: int | None = None
    # So many sequences of their own would tell as much about how members differ; None where that is not known.
    effective: int | None = None
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
    with_reference: EnsembleWithReference | None = None  # None where it takes no part

    @property
    def is_average(self) -> bool:
        """Whether several models are averaged."""
        return len(self.members) > 1 or self.has_reference

    @property
    def has_reference(self) -> bool:
        """Whether the linear reference is one of the models."""
        return self.with_reference is not None and self.with_reference.weight > 0

    @property
    def is_worse_than_single(self) -> bool:
        """Whether the first trial alone scored better than all that is averaged."""
        together = self.with_reference.gain if self.with_reference and self.has_reference else 0.0
        return self.is_average and self.gain + together < 0

    @property
    def text(self) -> str:
        """All figures in one line."""
        return "; ".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """The figures of the trials, and those with the reference."""
        return (
            self.trials_text,
            *([self.with_reference.text] if self.with_reference is not None else []),
        )

    @property
    def trials_text(self) -> str:
        """The figures: `5 trials averaged 0.7400, best single 0.7270 (trial 7): gain …`."""
        where = f"on {count_text(self.sequences, 'confirmation sequence')}"
        if len(self.members) == 1:
            return f"best single {score_text(self.single)} (trial {self.members[0]}) {where}"
        return (
            f"{len(self.members)} trials averaged {score_text(self.averaged)}, best single {score_text(self.single)} "
            f"(trial {self.members[0]}): gain {self.gain:+.4f} (95 % interval {self.gain_low:+.4f} to "
            f"{self.gain_high:+.4f}) {where}"
        )

    @property
    def short_text(self) -> str:
        """`5 trials averaged 0.7400, with the linear reference 0.7560, best single 0.7270 (trial 7)`."""
        parts = []
        if len(self.members) > 1:
            parts.append(f"{len(self.members)} trials averaged {score_text(self.averaged)}")
        single = f"best single {score_text(self.single)} (trial {self.members[0]})"
        if self.with_reference is not None and self.has_reference:
            parts.append(f"with the linear reference {score_text(self.with_reference.averaged)}")
        return ", ".join([*parts, single] if len(self.members) > 1 else [single, *parts])

    @property
    def cost_text(self) -> str:
        """The members and what they cost: `trials 7, 3 and 12; 1,023,000 weights, 4.1 MB; 2.3 ms per text`."""
        noun = "trial" if len(self.members) == 1 else "trials"
        members = f"{noun} {joined(self.members)}"
        weights, seconds = self.weights, self.seconds_per_text
        if self.with_reference is not None and self.has_reference:
            members += " and the linear reference"
            weights += self.with_reference.weights
            further = self.with_reference.seconds_per_text
            seconds = None if seconds is None or further is None else seconds + further
        megabytes = weights * _BYTES_PER_WEIGHT / 1e6
        parts = [members, f"{count_text(weights, 'weight')}, {megabytes:,.1f} MB"]
        if seconds is not None:
            parts.append(f"{seconds * 1000:.2g} ms per text")
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

"""How sure the scores of a search's trials are: their standard errors over further validation rows.

Where rows share a text or a group, those are no evidence of their own: the process that trains measures the error over
further texts or groups. Must not import Ray, Keras or Optuna.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuner.run.attributes import Attribute
from tuner.run.records import TrialRecord
from tuner.run.study_records import number_in
from tuner.settings.metric import MetricName

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class ValidationRows:
    """The rows that score the trials of a run.

    Attributes:
        count: None in a run of an earlier version.
        clusters: how many they form, where several share a text or a group; None where each is its own, and in a run of
            an earlier version.
        parts: how many such parts of the rows score the trials by turns, see `tuner.data.rotation`; None where the same
            rows score all.
    """

    count: int | None = None
    clusters: int | None = None
    parts: int | None = None

    @classmethod
    def of(cls, attributes: Mapping[str, object]) -> "ValidationRows":
        """As a study's user attributes record them.

        Raises:
            RunFolderError: an entry is damaged.
        """
        return cls(
            int(number_in(attributes, Attribute.VALIDATION_ROWS)) or None,
            int(number_in(attributes, Attribute.VALIDATION_CLUSTERS)) or None,
            int(number_in(attributes, Attribute.VALIDATION_PARTS)) or None,
        )

    def record(self, study: "optuna.Study") -> None:
        """Records them in a study."""
        known = study.user_attrs
        for name, value in (
            (Attribute.VALIDATION_ROWS, self.count),
            (Attribute.VALIDATION_CLUSTERS, self.clusters),
            (Attribute.VALIDATION_PARTS, self.parts),
        ):
            if value is not None and known.get(name) != value:
                study.set_user_attr(name, value)


def score_error(trial: TrialRecord, metric: MetricName, rows: ValidationRows) -> float | None:
    """The standard error of a trial's accuracy, over further rows, or over further clusters of them.

    None of another metric; where the rows are not known; and of clusters, or of parts that take turns, where it was not
    measured: by an earlier version, by a toy, which predicts no row, and of one cluster alone, which tells of no other.
    """
    if metric is not MetricName.VAL_ACCURACY or trial.score is None:
        return None
    if rows.clusters is not None or rows.parts is not None:
        return trial.curve.get(trial.best_epoch or 0, {}).get("val_accuracy_error")
    if not rows.count or not 0 <= trial.score <= 1:
        return None
    return math.sqrt(trial.score * (1 - trial.score) / rows.count)

"""The ensemble of a search: the models of its best trials, kept while it runs, and their average measured.

Trials that were pruned take part with their best epoch, so a worker sends a model whenever a trial that may be pruned
has become one of the best. Its file is written before its trial is told, the study's record of the ensemble after that,
and files of trials that fell out are removed last. So a search that is killed anywhere leaves members whose files are
there; what else it leaves is put in order when it is continued. Must not import Ray or Keras.
"""

from bisect import insort
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from tuner.files import TEMPORARY, write_bytes_atomically
from tuner.kill_points import KillPoint, kill_point
from tuner.run.attributes import Attribute
from tuner.run.ensemble import EnsembleRecord, ensemble_in
from tuner.run.folder import RunFolder
from tuner.run.optuna_internals import frozen
from tuner.run.records import StudyReader, TrialRecord
from tuner.search.kept_models import (
    CHOSEN_FROM,
    KeptModel,
    kept_models,
    members_of,
    read_model,
)
from tuner.search.reference_member import honestly_mixed, measured_with
from tuner.settings.metric import Metric
from tuner.training.evaluation import mean_probabilities
from tuner.training.spec import TrainedModel


class Ensemble(Protocol):
    """Keeps the models of a search's best trials."""

    @property
    def model_from(self) -> float | None:
        """The score from which on a trial's model may become a member; None while any may."""

    @property
    def probabilities(self) -> Mapping[str, NDArray[np.float32]]:
        """Of averages and of the best trial alone, by name; `(n_sequences, n_classes)` on the confirmation split."""

    def take_reference(self, reference: TrainedModel) -> None:
        """Makes the linear reference a member, where that adds something."""

    def keep(self, trial: FrozenTrial, model: bytes) -> None:
        """Writes the model of a running trial, where it would become a member if it ended now.

        It takes the place of the model of an earlier epoch.
        """

    def admit(self, trial: optuna.Trial) -> None:
        """Makes a trial a member that has been told, where the model of its best epoch was kept and is good enough.

        One without that model is recorded as left out, where it would be a member.
        """

    def discard(self, trial: int) -> None:
        """Removes the model of a trial that is no member, where one was kept."""


class NoEnsemble:
    """See `Ensemble`; keeps nothing, because that was not requested."""

    model_from = None
    probabilities: Mapping[str, NDArray[np.float32]] = MappingProxyType({})

    def take_reference(self, reference: TrainedModel) -> None:
        """Nothing."""

    def keep(self, trial: FrozenTrial, model: bytes) -> None:
        """Nothing."""

    def admit(self, trial: optuna.Trial) -> None:
        """Nothing."""

    def discard(self, trial: int) -> None:
        """Nothing."""


class TrialEnsemble:
    """Keeps the models of the best trials in the run folder, and their average's figures in the study.

    More models are kept than are averaged, see `members_of`.

    Args:
        study: of the search, whose trials that an earlier session left have not been told yet.
        folder: the run folder.
        size: the number of trials that are averaged.
        labels: of the confirmation split, `(n_sequences,)`.
        clusters: of its sequences, `(n_sequences,)`.
        validation_labels: see `tuner.search.kept_models.common_labels`.
        reference: of an earlier session; None where there is none, or it is not wanted.
    """

    def __init__(
        self,
        study: optuna.Study,
        folder: RunFolder,
        *,
        size: int,
        labels: NDArray[np.int32],
        clusters: NDArray[np.int64],
        validation_labels: NDArray[np.int32] | None,
        reference: TrainedModel | None = None,
    ) -> None:
        self._study = study
        self._folder = folder
        self._size = size
        self._labels = labels
        self._clusters = clusters
        self._validation_labels = validation_labels
        self._reference = reference
        self._reader = StudyReader(study)
        self._metric = self._reader.space.metric
        self._candidates: dict[int, KeptModel] = {}  # of trials that have not ended
        self._most = CHOSEN_FROM * size
        self._kept, self._lost = kept_models(self._reader, folder, self._most, labels)
        self._record()
        self._remove_others()

    @property
    def model_from(self) -> float | None:
        """See `Ensemble`."""
        if len(self._kept) < self._most:
            return None
        return self._kept[-1].score

    @property
    def probabilities(self) -> Mapping[str, NDArray[np.float32]]:
        """See `Ensemble`."""
        if not self._kept:
            return {}
        best, members = self._kept[0], self._members
        found = {f"trial {best.trial}": best.probabilities}
        averaged = mean_probabilities([each.probabilities for each in members])
        name = f"trial {best.trial}"
        if len(members) > 1:
            name = f"the average of {len(members)} trials"
            found = {name: averaged, **found}
        record = ensemble_in(self._study.user_attrs)
        if self._reference is not None and record is not None and record.has_reference:
            reference = self._reference.probabilities
            together = honestly_mixed(averaged, reference, self._labels, self._clusters)
            found = {f"{name} together with it": together, **found}
        return found

    def take_reference(self, reference: TrainedModel) -> None:
        """See `Ensemble`."""
        self._reference = reference
        self._record()

    def keep(self, trial: FrozenTrial, model: bytes) -> None:
        """See `Ensemble`."""
        record = self._reader.record(trial)
        kept = read_model(record, model, self._folder, self._labels, self._metric)
        is_full = len(self._kept) >= self._most
        if kept is None or (is_full and self._kept[-1] < kept):
            self.discard(trial.number)
            return
        write_bytes_atomically(self._folder.trial_model(trial.number), model)
        kill_point(KillPoint.MODEL_KEPT)
        self._candidates[trial.number] = kept

    def admit(self, trial: optuna.Trial) -> None:
        """See `Ensemble`."""
        kept = self._candidates.get(trial.number)
        record = self._reader.record(frozen(trial))
        if kept is None or kept.epoch != record.best_epoch:
            self.discard(trial.number)
            self._miss(record)
            return
        del self._candidates[trial.number]
        insort(self._kept, kept)
        fallen = self._kept[self._most :]
        del self._kept[self._most :]
        self._record()
        for each in fallen:
            self._folder.trial_model(each.trial).unlink(missing_ok=True)

    def discard(self, trial: int) -> None:
        """See `Ensemble`."""
        if self._candidates.pop(trial, None) is not None:
            self._folder.trial_model(trial).unlink(missing_ok=True)

    def _miss(self, record: TrialRecord) -> None:
        """Notes a trial whose model is not kept, where it would be a member with it."""
        if record.score is None:
            return
        place = (self._metric.as_cost(record.score), record.number)
        last = self._kept[self._size - 1] if len(self._kept) >= self._size else None
        if last is None or place < (last.cost, last.trial):
            insort(self._lost, place)
            del self._lost[self._most :]
            self._record()

    @property
    def _members(self) -> list[KeptModel]:
        return members_of(self._kept, self._size, self._validation_labels)

    def _record(self) -> None:
        """Records the ensemble in the study, where it has changed."""
        if not self._kept:
            return
        record = measured(
            self._members,
            left_out(self._kept, self._lost, self._size),
            self._labels,
            self._clusters,
            self._metric,
            self._reference,
        )
        if record != ensemble_in(self._study.user_attrs):
            self._study.set_user_attr(Attribute.ENSEMBLE, record.model_dump(mode="json"))
        kill_point(KillPoint.ENSEMBLE_RECORDED)

    def _remove_others(self) -> None:
        """Removes what a killed search left: models of no member, and files that are not whole."""
        kept = {self._folder.trial_model(each.trial) for each in self._kept}
        if self._folder.trial_models.is_dir():
            for path in self._folder.trial_models.iterdir():
                if path not in kept and path.suffix in {".npz", TEMPORARY}:
                    with suppress(OSError):
                        path.unlink()


def left_out(
    kept: Sequence[KeptModel], lost: Sequence[tuple[float, int]], size: int
) -> tuple[int, ...]:
    """The trials without a model among the best so many."""
    wanted = sorted([*((each.cost, each.trial) for each in kept), *lost])[:size]
    return tuple(trial for cost, trial in wanted if (cost, trial) in lost)


def measured(
    members: Sequence[KeptModel],
    without: tuple[int, ...],
    labels: NDArray[np.int32],
    clusters: NDArray[np.int64],
    metric: Metric,
    reference: TrainedModel | None = None,
) -> EnsembleRecord:
    """The figures of the average of these models, and of the first alone on the same sequences.

    Args:
        members: best first, at least one.
        without: trials that have no model, see `left_out`.
        labels: of the confirmation split.
        clusters: of its sequences.
        metric: of the run.
        reference: the linear one, whose share is measured, too.
    """
    # Loads SciPy, 0.3 s, while trials train.
    from tuner.training.statistics import HeldOutRows

    rows = HeldOutRows(metric, labels, clusters)
    probabilities = [each.probabilities for each in members]
    averaged, first = mean_probabilities(probabilities), members[0]
    spread, gain = rows.spread_of(averaged), rows.gain_of(averaged, over=first.probabilities)
    seconds = [each.seconds_per_text for each in members]
    return EnsembleRecord(
        members=tuple(each.trial for each in members),
        left_out=without,
        sequences=len(labels),
        clusters=rows.n_clusters,
        effective=None if rows.n_clusters is None else rows.effective_number(probabilities),
        averaged=round(spread.mean, 6),
        low=round(spread.low, 6),
        high=round(spread.high, 6),
        single=round(float(rows.scores_of(first.probabilities).mean()), 6),
        gain=round(gain.mean, 6),
        gain_low=round(gain.low, 6),
        gain_high=round(gain.high, 6),
        weights=sum(each.weights for each in members),
        seconds_per_text=None if None in seconds else sum(filter(None, seconds)),
        with_reference=None
        if reference is None
        else measured_with(averaged, reference, labels, clusters, metric),
    )

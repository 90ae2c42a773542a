"""Trains the linear reference of a search in a thread, beside the first trials.

So it is there long before the first trial has ended: to compare with, as a member of the ensemble while that grows, and
to hand over should the search end early. Must not import Ray or Keras.
"""

import optuna

from tuner.data import Dataset
from tuner.run.folder import RunFolder
from tuner.run.reference_record import reference_in
from tuner.run.train_on import TrainOn
from tuner.search.ensemble import Ensemble
from tuner.search.kept_reference import (
    keep_reference,
    measure_reference,
    read_reference,
    train_timed,
)
from tuner.search.threaded_training import ThreadedTraining
from tuner.settings.metric import Metric


class ReferenceTraining:
    """The training, of which a search has one; nothing where an earlier session has kept a reference.

    A session that is interrupted meanwhile leaves it to the next one; where it fails, the search's end tries again.

    Args:
        study: of the search.
        ensemble: which the reference becomes a member of.
        folder: the run folder.
        dataset: the reference is measured on its confirmation split.
        metric: of the run.
        train_on: the splits that it learns from.
    """

    def __init__(
        self,
        study: optuna.Study,
        ensemble: Ensemble,
        folder: RunFolder,
        dataset: Dataset,
        metric: Metric,
        train_on: TrainOn = TrainOn.TRAIN,
    ) -> None:
        self._study = study
        self._ensemble = ensemble
        self._folder = folder
        self._dataset = dataset
        self._metric = metric
        self._training = ThreadedTraining(
            lambda: train_timed(dataset, train_on), "linear reference"
        )
        is_kept = reference_in(study.user_attrs) and read_reference(folder, dataset)
        self._is_needed = not is_kept

    def start(self) -> None:
        """See `BackgroundTraining`."""
        if self._is_needed:
            self._training.start()

    def collect(self) -> bool:
        """Keeps the reference and records its figures where it has been trained since the last call; True then."""
        found = self._training.take()
        if found is None:
            return False
        keep_reference(found, self._folder)
        self._ensemble.take_reference(found.model)
        measure_reference(self._study, found, self._dataset, self._metric, {}, is_outdated=True)
        return True

    def wait(self) -> None:
        """See `BackgroundTraining`."""
        self._training.wait()
        self.collect()

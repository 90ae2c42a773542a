"""Trains the linear reference of a search in a thread, beside the first trials.

So it is there long before the first trial has ended: to compare with, as a member of the ensemble while that grows, and
to hand over should the search end early. Must not import Ray or Keras.
"""

import threading
from contextlib import suppress

import optuna

from tuner.data import Dataset
from tuner.run.folder import RunFolder
from tuner.run.reference_record import reference_in
from tuner.search.ensemble import Ensemble
from tuner.search.kept_reference import (
    KeptReference,
    keep_reference,
    measure_reference,
    read_reference,
    train_timed,
)
from tuner.settings.metric import Metric


class ReferenceTraining:
    """The training, of which a search has one; nothing where an earlier session has kept a reference.

    Only the driver's thread writes to the run folder and the study: the other one computes. A session that is
    interrupted meanwhile leaves it to the next one.

    Args:
        study: of the search.
        ensemble: which the reference becomes a member of.
        folder: the run folder.
        dataset: the reference learns from its training split, and is measured on its confirmation split.
        metric: of the run.
    """

    def __init__(
        self,
        study: optuna.Study,
        ensemble: Ensemble,
        folder: RunFolder,
        dataset: Dataset,
        metric: Metric,
    ) -> None:
        self._study = study
        self._ensemble = ensemble
        self._folder = folder
        self._dataset = dataset
        self._metric = metric
        self._thread: threading.Thread | None = None
        self._found: KeptReference | None = None
        is_kept = reference_in(study.user_attrs) and read_reference(folder, dataset)
        self._is_over = bool(is_kept)

    def start(self) -> None:
        """Starts it, once."""
        if self._is_over or self._thread is not None:
            return
        # It cannot be interrupted, so an ending process does not wait for it.
        self._thread = threading.Thread(target=self._train, name="linear reference", daemon=True)
        self._thread.start()

    def take(self) -> bool:
        """Keeps the reference and records its figures where it has been trained since the last call; True then."""
        if self._is_over or self._thread is None or self._thread.is_alive():
            return False
        self._is_over = True
        if self._found is None:
            return False
        keep_reference(self._found, self._folder)
        self._ensemble.take_reference(self._found.model)
        measure_reference(
            self._study, self._found, self._dataset, self._metric, {}, is_outdated=True
        )
        return True

    def wait(self) -> None:
        """Waits for its end where it was started, and takes the reference."""
        if self._thread is not None:
            self._thread.join()
            self.take()

    def _train(self) -> None:
        # Where it fails, trials go on: the end of the search tries again, and tells why.
        with suppress(Exception):
            self._found = train_timed(self._dataset)

"""The linear reference that a run keeps for its models: one that has learned from the same splits as they.

The search trains one on the training split, or where validation rotates on both. Finalists that learn from the
validation split, too, get one of their own: alone it is right more often for those rows (docs/measurements.md). Must
not import Ray, Keras or TensorFlow.
"""

import shlex
from collections.abc import Iterable

from tuner.data import Dataset
from tuner.errors import RunFolderError
from tuner.files import make_folder, write_bytes_atomically
from tuner.run import Run
from tuner.run.folder import RunFolder
from tuner.run.requested_trainings import RequestedTraining
from tuner.run.train_on import TrainOn, learned_by_reference, rows_of
from tuner.search.kept_reference import read_reference, read_reference_file, train_on_rows
from tuner.search.threaded_training import ThreadedTraining
from tuner.settings.hyperparameters import module_options
from tuner.training.spec import TrainedModel
from tuner.training.trained_model_file import to_bytes


class ReferenceOfBoth:
    """The reference on both splits, where the search has kept one and this one is missing.

    As in a search (`tuner.search.reference_training`), it trains beside the trials; where that fails, the end of the
    confirmation tries again.
    """

    def __init__(self, folder: RunFolder, dataset: Dataset) -> None:
        self._folder = folder
        self._dataset = dataset
        self._training = ThreadedTraining(self._trained, "linear reference")
        self._was_asked = False

    def start(self) -> None:
        """See `BackgroundTraining`."""
        if not self._was_asked and self._is_missing():
            self._training.start()
        self._was_asked = True

    def collect(self) -> bool:
        """Writes the model once it is trained. False: the figures of no trial change by it."""
        found = self._training.take()
        if found is not None:
            self._keep(found)
        return False

    def wait(self) -> None:
        """See `BackgroundTraining`."""
        self._training.wait()
        self.collect()

    def ensure(self) -> None:
        """Trains and writes the model, where no thread has."""
        if self._is_missing():
            self._keep(self._trained())

    def _is_missing(self) -> bool:
        of_search = read_reference(self._folder, self._dataset)
        is_wanted = of_search is not None and bool(of_search.weights)
        place = self._folder.reference_of_both
        return is_wanted and read_reference_file(place, self._dataset) is None

    def _trained(self) -> TrainedModel:
        return train_on_rows(self._dataset, rows_of(self._dataset, TrainOn.BOTH))

    def _keep(self, model: TrainedModel) -> None:
        place = self._folder.reference_of_both
        make_folder(place.parent)
        write_bytes_atomically(place, to_bytes(model))


def reference_for(
    folder: RunFolder, dataset: Dataset, train_on: TrainOn, of_search: TrainOn
) -> tuple[TrainedModel | None, TrainOn]:
    """The reference for models that learned from these splits, and which it learned from itself.

    That is the search's where that learned from both splits, or a confirmation by an earlier version kept none which
    did. None without any.

    Args:
        of_search: the splits that the search's reference learned from.
    """
    if train_on is TrainOn.BOTH:
        kept = read_reference_file(folder.reference_of_both, dataset)
        if kept is not None:
            return kept, TrainOn.BOTH
    return read_reference(folder, dataset), of_search


def needed_reference(
    run: Run, dataset: Dataset, train_on: TrainOn = TrainOn.TRAIN
) -> tuple[TrainedModel, TrainOn]:
    """As `reference_for`, where it can be a model or a member of one.

    Raises:
        RunFolderError: there is none.
    """
    of_search = learned_by_reference(run.recorded.config)
    kept, learned_from = reference_for(run.files, dataset, train_on, of_search)
    if kept is not None and kept.weights:
        return kept, learned_from
    if kept is not None and not kept.vocabulary_size:
        reason = (
            "knows no n-gram, because none tells the classes apart; take finalists or trials alone"
        )
    elif kept is not None:
        reason = (
            f"is naive Bayes, because {len(dataset.class_names)} classes are too many for a regression of each, and "
            "its probabilities are too rough for a model; take finalists or trials alone"
        )
    elif run.recorded.config.no_reference:
        reason = "is missing, because the run was searched with --no-reference; continue its search without that"
    else:
        modules = module_options(run.space.architectures)
        again = f"tuner search --config {shlex.quote(str(run.files.run_file))}{modules}"
        reason = f"is missing, damaged or of an earlier version; {again} trains it"
    raise RunFolderError(f"{run.files.reference}: the linear reference {reason}")


def splits_of(trainings: Iterable[RequestedTraining]) -> TrainOn:
    """The splits that finalists have learned from, all of them from the same."""
    return next((each.train_on for each in trainings), TrainOn.TRAIN)

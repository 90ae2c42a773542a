"""A search that keeps the models of its best trials, without Ray and without training."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import TrialState
from support.studies import FACTS, metrics, open_study

from tuner.run.ensemble import EnsembleRecord
from tuner.run.folder import RunFolder
from tuner.run.records import StudyReader
from tuner.run.trial_status import TrialStatus
from tuner.search.ensemble import TrialEnsemble
from tuner.search.study import SearchStudy
from tuner.settings.objectives import Cost
from tuner.settings.space import SearchSpace
from tuner.training.spec import HeldOutFigures, TrainedModel
from tuner.training.trained_model_file import to_bytes

LABELS = np.arange(60, dtype=np.int32) % 2
VALIDATION_LABELS = np.arange(40, dtype=np.int32) % 2

RECORD = EnsembleRecord(
    members=(7, 3, 12),
    left_out=(5,),
    sequences=850,
    averaged=0.74,
    low=0.71,
    high=0.77,
    single=0.727,
    gain=0.013,
    gain_low=0.0031,
    gain_high=0.0229,
    weights=1_023_000,
    seconds_per_text=0.0023,
)


class Searched:
    """A run folder of such a search, of ensembles of three."""

    def __init__(self, path: Path, space: SearchSpace, cost: Cost | None = None) -> None:
        self.folder = RunFolder(path)
        self.space = space
        self.cost = cost
        self.clusters: NDArray[np.int64] | None = None  # each sequence is one
        self.study: SearchStudy
        self.open()

    def open(self, size: int = 3, labels: NDArray[np.int32] = LABELS) -> None:
        """Begins a session."""
        self.study = open_study(self.folder.journal, self.space, cost=self.cost)
        clusters = np.arange(len(labels)) if self.clusters is None else self.clusters
        self.study.ensemble = TrialEnsemble(
            self.study.study,
            self.folder,
            size=size,
            labels=labels,
            clusters=clusters,
            validation_labels=VALIDATION_LABELS,
        )
        self.study.requeue_interrupted_trials()

    @property
    def n_ended(self) -> int:
        return len(self.study.study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED)))

    @property
    def scores(self) -> list[float | None]:
        """The members' scores in the search."""
        records = StudyReader(self.study.study).records()
        return [records[member].score for member in self.record.members]

    @property
    def ensemble(self) -> TrialEnsemble:
        assert isinstance(self.study.ensemble, TrialEnsemble)
        return self.study.ensemble

    @property
    def record(self) -> EnsembleRecord:
        """As the study has it."""
        record = StudyReader(self.study.study).ensemble
        assert record is not None
        return record

    @property
    def files(self) -> set[int]:
        """The trials whose models are in the run folder; there is nothing else."""
        names = [path.stem.split("-") for path in self.folder.trial_models.iterdir()]
        assert all(name == "trial" for name, _ in names)
        return {int(number) for _, number in names}

    def complete(
        self,
        score: float,
        probabilities: NDArray[np.float32] | None = None,
        labels: NDArray[np.int32] = LABELS,
    ) -> NDArray[np.float32]:
        """A trial that trains to its end, and its model's probabilities, which follow from its score and number."""
        return self.end(score, TrialStatus.COMPLETE, probabilities, labels)

    def model(
        self,
        score: float,
        probabilities: NDArray[np.float32] | None = None,
        epoch: int = 1,
        validation: NDArray[np.float32] | None = None,
    ) -> bytes:
        """As a worker sends it."""
        if probabilities is None:
            probabilities = model_of(score, LABELS)
        figures = HeldOutFigures(epoch, 0.5, score, score, seconds_per_text=0.001)
        return to_bytes(TrainedModel(figures, probabilities, (), 9, validation))

    def end(
        self,
        score: float,
        status: TrialStatus,
        probabilities: NDArray[np.float32] | None = None,
        labels: NDArray[np.int32] = LABELS,
        *,
        is_sent: bool = True,
        validation: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        trial = self.study.ask()
        self.study.space.suggest(trial)
        self.study.record_facts(trial, FACTS)
        self.study.report(trial, 1, metrics(score))
        if probabilities is None:
            probabilities = model_of(score, labels)
        if is_sent:
            content = self.model(score, probabilities, validation=validation)
            self.study.keep_model(trial, content)
        self.study.finish(trial, status)
        return probabilities


def model_of(score: float, labels: NDArray[np.int32]) -> NDArray[np.float32]:
    """Probabilities that are right about as often as the score says."""
    rng = np.random.default_rng(int(score * 100))
    right = rng.uniform(0.5, 1, len(labels))
    right = np.where(rng.random(len(labels)) < score, right, 1 - right).astype(np.float32)
    columns: Any = np.where(labels[:, None] == np.arange(2), right[:, None], 1 - right[:, None])
    return columns

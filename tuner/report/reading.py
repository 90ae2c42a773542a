"""Reads everything that a report needs from a run folder, once.

A file that was never written (of a run that was not confirmed, or has no `run.yaml`) gives an empty value, no error.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import optuna
import pandas as pd

from tuner.report.search_time import SearchTime
from tuner.run import Run
from tuner.run.components import Components, components_of
from tuner.run.ended_trainings import Failure, confirmed, failures
from tuner.run.ensemble import EnsembleRecord
from tuner.run.evaluations import RecordedEvaluation, read_test_log
from tuner.run.finalists_file import FinalistRow, read_finalists_file
from tuner.run.folder import RunFolder
from tuner.run.leaderboard import board_of
from tuner.run.lock import owner_of
from tuner.run.merged_board import check_common_metric
from tuner.run.records import TrialRecord, best_of, on_front, ranked
from tuner.run.reference_record import ReferenceRecord
from tuner.run.requested_trainings import MARGIN, margin_of
from tuner.run.run_file import RunFile
from tuner.run.score_errors import ValidationRows
from tuner.run.sessions import Session
from tuner.run.state import is_searching
from tuner.run.train_on import TrainOn
from tuner.run.trial_status import TrialStatus
from tuner.settings.objectives import Objectives
from tuner.settings.space import SearchSpace


@dataclass(frozen=True, eq=False)
class Reading:
    """One run at one moment."""

    label: str  # the run's name in the report
    folder: RunFolder
    space: SearchSpace
    objectives: Objectives
    study: optuna.Study
    records: tuple[TrialRecord, ...]  # in the order of their numbers
    ensemble: EnsembleRecord | None  # None where no trials' weights were kept
    reference: ReferenceRecord | None  # None where it was not measured
    seconds: float  # searched, over all sessions
    sessions: tuple[Session, ...]  # empty where none was recorded
    recorded: RunFile  # empty where there is none
    finalists: tuple[FinalistRow, ...]  # best first
    trained_on: TrainOn  # which the finalists were asked to learn from
    margin: float  # within which a smaller finalist is recommended
    failures: tuple[Failure, ...]  # trainings of finalists that gave no model
    tests: tuple[RecordedEvaluation, ...]  # the first one first
    is_running: bool

    @property
    def metric(self) -> str:
        """The name of the metric for a person: `validation accuracy` for `val_accuracy`."""
        return self.space.metric.name.in_words

    @property
    def data(self) -> str:
        """The data set for a person; empty where it was not recorded."""
        data = self.recorded.data
        if data is None:
            return ""
        sample = f" (a sample of {data.sample:,} rows)" if data.sample else ""
        return f"{data.source}{sample}"

    @cached_property
    def board(self) -> pd.DataFrame:
        """The leaderboard."""
        return board_of(self.records, self.space, self.objectives, self.scored_on)

    @cached_property
    def components(self) -> Components | None:
        """What makes scores differ; see `components_of`."""
        return components_of(self.records, self.space, self.objectives, self.scored_on)

    @property
    def scored_on(self) -> ValidationRows:
        """The rows that score the trials."""
        return ValidationRows.of(self.study.user_attrs)

    @cached_property
    def time(self) -> SearchTime:
        """The time axis."""
        return SearchTime(self.records, self.sessions)

    @cached_property
    def best(self) -> TrialRecord | None:
        """The trial at the top of the leaderboard."""
        return best_of(self.records, self.space.metric)

    @cached_property
    def front(self) -> tuple[TrialRecord, ...]:
        """The trials that no other trial beats on both objectives, best score first."""
        return tuple(on_front(self.records, self.objectives))

    @cached_property
    def scored(self) -> tuple[TrialRecord, ...]:
        """The trials with a ranked score, best first."""
        having = [record for record in self.records if record.ranked_score is not None]
        return tuple(ranked(having, self.space.metric))

    def is_interrupted(self, record: TrialRecord) -> bool:
        """Whether a trial ended before its result; one that was running when its search died did, too."""
        is_left = record.status is TrialStatus.RUNNING and not self.is_running
        return record.interrupted or is_left

    @cached_property
    def counted(self) -> tuple[TrialRecord, ...]:
        """The trials without interrupted ones, which run again."""
        return tuple(record for record in self.records if not self.is_interrupted(record))

    @cached_property
    def counts(self) -> Mapping[TrialStatus, int]:
        """The number of trials by status, without interrupted ones."""
        return Counter(record.status for record in self.counted)

    @cached_property
    def architectures(self) -> tuple[str, ...]:
        """The architectures that were tried, in the space's order."""
        tried = {record.architecture for record in self.records}
        return tuple(name for name in self.space.architectures if name in tried)


def read_runs(paths: Sequence[str]) -> list[Reading]:
    """One reading per run, in the order given; labels are the folders' names where these differ.

    Raises:
        RunFolderError: no run folder there, or a damaged one.
        UsageError: the runs have different metrics.
    """
    distinct: dict[str, Run] = {}
    for path in paths:
        distinct.setdefault(os.path.realpath(path), Run(path.rstrip("/") or path, read_only=True))
    runs = list(distinct.values())
    names = [Path(os.path.abspath(run.folder)).name for run in runs]
    labels = [
        name if names.count(name) == 1 else str(run.folder)
        for name, run in zip(names, runs, strict=True)
    ]
    readings = [read_run(run, label) for run, label in zip(runs, labels, strict=True)]
    check_common_metric(reading.space for reading in readings)
    return readings


def read_run(run: Run, label: str) -> Reading:
    """A run, as the report shows it.

    Raises:
        RunFolderError: one of its files is damaged.
    """
    folder, reader = run.files, run.reader
    owner = owner_of(folder)  # before the study: it is no older
    confirmation = run.confirmation
    trainings = confirmed(confirmation) if confirmation is not None else []
    return Reading(
        label=label,
        folder=folder,
        space=reader.space,
        objectives=reader.objectives,
        study=run.study,
        records=tuple(reader.records()),
        ensemble=reader.ensemble,
        reference=run.reference,
        seconds=reader.seconds,
        sessions=tuple(reader.sessions),
        recorded=run.recorded if folder.run_file.is_file() else RunFile(folder.run_file),
        finalists=read_finalists_file(folder),
        trained_on=trainings[0].train_on if trainings else TrainOn.TRAIN,
        margin=margin_of(confirmation) if confirmation is not None else MARGIN,
        failures=tuple(failures(confirmation, folder)) if confirmation is not None else (),
        tests=read_test_log(folder),
        is_running=is_searching(reader, owner),
    )

"""The state of a run, read from its run folder alone: alive or not, trials, budget, last sign of life.

Must not import Ray or Keras.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from tuner.run import Run
from tuner.run.components import components_in
from tuner.run.ensemble import EnsembleRecord
from tuner.run.epoch_parts import EpochPart, read_epoch_parts
from tuner.run.lock import is_abandoned, owner_of
from tuner.run.records import (
    StudyReader,
    TrialRecord,
    best_of,
    counts_as_finished,
    front_trials,
    on_front,
)
from tuner.run.reference_record import ReferenceRecord
from tuner.run.run_file import read_run_file
from tuner.run.trial_status import TrialStatus
from tuner.run.troubles import read_troubles
from tuner.settings.config import PrunerName
from tuner.settings.objectives import FrontTrial, Objectives


class Activity(StrEnum):
    """Whether a search runs in a run folder, and how the last one ended."""

    SEARCHING = "searching"
    BUSY = "busy"  # a process holds the run, but no session of its search is open
    FINISHED = "finished"  # its budget is used up, or it was flat and was to end then
    STOPPED = "stopped"  # before its budget was used up
    DIED = "died"  # without putting its study in order


@dataclass(frozen=True)
class RunningTrial:
    """A trial that runs, or was interrupted where no search runs."""

    record: TrialRecord
    max_epochs: int
    part: EpochPart | None  # of the epoch that it trains now, where that is known

    @property
    def epochs(self) -> float:
        """Epochs trained, with the part of the one that it trains now."""
        return max(self.record.curve, default=0) + (self.part.share if self.part else 0.0)


@dataclass(frozen=True)
class RunState:
    """A run at one moment."""

    folder: Path
    activity: Activity
    owner: str | None  # `process 123 on host`, while it is at work
    ended_flat: bool  # `--stop-when-flat` ended it before its budget was used up
    counts: Mapping[TrialStatus, int]  # of the trials that count toward the budget
    running: tuple[RunningTrial, ...]
    trial_budget: int | None
    seconds: float  # searched so far, to some seconds
    time_budget_s: float | None
    best: TrialRecord | None
    objectives: Objectives
    front: tuple[FrontTrial, ...]  # of these, the best by the metric first
    # The best trials averaged; None where no trials' weights were kept.
    ensemble: EnsembleRecord | None
    reference: ReferenceRecord | None  # the linear one; None where it was not measured
    pruner: PrunerName
    quiet_s: float  # seconds since the study was last written to
    architectures: tuple[str, ...]  # of the space
    troubles: tuple[str, ...] = ()  # lines about what cannot be written

    @property
    def finished(self) -> int:
        """Trials that count toward the budget."""
        return sum(self.counts.values())


def read_run_state(run: Run, clock: Callable[[], float] = time.time) -> RunState:
    """The state of a run.

    Args:
        run: may be open already; its settings are read again, because a larger budget may have been asked for since.
        clock: seconds since 1970, as file systems count them.

    Raises:
        RunFolderError: its journal or its `run.yaml` is damaged.
        ConfigError: a setting in `run.yaml` breaks a rule.
    """
    folder = run.files
    owner = owner_of(folder)  # before the study, which is then as new or newer
    reader = run.reader
    config = read_run_file(folder).config
    records = reader.records()
    trials = reader.study.get_trials(deepcopy=False)
    counted = {trial.number for trial in trials if counts_as_finished(trial)}
    counts = Counter(record.status for record in records if record.number in counted)
    parts = read_epoch_parts(folder, reader.study.study_name) if owner is not None else {}
    running = tuple(
        RunningTrial(record, config.epochs, _current(parts.get(record.number), record))
        for record in records
        if record.status is TrialStatus.RUNNING
    )
    front = on_front(records, reader.objectives)
    quiet_s = max(0.0, clock() - folder.journal.stat().st_mtime)
    is_counting = owner is not None and _is_open(reader, owner)
    is_used = config.is_budget_used(trials=len(counted), seconds=reader.seconds)
    ended_flat = owner is None and config.stop_when_flat and not is_used and _is_flat(reader)
    is_over = is_used or ended_flat
    return RunState(
        folder=folder.path,
        activity=_activity(reader, owner, is_over=is_over, is_dead=is_abandoned(folder)),
        owner=owner,
        ended_flat=ended_flat,
        counts=counts,
        running=running,
        trial_budget=config.trial_budget,
        seconds=reader.seconds + (quiet_s if is_counting else 0.0),
        time_budget_s=config.time_budget,
        best=best_of(records, reader.space.metric),
        objectives=reader.objectives,
        front=front_trials(front, reader.objectives),
        ensemble=reader.ensemble,
        reference=run.reference,
        pruner=config.pruner,
        quiet_s=quiet_s,
        architectures=tuple(reader.space.architectures),
        troubles=tuple(each.text(clock()) for each in read_troubles(folder)),
    )


def is_searching(reader: StudyReader, owner: str | None) -> bool:
    """Whether the run's owner has an open session of its search.

    A run of an earlier version records no sessions; there, any owner counts.
    """
    return owner is not None and (not reader.sessions or _is_open(reader, owner))


def _is_open(reader: StudyReader, owner: str) -> bool:
    """Whether this process has begun its session: before, it starts Ray, and nothing counts."""
    if not reader.sessions:
        return False
    last = reader.sessions[-1].record
    return last.ended is None and owner == f"process {last.process} on {last.host}"


def _current(part: EpochPart | None, record: TrialRecord) -> EpochPart | None:
    """The part, unless its epoch has ended."""
    is_current = part is not None and part.epoch == max(record.curve, default=0) + 1
    return part if is_current else None


def _is_flat(reader: StudyReader) -> bool:
    components = components_in(reader)
    return components is not None and components.is_flat


def _activity(reader: StudyReader, owner: str | None, *, is_over: bool, is_dead: bool) -> Activity:
    if owner is not None:
        return Activity.SEARCHING if is_searching(reader, owner) else Activity.BUSY
    if is_over:
        return Activity.FINISHED
    return Activity.DIED if is_dead else Activity.STOPPED

"""Ray Tune's hooks into a SearchSession: a thin searcher and a thin scheduler; its callback is in `heartbeat`.

Tune 2.60 calls `suggest`, then the scheduler's `on_trial_result` for every result that is not `done`. At the end it
calls the searcher's `on_trial_complete` with the last result, or with `error=True` when the actor died (measured). It
logs exceptions that these raise and goes on, so `Heartbeat` raises them again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from tuner.errors import SearchError
from tuner.execution.diagnosis import Diagnostician
from tuner.execution.faulty_nodes import FaultyNodes
from tuner.execution.messages import Report, could_use, to_ray_config
from tuner.execution.packing import Places
from tuner.execution.ray_errors import origin_of
from tuner.execution.tune_internals import (
    Disposable,
    end_process,
    error_text,
    forget_ended_trials,
    has_process,
    retire,
)
from tuner.run.trial_status import TrialStatus
from tuner.run.troubles import Troubles
from tuner.search.session import SearchSession


class _Adapter(Disposable):
    """The common part of the searcher and the scheduler."""

    _session: SearchSession
    _places: Places
    _faulty: FaultyNodes
    _troubles: Troubles

    @contextmanager
    def _keeping_errors(self) -> Iterator[None]:
        """Keeps exceptions for `Heartbeat`. Until it raises them nothing else happens, and the study stays whole."""
        if self._session.callback_error is not None:
            raise self._session.callback_error
        try:
            yield
        except Exception as error:
            self._session.callback_error = self._session.callback_error or error
            raise

    def _note(self, number: int, report: Report) -> bool:
        """Passes a report on to the session; True when the trial should stop."""
        if report.note is not None:
            self._session.note(report.note)
        if report.trouble is not None:
            topic, reason = report.trouble
            self._troubles.note(topic, reason or None)
        if report.facts is not None:
            self._session.record_facts(number, report.facts)
            if report.versions is not None:
                self._session.note_versions(report.facts.host, report.versions)
        if report.part is not None:
            self._session.continue_epoch(number, report.part)
        if report.epoch is None:
            return False
        if report.node:
            for note in self._faulty.note_success(report.node, self._session.failed_on(number)):
                self._session.note(note)
        should_stop = self._session.end_epoch(number, report.epoch)
        if report.model is not None:
            self._session.keep_model(number, report.model)
        return should_stop

    def _end(
        self,
        number: int,
        status: TrialStatus,
        error: str | None = None,
        *,
        is_gpu_full: bool = False,
    ) -> None:
        """Ends a trial; one that found no room on a GPU that it shared runs again with a larger share."""
        place = self._places.free(number)
        if is_gpu_full and place.is_shared:
            self._session.enlarge_trial(number, error or "", lowered=place.lowered)
            return
        self._session.end_trial(number, status, error)
        packing = self._places.packing
        if place.is_larger and self._session.is_too_tight(packing.lowered):
            before = packing.description
            packing.lower()
            self._session.note(
                f"two trials needed twice their share of a GPU: from now on {packing.description} at once, "
                f"not {before}"
            )


class StudySearcher(_Adapter, Searcher):  # type: ignore[misc]
    """Gives Ray Tune the study's trials, one per request, and tells the study of their ends."""

    def __init__(
        self, session: SearchSession, places: Places, faulty: FaultyNodes, troubles: Troubles
    ) -> None:
        super().__init__()
        self._troubles = troubles
        self._session = session
        self._places = places
        self._faulty = faulty
        self._numbers: dict[str, int] = {}  # Tune's trial id -> the study's trial number

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial; None while as many run as may, FINISHED when the budget is used up."""
        with self._keeping_errors():
            if not self._session.has_budget:
                # After FINISHED Tune never asks again, but a trial that still runs may have to run again.
                return str(Searcher.FINISHED) if self._session.is_done else None
            if not self._session.has_room:
                return None
            for kind in self._places.packing.unknown_kinds:
                self._session.note(
                    f"nodes with {kind} have joined, but trials were packed for other GPUs: "
                    "they are used when the search is continued"
                )
            spec = self._session.start_trial()
            self._numbers[trial_id] = spec.number
            is_larger = self._session.has_larger_share(spec.number)
            avoided = self._faulty.to_avoid(self._session.failed_on(spec.number))
            place = self._places.take(spec.number, avoided=avoided, is_larger=is_larger)
            every_s = self._session.progress_every_s
            return to_ray_config(spec, place, self._session.model_from, avoided, every_s)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Records the end of a trial that ended by itself or was stopped; the scheduler handles deaths of processes."""
        with self._keeping_errors():
            number = self._numbers.pop(trial_id, None)
            if number is None or error or result is None:
                return
            report = Report.from_result(result)
            if report.status is None:  # stopped by the scheduler, which has noted the epoch
                self._end(number, TrialStatus.PRUNED)
            else:
                self._note(number, report)
                if report.is_suspect:
                    self._places.free(number)
                    self._session.fail_trial(number, report.error or "", node=report.node)
                    return
                self._end(number, report.status, report.error, is_gpu_full=report.is_gpu_full)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the study is the memory."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a search is resumed by opening its study."""
        raise NotImplementedError("open the study instead")

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing, see `save`."""


class StudyScheduler(_Adapter, FIFOScheduler):  # type: ignore[misc]
    """Result = report to the study, which decides whether to stop."""

    def __init__(
        self,
        session: SearchSession,
        places: Places,
        faulty: FaultyNodes,
        troubles: Troubles,
        diagnostician: Diagnostician,
    ) -> None:
        super().__init__()
        self._troubles = troubles
        self._session = session
        self._places = places
        self._faulty = faulty
        self._diagnostician = diagnostician
        self._has_trained = False  # an epoch, where the trials are
        self._nodes: dict[int, str] = {}  # trial -> Ray's id of its node, once it has trained there

    def on_trial_error(self, tune_controller: object, trial: Trial) -> None:
        """Ends a trial whose process died, or has it run again: see `SearchSession.lose_trial`.

        Raises:
            SearchError: the first process found no GPU. A later one may find none because a GPU failed.
        """
        with self._keeping_errors():
            number = trial.config["number"]
            self._nodes.pop(number, None)
            error = error_text(trial)
            diagnosis = self._diagnostician.diagnose(error)
            if diagnosis.is_gpu_missing and not self._has_trained:
                raise SearchError(diagnosis.reason)
            if diagnosis.is_out_of_memory and not self._session.is_ended_for_hanging(number):
                self._end(
                    number,
                    TrialStatus.OUT_OF_MEMORY,
                    diagnosis.reason,
                    is_gpu_full=diagnosis.is_gpu_full,
                )
            else:
                self._places.free(number)
                if diagnosis.is_device_fault:
                    self._session.note("a GPU failed: the trials that were on it run again")
                is_charged = diagnosis.is_charged
                node = self._faulty.id_at(origin_of(error).host) if is_charged else ""
                self._session.lose_trial(
                    number, diagnosis.reason, is_charged=is_charged, node=node or None
                )

    def on_trial_result(self, tune_controller: object, trial: Trial, result: dict[str, Any]) -> str:
        """Notes the epoch, or a part of it; STOP when the pruner decides so."""
        with self._keeping_errors():
            self._has_trained = True
            number, report = trial.config["number"], Report.from_result(result)
            if report.node:
                self._nodes[number] = report.node
            should_stop = self._note(number, report)
            return str(TrialScheduler.STOP if should_stop else TrialScheduler.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Keeps a process from training another trial, where it asked for that or a waiting trial needs its place.

        A trial that must not run where it failed needs a process of its own, and would never find room for one while
        every process takes the next new trial. One process makes room for one such trial.
        """
        with self._keeping_errors():
            report = Report.from_result(result)
            self._has_trained = self._has_trained or report.epoch is not None
            node = self._nodes.pop(trial.config["number"], report.node)
            kept = self._session.kept_places
            waiting = (
                each.config["number"]
                for each in _waiting(tune_controller)
                if could_use(each.config, trial.config, node)
                and not kept.has_room_made(each.config["number"])
            )
            if (number := next(waiting, None)) is not None:
                kept.make_room(number)
            if number is not None or report.retire:
                retire(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first pending trial without a process, after Tune has forgotten those that ended.

        It gets one that has become free. By `FIFOScheduler` that would be a trial whose own process is just starting,
        which Tune then throws away, again and again where trials are short.
        """
        forget_ended_trials(tune_controller)
        self._end_hanging(tune_controller)
        return next(_waiting(tune_controller), None)

    def _end_hanging(self, tune_controller: Any) -> None:
        """Ends processes that hang, in an epoch or before the first, on a node that cannot start them.

        Tune shows its controller to schedulers alone, and calls them in every step.
        """
        hanging = self._session.newly_hanging()
        for trial in tune_controller.get_trials():
            if trial.config["number"] in hanging:
                end_process(tune_controller, trial)
            elif trial.status == Trial.PENDING and has_process(tune_controller, trial):
                self._session.start_process(trial.config["number"])


def _waiting(tune_controller: Any) -> Iterator[Trial]:
    """The trials that no process is there for, or starts."""
    for trial in tune_controller.get_trials():
        if trial.status == Trial.PENDING and not has_process(tune_controller, trial):
            yield trial

"""Tune during a search, seen from inside."""

import json
import signal
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState
from support.searches import make, toy_space

from tuner.errors import SearchError
from tuner.execution import ray_tune
from tuner.execution.diagnosis import Diagnosis, Diagnostician
from tuner.execution.messages import Report
from tuner.execution.search import run_search
from tuner.run import Run
from tuner.run.trial_status import TrialStatus
from tuner.settings.space import SearchSpace
from tuner.training.spec import EpochResult

pytestmark = pytest.mark.ray


def test_what_a_worker_notes_reaches_the_person() -> None:
    notes: list[str] = []
    session: Any = SimpleNamespace(callback_error=None, note=notes.append)
    nothing: Any = None
    scheduler = ray_tune.StudyScheduler(session, nothing, nothing, nothing, nothing)
    trial: Any = SimpleNamespace(config={"number": 1})
    scheduler.on_trial_result(nothing, trial, Report(note="no MPS here").to_result())
    assert notes == ["no MPS here"]


def missing_gpu(tmp_path: Path) -> Any:
    """A trial whose process found no GPU."""
    error = tmp_path / "error.txt"
    error.write_text("tuner.errors.GpuMissing: Keras' backend finds no GPU on a", encoding="utf-8")
    return SimpleNamespace(config={"number": 1}, error_file=str(error))


def test_the_first_process_that_finds_no_gpu_stops_the_search(tmp_path: Path) -> None:
    session: Any = SimpleNamespace(callback_error=None)
    nothing: Any = None
    scheduler = ray_tune.StudyScheduler(session, nothing, nothing, nothing, Diagnostician())
    with pytest.raises(SearchError, match=r"^Keras' backend finds no GPU on a$"):
        scheduler.on_trial_error(nothing, missing_gpu(tmp_path))


@pytest.mark.parametrize("is_last", [False, True])
def test_once_a_gpu_has_trained_a_missing_one_is_a_fault(tmp_path: Path, is_last: bool) -> None:
    lost: list[int] = []
    session: Any = SimpleNamespace(
        callback_error=None,
        note=lambda text: None,
        end_epoch=lambda number, epoch: False,
        lose_trial=lambda number, reason, **given: lost.append(number),
    )
    places: Any = SimpleNamespace(free=lambda number: None)
    faulty: Any = SimpleNamespace(id_at=lambda address: "")
    nothing: Any = None
    scheduler = ray_tune.StudyScheduler(session, places, faulty, nothing, Diagnostician())
    trial = missing_gpu(tmp_path)
    result = Report(epoch=EpochResult(1, 0.5, 0.5, 0.5, 0.5, 0.5, seconds=1.0)).to_result()
    report = scheduler.on_trial_complete if is_last else scheduler.on_trial_result
    report(SimpleNamespace(get_trials=list), trial, result)
    scheduler.on_trial_error(nothing, trial)
    assert lost == [1]


@dataclass(eq=False)
class TuneTrial:
    config: dict[str, Any]
    placement_group_factory: str
    status: str


def waiting(*avoided: str, request: str, status: str = "PENDING", number: int = 2) -> TuneTrial:
    return TuneTrial({"number": number, "avoided": json.dumps(avoided)}, request, status)


@pytest.mark.parametrize(
    ("wanted", "is_ended"),
    [
        (waiting("b", request="not a"), True),  # never would a process be free for it
        (waiting("a", "b", request="not a or b"), False),  # this node's is no use
        (waiting("b", request="any"), False),  # Tune gives it the process as it is
        (waiting(request="half a GPU"), False),
        (waiting("b", request="not a", status="RUNNING"), False),
    ],
)
def test_a_process_makes_room_for_a_trial_that_must_run_on_another_node_than_before(
    wanted: TuneTrial, is_ended: bool
) -> None:
    kept: list[int] = []
    session: Any = SimpleNamespace(callback_error=None, keep_room_for=kept.extend)
    nothing: Any = None
    scheduler = ray_tune.StudyScheduler(session, nothing, nothing, nothing, nothing)
    ended: Any = waiting(request="any", number=1)
    process = object()
    controller = SimpleNamespace(
        _started_actors={process},
        _trial_to_actor={ended: process},
        get_trials=lambda: [ended, wanted],
    )
    result = Report(status=TrialStatus.FAILED, node="a").to_result()
    scheduler.on_trial_complete(controller, ended, result)
    assert (not controller._started_actors) is is_ended
    assert kept == ([2] if is_ended else [])


def test_an_error_at_a_process_death_stops_the_search_as_it_is(
    shared_ray: None, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Diagnosis("no GPU on a", is_gpu_missing=True)
    monkeypatch.setattr(Diagnostician, "diagnose", lambda *given: found)
    config = make(toy_space(fault="crash"), sentences, tmp_path, name="x")
    with pytest.raises(SearchError, match=r"^no GPU on a$"):
        run_search(config)
    *_, last = Run(config.folder).study.trials
    assert last.state is TrialState.WAITING  # its parameters, for the next session


def test_tune_forgets_trials_that_ended(
    shared_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = []
    original = ray_tune.Heartbeat.on_step_end

    def on_step_end(self: ray_tune.Heartbeat, iteration: int, trials: list, **info: object) -> None:
        known.append(len(trials))
        original(self, iteration, trials, **info)

    monkeypatch.setattr(ray_tune.Heartbeat, "on_step_end", on_step_end)
    run_search(make(space, sentences, tmp_path, trials=20))
    assert 1 <= max(known) <= 6  # two run, two wait for their actor, two have just ended


@pytest.mark.parametrize(("has_others", "ends"), [(True, False), (False, True)])
def test_a_search_whose_trial_waits_for_another_node_in_vain_ends(
    monkeypatch: pytest.MonkeyPatch, has_others: bool, ends: bool
) -> None:
    monkeypatch.setattr(ray_tune, "_LOOK_S", 0.0)
    monkeypatch.setattr(ray_tune, "_LONGEST_STUCK_S", 0.0)
    nothing: Any = SimpleNamespace(
        callback_error=None,
        is_out_of_time=False,
        check=lambda: None,
        watch=lambda: None,
        newly_hanging=list,
        take=bool,
        write_if_due=lambda: None,
        copy_if_due=lambda troubles: None,
    )
    faulty: Any = SimpleNamespace(has_room_beside=lambda nodes: has_others)
    heartbeat = ray_tune.Heartbeat(*[nothing] * 6, faulty, nothing, nothing)
    trial: Any = SimpleNamespace(config={"number": 1, "avoided": '["a"]'}, status="PENDING")
    with pytest.raises(SearchError, match="add a node, or repair") if ends else nullcontext():
        heartbeat.on_step_end(0, [trial])


def test_what_is_done_beside_the_trials_takes_no_signal_from_the_driver() -> None:
    blocked: list[set[int]] = []

    def start() -> None:
        blocked.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, [])))

    nothing: Any = SimpleNamespace(begin_trial=lambda number: None, start=start)
    heartbeat = ray_tune.Heartbeat(*[nothing] * 9)
    trial: Any = SimpleNamespace(config={"number": 1})
    heartbeat.on_trial_start(0, [trial], trial)
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= blocked[0]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])

"""Tune during a search, seen from inside."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState
from support.gpus import gpu
from support.searches import make, toy_space
from support.tune_trials import TuneController, TuneTrial, tune_trial

from tuner.errors import SearchError
from tuner.execution import ray_tune
from tuner.execution.diagnosis import Diagnosis, Diagnostician
from tuner.execution.faulty_nodes import FaultyNodes, Node
from tuner.execution.messages import Report, avoided_by, requested_by
from tuner.execution.packing import GpuKind, Packing, Places
from tuner.execution.search import run_search
from tuner.run import Run
from tuner.run.trial_status import TrialStatus
from tuner.search.kept_places import KeptPlaces
from tuner.settings.hyperparameters import Hyperparameters
from tuner.training.spec import EpochResult, TrialSpec

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
        kept_places=KeptPlaces(lambda: 0.0),
        is_ended_for_hanging=lambda number: False,
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


def scheduler_of(**session: Any) -> ray_tune.StudyScheduler:
    given: Any = SimpleNamespace(callback_error=None, **session)
    nothing: Any = None
    faulty: Any = SimpleNamespace(note_success=lambda node, failed_on: [])
    return ray_tune.StudyScheduler(given, nothing, faulty, nothing, nothing)


WAITS = tune_trial(2, "b")
EPOCH = EpochResult(1, 0.5, 0.5, 0.5, 0.5, 0.5, seconds=1.0)


@pytest.mark.parametrize(
    ("wanted", "makes_room"),
    [
        (WAITS, True),  # never would a process be free for it
        (tune_trial(2, "a", "b"), False),  # a place on this node is no use to it
        (tune_trial(2), False),  # Tune gives it the process as it is
        (tune_trial(2, gpus=0.5), False),  # all that becomes free is kept for it anyway
        (tune_trial(2, "b", gpus=0.5), False),  # this place is too small
        (tune_trial(2, "b", kind="T4"), False),  # this one had another kind of GPU
        (tune_trial(2, "b", status="RUNNING"), False),
    ],
)
@pytest.mark.parametrize("says_node_at_end", [False, True])
def test_a_process_makes_room_for_a_trial_that_must_run_on_another_node_than_before(
    wanted: TuneTrial, makes_room: bool, says_node_at_end: bool
) -> None:
    kept = KeptPlaces(lambda: 0.0)
    scheduler = scheduler_of(
        kept_places=kept, failed_on=lambda number: [], end_epoch=lambda number, epoch: False
    )
    ended: Any = tune_trial(1, status="RUNNING")
    controller = TuneController(ended, wanted)
    if not says_node_at_end:
        scheduler.on_trial_result(controller, ended, Report(epoch=EPOCH, node="a").to_result())
    last = Report(status=TrialStatus.COMPLETE, node="a" if says_node_at_end else "")
    scheduler.on_trial_complete(controller, ended, last.to_result())
    assert controller.has_ended_process_of(ended) is makes_room
    assert kept.has_room_made(2) is kept.are_any is makes_room


def test_one_process_makes_room_for_one_trial_and_none_for_one_whose_process_starts() -> None:
    kept = KeptPlaces(lambda: 0.0)
    scheduler = scheduler_of(kept_places=kept)
    ended: Any = [tune_trial(number, status="RUNNING") for number in range(3)]
    waiting = [tune_trial(number, "b") for number in (7, 8, 9)]
    controller = TuneController(*ended, *waiting, starting=waiting[2:])
    for trial in ended:
        last = Report(status=TrialStatus.COMPLETE, node="a")
        scheduler.on_trial_complete(controller, trial, last.to_result())
    assert [controller.has_ended_process_of(each) for each in ended] == [True, True, False]
    assert [kept.has_room_made(each.config["number"]) for each in waiting] == [True, True, False]


def test_a_free_process_goes_to_the_first_trial_that_none_starts_for() -> None:
    first, second, third = (tune_trial(number) for number in range(3))
    runs = tune_trial(9, status="RUNNING")
    told: list[int] = []
    scheduler = scheduler_of(start_process=told.append, newly_hanging=list)
    controller = TuneController(runs, first, second, third, starting=[first])
    assert scheduler.choose_trial_to_run(controller) is second
    controller = TuneController(runs, first, starting=[first])
    assert scheduler.choose_trial_to_run(controller) is None
    assert told == [0, 0]  # the watchdog watches the start of the first one's


def test_a_trial_that_failed_on_the_only_node_of_its_kind_gets_another_kind() -> None:
    nodes = {
        "a": {"CPU": 8.0, "GPU": 1.0, "accelerator_type:T4": 1.0},
        "b": {"CPU": 8.0, "GPU": 1.0, "accelerator_type:H100": 1.0},
    }
    packing = Packing(1, 0.5, [GpuKind(kind, gpu(kind), 2) for kind in ("T4", "H100")])
    living = [Node(name, name, name, resources) for name, resources in nodes.items()]
    faulty = FaultyNodes(lambda: living, lambda node: packing.fit(node) > 0, set())
    places = Places(packing, lambda avoided: [nodes[name] for name in nodes if name not in avoided])
    for number in range(4):
        places.take(number)
    places.free(next(n for n, place in places._taken.items() if place.kind == "T4"))
    session: Any = SimpleNamespace(
        callback_error=None,
        has_budget=True,
        has_room=True,
        start_trial=lambda: TrialSpec(9, Hyperparameters(architecture="lstm"), 1, max_epochs=1),
        has_larger_share=lambda number: False,
        failed_on=lambda number: ["a"],
        model_from=None,
        progress_every_s=4.0,
    )
    nothing: Any = None
    config = ray_tune.StudySearcher(session, places, faulty, nothing).suggest("x")
    assert isinstance(config, dict)
    assert avoided_by(config) == ["a"]
    assert requested_by(config) == {"CPU": 1, "GPU": 0.5, "accelerator_type:H100": 0.001}


def test_a_hanging_process_that_was_ended_did_not_run_out_of_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lost: list[int] = []
    session: Any = SimpleNamespace(
        callback_error=None,
        is_ended_for_hanging=lambda number: True,
        lose_trial=lambda number, reason, **given: lost.append(number),
    )
    found = Diagnosis("no memory", is_out_of_memory=True, is_charged=False)
    diagnostician: Any = SimpleNamespace(diagnose=lambda error: found)
    nothing: Any = None
    places: Any = SimpleNamespace(free=lambda number: None)
    scheduler = ray_tune.StudyScheduler(session, places, nothing, nothing, diagnostician)
    scheduler.on_trial_error(nothing, missing_gpu(tmp_path))
    assert lost == [1]


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

"""Tune during a search, seen from inside."""

import json
import signal
from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from optuna.trial import TrialState
from support.gpus import gpu
from support.searches import make, toy_space

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
from tuner.settings.space import SearchSpace
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


@dataclass(eq=False)
class TuneTrial:
    config: dict[str, Any]
    status: str


class TuneController:
    """What Tune knows of trials and processes."""

    def __init__(self, *trials: TuneTrial, starting: Collection[TuneTrial] = ()) -> None:
        self.trials = trials
        self._trial_to_actor = {trial: f"process of {trial.config['number']}" for trial in trials}
        live = [each for each in trials if each.status == "RUNNING" or each in starting]
        processes = {self._trial_to_actor[each] for each in live}
        self._started_actors = {*processes}
        self._actor_manager = SimpleNamespace(is_actor_started=processes.__contains__)

    def get_trials(self) -> list[TuneTrial]:
        return list(self.trials)

    def has_ended_process_of(self, trial: TuneTrial) -> bool:
        return self._trial_to_actor[trial] not in self._started_actors


def tune_trial(
    number: int,
    *avoided: str,
    status: str = "PENDING",
    gpus: float = 0.0,
    kind: str | None = None,
) -> TuneTrial:
    resources = {"CPU": 1.0, "GPU": gpus, **({f"accelerator_type:{kind}": 0.001} if kind else {})}
    config = {
        "number": number,
        "avoided": json.dumps(avoided),
        "resources": json.dumps(resources),
    }
    return TuneTrial(config, status)


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
    assert kept.made == makes_room


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
    assert kept.made == 2


def test_a_free_process_goes_to_the_first_trial_that_none_starts_for() -> None:
    first, second, third = (tune_trial(number) for number in range(3))
    runs = tune_trial(9, status="RUNNING")
    scheduler = scheduler_of()
    controller = TuneController(runs, first, second, third, starting=[first])
    for each in controller.trials:
        each.is_finished = lambda: False  # type: ignore[attr-defined]
    assert scheduler.choose_trial_to_run(controller) is second
    controller = TuneController(runs, first, starting=[first])
    assert scheduler.choose_trial_to_run(controller) is None


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


@pytest.mark.parametrize(
    ("trials", "ends"),
    [
        ([tune_trial(1, "h")], True),  # it must not run on the only node that is left
        ([tune_trial(1, "h"), tune_trial(2, status="RUNNING")], True),
        ([tune_trial(1, "t")], False),
        ([tune_trial(1, kind="T4")], True),  # the last one of its kind has gone
        ([tune_trial(1, kind="T4"), tune_trial(2, status="RUNNING")], False),
        ([tune_trial(1, kind="H100")], False),
    ],
)
def test_a_search_whose_trial_waits_for_another_node_in_vain_ends(
    monkeypatch: pytest.MonkeyPatch, trials: list[TuneTrial], ends: bool
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
    node = Node("h", "10.0.0.1", "host", {"CPU": 8, "GPU": 1, "accelerator_type:H100": 1})
    faulty = FaultyNodes(lambda: [node], lambda resources: True, set())
    heartbeat = ray_tune.Heartbeat(*[nothing] * 6, faulty, nothing, nothing)
    given: Any = trials
    with pytest.raises(SearchError, match="add a node, or repair") if ends else nullcontext():
        heartbeat.on_step_end(0, given)


def test_what_is_done_beside_the_trials_takes_no_signal_from_the_driver() -> None:
    blocked: list[set[int]] = []

    def start() -> None:
        blocked.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, [])))

    nothing: Any = SimpleNamespace(begin_trial=lambda number, **given: None, start=start)
    heartbeat = ray_tune.Heartbeat(*[nothing] * 9)
    trial: Any = tune_trial(1)
    heartbeat.on_trial_start(0, [trial], trial)
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= blocked[0]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])

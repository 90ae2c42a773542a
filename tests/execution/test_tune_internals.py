"""Fails when Ray Tune has changed what `tuner.execution.tune_internals` relies on."""

import inspect
import os
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray import cloudpickle, tune

from tuner.execution import tune_internals
from tuner.execution.tune_internals import Disposable


def test_tune_does_not_count_its_callbacks() -> None:
    from ray.air._internal import usage
    from ray.tune import tune as module

    theirs = getattr(usage, tune_internals.CALLBACKS_COUNT)
    with tune_internals.callbacks_not_counted():
        assert not usage.tag_callbacks([object()])
    assert getattr(usage, tune_internals.CALLBACKS_COUNT) is theirs
    assert "import MLflowLoggerCallback" in inspect.getsource(usage)  # else it is no longer needed
    assert f"air_usage.{tune_internals.CALLBACKS_COUNT}(callbacks)" in inspect.getsource(module)


def test_our_objects_are_pickled_empty_by_tune() -> None:
    class Ours(Disposable, tune.Callback):  # type: ignore[misc]
        def __init__(self) -> None:
            self.file = open(os.devnull)  # noqa: SIM115 - cannot be pickled

    ours = Ours()
    assert type(cloudpickle.loads(cloudpickle.dumps(ours))) is object
    ours.file.close()


def test_tune_writes_an_error_down_before_it_calls_the_scheduler() -> None:
    from ray.tune.execution import tune_controller

    process = inspect.getsource(tune_controller.TuneController._process_trial_failure)
    assert process.index("trial.handle_error(") < process.index("_scheduler_alg.on_trial_error(")


def test_the_error_of_a_trial_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "error.txt").write_text("ActorDiedError", encoding="utf-8")
    assert tune_internals.error_text(SimpleNamespace(error_file=f"{tmp_path}/error.txt")) == (
        "ActorDiedError"
    )
    assert tune_internals.error_text(SimpleNamespace(error_file=None)) == ""
    from ray.tune.experiment import Trial

    assert isinstance(inspect.getattr_static(Trial, "error_file"), property)


def test_a_trial_without_a_process_has_none_to_end() -> None:
    manager = SimpleNamespace(is_actor_started=lambda actor: False)
    controller = SimpleNamespace(_actor_manager=manager, _trial_to_actor={1: "a"})
    for trial in (1, 2):  # Ray has no place for the process yet; there is none
        tune_internals.end_process(controller, trial)


def test_tune_decides_whether_to_keep_a_process_after_it_has_called_the_scheduler() -> None:
    from ray.tune.execution.tune_controller import TuneController

    stop = inspect.getsource(TuneController.stop_trial)
    told = stop.index("self._scheduler_alg.on_trial_complete(")
    assert told < stop.index("self._schedule_graceful_trial_stop(")
    keep = inspect.getsource(TuneController._maybe_cache_trial_actor)
    assert "tracked_actor not in self._started_actors" in keep
    assert "self._trial_to_actor[trial]" in keep


def test_a_retired_process_is_not_known_as_started() -> None:
    controller = SimpleNamespace(_started_actors={"a", "b"}, _trial_to_actor={1: "a"})
    for trial in (1, 2):
        tune_internals.retire(SimpleNamespace(_tune_controller=controller), trial)
    assert controller._started_actors == {"b"}


def test_tune_knows_processes_that_start_before_it_calls_their_trials_running() -> None:
    from ray.air.execution._internal.actor_manager import RayActorManager
    from ray.tune.execution.tune_controller import TuneController

    start = inspect.getsource(RayActorManager._try_start_actors)
    known = start.index("self._live_actors_to_ray_actors_resources[tracked_actor] = (")
    assert known < start.index("actor.__ray_ready__.remote()")
    asked = inspect.getsource(RayActorManager.is_actor_started)
    assert "tracked_actor in self._live_actors_to_ray_actors_resources" in asked
    assert "Trial.RUNNING" in inspect.getsource(TuneController._actor_started)


def test_a_trial_has_a_process_once_ray_starts_one() -> None:
    manager = SimpleNamespace(is_actor_started=lambda actor: actor == "a")
    controller = SimpleNamespace(_actor_manager=manager, _trial_to_actor={1: "a", 2: "b"})
    wrapped = SimpleNamespace(_tune_controller=controller)
    assert [tune_internals.has_process(wrapped, trial) for trial in (1, 2, 3)] == [
        True,
        False,
        False,
    ]


def test_tune_keeps_its_trials_where_they_are_dropped_from() -> None:
    from ray.tune.execution.tune_controller import TrialRunnerWrapper, TuneController

    made = inspect.getsource(TuneController.__init__)
    assert "self._trials_to_cache: Set[Trial]" in made
    assert "self._live_trials: Set[Trial]" in made
    assert re.search(r"return self\._trials$", inspect.getsource(TuneController.get_trials), re.M)
    assert "self._tune_controller = tune_controller" in inspect.getsource(TrialRunnerWrapper)


def test_ended_trials_are_dropped_in_place() -> None:
    def trial(*, is_finished: bool) -> SimpleNamespace:
        class Hashable(SimpleNamespace):
            __hash__ = object.__hash__  # type: ignore[assignment]
            __eq__ = object.__eq__  # type: ignore[assignment]

        return Hashable(is_finished=lambda: is_finished)

    ended, running = trial(is_finished=True), trial(is_finished=False)
    trials = [ended, running]
    controller = SimpleNamespace(_trials_to_cache={ended}, _live_trials={ended, running})
    tune_internals.forget_ended_trials(
        SimpleNamespace(get_trials=lambda: trials, _tune_controller=controller)
    )
    assert trials == [running]
    assert (controller._trials_to_cache, controller._live_trials) == (set(), {running})


@pytest.mark.ray
def test_trials_take_the_processes_that_ray_starts_with_itself(shared_ray: None) -> None:
    from ray.tune.execution import class_cache

    class Trainable:
        pass

    original = class_cache._ActorClassCache.get
    assert class_cache._ActorClassCache().get(Trainable)._default_options["runtime_env"]
    with tune_internals.waiting_workers_taken():
        actor = class_cache._ActorClassCache().get(Trainable)
    assert actor._default_options.get("runtime_env") is None  # any other wants processes of its own
    assert class_cache._ActorClassCache.get is original

"""Every use of Ray Tune's private parts, each with its reason: the module to look at when Ray changes.

As `tuner.execution.ray_internals` has those of the rest of Ray. `tests/execution/test_tune_internals.py` fails when Ray
changes one of them. Must not import Ray at module level.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuner.execution.ray_internals import replaced

CALLBACKS_COUNT = "tag_callbacks"  # of ray.air._internal.usage


@contextmanager
def callbacks_not_counted() -> Iterator[None]:
    """Keeps Tune from counting which callbacks of its own it was given, for its statistics of use.

    Those are off, and it would import MLflow for them wherever that is installed, 1.5 s of CPU time
    (ray/air/_internal/usage.py, `_count_callbacks`; https://github.com/ray-project/ray/pull/34904).
    """
    from ray.air._internal import usage

    with replaced(usage, CALLBACKS_COUNT, lambda _callbacks: False):
        yield


class Disposable:
    """Whatever inherits this is pickled as an empty object.

    Tune pickles its searcher, scheduler and callbacks with its own state, in spite of TUNE_GLOBAL_CHECKPOINT_S once at
    the end (ray/tune/execution/tune_controller.py, `__getstate__`). Ours hold the study, which cannot be pickled and
    need not be.
    """

    def __reduce__(self) -> tuple[type[object], tuple[()]]:
        return object, ()


def error_text(trial: Any) -> str:
    """The error that ended a trial, as Ray reports it.

    Tune writes it to a file just before it calls `TrialScheduler.on_trial_error`, which is not handed the error
    (ray/tune/experiment/trial.py, `handle_error`).
    """
    try:
        return Path(trial.error_file or "").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def end_process(tune_controller: Any, trial: Any) -> None:
    """Ends the process of a trial that hangs, also while it starts; Tune then learns that it died.

    Tune has no way to end one that does not answer: it asks the actor to stop and waits
    (ray/air/execution/_internal/actor_manager.py, `remove_actor`).
    """
    import ray

    if has_process(tune_controller, trial):
        controller = getattr(tune_controller, "_tune_controller", tune_controller)
        live = controller._actor_manager._live_actors_to_ray_actors_resources
        process, _ = live[controller._trial_to_actor[trial]]
        ray.kill(process)


def has_process(tune_controller: Any, trial: Any) -> bool:
    """Whether a trial's process was started, or is being started where Ray has found a place for it.

    Tune calls a trial pending until its process has got through its set-up, and may give it another one meanwhile
    (ray/tune/execution/tune_controller.py, `_trial_to_actor`; ray/air/execution/_internal/actor_manager.py).
    """
    controller = getattr(tune_controller, "_tune_controller", tune_controller)
    actor = controller._trial_to_actor.get(trial)
    return actor is not None and bool(controller._actor_manager.is_actor_started(actor))


def retire(tune_controller: Any, trial: Any) -> None:
    """Has Tune end the process of a trial that is over, which it would give to the next one.

    Tune keeps no process that it does not know as started (ray/tune/execution/tune_controller.py,
    `_maybe_cache_trial_actor`). It decides after it has called `TrialScheduler.on_trial_complete`, for a trial that
    reported `done` and for one that the scheduler stopped; there this belongs.
    """
    controller = getattr(tune_controller, "_tune_controller", tune_controller)
    controller._started_actors.discard(controller._trial_to_actor.get(trial))


def forget_ended_trials(tune_controller: Any) -> None:
    """Drops ended trials from Tune's own lists, which it walks at every step and writes down when all is done.

    6,000 of them made every step 2 ms longer, the driver 80 MB larger and the search's end last half a minute
    (https://github.com/ray-project/ray/issues/15504, https://github.com/ray-project/ray/issues/64231). The study has
    them.

    Args:
        tune_controller: what Tune hands to a scheduler; it hides all but a few methods of the controller.
    """
    trials: list[Any] = tune_controller.get_trials()
    if any(trial.is_finished() for trial in trials):
        trials[:] = [trial for trial in trials if not trial.is_finished()]
        controller = tune_controller._tune_controller
        controller._trials_to_cache.intersection_update(trials)
        controller._live_trials.intersection_update(trials)  # where it leaves those that broke


@contextmanager
def waiting_workers_taken() -> Iterator[None]:
    """Lets trials use the processes that Ray starts with itself, instead of new ones: 2 s less to wait.

    Tune gives its actors an environment of their own (https://github.com/ray-project/ray/pull/22803), and a process
    serves one environment only (https://github.com/ray-project/ray/issues/15371). Only for a Ray that this process
    started: there every process has inherited the variables already.
    """
    import ray
    from ray.tune.execution import class_cache

    def get(cache: Any, trainable: type[object]) -> Any:
        return cache._cache.setdefault(trainable, ray.remote(trainable))

    with replaced(class_cache._ActorClassCache, "get", get):
        yield

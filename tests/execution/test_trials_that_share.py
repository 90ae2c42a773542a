"""Trials that run out of memory because they share a GPU, with declared GPUs and toy trials."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from support.searches import make, toy_space
from support.watching import Recorder

from tuner.execution import heartbeat, ray_tune
from tuner.execution.packing import Place
from tuner.execution.search import run_search
from tuner.run import Run
from tuner.run.attributes import Attribute
from tuner.run.records import counts_as_finished
from tuner.training.spec import TrialSpec

pytestmark = pytest.mark.ray

SPACE = toy_space(fault="none", epoch_seconds=0.05)
QUARTERS = {"gpus_per_trial": 0.25, "cpus_per_trial": 0.25, "pruner": "none"}  # 8 on two GPUs


@dataclass
class Started:
    """A trial that got its process."""

    number: int
    gpus: float
    process: object


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    """The trials of a search in the order in which they got their processes."""
    seen: list[Started] = []
    original = heartbeat.Heartbeat.on_trial_start

    def on_trial_start(
        self: heartbeat.Heartbeat, iteration: int, trials: list[Any], trial: Any, **info: object
    ) -> None:
        original(self, iteration, trials, trial, **info)
        request = trial.placement_group_factory.required_resources
        actor = trial.temporary_state.ray_actor._actor_id
        seen.append(Started(trial.config["number"], request["GPU"], actor))

    monkeypatch.setattr(heartbeat.Heartbeat, "on_trial_start", on_trial_start)
    return seen


def run_out(monkeypatch: pytest.MonkeyPatch, ordinary: int, larger: int = 0) -> list[int]:
    """Has the first trials find no room in their third epoch.

    Args:
        ordinary: so many of those with an ordinary share.
        larger: so many of those with a larger one.

    Returns:
        their numbers, once the search has run.
    """
    original = ray_tune.to_ray_config
    left = {False: ordinary, True: larger}
    numbers: list[int] = []

    def with_fault(spec: TrialSpec, place: Place, *more: Any) -> dict[str, Any]:
        if left[place.is_larger]:
            left[place.is_larger] -= 1
            numbers.append(spec.number)
            given = {**spec.hyperparameters.custom, "fault": "gpu_memory", "fault_epoch": 3}
            changed = spec.hyperparameters.model_copy(update={"custom": given})
            spec = replace(spec, hyperparameters=changed)
        return original(spec, place, *more)

    monkeypatch.setattr(ray_tune, "to_ray_config", with_fault)
    return numbers


def test_a_trial_that_ran_out_gets_a_new_process_with_twice_the_share_while_others_go_on(
    shared_ray: None,
    started: list[Started],
    sentences: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run_out(monkeypatch, 1)
    listener = Recorder()
    run = run_search(make(SPACE, sentences, tmp_path, trials=16, **QUARTERS), listener).run

    trials = run.study.trials
    (again,) = [each for each in trials if each.user_attrs.get(Attribute.RETRY_OF) == 0]
    board = run.leaderboard().set_index("trial")
    assert board.loc[0, "status"] == "out_of_memory"
    assert board.loc[0, "error"].endswith("; runs again with a larger share of the GPU")
    assert board.loc[again.number, ["status", "tries"]].to_list() == ["complete", 2]
    assert list(board["status"]).count("complete") == 16
    others = board.drop(index=[0, again.number])
    assert set(others["tries"]) == {1}  # they went on meanwhile

    by_number = {each.number: each for each in started}
    assert by_number[again.number].gpus == 0.5
    assert {each.gpus for each in started if each.number != again.number} == {0.25}
    before = started[: started.index(by_number[again.number])]
    assert by_number[again.number].process not in {each.process for each in before}
    # Nothing that was asked for later got a GPU before it.
    assert all(each.number < again.number for each in before)
    assert listener.notes == []


def test_when_that_happens_twice_fewer_share_a_gpu_also_after_a_resume(
    shared_ray: None,
    started: list[Started],
    sentences: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    numbers = run_out(monkeypatch, 3, larger=1)
    listener = Recorder()
    run = run_search(make(SPACE, sentences, tmp_path, trials=14, **QUARTERS), listener).run

    assert listener.notes == [
        "two trials needed twice their share of a GPU: from now on 2 per GPU at once, not 4 per GPU"
    ]
    board = run.leaderboard().set_index("trial")
    by_number = {each.number: each.gpus for each in started}
    (spoilt,) = (number for number in numbers if by_number[number] == 0.5)
    assert board.loc[spoilt, "status"] == "out_of_memory"  # the study is told only now
    assert counts_as_finished(Run(run.folder).study.trials[spoilt])
    assert set(board[board["status"] == "out_of_memory"].index) == set(numbers)
    assert by_number[max(by_number)] == 0.5

    started.clear()
    run_search(make(SPACE, sentences, tmp_path, trials=16, **QUARTERS))
    assert {each.gpus for each in started} == {0.5}

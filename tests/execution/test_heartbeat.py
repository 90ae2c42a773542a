"""What happens between two of Tune's steps."""

import signal
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.searches import make
from support.tune_trials import TuneTrial, tune_trial
from support.watching import Clock

from tuner.errors import SearchError
from tuner.execution import heartbeat as heartbeats
from tuner.execution.faulty_nodes import FaultyNodes, Node
from tuner.execution.heartbeat import Heartbeat
from tuner.execution.search import run_search
from tuner.settings.space import SearchSpace

pytestmark = pytest.mark.ray


def test_tune_forgets_trials_that_ended(
    shared_ray: None,
    space: SearchSpace,
    sentences: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = []
    original = Heartbeat.on_step_end

    def on_step_end(self: Heartbeat, iteration: int, trials: list, **info: object) -> None:
        known.append(len(trials))
        original(self, iteration, trials, **info)

    monkeypatch.setattr(Heartbeat, "on_step_end", on_step_end)
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
        # Every trial avoids a node that is left out; an autoscaler may bring the kind.
        ([tune_trial(1, "t", kind="T4"), tune_trial(2, status="RUNNING")], False),
        ([tune_trial(1, "t", kind="T4")], True),
    ],
)
def test_a_search_whose_trial_waits_for_another_node_in_vain_ends(
    monkeypatch: pytest.MonkeyPatch, trials: list[TuneTrial], ends: bool
) -> None:
    monkeypatch.setattr(heartbeats, "_LOOK_S", 0.0)
    monkeypatch.setattr(heartbeats, "_LONGEST_STUCK_S", 0.0)
    nothing: Any = SimpleNamespace(
        callback_error=None,
        is_out_of_time=False,
        pass_time=lambda: None,
        check=lambda: None,
        watch=lambda: None,
        collect=bool,
        write_if_due=lambda: None,
        copy_if_due=lambda troubles: None,
    )
    node = Node("h", "10.0.0.1", "host", {"CPU": 8, "GPU": 1, "accelerator_type:H100": 1})
    faulty = FaultyNodes(lambda: [node], lambda resources: True, set())
    heartbeat = Heartbeat(*[nothing] * 6, faulty, nothing, nothing)
    given: Any = trials
    with pytest.raises(SearchError, match="add a node, or repair") if ends else nullcontext():
        heartbeat.on_step_end(0, given)


@pytest.mark.parametrize(
    ("status", "starts", "notes"),
    [
        (
            "PENDING",
            False,
            [
                "no trial has run for 1m: no node has 1 CPU and 0.5 GPU free, which a trial asks for; it starts as "
                "soon as one has, but the time budget goes on"
            ],
        ),
        ("PENDING", True, []),
        ("RUNNING", False, []),
    ],
)
def test_a_search_without_room_to_run_says_so(
    monkeypatch: pytest.MonkeyPatch, status: str, starts: bool, notes: list[str]
) -> None:
    clock, told = Clock(), set[str]()
    monkeypatch.setattr(heartbeats.time, "monotonic", lambda: clock.now)
    session: Any = SimpleNamespace(note=told.add, starts_process=starts)
    node = Node("h", "10.0.0.1", "host", {"CPU": 8, "GPU": 1})
    faulty = FaultyNodes(lambda: [node], lambda resources: True, set())
    nothing: Any = None
    heartbeat = Heartbeat(session, *[nothing] * 5, faulty, nothing, nothing)
    for _ in range(4):
        heartbeat._check_nodes([tune_trial(1, status=status, gpus=0.5)])  # type: ignore[list-item]
        clock.now += 30
    assert sorted(told) == notes


def test_what_is_done_beside_the_trials_takes_no_signal_from_the_driver() -> None:
    blocked: list[set[int]] = []

    def start() -> None:
        blocked.append(set(signal.pthread_sigmask(signal.SIG_BLOCK, [])))

    nothing: Any = SimpleNamespace(begin_trial=lambda number, **given: None, start=start)
    heartbeat = Heartbeat(*[nothing] * 9)
    trial: Any = tune_trial(1)
    heartbeat.on_trial_start(0, [trial], trial)
    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= blocked[0]
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, [])

"""The watchdog: which trials count as hanging."""

import pytest
from support.watching import Clock

from tuner.search.watchdog import Watchdog


@pytest.fixture
def clock() -> Clock:
    return Clock()


def watch(watchdog: Watchdog, clock: Clock, seconds: int) -> list[int]:
    """Lets so many seconds pass; returns the trials that were found to hang."""
    hanging: list[int] = []
    for _ in range(seconds):
        clock.now += 1
        hanging += watchdog.newly_hanging()
    return hanging


def test_an_epoch_may_take_ten_times_the_slowest_so_far(clock: Clock) -> None:
    watchdog = Watchdog(None, 0.0, clock)
    watchdog.begin(1)
    assert watch(watchdog, clock, 100) == []
    watchdog.end_epoch(1)
    assert watch(watchdog, clock, 1000) == []
    assert watch(watchdog, clock, 2) == [1]
    assert (watchdog.forget(1) or "").startswith("no progress within 16m40s")


def test_a_long_epoch_is_no_hang_while_the_trial_gets_further(clock: Clock) -> None:
    watchdog = Watchdog(None, 1.0, clock)
    watchdog.begin(1)
    for _ in range(4):
        assert watch(watchdog, clock, 299) == []
        watchdog.continue_epoch(1)
    assert watch(watchdog, clock, 300) == []
    assert watch(watchdog, clock, 1) == [1]
    watchdog.continue_epoch(1)  # arrives late
    assert watch(watchdog, clock, 400) == []


def test_the_slowest_epoch_is_a_whole_one(clock: Clock) -> None:
    watchdog = Watchdog(None, 1.0, clock)
    watchdog.begin(1)
    assert watch(watchdog, clock, 60) == []
    watchdog.continue_epoch(1)
    assert watch(watchdog, clock, 40) == []
    watchdog.end_epoch(1)
    assert watchdog.timeout_s == 1000


def test_a_given_limit_is_one_of_whole_epochs(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    watchdog.begin(1)
    assert watch(watchdog, clock, 4) == []
    watchdog.continue_epoch(1)
    assert watch(watchdog, clock, 2) == [1]
    assert (watchdog.forget(1) or "").startswith("no epoch within 5s")


def test_a_hanging_trial_is_reported_once(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    watchdog.begin(1)
    assert watch(watchdog, clock, 20) == [1]


def test_time_in_which_this_process_was_stopped_does_not_count(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    watchdog.begin(1)
    assert watch(watchdog, clock, 2) == []
    clock.now += 3600  # Ctrl-Z, fg
    assert watch(watchdog, clock, 3) == []
    assert watch(watchdog, clock, 3) == [1]


def test_a_process_that_does_not_start_hangs(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    for _ in range(1200):
        watchdog.start(1)
        assert watch(watchdog, clock, 1) == []
    watchdog.start(1)
    watchdog.start(2)
    assert watch(watchdog, clock, 1) == [1]
    watchdog.start(1)  # Tune learns of its end later
    watchdog.begin(2)
    assert watch(watchdog, clock, 4) == []
    assert watchdog.forget(1) == "its process did not start within 20m, so it was ended"
    watchdog.start(1)  # another process
    assert watch(watchdog, clock, 3) == [2]


def test_waiting_for_a_process_is_no_hanging(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    clock.now += 10_000
    watchdog.begin(1)
    assert watchdog.newly_hanging() == []


def test_a_trial_that_ended_well_leaves_no_reason(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    watchdog.begin(1)
    assert watchdog.forget(1) is None
    clock.now += 10
    assert watchdog.newly_hanging() == []


@pytest.mark.parametrize(
    ("given", "slowest", "timeout"),
    [(None, 0.0, 3 * 3600), (None, 1.0, 300), (None, 60.0, 600), (7.0, 60.0, 7)],
)
def test_the_timeout_follows_from_earlier_epochs(
    clock: Clock, given: float | None, slowest: float, timeout: float
) -> None:
    assert Watchdog(given, slowest, clock).timeout_s == timeout

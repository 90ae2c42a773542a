"""Which trials hang."""

import pytest

from tuner.driver.watchdog import Watchdog


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_an_epoch_may_take_ten_times_the_slowest_so_far(clock: Clock) -> None:
    watchdog = Watchdog(None, 0.0, clock)
    watchdog.begin(1)
    clock.now += 100
    watchdog.end_epoch(1)
    clock.now += 999
    assert watchdog.newly_hanging() == []
    clock.now += 2
    assert watchdog.newly_hanging() == [1]
    assert (watchdog.forget(1) or "").startswith("no epoch within 16m40s")


def test_a_hanging_trial_is_told_once(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    watchdog.begin(1)
    clock.now += 6
    assert watchdog.newly_hanging() == [1]
    clock.now += 6
    assert watchdog.newly_hanging() == []


def test_waiting_for_a_process_is_no_hanging(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    clock.now += 10_000
    watchdog.begin(1)
    assert watchdog.newly_hanging() == []


def test_a_trial_that_ended_well_leaves_no_verdict(clock: Clock) -> None:
    watchdog = Watchdog(5.0, 0.0, clock)
    watchdog.begin(1)
    assert watchdog.forget(1) is None
    clock.now += 10
    assert watchdog.newly_hanging() == []


@pytest.mark.parametrize(
    ("given", "slowest", "timeout"),
    [(None, 0.0, 3 * 3600), (None, 1.0, 300), (None, 60.0, 600), (7.0, 60.0, 7)],
)
def test_the_timeout_follows_from_what_is_known(
    clock: Clock, given: float | None, slowest: float, timeout: float
) -> None:
    assert Watchdog(given, slowest, clock).timeout_s == timeout
